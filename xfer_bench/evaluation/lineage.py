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
    lineage = checkpoint.lineage or {}
    entries = lineage.get("runs") or [_without_run(block, checkpoint)]
    step = lineage.get("steps")
    return pl.concat([_with(block, entry, step, precision) for entry in entries])


def _without_run(block: pl.DataFrame, checkpoint: Scorable) -> dict[str, Any]:
    lineage = checkpoint.lineage
    entry = {"intermediate_seed": None, "target_seed": None, "seen": [], "target": block["task"][0]}
    if lineage is None:
        return {**entry, "arm": checkpoint.name, "setting": EXTERNAL, "run": _short(checkpoint.name, block)}
    arm = "+".join([*(parent["task"] for parent in lineage["parents"]), lineage["task"]])
    return {
        **entry,
        "arm": arm,
        "setting": INTERMEDIATE,
        "run": f"{arm}.{lineage['key'][:8]}",
        "intermediate_seed": lineage["seeds"]["initialisation"],
        "seen": lineage["data"]["languages"],
    }


def _short(name: str, block: pl.DataFrame) -> str:
    return f"{name.rstrip('/').rsplit('/', 1)[-1]}-{block['weights'][0][:8]}"


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
