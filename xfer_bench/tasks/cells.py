"""What a repository's cells must be, checked before they are read: polars makes text of a number without a word."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import polars as pl
from polars.datatypes import DataTypeClass

from xfer_bench.errors import SourceError

Type: TypeAlias = pl.DataType | DataTypeClass

# How much of a wrong value an error shows.
_SHOWN = 60


class CellError(SourceError):
    """A cell that a reader cannot take. It names row and column; whoever asks the reader adds the repository."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a column must hold. says: in words. fits: whether columns of a type do."""

    says: str
    fits: Callable[[Type], bool] = field(repr=False)


TEXT = Kind(says="text", fits=lambda dtype: dtype == pl.String)
TEXTS = Kind(says="a list of texts", fits=lambda dtype: dtype == pl.List(pl.String))
WHOLE = Kind(says="a whole number", fits=lambda dtype: dtype.is_integer())
# A name of an item, or a whole number that may have been written as text.
TEXT_OR_WHOLE = Kind(says="a whole number or text", fits=lambda dtype: dtype.is_integer() or dtype == pl.String)


def structure(**fields: Kind) -> Kind:
    """A structure that has at least these fields."""

    def fits(dtype: Type) -> bool:
        held = {one.name: one.dtype for one in dtype.fields} if isinstance(dtype, pl.Struct) else {}
        return all(name in held and kind.fits(held[name]) for name, kind in fields.items())

    return Kind(says=f"a structure of {', '.join(f'{name} ({kind.says})' for name, kind in fields.items())}", fits=fits)


def check_kinds(frame: pl.DataFrame, kinds: Mapping[str, Kind]) -> None:
    """Raise CellError for a column of another kind, with its first row that holds something."""
    for name, kind in kinds.items():
        column = frame[name]
        if kind.fits(column.dtype) or column.is_empty():
            continue
        row = column.is_not_null().arg_max() or 0
        if column[row] is None:
            raise CellError(f"row 0: the column {name!r} holds nothing, as in every row; it must be {kind.says}")
        raise CellError(f"{holding(column, row)} ({column.dtype}); it must be {kind.says}")


def check_values(column: pl.Series, allowed: Iterable[str]) -> None:
    """Raise CellError for the first text that is none of these; nothing is no such text."""
    known = list(allowed)
    _check(column, column.is_null() | column.is_in(known), must=f"allowed are {', '.join(map(repr, known))}")


def whole_numbers(column: pl.Series) -> pl.Series:
    """Whole numbers, also those that are written as text. Raises CellError for the first text that is none."""
    numbers = column.cast(pl.Int64, strict=False)
    _check(column, column.is_null() | numbers.is_not_null(), must="it must be a whole number")
    return numbers


def holding(column: pl.Series, row: int) -> str:
    """The beginning of an error about a cell."""
    return f"row {row}: the column {column.name!r} holds {shown(column.slice(row, 1).to_list()[0])}"


def shown(value: Any) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _check(column: pl.Series, fits: pl.Series, *, must: str) -> None:
    if not fits.all():
        raise CellError(f"{holding(column, int((~fits).arg_true()[0]))}; {must}")
