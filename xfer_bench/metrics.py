"""Predictions to scores, scores to gains."""

import re

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.frames import GAINS, SCORES, conform

INTERMEDIATE = "intermediate"

_NEEDED = ("item", "cluster", "label", "prediction")
_MEASURES = ("n_items", "n_clusters", "accuracy")
_CELL = [name for name in SCORES if name not in _MEASURES]
# A line break, a tab, an escape sequence, a change of direction: one in a name tears every table that shows it.
_TEARING = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_PAIRED_ON = ["task", "variant", "split", "language", "setting", "target", "target_seed"]


def with_correct(predictions: pl.DataFrame) -> pl.DataFrame:
    """PREDICTIONS with a column `correct` (Int8, 1 where prediction equals label).

    Raises ResultsError for an empty frame and for a null item, cluster, label or prediction: no answer is no wrong one.
    """
    if predictions.is_empty():
        raise ResultsError("no predictions: an empty table has no accuracy; evaluate a checkpoint first")
    empty = predictions.filter(pl.any_horizontal(pl.col(_NEEDED).is_null()))
    if not empty.is_empty():
        row = empty.row(0, named=True)
        lacking = next(name for name in _NEEDED if row[name] is None)
        raise ResultsError(
            f"run {row['run']!r} has no {lacking} in a row of {row['task']} {row['split']} in {row['language']!r} "
            f"(item {row['item']!r}); each row needs {', '.join(_NEEDED)}"
        )
    return predictions.with_columns((pl.col("label") == pl.col("prediction")).cast(pl.Int8()).alias("correct"))


def accuracy(predictions: pl.DataFrame) -> pl.DataFrame:
    """PREDICTIONS to SCORES: the share of right answers in points (0-100), one row per run, step, task and language.

    Raises ResultsError for an empty frame, a null answer, or an item that a cell holds twice.
    """
    scores = (
        with_correct(predictions)
        .group_by(_CELL)
        .agg(
            pl.len().alias("n_items"),
            pl.col("item").n_unique().alias("n_distinct"),
            pl.col("cluster").n_unique().alias("n_clusters"),
            (pl.col("correct").mean() * 100).alias("accuracy"),
        )
        .sort(_CELL, nulls_last=False)
    )
    repeated = scores.filter(pl.col("n_distinct") < pl.col("n_items"))
    if not repeated.is_empty():
        row = repeated.row(0, named=True)
        raise ResultsError(
            f"run {row['run']!r} has {row['n_items']} rows for {row['n_distinct']} items of {row['task']} "
            f"{row['split']} in {row['language']!r}; each item may occur once"
        )
    return conform(scores, SCORES)


