"""A block's rows, labelled with the runs that they belong to: PREDICTIONS. No label is ever cached."""

from typing import Any

import polars as pl

from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.frames import PREDICTIONS, conform

INTERMEDIATE = "intermediate"
EXTERNAL = "external"


def labelled(block: pl.DataFrame, checkpoint: Scorable, *, precision: str) -> pl.DataFrame:
    """PREDICTIONS of one block: once for every run that ends in the checkpoint.

    A checkpoint that no run ends in is its own arm: an intermediate stage under the setting `intermediate`, one from
    elsewhere under `external`.
    """
    step = (checkpoint.lineage or {}).get("steps")
    entries = _runs(checkpoint, weights=block["weights"][0])
    return pl.concat([_with(block, {"target": block["task"][0], **entry}, step, precision) for entry in entries])


def run_names(checkpoint: Scorable, *, weights: str) -> tuple[str, ...]:
    """The names of the runs that the checkpoint's predictions belong to."""
    return tuple(entry["run"] for entry in _runs(checkpoint, weights=weights))


def _runs(checkpoint: Scorable, *, weights: str) -> list[dict[str, Any]]:
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
        "seen": lineage["data"]["languages"],
    }


def _short(name: str, weights: str) -> str:
    return f"{name.rstrip('/').rsplit('/', 1)[-1]}-{weights[:8]}"


def _with(block: pl.DataFrame, entry: dict[str, Any], step: int | None, precision: str) -> pl.DataFrame:
    return conform(
        block.with_columns(
            run=pl.lit(entry["run"]),
            arm=pl.lit(entry["arm"]),
            setting=pl.lit(entry["setting"]),
            target=pl.lit(entry["target"]),
            step=pl.lit(step, dtype=pl.Int64),
            intermediate_seed=pl.lit(entry["intermediate_seed"], dtype=pl.Int64),
            target_seed=pl.lit(entry["target_seed"], dtype=pl.Int64),
            seen_in_intermediate=pl.col("language").is_in(entry["seen"]),
            precision=pl.lit(precision),
        ),
        PREDICTIONS,
    )
