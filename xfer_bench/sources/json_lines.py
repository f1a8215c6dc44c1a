"""Rows of JSON: what every line and every cell is, before polars makes text of whatever differs within a column."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.tasks.cells import shown

_KINDS: Mapping[type, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


@dataclass(kw_only=True)
class _Seen:
    """Cells of one kind in one place: the first one, its row, and how many there are."""

    row: int
    value: Any
    count: int = 0


def read(content: bytes, *, columns: Sequence[str], where: str) -> pl.DataFrame:
    """The rows with all columns, blank lines left out. columns: those that are used. where: the file, in errors.

    Raises SourceError for a line that is no object, and for a used column that holds now this, now that.
    """
    used = ({name: row.get(name) for name in columns} for row in _objects(content, where=where))
    check_alike(used, where=where)
    try:
        return pl.read_ndjson(io.BytesIO(content), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{where} cannot be read, it is damaged: {' '.join(str(error).split())}") from None


def check_alike(rows: Iterable[Mapping[str, Any]], *, where: str) -> None:
    """Raise SourceError for the first cell that is of another kind than most cells of its column.

    Nothing is of every kind. What lists and structures hold is looked at in the same way.
    """
    seen: dict[str, dict[str, _Seen]] = {}
    for number, row in enumerate(rows):
        for path, kind, value in _cells(row, ""):
            one = seen.setdefault(path, {}).setdefault(kind, _Seen(row=number, value=value))
            one.count += 1
    for path, kinds in seen.items():
        if len(kinds) > 1:
            usual = max(kinds, key=lambda kind: kinds[kind].count)
            odd = min((one for kind, one in kinds.items() if kind != usual), key=lambda one: one.row)
            raise SourceError(
                f"{where}: row {odd.row}: the column {path!r} holds {shown(odd.value)}; "
                f"it must be {usual}, as in {kinds[usual].count:,} others"
            )


def _objects(content: bytes, *, where: str) -> Iterator[dict[str, Any]]:
    number = 0
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise SourceError(f"{where} cannot be read, it is damaged: row {number} is no JSON: {reason}") from None
        if not isinstance(row, dict):
            raise SourceError(f"{where} cannot be read: row {number} is {shown(row)}; it must be an object in braces")
        yield row
        number += 1
    if not number:
        raise SourceError(f"{where} cannot be read: it is empty")


def _cells(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """Where something stands, of which kind it is, and what it is; a list and a structure before what they hold."""
    if isinstance(value, Mapping):
        if path:
            yield path, "an object", value
        for name, inner in value.items():
            yield from _cells(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield path, "a list", value
        for inner in value:
            yield from _cells(inner, f"{path}[]")
    elif value is not None:
        yield path, _KINDS.get(type(value), type(value).__name__), value
