"""Numbers that others published, as one table: `data/published/*.csv`, each row with its source.

REFERENCES    source      repository and file at its commit, or paper
              table       which table or figure of it
              model       one name for a model in all tables
              setting     how it was trained, as far as the source says
              task        our name, where the task is one of ours
              language    ISO 639-1; `avg`: the mean that the source printed; `all`: of no single one
              split       empty where the source does not say
              metric      `acc` and `f1` in points (0-100); names of recipes' settings, counts, gains
              value       a number
              reading     printed; digitised (measured in the pixels of a figure); entered (printed, but put in for a
                          language in place of a measurement); counted (by us, in the source's files)
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from xfer_bench.errors import ResultsError, SourceError
from xfer_bench.sources import embedded

REFERENCES = {
    **dict.fromkeys(("source", "table", "model", "setting", "task", "language", "split", "metric"), pl.String()),
    "value": pl.Float64(),
    "reading": pl.String(),
}
READINGS = ("printed", "digitised", "entered", "counted")
ACCURACY = "acc"
PRINTED_AVERAGE = "avg"

# Tasks of published tables that have no counterpart here: jiant's names.
ELSEWHERE = frozenset({"xtreme", "panx", "udpos", "squad", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"})


def references(
    task: str | None = None, *, model: str | None = None, language: str | None = None, metric: str | None = None
) -> pl.DataFrame:
    """REFERENCES of a task, a model, a language or a metric; each filter may be left out.

    model: letters and digits count, `XLM-R large` is `XLM-R-large`; without such a model, all whose names contain it.

    Raises ResultsError when nothing is left, saying what there is, and SourceError when the data are damaged.
    """
    found = _filtered(read_references(folder()), "task", task)
    if model is not None:
        found = found.filter(pl.col("model").is_in(_named(model, found["model"].unique().to_list(), task)))
    return _filtered(_filtered(found, "language", language), "metric", metric)


def accuracies(task: str, *, model: str) -> pl.DataFrame:
    """REFERENCES of one model's accuracies on a task. Raises ResultsError when there are none, or of several models."""
    found = references(task, model=model, metric=ACCURACY)
    names = found["model"].unique(maintain_order=True).to_list()
    if len(names) > 1:
        raise ResultsError(f"{model!r} names several published models: {', '.join(names)}; name one of them in full")
    return found


def mean_accuracy(values: pl.DataFrame) -> float:
    """The mean over languages, in points, of REFERENCES of one model and table; the printed average is left out."""
    single = values.filter(pl.col("language") != PRINTED_AVERAGE)
    if single["language"].is_duplicated().any():
        raise ResultsError("a language has several published values; take those of one model in one table")
    mean = single["value"].mean()
    if not isinstance(mean, float):
        raise ResultsError("there is no published value of a single language to take a mean of")
    return mean


@lru_cache(maxsize=2)
def read_references(place: Path) -> pl.DataFrame:
    """REFERENCES of the CSV files in a folder. Raises SourceError when there are none, or one is damaged."""
    files = sorted(place.glob("*.csv"))
    if not files:
        raise SourceError(f"the published tables are missing; looked in {place}: install again")
    return pl.concat([_read(file) for file in files])


def folder() -> Path:
    """Where the published tables lie."""
    return embedded.root().parent / "published"


def _filtered(frame: pl.DataFrame, column: str, value: str | None) -> pl.DataFrame:
    if value is None:
        return frame
    found = frame.filter(pl.col(column) == value)
    if found.is_empty():
        there = ", ".join(sorted(filter(None, frame[column].unique())))
        raise ResultsError(f"nothing is published here of the {column} {value!r}; there is {there}")
    return found


def _named(model: str, names: Sequence[str], task: str | None) -> list[str]:
    plain = {name: _plain(name) for name in names if name}
    asked = _plain(model)
    found = [name for name in plain if plain[name] == asked]
    found = found or [name for name in plain if asked and asked in plain[name]]
    if not found:
        where = f" on {task}" if task else ""
        raise ResultsError(
            f"nothing is published here of a model {model!r}{where}; there is {', '.join(sorted(plain))}"
        )
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())


def _read(file: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(file, infer_schema=False).fill_null("")
        if table.columns != [*REFERENCES]:
            raise ValueError(f"its columns are not {', '.join(REFERENCES)}")
        table = table.cast({"value": pl.Float64()})
        unknown = sorted({*table["reading"]} - {*READINGS})
        if unknown:
            raise ValueError(f"a reading {unknown[0]!r}; there is {', '.join(READINGS)}")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{file} cannot be read: {' '.join(str(error).split())[:200]}; install again") from None
    return table
