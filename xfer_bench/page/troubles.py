"""What a reader should know before believing: what is wrong with the rows, what failed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from xfer_bench.errors import XferBenchError
from xfer_bench.page.subject import Subject
from xfer_bench.results import Results
from xfer_bench.sources.findings import reviewed
from xfer_bench.sources.repairs import repair_of
from xfer_bench.status import PLAN, Stand, State, status_of
from xfer_bench.tasks.task import PUBLISHED
from xfer_bench.training.checkpoints import Store

_SHOWN = 8
_FAILED = frozenset({"failed", "blocked", "damaged"})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something known about a task's rows. grade: `warning` where it bears on these numbers, else `note`."""

    grade: str
    task: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A stage that was not trained. state: `failed`, `blocked` or `damaged`."""

    state: str
    stage: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the study is, where its folder is there: in one sentence, and what went wrong."""

    sentence: str
    failures: tuple[Failure, ...]


def findings(subject: Subject) -> tuple[Finding, ...]:
    """What is committed about the rows of the tasks that were scored or trained on; warnings first."""
    found = [*_repairs(subject), *_reviews(subject), *_translations(subject)]
    return tuple(sorted(found, key=lambda one: one.grade != "warning"))


def progress(subject: Subject) -> Progress | None:
    """How the study stands whose folder the results lie in; None where there is no such folder, or no record in it."""
    out = subject.results.folder.resolve().parent
    if not (out / PLAN).is_file():
        return None
    try:
        known = status_of(out, store=Store(folder=out / "checkpoints"), results=Results(subject.results.folder))
    except (XferBenchError, KeyError, TypeError) as error:
        # The record may be of another version; the results are there all the same.
        return Progress(sentence=f"How far the study is cannot be told ({error!r}).", failures=())
    counts = ", ".join(f"{n} {state}" for state in get_args(State) if (n := known.count(state)))
    return Progress(
        sentence=f"{known.study}: {len(known.stages)} stages ({counts}); of {known.runs} runs {known.trained} are "
        f"trained and {known.scored} scored in every language.",
        failures=tuple(_failure(stage) for stage in known.stages if stage.state in _FAILED),
    )


def _failure(stage: Stand) -> Failure:
    languages = ", ".join(stage.languages)
    return Failure(
        state=stage.state,
        stage=f"{stage.role} {stage.task} ({languages}), seed {stage.seed}, of {', '.join(stage.arms)}",
        reason=f"{stage.key[:_SHOWN]}: {stage.reason or 'no reason was recorded'}",
    )


def _repairs(subject: Subject) -> Iterator[Finding]:
    """Rows that are wrong as published: a warning where published rows were scored."""
    cells = subject.predictions.select("task", "variant", "split", "language").unique()
    for name in subject.evaluated:
        task = subject.tasks.get(name)
        repair = repair_of(task) if task is not None else None
        if task is None or repair is None:
            continue
        own = cells.filter(task=name)
        there = set(own.select("split", "language").iter_rows())
        counts = {
            (split, language): len(items)
            for (split, language), items in repair.items.items()
            if items and (split, language) in there
        }
        if not counts:
            continue
        most = sorted(counts.items(), key=lambda one: -one[1])
        listed = ", ".join(f"{language} {count}" for (_, language), count in most)
        variants = sorted(own["variant"].unique())
        bears = variants == [PUBLISHED]
        told = (
            "The numbers here are over the rows as published, and so include these items."
            if bears
            else "Both forms were scored; the repaired one is the headline."
            if PUBLISHED in variants
            else "The numbers here are over the repaired rows."
        )
        yield Finding(
            grade="warning" if bears else "note",
            task=name,
            text=f"The published {repair.column} of {sum(counts.values())} rows is wrong ({listed}). {told} "
            f"{repair.rule}",
        )


def _reviews(subject: Subject) -> Iterator[Finding]:
    """Training rows that were found to be evaluation items: what a study leaves out before that target."""
    for name in subject.involved:
        for one in reviewed(name):
            if one.target in subject.evaluated:
                yield Finding(
                    grade="note",
                    task=name,
                    text=f"{len(one.items)} of {one.rows:,} rows ({one.language}, {one.split}) are left out before "
                    f"{one.target}: {one.reason}.",
                )


def _translations(subject: Subject) -> Iterator[Finding]:
    for name in subject.involved:
        task = subject.tasks.get(name)
        if task is not None and task.machine_translated:
            yield Finding(grade="note", task=name, text="These rows were translated by a machine.")
