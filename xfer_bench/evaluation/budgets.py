"""How many tokens go into a batch and onto a shelf on a device, and what was learnt about it before."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.models.precision import Precision
from xfer_bench.models.safety import CONFIG, json_object
from xfer_bench.models.size import layer_weights

# What was quickest on CPUs; larger batches fall out of their caches.
CPU_TOKENS = 4096
_GPU_TOKENS = (1024, 1 << 17)
# A layer holds about twenty vectors of the model's width a token at once, of four bytes at most.
_BYTES_PER_WIDTH = 80

# A shelf should take this long on a device that does so many operations a second, and hold so many batches at most.
_SHELF_SECONDS = 4.0
_NOMINAL = {"cpu": 1e11, "cuda": 1e14}
_MOST_BATCHES = 64
# Shorter runs say little about the speed.
_MEASURABLE = 1.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """tokens: of a batch, padding included; shelf: of a shelf. name: under which what is learnt is remembered."""

    tokens: int
    shelf: int
    layer_weights: int
    precision: Precision
    name: str
    fixed: bool

    def learn(self, store: PredictionStore, *, tokens: int, seconds: float, largest: int | None) -> None:
        """Note the speed and, where the memory did not suffice, the largest batch that fits."""
        if largest is not None and not self.fixed:
            store.index.set(f"budget:{self.name}", str(largest))
        if seconds > _MEASURABLE and self.layer_weights:
            store.index.set(f"rate:{self.precision}", repr(2 * self.layer_weights * tokens / seconds))


def budget_for(
    checkpoint: Scorable, store: PredictionStore, *, precision: Precision, wanted: int | None, devices: Sequence[str]
) -> Budget:
    """The budget that is wanted, that was found before, or that the device's memory suggests.

    wanted: tokens of a batch, or None to find out.
    """
    device = torch.device(devices[0])
    config = json_object(checkpoint.configuration / CONFIG)
    weights = layer_weights(config)
    name = f"{device_name(device)}:{precision}:{config.get('model_type')}:{weights}"
    found = store.index.get(f"budget:{name}") or ""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    known = int(found) if found.isdecimal() else 0
    tokens = wanted or known or first_guess(free, hidden=int(config.get("hidden_size") or 1024))
    aim = int(_SHELF_SECONDS * _NOMINAL[device.type] / max(2 * weights, 1))
    shelf = min(max(aim, tokens), _MOST_BATCHES * tokens)
    return Budget(
        tokens=tokens, shelf=shelf, layer_weights=weights, precision=precision, name=name, fixed=wanted is not None
    )


def first_guess(free: int | None, *, hidden: int) -> int:
    """Tokens of a batch to begin with: what half of a GPU's free bytes should hold, or what is quickest on a CPU.

    free: bytes, None on a CPU. hidden: width of the model.
    """
    if free is None:
        return CPU_TOKENS
    least, most = _GPU_TOKENS
    return min(max(free // 2 // (_BYTES_PER_WIDTH * hidden), least), most)


def device_name(device: torch.device) -> str:
    """What kind of device it is."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
