"""Whether rows are those that this version was written against: fingerprints of every column, committed as a table.

A fingerprint is of the values, whatever file or library held them. Rows that came from the Hub are pinned by their
commit instead: the pinned fingerprints may be of a copy, which may differ from the Hub's twin in its quotes.
"""

import csv
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.sources import embedded

# Repositories, separated by commas, whose rows may differ from the pinned ones; `all` accepts every change.
ACCEPT = "XFER_BENCH_ACCEPT"
HEADER = ("repository", "config", "split", "rows", "column", "fingerprint")

_FILE = "fingerprints.csv"
_DIGITS = 32
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One split of a repository: its number of rows, and column to fingerprint."""

    rows: int
    columns: Mapping[str, str]


def pins() -> Mapping[tuple[str, str, str], Pin]:
    """(repository, configuration, split as called there) to what is pinned. Raises SourceError when it is damaged."""
    return _read(embedded.root().parent / _FILE)


def fingerprint(column: pl.Series) -> str:
    """Of a column's values in their order: 32 hexadecimal digits of a SHA-256.

    Whole numbers are the same in every width; of structures the order of the fields does not matter.
    """
    digest = hashlib.sha256()
    _feed(digest, column)
    return digest.hexdigest()[:_DIGITS]


def check_rows(frame: pl.DataFrame, *, repository: str, config: str, split: str) -> None:
    """Raise SourceError, with both fingerprints, for rows that are not the pinned ones.

    Columns that are not pinned, and splits that are not, pass.
    """
    pin = pins().get((repository, config, split))
    if pin is None or accepted(repository):
        return
    for name in frame.columns:
        if name in pin.columns and (found := fingerprint(frame[name])) != pin.columns[name]:
            raise SourceError(
                f"{repository} ({config}, {split}): the rows have changed: the column {name!r} has the fingerprint "
                f"{found[:_SHOWN]} in {frame.height:,} rows, and {pin.columns[name][:_SHOWN]} in {pin.rows:,} is "
                f"pinned; {how_to_accept(repository)}"
            )


def check_revision(found: str, *, pinned: str, repository: str, config: str, split: str) -> None:
    """Raise SourceError, with both commits, for rows of another commit of the Hub than the pinned one."""
    if pinned and found and found != pinned and not accepted(repository):
        raise SourceError(
            f"{repository} ({config}, {split}): the rows are of the commit {found[:_SHOWN]}, and {pinned[:_SHOWN]} is "
            f"pinned; {how_to_accept(repository)}"
        )


def accepted(repository: str) -> bool:
    """Whether the environment accepts changes in this repository."""
    named = {name.strip() for name in os.environ.get(ACCEPT, "").split(",")}
    return bool(named & {repository, "all"})


def how_to_accept(repository: str) -> str:
    """How to go on with rows that are not the pinned ones."""
    return f"set {ACCEPT}={repository} to use them as they are"


def _feed(digest: "hashlib._Hash", column: pl.Series) -> None:
    """Everything is preceded by its kind and length, so that no two different columns give the same bytes."""
    dtype, missing = column.dtype, column.is_null()
    digest.update(f"{_kind(dtype)}{len(column)}:{missing.sum()};".encode())
    if missing.any():
        digest.update(np.packbits(missing.to_numpy()).tobytes())
        column = column.drop_nulls()
    if column.is_empty():
        return
    if isinstance(dtype, pl.Struct):
        for name in sorted(field.name for field in dtype.fields):
            digest.update(f"{name};".encode())
            _feed(digest, column.struct.field(name))
    elif isinstance(dtype, pl.List | pl.Array):
        lists = column.cast(pl.List(dtype.inner))
        lengths = lists.list.len()
        digest.update(lengths.to_numpy().astype("<i8").tobytes())
        _feed(digest, lists.filter(lengths > 0).explode())
    elif dtype.is_integer() or dtype == pl.Boolean:
        digest.update(column.cast(pl.Int64).to_numpy().astype("<i8").tobytes())
    elif dtype.is_float():
        digest.update(column.cast(pl.Float64).to_numpy().astype("<f8").tobytes())
    else:
        texts = column.cast(pl.String)
        digest.update(texts.str.len_bytes().to_numpy().astype("<i8").tobytes())
        digest.update("".join(texts.to_list()).encode())


def _kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Struct):
        return "struct"
    if isinstance(dtype, pl.List | pl.Array):
        return "list"
    if dtype.is_integer():
        return "integer"
    return "float" if dtype.is_float() else "boolean" if dtype == pl.Boolean else "text"


@lru_cache(maxsize=2)
def _read(path: Path) -> Mapping[tuple[str, str, str], Pin]:
    rows: dict[tuple[str, str, str], int] = {}
    columns: dict[tuple[str, str, str], dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            if tuple(next(lines, ())) != HEADER:
                raise ValueError(f"its columns are not {', '.join(HEADER)}")
            for repository, config, split, number, column, known in lines:
                key = (repository, config, split)
                rows[key] = int(number)
                columns.setdefault(key, {})[column] = known
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {' '.join(str(error).split())}; install again") from None
    return {key: Pin(rows=number, columns=columns[key]) for key, number in rows.items()}
