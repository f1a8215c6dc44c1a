"""The tables of the product, by name: their columns, and the check that a frame is one of them.

ITEMS        what a source gives: one row per item, ready to be encoded
BLOCK        what one evaluation gives: one row per item scored by one set of weights
PREDICTIONS  a block's columns joined with the run that asked for it: the one truth that users read
STAGES       one row per stage of each run: what was trained, on how much, and how it did on its own development data
CONTRASTS    the comparisons that the study named as its question before it looked at any score
DATA         where the rows of a task, split and language came from, and what they were: a fingerprint of their content
USES         which of DATA each run's predictions are of
CHECKPOINTS  what each run ends in: its weights, the model it began with, and its whole lineage
SCORES       accuracy per run, task, variant, split and language, in points (0-100)
GAINS        a score minus the baseline's with the same target seed, in points

Accuracies, chance and gains are points everywhere. `label` and `prediction` are integers in the task's canonical
order; `scores` are logits, one per class or choice.
"""

from typing import TypeAlias

import polars as pl

from xfer_bench.errors import ResultsError

Columns: TypeAlias = dict[str, pl.DataType]

ITEMS: Columns = {
    "item": pl.String(),
    "cluster": pl.String(),
    "language": pl.String(),
    "text": pl.String(),
    "candidates": pl.List(pl.String()),
    "label": pl.Int32(),
}

BLOCK: Columns = {
    "weights": pl.String(),
    "task": pl.String(),
    "variant": pl.String(),
    "language": pl.String(),
    "split": pl.String(),
    "item": pl.String(),
    "cluster": pl.String(),
    "label": pl.Int32(),
    "prediction": pl.Int32(),
    "scores": pl.List(pl.Float32()),
}

_LINEAGE: Columns = {
    "run": pl.String(),
    "arm": pl.String(),
    "setting": pl.String(),
    "target": pl.String(),
    "step": pl.Int64(),
    "intermediate_seed": pl.Int64(),
    "target_seed": pl.Int64(),
    "seen_in_intermediate": pl.Boolean(),
}

PREDICTIONS: Columns = {**BLOCK, **_LINEAGE, "precision": pl.String()}

STAGES: Columns = {
    "run": pl.String(),
    "arm": pl.String(),
    "setting": pl.String(),
    "target": pl.String(),
    "intermediate_seed": pl.Int64(),
    "target_seed": pl.Int64(),
    "position": pl.Int64(),
    "role": pl.String(),
    "key": pl.String(),
    "task": pl.String(),
    "languages": pl.List(pl.String()),
    "examples": pl.Int64(),
    "steps": pl.Int64(),
    "tokens": pl.Int64(),
    "chance": pl.Float64(),
    "development_accuracy": pl.Float64(),
    "development_items": pl.Int64(),
    "seconds": pl.Float64(),
    "initial_accuracy": pl.Float64(),
    "development_majority": pl.Float64(),
    "control": pl.String(),
    "selected_step": pl.Int64(),
}

CONTRASTS: Columns = {"arm": pl.String(), "against": pl.String()}

# Of the whole split, whatever of it was scored. revision: a commit; `pinned`, for a copy without one that has exactly
# the rows that this version was written against; `local`, for one that nobody vouches for; `embedded`, for data that
# come with the program; empty where the Hub did not tell it. rows: usable ones. license: empty where it is not known.
DATA: Columns = {
    "task": pl.String(),
    "variant": pl.String(),
    "split": pl.String(),
    "language": pl.String(),
    "repository": pl.String(),
    "revision": pl.String(),
    "rows": pl.Int64(),
    "fingerprint": pl.String(),
    "license": pl.String(),
}

USES: Columns = {"run": pl.String(), "step": pl.Int64(), **DATA}

# model: as the study named it. lineage: the text of lineage.json. Both are empty for a checkpoint from elsewhere.
CHECKPOINTS: Columns = {
    "run": pl.String(),
    "step": pl.Int64(),
    "weights": pl.String(),
    "model": pl.String(),
    "lineage": pl.String(),
}

SCORES: Columns = {
    "task": pl.String(),
    "variant": pl.String(),
    "split": pl.String(),
    "language": pl.String(),
    **_LINEAGE,
    "n_items": pl.Int64(),
    "n_clusters": pl.Int64(),
    "accuracy": pl.Float64(),
}

GAINS: Columns = {**SCORES, "baseline": pl.String(), "baseline_accuracy": pl.Float64(), "gain": pl.Float64()}


# What folders of earlier versions lack; null there.
_LATER = frozenset({"initial_accuracy", "development_majority", "control", "selected_step"})


def conform(frame: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The frame with exactly these columns, in this order and of these types.

    Columns beyond the schema are dropped, and those that earlier versions did not write are null. Raises ResultsError
    naming the column that is missing or of a type that cannot be converted without loss.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing and _LATER.issuperset(missing):
        frame = frame.with_columns(pl.lit(None, dtype=columns[name]).alias(name) for name in missing)
    elif missing:
        raise ResultsError(f"the table lacks the column {missing[0]!r}; it has {', '.join(frame.columns) or 'none'}")
    try:
        return frame.select(pl.col(name).cast(dtype, strict=True) for name, dtype in columns.items())
    except pl.exceptions.PolarsError as error:
        raise ResultsError(f"a column has the wrong type: {str(error).splitlines()[0]}") from None
