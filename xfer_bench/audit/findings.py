"""What an audit gives: sizes and findings, each finding with its grade, its items and one example."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from xfer_bench.tasks.task import Split

Grade: TypeAlias = Literal["error", "warning", "note"]

# From the gravest on. An error makes a score wrong, a warning may, a note is good to know.
GRADES: tuple[Grade, ...] = ("error", "warning", "note")
# What a program that asked gets to know, besides 1 for what is refused and 2 for a wrong command line.
EXIT_CODES: dict[Grade, int] = {"error": 4, "warning": 3, "note": 0}

_EXAMPLE = 160


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found about a task's rows.

    language, split: empty where it concerns several. message: one line, without any row's text.
    items: the items concerned, in order. example: the text of one of them, which may not be passed on; empty where
    there is nothing to show.
    """

    grade: Grade
    check: str
    task: str
    message: str
    language: str = ""
    split: Split | Literal[""] = ""
    items: tuple[str, ...] = ()
    example: str = ""


@dataclass(frozen=True, kw_only=True)
class Size:
    """One split of a task in one language.

    rows: usable ones. unusable: rows without a text, a candidate or an answer. published: rows of the repository's
    split by its authors' count, None where that is not known; in_repository: rows it has here.
    shares: of each answer (classes, or positions of the right candidate), fractions. repeated: rows that say the same
    as an earlier one. characters: of text and longest candidate together: median, 99th percentile, maximum.
    truncated: sequences of more than `max_length` tokens, by tokenizer, as fractions of the rows.
    """

    task: str
    language: str
    split: Split
    rows: int
    unusable: int
    in_repository: int
    published: int | None
    shares: tuple[float, ...]
    repeated: int
    characters: tuple[int, int, int]
    truncated: dict[str, float]


def worst(findings: Iterable[Finding]) -> Grade | None:
    """The gravest grade among these; None without a finding."""
    found = {one.grade for one in findings}
    return next((grade for grade in GRADES if grade in found), None)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 for nothing above a note, 3 for warnings, 4 for errors."""
    grade = worst(findings)
    return 0 if grade is None else EXIT_CODES[grade]


def example_of(row: dict[str, object]) -> str:
    """A row as one line: its text, its candidates, its label; cut where it is long."""
    candidates = row["candidates"]
    parts = [row["text"], *(candidates if isinstance(candidates, list) else [])]
    said = " | ".join("" if part is None else " ".join(str(part).split()) for part in parts)
    cut = said if len(said) <= _EXAMPLE else f"{said[: _EXAMPLE - 1]}…"
    return f"{cut} [{row['label']}]"


def first_example(rows: pl.DataFrame) -> str:
    """The first of these items as an example; empty without one."""
    return example_of(rows.row(0, named=True)) if rows.height else ""
