"""A block's rows, labelled with the runs that they belong to: PREDICTIONS. No label is ever cached."""

from typing import Any

import polars as pl

from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.frames import PREDICTIONS, conform

INTERMEDIATE = "intermediate"
EXTERNAL = "external"


def labels_of(checkpoint: Scorable, *, weights: str, task: str) -> list[dict[str, Any]]:
    """The labels of every run that ends in the checkpoint: run, arm, setting, target, step, seeds, seen languages.

    A checkpoint that no run ends in is its own arm: an intermediate stage under the setting `intermediate`, one from
    elsewhere under `external`.
    """
    return [{"target": task, **entry, "step": _step(checkpoint)} for entry in _runs(checkpoint, weights)]


def labelled(block: pl.DataFrame, labels: dict[str, Any], *, precision: str) -> pl.DataFrame:
    """PREDICTIONS of a BLOCK: its rows with one run's labels."""
    names = ("run", "arm", "setting", "target")
    numbers = ("step", "intermediate_seed", "target_seed")
    return conform(
        block.with_columns(
            *(pl.lit(labels[name]).alias(name) for name in names),
            *(pl.lit(labels[name], dtype=pl.Int64).alias(name) for name in numbers),
            seen_in_intermediate=pl.col("language").is_in(labels["seen"]),
            precision=pl.lit(precision),
        ),
        PREDICTIONS,
    )


def run_names(checkpoint: Scorable, *, weights: str) -> tuple[tuple[str, int | None], ...]:
    """The names of the runs that the checkpoint's predictions belong to, and at which step."""
    return tuple((entry["run"], _step(checkpoint)) for entry in _runs(checkpoint, weights))


def _step(checkpoint: Scorable) -> int | None:
    """The optimiser step that the weights are of: not the last one where a stage selected another."""
    lineage = checkpoint.lineage or {}
    step: int | None = lineage.get("selected_step", lineage.get("steps"))
    return step


def _runs(checkpoint: Scorable, weights: str) -> list[dict[str, Any]]:
    return (checkpoint.lineage or {}).get("runs") or [_without_run(checkpoint, weights)]


def _without_run(checkpoint: Scorable, weights: str) -> dict[str, Any]:
    lineage = checkpoint.lineage
    entry: dict[str, Any] = {"intermediate_seed": None, "target_seed": None, "seen": []}
    if lineage is None:
        return {**entry, "arm": checkpoint.name, "setting": EXTERNAL, "run": _short(checkpoint.name, weights)}
    arm = "+".join([*(parent["task"] for parent in lineage["parents"]), lineage["task"]])
    return {
        **entry,
        "arm": arm,
        "setting": INTERMEDIATE,
        "run": f"{arm}.{lineage['key'][:8]}",
        "intermediate_seed": lineage["seeds"]["initialisation"],
        # Before stages had several parts there was one set of data.
        "seen": lineage.get("languages") or lineage["data"]["languages"],
    }


def _short(name: str, weights: str) -> str:
    return f"{name.rstrip('/').rsplit('/', 1)[-1]}-{weights[:8]}"
