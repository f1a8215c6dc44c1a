"""A mirror of every repository that the example studies name, with invented rows that nobody ever wrote."""

import hashlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Part

_ROWS = 36
_EXAMS = (
    "Turkish", "Vietnamese", "Polish", "Bulgarian", "Croatian", "Hungarian", "Italian", "Macedonian", "Portuguese",
    "Albanian", "Serbian",
)  # fmt: skip
Columns = dict[str, list[Any]]


def invented_mirror(root: Path, *names: str) -> Path:
    """Files for every part of these tasks."""
    for name in names:
        for part in TASKS[name].parts:
            for language in part.languages:
                config, split = part.config.format(language=language), part.upstream_split or part.split
                file = root / part.repository / config / f"{split}-00000-of-00001.parquet"
                if not file.is_file():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    pl.DataFrame(_columns(part, f"{name}{split}{language}")).write_parquet(file)
    return root


def _columns(part: Part, seed: str) -> Columns:
    """Values of every column that the part's reader needs."""
    words = _words(seed)
    made = {column: _values(column, words, part) for column in part.columns}
    if part.repository == "extra/c3":
        made["answer"] = [choices[row % 4] for row, choices in enumerate(made["choice"])]
    if part.repository == "mhardalov/exams":
        made["question"] = [_exam(words) for _ in range(_ROWS)]
        made["info"] = [{"language": _EXAMS[row % len(_EXAMS)]} for row in range(_ROWS)]
    return made


def _values(column: str, words: Iterator[str], part: Part) -> list[Any]:
    if column == "label":
        return _labels(part.repository)
    if column in {"idx", "q_id"} or (column == "id" and part.repository == "google-research-datasets/paws-x"):
        return list(range(_ROWS))
    if column == "answerKey" or (column == "question" and "choice1" in part.columns):
        return (["A", "B"] if column == "answerKey" else ["cause", "effect"]) * (_ROWS // 2)
    if column == "choices":
        return [{"label": ["A", "B"], "text": [_text(words), _text(words)]} for _ in range(_ROWS)]
    if column in {"endings", "choice"}:
        return [[_text(words) for _ in range(4)] for _ in range(_ROWS)]
    return [f"r{row}" if column == "id" else _text(words) for row in range(_ROWS)]


def _labels(repository: str) -> list[Any]:
    if repository.startswith(("allenai/social_i_qa", "extra/social_i_qa")):
        return [str(row % 3 + 1) for row in range(_ROWS)]
    if repository == "Rowan/hellaswag":
        return [str(row % 4) for row in range(_ROWS)]
    return [row // 2 % 2 for row in range(_ROWS)]


def _exam(words: Iterator[str]) -> dict[str, Any]:
    return {"stem": _text(words), "choices": {"label": ["A", "B"], "text": [_text(words), _text(words)]}}


def _text(words: Iterator[str]) -> str:
    return " ".join(next(words) for _ in range(6))


def _words(seed: str) -> Iterator[str]:
    """Words that no other seed has, nor any that resemble them."""
    for number in count():
        yield hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:8]