def targets_only(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of target runs, without those of checkpoints that only saw an intermediate task."""
    return frame.filter(pl.col("setting").ne_missing(pl.lit(INTERMEDIATE)))


def check_named(rows: pl.DataFrame, *columns: str) -> None:
    """Refuse PREDICTIONS of which some have no name in one of these columns, or one that a table cannot show.

    A null would sort with nothing, or drop its rows out of every join, and an empty name looks like the one above it.
    Raises ResultsError.
    """
    for column in columns:
        names = rows[column].unique().sort()
        nameless = [name for name in names if name is None or not name.strip()]
        if nameless:
            some = rows.filter(pl.col(column).is_in(nameless, nulls_equal=True))
            row = some.row(0, named=True)
            raise ResultsError(
                f"{len(some)} prediction{'s have' if len(some) > 1 else ' has'} no {column} (run {row['run']!r}, "
                f"{row['task']} {row['split']}, item {row['item']!r}, for example); each row needs one"
            )
        for name in names:
            check_printable(name, what=column)


def check_printable(name: str, *, what: str) -> None:
    """Refuse a name with a line break or another control character in it. Raises ResultsError."""
    if _TEARING.search(name):
        raise ResultsError(
            f"the {what} {name!r} has a line break or another control character in its name, which would tear every "
            "table; give it a name of one line"
        )


def baseline_arm(predictions: pl.DataFrame, *, name: str | None = None) -> str:
    """The arm that the others are compared with.

    Without a name it is the one arm with no intermediate stage, that is with a null `intermediate_seed` in all its
    rows. Any arm may be named, and is then looked up. Raises ResultsError when there is no such arm, or none or
    several to choose from, and for rows without an arm.
    """
    rows = targets_only(predictions)
    check_named(rows, "arm")
    arms = rows.group_by("arm").agg(pl.col("intermediate_seed").is_null().all().alias("plain")).sort("arm")
    everyone: list[str] = arms["arm"].to_list()
    if not everyone:
        raise ResultsError("no predictions of runs on a target, so there are no arms to compare; evaluate some first")
    listed = ", ".join(everyone)
    if name is not None:
        if name not in everyone:
            raise ResultsError(f"no arm named {name!r}; the arms here are {listed}")
        return name
    candidates: list[str] = arms.filter("plain")["arm"].to_list()
    if not candidates and len(everyone) == 1:
        raise ResultsError(f"no arm without an intermediate stage to compare with: {_lone(listed)}")
    if not candidates:
        raise ResultsError(f"no arm without an intermediate stage; name the baseline with --baseline, one of {listed}")
    if len(candidates) > 1:
        raise ResultsError(
            f"{len(candidates)} arms have no intermediate stage; name the baseline with --baseline, "
            f"one of {', '.join(candidates)}"
        )
    return candidates[0]


def why_unpaired(predictions: pl.DataFrame, *, baseline: str) -> str:
    """Why no run of PREDICTIONS has a partner among the baseline's, as the beginning of a line.

    Where the baseline is the only arm, it ends with what to do about it, and is whole.
    """
    lone = only_arm(predictions)
    if lone is not None:
        return _lone(lone)
    return f"no run shares its task, setting and target seed with a run of the baseline {baseline!r}"


def only_arm(predictions: pl.DataFrame) -> str | None:
    """The arm of all runs on targets in PREDICTIONS; None where there are several, or none."""
    arms = targets_only(predictions)["arm"].unique()
    return arms[0] if len(arms) == 1 else None


def transfer_gains(scores: pl.DataFrame, *, baseline: str) -> pl.DataFrame:
    """SCORES to GAINS: each run's accuracy minus that of the baseline's run with the same target seed, in points.

    Runs are paired by task, variant, split, language, setting, target and target seed; a run whose target seed the
    baseline lacks drops out, and so do the baseline's own rows. Several runs of one arm may share a target seed (and
    so a baseline run); several runs of the baseline may not, and raise ResultsError.
    """
    runs = targets_only(scores)
    before = runs.filter(pl.col("arm") == baseline).select(
        *_PAIRED_ON, pl.col("arm").alias("baseline"), pl.col("accuracy").alias("baseline_accuracy")
    )
    if before.is_empty():
        raise ResultsError(f"no scores of the baseline {baseline!r}; the arms here are {_arms(runs)}")
    twice = before.filter(pl.struct(_PAIRED_ON).is_duplicated())
    if not twice.is_empty():
        row = twice.row(0, named=True)
        raise ResultsError(
            f"the baseline {baseline!r} has several runs with target seed {row['target_seed']} on {row['task']} "
            f"{row['split']}; it may have one per target seed"
        )
    gains = (
        runs.filter(pl.col("arm") != baseline)
        .join(before, on=_PAIRED_ON, how="inner", nulls_equal=True)
        .with_columns((pl.col("accuracy") - pl.col("baseline_accuracy")).alias("gain"))
        .sort(_CELL, nulls_last=False)
    )
    return conform(gains, GAINS)


def _lone(arm: str) -> str:
    return (
        f"only the arm {arm!r} is in these results, and a comparison needs a baseline and another arm; add another "
        "arm's with `xfer-bench eval CKPT -o RESULTS`, or `xfer-bench merge` with another folder"
    )


def _arms(frame: pl.DataFrame) -> str:
    return ", ".join(sorted(frame["arm"].drop_nulls().unique())) or "none"
