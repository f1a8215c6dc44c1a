"""Per-item files of any tool, as PREDICTIONS: CSV tables, and the samples that lm-evaluation-harness writes.

A CSV file has one row an item: `item`, and `correct` (0 or 1) or `label` and `prediction` (whole numbers); where it has
them also `cluster` (what is drawn together; by default the item), `language` and `seed`. A file of samples (`.jsonl`)
has one record an item with `doc_id` and `acc` or `exact_match`; what xfer-bench exports says cluster and language too.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.frames import PREDICTIONS, conform

EVERYTHING = "all"
"""The language of a file that names none."""

_METRICS = ("acc", "exact_match")
# The document of a sample that xfer-bench exported.
_OURS = ("item", "cluster", "language")


def read_answers(paths: Sequence[Path]) -> pl.DataFrame:
    """PREDICTIONS of one system a file, each an arm that is named after its file.

    Raises ResultsError for fewer than two files, one that cannot be read, a column that is missing, and an answer that
    is neither right nor wrong.
    """
    if len(paths) < 2:
        raise ResultsError(f"{paths[0]} is one file; compare needs a results folder, or two files or more")
    names = _names(paths)
    return pl.concat([_predictions(name, _rows(path), path) for name, path in zip(names, paths, strict=True)])


def _names(paths: Sequence[Path]) -> list[str]:
    """The files' names without their endings, or as much of their paths as makes them different."""
    for names in ([path.stem for path in paths], [str(path.with_suffix("")) for path in paths], [*map(str, paths)]):
        if len(set(names)) == len(names):
            return names
    twice = next(path for place, path in enumerate(paths) if path in paths[:place])
    raise ResultsError(f"{twice} is given twice; a system cannot be compared with itself")


def _rows(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as lines:
                samples = [_sample(json.loads(line), path) for line in lines if line.strip()]
                return pl.DataFrame(samples, infer_schema_length=None)
        if path.suffix == ".csv":
            # Item 007 is not item 7, and in a file where others have letters it would not become it either.
            return pl.read_csv(path, infer_schema_length=None, schema_overrides=dict.fromkeys(_OURS, pl.String))
    except (OSError, pl.exceptions.PolarsError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path} cannot be read ({(str(error).splitlines() or ['empty'])[0]})") from None
    raise ResultsError(f"{path} is no file of answers; give a results folder, or .csv or .jsonl files")


def _sample(record: Any, path: Path) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ResultsError(f"{path} holds a line that is no record; each line of samples is one JSON object")
    metric = next((name for name in _METRICS if name in record), None)
    if metric is None or "doc_id" not in record:
        raise ResultsError(
            f"{path} has a record without {'doc_id' if metric else ' or '.join(_METRICS)}; it has {', '.join(record)}"
        )
    if not isinstance(record[metric], bool | int | float | str | None):
        raise ResultsError(f"{path} has the answer {record[metric]!r:.40} in {metric!r}; right is 1 and wrong is 0")
    doc: Mapping[str, Any] = record["doc"] if isinstance(record.get("doc"), dict) else {}
    known = {name: str(doc[name]) for name in _OURS} if set(_OURS) == set(doc) else {}
    return {"item": str(record["doc_id"]), **known, "correct": record[metric]}


def _predictions(name: str, rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    if rows.is_empty():
        raise ResultsError(f"{path} has no rows")
    given = set(rows.columns)
    needed = {"correct"} if "correct" in given else {"label", "prediction"}
    lacking = sorted(({"item"} | needed) - given)
    if lacking:
        raise ResultsError(
            f"{path} lacks the column {lacking[0]!r}; it needs item and correct, or item, label and prediction, and "
            f"has {', '.join(rows.columns)}"
        )
    if "correct" in given:
        right = rows["correct"].cast(pl.Float64, strict=False)
        if right.is_null().any() or not right.is_in([0.0, 1.0]).all():
            odd = rows["correct"].filter(~right.is_in([0.0, 1.0]).fill_null(value=False))[0]
            raise ResultsError(f"{path} has the answer {odd!r} in `correct`; right is 1 and wrong is 0")
        rows = rows.with_columns(label=pl.lit(1), prediction=right.cast(pl.Int32))
    item = pl.col("item").cast(pl.String)
    for column in sorted({"cluster", "language", "seed"} & given):
        if rows[column].is_null().any():
            raise ResultsError(f"{path} has a row without {column!r}; give one in each row, or leave the column out")
    try:
        return conform(_named(rows, name, item), PREDICTIONS)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from None


def _named(rows: pl.DataFrame, name: str, item: pl.Expr) -> pl.DataFrame:
    """With everything else that PREDICTIONS have."""
    given = set(rows.columns)
    return rows.with_columns(
        item=item,
        cluster=pl.col("cluster").cast(pl.String) if "cluster" in given else item,
        language=pl.col("language").cast(pl.String) if "language" in given else pl.lit(EVERYTHING),
        run=pl.concat_str(pl.lit(name), pl.col("seed").cast(pl.String), separator="-")
        if "seed" in given
        else pl.lit(name),
        arm=pl.lit(name),
        target_seed=pl.col("seed") if "seed" in given else None,
        intermediate_seed=None,
        # A file does not say what its system was trained on.
        seen_in_intermediate=None,
        step=None,
        task=pl.lit("answers"),
        target=pl.lit("answers"),
        setting=pl.lit("given"),
        variant=pl.lit("published"),
        split=pl.lit("given"),
        weights=pl.lit(name),
        precision=pl.lit("unknown"),
        scores=pl.lit(None, dtype=pl.List(pl.Float32)),
    )
