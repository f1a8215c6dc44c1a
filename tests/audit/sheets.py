"""Sheets made in memory: rows of a task in one language, as the audit's checks see them."""

import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tests.sources.small_mirror import nli_task
from xfer_bench.audit.findings import Finding
from xfer_bench.audit.sheet import Check, Sheet
from xfer_bench.frames import ITEMS
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.readers import read_copa
from xfer_bench.tasks.task import Part, Split, Task

_LETTERS = str.maketrans("0123456789", "ghijklmnop")
COLUMNS = ("premise", "choice1", "choice2", "question", "label", "idx")


def copa_task(
    *, languages: tuple[str, ...] = ("en",), splits: tuple[Split, ...] = ("validation", "test"), **fields: Any
) -> Task:
    """A task in COPA's shape, one configuration a language."""
    return Task(
        name=fields.pop("name", "choices"),
        format=MULTIPLE_CHOICE,
        parts=tuple(
            Part(
                split=split,
                languages=languages,
                repository=fields.get("repository", "some/choices"),
                config="{language}",
                read=read_copa,
                columns=COLUMNS,
            )
            for split in splits
        ),
        licence="none",
        chance=1 / 2,
        parallel=fields.pop("parallel", len(languages) > 1),
        **{name: value for name, value in fields.items() if name != "repository"},
    )


def copa_rows(count: int, *, language: str = "en", question: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """COPA's columns: each row with words of its own, labels in turn, questions in turn unless they are given."""
    places = range(count)
    return {
        "premise": [f"{language} premise {_words(f'{language} {place}')}" for place in places],
        "choice1": [_words(f"{language} {place} first") for place in places],
        "choice2": [_words(f"{language} {place} second") for place in places],
        "question": list(question) if question else [("cause", "effect")[place // 2 % 2] for place in places],
        "label": [place % 2 for place in places],
        "idx": list(places),
    }


def _words(name: str) -> str:
    """Words that no other name has."""
    return " ".join(textwrap.wrap(hashlib.sha256(name.encode()).hexdigest().translate(_LETTERS), 8))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows as text, candidates, label; usable unless said otherwise."""

    rows: Sequence[tuple[str | None, Sequence[str], int | None]]
    unusable: frozenset[int] = field(default_factory=frozenset)


def sheet(rows: Rows, *, task: Task | None = None, language: str = "en", columns: pl.DataFrame | None = None) -> Sheet:
    """A sheet of the task's first part; by default of a multiple-choice task's validation."""
    task = task or copa_task(languages=(language,))
    items = pl.DataFrame(
        {
            "row": list(range(len(rows.rows))),
            "item": [str(place) for place in range(len(rows.rows))],
            "cluster": [str(place) for place in range(len(rows.rows))],
            "language": [language] * len(rows.rows),
            "text": [text for text, _, _ in rows.rows],
            "candidates": [list(candidates) for _, candidates, _ in rows.rows],
            "label": [label for _, _, label in rows.rows],
            "usable": [place not in rows.unusable for place in range(len(rows.rows))],
        },
        schema={"row": pl.UInt32, **ITEMS, "usable": pl.Boolean},
    )
    return Sheet(
        task=task,
        part=task.parts[0],
        language=language,
        items=items,
        columns=pl.DataFrame({"row": items["row"]}) if columns is None else columns,
        total=items.height,
    )


def texts(*said: str, language: str = "en") -> Sheet:
    """A sheet whose rows have these texts, and the same two candidates in digits."""
    return sheet(Rows(rows=[(text, ["1", "2"], place % 2) for place, text in enumerate(said)]), language=language)


def nli(*pairs: tuple[str, str, int], clusters: Sequence[str] | None = None) -> Sheet:
    """A sheet of sentence pairs."""
    made = sheet(
        Rows(rows=[(premise, [hypothesis], label) for premise, hypothesis, label in pairs]),
        task=nli_task(splits=("validation",)),
    )
    named = made.items.with_columns(cluster=pl.Series(clusters)) if clusters else made.items
    return Sheet(task=made.task, part=made.part, language="en", items=named, columns=made.columns, total=made.total)


def found(check: Check, of: Sheet) -> list[tuple[str, str, tuple[str, ...]]]:
    """Grade, name and items of what a check finds."""
    return [(one.grade, one.check, one.items) for one in check(of)]


def only(findings: Sequence[Finding]) -> Finding:
    """The one finding."""
    assert len(findings) == 1, findings
    return findings[0]
