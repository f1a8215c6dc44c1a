"""How many rows there are, how many there should be, and how many are of no use."""

from collections.abc import Iterator, Mapping

import polars as pl

from xfer_bench.audit.findings import Finding, Grade
from xfer_bench.audit.sheet import Sheet, counted
from xfer_bench.tasks.task import TRAIN

# Repository, configuration and split (as they are called there) to the rows that its authors published.
Published = Mapping[tuple[str, str, str], int]


def place_of(sheet: Sheet) -> tuple[str, str, str]:
    """The sheet's repository, configuration and split as they are called there."""
    part = sheet.part
    return part.repository, part.config.format(language=sheet.language), part.upstream_split or part.split


def published_rows(sheet: Sheet, published: Published) -> int | None:
    """The rows that the sheet's file should have; None where that is not known."""
    repository, config, split = place_of(sheet)
    return published.get((repository, config, split), published.get((repository, "*", split)))


def check_counts(sheet: Sheet, published: Published) -> Iterator[Finding]:
    """Rows against the published count; rows without a text or a candidate, or without an answer."""
    known = published_rows(sheet, published)
    if known is not None and known != sheet.total:
        message = f"{counted(sheet.total, 'row')} here, {known:,} as published"
        yield sheet.finding("warning", "rows", message)
    unusable = sheet.items.filter(~pl.col("usable"))
    grade: Grade = "note" if sheet.split == TRAIN else "warning"
    blank = unusable.filter(_is_blank())
    if blank.height:
        message = f"{counted(blank.height, 'row', sheet.items.height)} lack a text or a candidate, and are left out"
        yield sheet.finding(grade, "blank", message, blank)
    rest = unusable.filter(~_is_blank())
    if rest.height:
        message = (
            f"{counted(rest.height, 'row', sheet.items.height)} have no answer, or too few candidates, and are left out"
        )
        yield sheet.finding(grade, "unanswered", message, rest)


def _is_blank() -> pl.Expr:
    nothing = pl.element().is_null() | (pl.element().str.strip_chars() == "")
    text = (pl.col("text").str.strip_chars() == "").fill_null(value=True)
    return text | pl.col("candidates").list.eval(nothing).list.any().fill_null(value=True)
