"""Low-rank adapters: put into a model before a stage, trained, and merged into its weights when the stage ends.

What a stage leaves is an ordinary checkpoint without a trace of peft; its lineage says how it was trained.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from xfer_bench.errors import TrainingError
from xfer_bench.models.heads import Headed, layers_of
from xfer_bench.recipes import Lora

if TYPE_CHECKING:
    from peft import LoraModel

# The name of the adapter within the model: a part of parameter names while it is trained.
_NAME = "stage"


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A model with adapters in its layers; the model itself is changed in place.

    modules: the linear layers that have one. trained: how many weights are trained, the head's among them.
    """

    tuner: "LoraModel"
    lora: Lora
    modules: tuple[str, ...]
    trained: int

    @property
    def facts(self) -> dict[str, Any]:
        """For the lineage."""
        return {
            "kind": "lora",
            "rank": self.lora.rank,
            "alpha": self.lora.alpha,
            "dropout": self.lora.dropout,
            "targets": sorted({name.rsplit(".", 1)[-1] for name in self.modules}),
            "modules": len(self.modules),
            "trained_weights": self.trained,
        }

    def merged_weights(self) -> dict[str, torch.Tensor]:
        """The model's state as it would be after `merge`, which goes on training as if nobody had asked."""
        from peft.tuners.lora import Linear

        model = self.tuner.model
        state: dict[str, torch.Tensor] = {
            name.replace(".base_layer.", "."): weight
            for name, weight in model.state_dict().items()
            if ".lora_" not in name
        }
        with torch.no_grad():
            for name, module in model.named_modules():
                if isinstance(module, Linear):
                    weight = f"{name}.weight"
                    state[weight] = state[weight] + module.get_delta_weight(_NAME)
        return state

    def merge(self) -> None:
        """Add the adapters to the weights that they adapt, and take them out of the model."""
        self.tuner.merge_and_unload()


def adapt(headed: Headed, lora: Lora, *, seed: int, frozen: int = 0) -> Adapted:
    """Put adapters into the model's layers above the `frozen` lowest; only they and the head are trained then.

    The head is what no checkpoint gave: `headed.fresh`. seed: of the adapters' random half; the other half is zero,
    so that the model computes what it did before.
    Raises TrainingError when peft is absent, or a target fits no linear layer.
    """
    try:
        from peft import LoraConfig, LoraModel
    except ImportError:
        raise TrainingError(
            "the recipe's lora needs the package peft, which is absent: pip install xfer-bench[adapters]"
        ) from None
    modules = _targets(headed, lora, frozen)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type] # only ever divided
        lora_dropout=lora.dropout,
        target_modules=list(modules),
        bias="none",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuner = LoraModel(headed.model, config, _NAME)
    trained = 0
    for name, weight in headed.model.named_parameters():
        weight.requires_grad_(name in headed.fresh or ".lora_" in name)
        trained += weight.numel() if weight.requires_grad else 0
    return Adapted(tuner=tuner, lora=lora, modules=modules, trained=trained)


def _targets(headed: Headed, lora: Lora, frozen: int) -> tuple[str, ...]:
    """Full names of the linear layers that get adapters, in the order of the model."""
    layers = layers_of(headed.model)
    if frozen >= len(layers):
        raise TrainingError(f"freeze_layers = {frozen} leaves none of the {len(layers)} layers for the recipe's lora")
    inside = {id(module) for layer in layers[frozen:] for module in layer.modules()}
    linear = tuple(
        name for name, module in headed.model.named_modules() if isinstance(module, nn.Linear) and id(module) in inside
    )
    if lora.targets is None:
        return linear
    for target in lora.targets:
        if not any(_ends(name, target) for name in linear):
            known = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            raise TrainingError(f"lora: no linear layer of the model is called {target!r}; they are called {known}")
    return tuple(name for name in linear if any(_ends(name, target) for target in lora.targets))


def _ends(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")
