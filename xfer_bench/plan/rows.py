"""The rows of a stage's training sets, and what a plan knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from xfer_bench.errors import StudyError
from xfer_bench.plan.values import BYTES_PER_TOKEN, Data, Stage
from xfer_bench.sources.mixture import Wanted, draw
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.study import MlmSpec, PartSpec
from xfer_bench.tasks import Task
from xfer_bench.tasks.task import TRAIN, VALIDATION, Split


@dataclass(frozen=True, kw_only=True)
class PartRows:
    """Training rows, and held-out rows in the same languages; of unlabelled text there are none."""

    training: Rows
    development: Rows | None

    @property
    def frames(self) -> tuple[pl.DataFrame, ...]:
        """Both tables of items."""
        return (self.training.frame, *([] if self.development is None else [self.development.frame]))


def part_rows(task: Task, wanted: Wanted, *, sources: Sources, seed: int, most: int) -> PartRows:
    """Training and development rows of one training set.

    The seed draws the subset and, with one language per item, the languages; the development rows, in the same
    languages in their own proportions and of at most `most` items, are the same for every seed.
    """
    training = draw(task, wanted, sources=sources, split=TRAIN, seed=seed)
    if not task.format.labelled:
        return PartRows(training=training, development=None)
    every = replace(wanted, weights=None, temperature=None, examples=None)
    held_out = draw(task, every, sources=sources, split=VALIDATION, seed=0)
    items = held_out.frame.height if not task.parallel else held_out.frame["item"].n_unique()
    if items > most:
        held_out = draw(task, replace(every, examples=most), sources=sources, split=VALIDATION, seed=0)
    return PartRows(training=training, development=held_out)


def rows_of(stage: Stage, tasks: Mapping[str, Task], sources: Sources) -> tuple[PartRows, ...]:
    """The rows of a planned stage's parts, read again. They may have changed since it was planned."""
    most = stage.recipe.maximum_development
    return tuple(
        part_rows(tasks[part.task], part.wanted, sources=sources, seed=part.seed, most=most) for part in stage.parts
    )


def wanted_of(spec: PartSpec | MlmSpec, task: Task, where: str) -> Wanted:
    """Which rows of the task a study asks for. Raises StudyError for a language that the task does not have."""
    if isinstance(spec, MlmSpec):
        languages = languages_of(task, spec.languages, TRAIN, where)
        return Wanted(languages=languages, examples=spec.examples)
    if spec.per_item == "one" and not task.parallel:
        raise StudyError(f'{where}: per_item = "one" needs a parallel task, and {task.name} is not')
    return Wanted(
        languages=languages_of(task, spec.named_languages, TRAIN, where),
        per_item=spec.per_item,
        weights=tuple(spec.language_weights.values()) if spec.language_weights else None,
        temperature=spec.language_temperature,
        examples=spec.examples,
        without_reviewed=spec.exclude == "reviewed",
    )


def languages_of(task: Task, asked: tuple[str, ...] | None, split: Split, where: str) -> tuple[str, ...]:
    """The languages asked for, or all. Raises StudyError for one that the task's split does not have."""
    offered = task.languages_of(split)
    if not offered:
        raise StudyError(f"{where}: {task.name} has no split {split!r}; it has {', '.join(task.splits)}")
    unknown = [language for language in asked or () if language not in offered]
    if unknown:
        raise StudyError(f"{where}: {task.name} has no language {unknown[0]!r} in {split}; it has {', '.join(offered)}")
    return asked or offered


def data_of(
    task: Task, wanted: Wanted, rows: PartRows, *, seed: int, head: str, mlm: float | None, longest: int
) -> Data:
    """What the plan keeps of a training set. Its share is the whole stage's until it is known beside the others.

    longest: tokens of a sequence, above which it is cut.
    """
    training, held_out = rows.training, rows.development
    return Data(
        task=task.name,
        format=task.format.name,
        wanted=wanted,
        seed=seed,
        head=head,
        share=1.0,
        mlm=mlm,
        repository=training.repository,
        revision=training.revision,
        examples=training.frame.height,
        text_bytes=_text_bytes(training.frame, longest),
        fingerprint=training.fingerprint,
        dropped=training.dropped,
        development_examples=held_out.frame.height if held_out else 0,
        development_fingerprint=held_out.fingerprint if held_out else "",
        machine_translated=task.machine_translated,
    )


def _text_bytes(items: pl.DataFrame, longest: int) -> int:
    """Of every sequence, cut where the recipe's number of tokens roughly ends."""
    sizes = items.select(
        # A text without candidates is a sequence, too.
        pl.col("text")
        .str.len_bytes()
        .repeat_by(pl.col("candidates").list.len().clip(lower_bound=1))
        .explode()
        .alias("text"),
    )["text"]
    candidates = items["candidates"].explode().str.len_bytes().fill_null(0)
    whole = sizes + candidates if len(candidates) == len(sizes) else sizes
    return int(whole.clip(upper_bound=round(longest * BYTES_PER_TOKEN)).sum())
