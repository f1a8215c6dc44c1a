"""A sheet: all rows of one split of a task in one language, and how a finding about some of them is made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import polars as pl

from xfer_bench.audit.findings import Finding, Grade, first_example
from xfer_bench.sources.overlap import compared
from xfer_bench.sources.source import Sources
from xfer_bench.sources.unchecked import every_row
from xfer_bench.tasks.readers import COPA_QUESTIONS
from xfer_bench.tasks.task import Part, Split, Task


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Rows, unchecked.

    items: ITEMS, `row`, `usable`. columns: the repository's, aligned. total: rows of the file, in whatever language.
    raw: all of the file's columns that the task reads; None for rows that are of no file. revision: their commit on
    the Hub, where it is known.
    """

    task: Task
    part: Part
    language: str
    items: pl.DataFrame
    columns: pl.DataFrame
    total: int
    raw: pl.DataFrame | None = None
    revision: str = ""

    @property
    def split(self) -> Split:
        """The split, by our name."""
        return self.part.split

    @cached_property
    def said(self) -> pl.DataFrame:
        """What the usable rows say, normalised (`sources.overlap.compared`)."""
        return compared(self.usable)

    @cached_property
    def usable(self) -> pl.DataFrame:
        """The rows that a study would use, whatever their labels."""
        return self.items.filter("usable")

    def finding(self, grade: Grade, check: str, message: str, rows: pl.DataFrame | None = None) -> Finding:
        """A finding about this sheet, or about these rows of it."""
        return Finding(
            grade=grade,
            check=check,
            task=self.task.name,
            language=self.language,
            split=self.split,
            message=message,
            items=() if rows is None else tuple(rows["item"].fill_null("?").to_list()),
            example="" if rows is None else first_example(rows),
        )


Check: TypeAlias = Callable[[Sheet], Iterator[Finding]]


def read_sheet(sources: Sources, task: Task, *, part: Part, language: str) -> Sheet:
    """The sheet of this part. Raises SourceError when its rows cannot be had or read."""
    rows = every_row(sources, task, part=part, language=language)
    return Sheet(
        task=task,
        part=part,
        language=language,
        items=rows.items,
        columns=rows.columns,
        total=rows.total,
        raw=rows.raw,
        revision=rows.revision,
    )


def own_words() -> pl.Expr:
    """The text without what our reader put into it: COPA's question, in English in every language."""
    return pl.col("text").str.replace_many(list(COPA_QUESTIONS.values()), [""] * len(COPA_QUESTIONS))


def counted(number: int, what: str, of: int | None = None) -> str:
    """`1 row`, `2 rows`, `2 of 10 rows`."""
    plural = what if (of if of is not None else number) == 1 else f"{what}s"
    return f"{number:,} {plural}" if of is None else f"{number:,} of {of:,} {plural}"
