"""Controls: runs that show what more of the target's own data would give, and so answer another question than arms.

An intermediate set from the target's own source (`lingnli` before XNLI) is one; the same arm before another target is
an arm like any other. STAGES say which.
"""

from collections.abc import Collection, Mapping

import polars as pl

from xfer_bench.labels import MORE_TARGET_DATA

# By the value in STAGES what a control is, in words.
CONTROLS: Mapping[str, str] = {MORE_TARGET_DATA: "more of the target's own data"}

_KEY = ["run", "target"]
_SET = ["task", "variant", "split", "setting", "target"]


def control_runs(stages: pl.DataFrame) -> pl.DataFrame:
    """The runs of STAGES that are controls: run, target, arm, setting, control; none where nothing tells."""
    names = [*_KEY, "arm", "setting", "control"]
    if "control" not in stages.columns:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    marked = stages.filter(pl.col("control").is_not_null() & (pl.col("control") != ""))
    return marked.select(names).unique(_KEY, keep="first", maintain_order=True)


def without_controls(predictions: pl.DataFrame, controls: pl.DataFrame) -> pl.DataFrame:
    """PREDICTIONS of arms alone. controls: from `control_runs`."""
    return predictions if controls.is_empty() else predictions.join(controls, on=_KEY, how="anti", nulls_equal=True)


def apart(
    predictions: pl.DataFrame, controls: pl.DataFrame, *, reference: str, arms: Collection[str] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """PREDICTIONS of the arms and PREDICTIONS of the controls, each with the runs that they are measured against.

    controls: from `control_runs`. reference: the arm that the others are measured against; on targets where it is a
    control itself, every comparison is one with a control. arms: only these, and the reference.
    """
    rows = predictions if arms is None else predictions.filter(pl.col("arm").is_in([*arms, reference]))
    if controls.is_empty():
        return rows, rows.clear()
    is_control, is_reference = pl.col("control").is_not_null(), pl.col("arm") == reference
    # On runs and not on their many rows: whether all of a target is compared with a control, and whether one is there.
    runs = (
        rows.select("run", "arm", *_SET)
        .unique()
        .join(controls.select(*_KEY, "control"), on=_KEY, how="left", nulls_equal=True)
        .with_columns(
            (is_control & is_reference).any().over(_SET).alias("all"), is_control.any().over(_SET).alias("some")
        )
    )
    ours = runs.filter(~(pl.col("all") | is_control))
    theirs = runs.filter(pl.col("all") | is_control | (pl.col("some") & is_reference))
    return _rows_of(ours, rows), _rows_of(theirs, rows)


def _rows_of(runs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.join(runs, on=["run", *_SET], how="semi", nulls_equal=True)


def left_out(predictions: pl.DataFrame, controls: pl.DataFrame) -> list[str]:
    """A line for each target of PREDICTIONS from which `without_controls` takes arms."""
    gone = predictions.select(*_KEY, "arm").unique().join(controls.select(*_KEY, "control"), on=_KEY, nulls_equal=True)
    groups = gone.group_by("target", "control").agg(pl.col("arm").unique().sort().str.join(", ").alias("arms"))
    return [
        f"left out on {target} as {controls_in_words(control)}: {arms}"
        for target, control, arms in groups.sort("target", "control").select("target", "control", "arms").iter_rows()
    ]


def controls_in_words(control: str) -> str:
    """What stands beside a control in a table."""
    return f"control: {CONTROLS.get(control, control)}"
