"""Training rows that are evaluation rows, within a task and across tasks, language by language."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from xfer_bench.audit.findings import Finding, Grade, first_example
from xfer_bench.audit.sheet import counted
from xfer_bench.frames import ITEMS, conform
from xfer_bench.sources import embedded
from xfer_bench.sources.overlap import LEAKS, overlap
from xfer_bench.sources.source import Sources
from xfer_bench.sources.unchecked import every_row
from xfer_bench.tasks import Task
from xfer_bench.tasks.task import TEST, TRAIN, VALIDATION, Split

_SAID = {
    "answer": "equal to",
    "item": "equal to (with another answer right)",
    "near": "nearly equal to",
    "text": "have the text of",
}
_SEPARATOR = "\t"


@dataclass(frozen=True, kw_only=True)
class Readable:
    """Rows by task, split and language, read when they are asked for; a split that cannot be read has none."""

    sources: Sources
    tasks: Mapping[str, Task]
    here: frozenset[tuple[str, Split, str]]

    def rows(self, task: str, split: Split, language: str) -> pl.DataFrame:
        """The usable rows, ITEMS; empty where there are none here."""
        found = [
            every_row(self.sources, self.tasks[task], part=part, language=language).items.filter("usable")
            for part in self.tasks[task].parts
            if part.split == split and language in part.languages and (task, split, language) in self.here
        ]
        return conform(pl.concat(found), ITEMS) if found else pl.DataFrame(schema=ITEMS)


def is_target_of(target: Task, training: Task) -> bool:
    """Whether a training set may come before this target: the embedded benchmark's sets come before no other one."""
    return bool(target.settings) and _is_embedded(target) == _is_embedded(training)


def check_leaks(readable: Readable, asked: Sequence[str]) -> Iterator[Finding]:
    """Training rows of every task against its own evaluation rows and those of every target; validation against test.

    asked: the tasks that the audit is about; the rest of `readable` holds the targets.
    """
    for language in sorted({language for _, _, language in readable.here}):
        yield from _of_language(readable, asked, language)


def _of_language(readable: Readable, asked: Sequence[str], language: str) -> Iterator[Finding]:
    for name in asked:
        targets = [other for other, task in readable.tasks.items() if is_target_of(task, readable.tasks[name])]
        training = readable.rows(name, TRAIN, language)
        against = list(dict.fromkeys([*targets, name]))
        if training.height:
            evaluation = _marked(readable, against, (VALIDATION, TEST), language)
            yield from _found(readable, name, TRAIN, training, evaluation)
        validation = readable.rows(name, VALIDATION, language)
        if validation.height:
            evaluation = _marked(readable, [name], (TEST,), language)
            yield from _found(readable, name, VALIDATION, validation, evaluation)


def _marked(readable: Readable, names: Iterable[str], splits: Sequence[Split], language: str) -> pl.DataFrame:
    """Evaluation rows of several tasks; each item with its task and split before it."""
    frames = [
        readable.rows(name, split, language).with_columns(
            item=pl.concat_str(pl.lit(name), pl.lit(split), "item", separator=_SEPARATOR)
        )
        for name in names
        for split in splits
    ]
    return pl.concat(frames)


def _found(
    readable: Readable, name: str, split: Split, rows: pl.DataFrame, evaluation: pl.DataFrame
) -> Iterator[Finding]:
    if not evaluation.height:
        return
    found = overlap(rows, evaluation)
    parts = pl.col("evaluation_item").str.splitn(_SEPARATOR, 3).struct.rename_fields(["task", "split", "other"])
    matches = found.matches.with_columns(parts.alias("of")).unnest("of")
    for (kind, other, held), group in matches.group_by("kind", "task", "split", maintain_order=True):
        target, other_split = readable.tasks[str(other)], str(held)
        chosen = rows.join(group.select(item="training_item"), on="item", how="semi", maintain_order="left")
        message = f"{counted(group.height, 'row', rows.height)} {_SAID[str(kind)]} {other} {other_split} rows"
        if reason := readable.tasks[name].barred.get(target.name, ""):
            message += f" (barred before it: {reason})"
        pairs = zip(group["training_item"].to_list(), group["other"].to_list(), strict=True)
        yield Finding(
            grade=_grade(str(kind), readable.tasks[name], target, split),
            check="overlap",
            task=name,
            language=str(rows["language"][0]),
            split=split,
            message=message,
            items=tuple(f"{ours}={theirs}" for ours, theirs in pairs),
            example=first_example(chosen),
        )


def _is_embedded(task: Task) -> bool:
    return all(part.repository in embedded.REPOSITORIES for part in task.parts)


def _grade(kind: str, task: Task, target: Task, split: Split) -> Grade:
    if kind not in LEAKS or target.name in task.barred:
        return "note"
    return "error" if split == TRAIN and target.settings and target is not task else "warning"
