"""Which arithmetic a checkpoint is scored in, and how far bf16 is from float32 on it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column
from xfer_bench.evaluation.digests import scoring_source
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.identity import Identity

# Items that the check scores twice, spread over the columns.
SAMPLE = 512
# Answers that may differ on them for bf16 to be the default on a GPU: what was seen of autocast with untrained heads.
TOLERATED = 0.01

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/kfd")


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """bf16 against float32 on the same items.

    differing: items with another answer. right_fp32, right_bf16: right answers. largest: difference of two scores.
    """

    items: int
    differing: int
    right_fp32: int
    right_bf16: int
    largest: float

    @property
    def passes(self) -> bool:
        """Whether bf16 is near enough to be the default on a GPU."""
        return self.differing <= TOLERATED * self.items


def resolved(
    wanted: Literal["auto", "fp32", "bf16"],
    checkpoint: Scorable,
    identity: Identity,
    columns: Sequence[Column],
    store: PredictionStore,
) -> Literal["fp32", "bf16"]:
    """The precision to score in. `auto` is fp32 on a CPU; on a GPU it is bf16 where the check passes, remembered."""
    if wanted != "auto":
        return wanted
    if not _driver():
        return "fp32"
    from xfer_bench.evaluation.budgets import device_name
    from xfer_bench.models.precision import best_device, native_bf16

    device = best_device()
    if device.type == "cpu" or not native_bf16(device):
        return "fp32"
    name = f"precision:{identity.weights}:{identity.function}:{columns[0].task.name}"
    stamp = [identity.tokens, scoring_source(), device_name(device)]
    passes = store.remember(name, stamp, lambda: disagreement(checkpoint, identity, columns, store).passes)
    return "bf16" if passes else "fp32"


def disagreement(
    checkpoint: Scorable, identity: Identity, columns: Sequence[Column], store: PredictionStore
) -> Disagreement:
    """Score some items of the columns in both precisions on the best device. Raises CheckpointError."""
    from xfer_bench.evaluation.scoring import answers, sample
    from xfer_bench.models.precision import best_device

    device = str(best_device())
    work = sample(checkpoint, identity, columns, store, each=max(1, SAMPLE // len(columns)))
    exact = answers(checkpoint, identity, work, precision="fp32", device=device)
    rounded = answers(checkpoint, identity, work, precision="bf16", device=device)
    gaps = np.abs(exact["scores"].explode().to_numpy() - rounded["scores"].explode().to_numpy())
    return Disagreement(
        items=exact.height,
        differing=int((exact["prediction"] != rounded["prediction"]).sum()),
        right_fp32=_right(exact),
        right_bf16=_right(rounded),
        largest=float(gaps.max()),
    )


def _right(frame: pl.DataFrame) -> int:
    return int((frame["prediction"] == frame["label"]).sum())


def _driver() -> bool:
    """Whether this machine may have a GPU to use, without importing torch, which takes seconds."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return hidden not in {"", "-1"} and any(Path(place).exists() for place in _DRIVERS)
