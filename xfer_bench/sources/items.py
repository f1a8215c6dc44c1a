"""From a repository's raw rows to ITEMS: read, checked, unusable rows dropped and counted; and their fingerprint."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.frames import ITEMS, conform
from xfer_bench.sources import holdout
from xfer_bench.tasks.cells import CellError, holding
from xfer_bench.tasks.task import Part, Split, Task

_ROW = "row"
# What a column may hold instead of what cannot be read.
_INSTEAD: tuple[Callable[[pl.Expr], pl.Expr], ...] = (
    lambda column: column.cast(pl.String),
    lambda column: column.cast(pl.List(pl.String)),
    lambda column: column.cast(pl.Int64, strict=False),
    lambda column: pl.when(pl.lit(value=False)).then(column),
    lambda column: pl.lit("").alias(column.meta.output_name()),
)
# Candidates that an item must have.
_LEAST = {"sequence_classification": 1, "multiple_choice": 2, "masked_lm": 0}


@dataclass(frozen=True, kw_only=True)
class Usable:
    """frame: ITEMS, in the order of the repository. dropped: rows without a usable text, candidate or label."""

    frame: pl.DataFrame
    dropped: int


def usable(raw: pl.DataFrame, *, task: Task, part: Part, language: str, split: Split) -> Usable:
    """The items of one task, language and split in a repository's rows.

    A row is unusable when its text or one of its candidates is missing or blank, when it has too few candidates, or
    when the reader gave it no label. Raises SourceError naming repository, split, row and value for a label outside
    its range, a cell of the wrong type, or an item that comes twice.
    """
    where = f"{part.repository} ({part.config.format(language=language)}, {part.upstream_split or part.split})"
    if raw.is_empty():
        raise SourceError(f"{where}: there is no row")
    frame = read(raw, part=part, language=language, where=where).filter(pl.col("language") == language)
    if split != part.split or holdout.replaces_validation(task, language):
        try:
            frame = frame.filter(holdout.belongs(frame["cluster"], split))
        except SourceError as error:
            raise SourceError(f"{where}: {error}") from None
    kept = frame.filter(is_usable(task))
    if kept.is_empty():
        raise SourceError(f"{where}: no usable row for {task.name} in {language!r} among {frame.height}")
    origin = _Origin(raw=raw, part=part, language=language)
    _check_labels(kept, task=task, origin=origin, where=where)
    _check_items(kept, origin=origin, where=where)
    return Usable(frame=conform(kept, ITEMS), dropped=frame.height - kept.height)


def fingerprint(frame: pl.DataFrame) -> str:
    """Hexadecimal SHA-256 of the items: their values column by column, whatever library or file held them."""
    digest = hashlib.sha256()
    for name in ITEMS:
        digest.update(json.dumps([name, frame[name].to_list()], ensure_ascii=False, separators=(",", ":")).encode())
    return digest.hexdigest()


def read(raw: pl.DataFrame, *, part: Part, language: str, where: str) -> pl.DataFrame:
    """Every row as the part's reader gives it, with `row`, its number.

    Raises SourceError naming the column and the first row that the reader cannot take, as far as they can be told.
    """
    try:
        return _read(raw, part=part, language=language)
    except CellError as error:
        raise SourceError(f"{where}: {error}") from None
    except (SourceError, pl.exceptions.PolarsError) as error:
        reason = _first_line(error)
    # A reader may say by itself which rows, and where.
    if reason.startswith(where):
        raise SourceError(reason)
    blame = _blame(raw, part=part, language=language)
    if not blame:
        types = ", ".join(f"{name} ({dtype})" for name, dtype in raw.schema.items())
        raise SourceError(f"{where}: the rows are not what is expected: {reason}; the columns are {types}")
    raise SourceError(f"{where}: {blame}{reason}")


def _read(raw: pl.DataFrame, *, part: Part, language: str) -> pl.DataFrame:
    frame = part.read(raw).with_row_index(_ROW)
    if "item" not in frame.columns:
        frame = frame.with_columns(item=pl.col(_ROW).cast(pl.String))
    if "cluster" not in frame.columns:
        frame = frame.with_columns(cluster=pl.col("item"))
    if "language" not in frame.columns:
        frame = frame.with_columns(language=pl.lit(language))
    for name in ("item", "cluster", "language", "text", "candidates"):
        if frame.schema[name] != ITEMS[name]:
            raise SourceError(f"the {name} is {frame.schema[name]}; it must be {ITEMS[name]}")
    if not frame.schema["label"].is_integer():
        raise SourceError(f"the label is {frame.schema['label']}; it must be an integer")
    return frame


def _blame(raw: pl.DataFrame, *, part: Part, language: str) -> str:
    """The first row that cannot be read and the column that it is for, as the beginning of a message; or nothing.

    A column is to blame when the row can be read with another value in it: one of another type, or none.
    """

    def readable(rows: pl.DataFrame) -> bool:
        try:
            _read(rows, part=part, language=language)
        except (SourceError, pl.exceptions.PolarsError):
            return False
        return True

    if raw.is_empty():
        return ""
    first, past = 0, raw.height
    while past - first > 1:
        middle = (first + past) // 2
        first, past = (middle, past) if readable(raw[:middle]) else (first, middle)
    row = raw[first : first + 1]
    for name in raw.columns:
        for instead in _INSTEAD:
            try:
                changed = row.with_columns(instead(pl.col(name)))
            except pl.exceptions.PolarsError:
                continue
            if readable(changed):
                return f"{holding(raw[name], first)} ({raw.schema[name]}): "
    return ""


def is_usable(task: Task) -> pl.Expr:
    """Whether a row has a label, a text, and as many candidates that are no blanks as its format needs."""
    least = _LEAST[task.format.head]
    blank = pl.element().is_null() | (pl.element().str.strip_chars() == "")
    return pl.all_horizontal(
        (pl.col("text").str.strip_chars() != "").fill_null(value=False),
        (pl.col("candidates").list.len() >= least).fill_null(value=False),
        ~pl.col("candidates").list.eval(blank).list.any().fill_null(value=False),
        pl.col("label").is_not_null(),
    )


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """Where items come from, for errors about them."""

    raw: pl.DataFrame
    part: Part
    language: str

    def column(self, field: str, row: int) -> str:
        """The column that decides a field of the item in this row; empty when none does alone.

        That without whose value the field is another.
        """
        alone = self.raw.slice(row, 1)
        given = _read(alone, part=self.part, language=self.language)[field][0]
        for name, dtype in alone.schema.items():
            try:
                emptied = alone.with_columns(pl.lit(None, dtype=dtype).alias(name))
                if _read(emptied, part=self.part, language=self.language)[field][0] != given:
                    return name
            except (SourceError, pl.exceptions.PolarsError):
                continue
        return ""


def _check_labels(frame: pl.DataFrame, *, task: Task, origin: _Origin, where: str) -> None:
    if not task.format.labelled:
        return
    labels = len(task.format.labels)
    count = pl.lit(labels) if labels else pl.col("candidates").list.len()
    outside = frame.with_columns(count=count).filter(
        (pl.col("label") < 0) | (pl.col("label") >= pl.col("count").cast(pl.Int64))
    )
    if outside.is_empty():
        return
    row, value, allowed = outside.select(_ROW, "label", "count").row(0)
    hidden = ": the labels are hidden" if value == -1 else ""
    says = f"row {row} has the label {value}"
    if column := origin.column("label", row):
        says = holding(origin.raw[column], row)
        says += "" if origin.raw[column][row] == value else f", which is the label {value}"
    raise SourceError(f"{where}: {says}{hidden}; allowed are 0 to {allowed - 1}")


def _check_items(frame: pl.DataFrame, *, origin: _Origin, where: str) -> None:
    missing = frame.filter(pl.col("item").is_null() | pl.col("cluster").is_null())
    if not missing.is_empty():
        row = missing[_ROW][0]
        empty = [name for name, value in origin.raw.row(row, named=True).items() if value is None]
        columns = f": nothing is in the column {', '.join(map(repr, empty))}" if empty else ""
        raise SourceError(f"{where}: row {row} has no item number or no cluster{columns}")
    twice = frame.filter(pl.col("item").is_duplicated())
    if not twice.is_empty():
        row, again = twice.filter(pl.col("item") == twice["item"][0])[_ROW].head(2)
        column = origin.column("item", row)
        by = f" by the column {column!r}" if column else ""
        raise SourceError(f"{where}: rows {row} and {again} are the same item {twice['item'][0]!r}{by}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
