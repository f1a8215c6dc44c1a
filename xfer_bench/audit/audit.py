"""The audit: every check on every split, language by language, found and given one after the other.

One split in one language is held at a time, a few numbers a row of parallel tasks besides, and for the overlap one
language's rows of the tasks that are compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xfer_bench.audit.counts import check_counts, published_rows
from xfer_bench.audit.damage import check_damage
from xfer_bench.audit.duplicates import check_duplicates, check_premises, repeated
from xfer_bench.audit.findings import Finding, Size
from xfer_bench.audit.labels import answer_shares, check_labels
from xfer_bench.audit.leaks import Readable, check_leaks, is_target_of
from xfer_bench.audit.lengths import TokenCounter, characters, check_lengths, check_truncation
from xfer_bench.audit.neighbours import LEAST, Vectors, check_neighbours, spoken
from xfer_bench.audit.parallel import Page, check_parallel, page_of
from xfer_bench.audit.pinned import check_pins
from xfer_bench.audit.sheet import Check, Sheet, read_sheet
from xfer_bench.errors import SourceError
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.sources import findings as known
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import Task
from xfer_bench.tasks.task import TEST, TRAIN, VALIDATION, Part, Split

Entry: TypeAlias = Size | Finding

_CHECKS: tuple[Check, ...] = (
    check_pins,
    check_labels,
    check_duplicates,
    check_premises,
    check_damage,
    check_lengths,
)
_PLACES = frozenset({"embedded", "mirror"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is audited and how.

    names: the tasks. download: whether splits that are not on this machine are fetched from the Hub.
    counters, max_length: tokenizers, and the tokens that a sequence may have. vectors: of texts under a multilingual
    encoder; None leaves the neighbours across languages out. least: the cosine from which on they are listed.
    """

    names: tuple[str, ...]
    download: bool = False
    counters: tuple[TokenCounter, ...] = ()
    max_length: int = 128
    vectors: Vectors | None = field(default=None, repr=False)
    least: float = LEAST


def audit(
    request: Request, *, tasks: Mapping[str, Task], sources: Sources, progress: Progress = silent
) -> Iterator[Entry]:
    """Sizes and findings, task by task; then what leaks between them.

    tasks: the registry; its targets are what training rows are compared with, whether audited or not.
    """
    here: set[tuple[str, Split, str]] = set()
    for number, name in enumerate(request.names):
        progress(Update(whole="audit", finished=number, pieces=len(request.names) + 1, piece=name))
        yield from _of_task(tasks[name], request, sources, here)
    progress(Update(whole="audit", finished=len(request.names), pieces=len(request.names) + 1, piece="overlap"))
    targets = [name for name, task in tasks.items() if task.settings and name not in request.names]
    here |= {
        (name, part.split, language)
        for name in targets
        for part in tasks[name].parts
        for language in part.languages
        if sources.availability(tasks[name], part.split, language=language) in _PLACES
    }
    yield from check_leaks(Readable(sources=sources, tasks=tasks, here=frozenset(here)), request.names)
    if request.vectors is not None:
        yield from _across_languages(request.vectors, request, tasks=tasks, sources=sources, here=frozenset(here))


def _of_task(task: Task, request: Request, sources: Sources, here: set[tuple[str, Split, str]]) -> Iterator[Entry]:
    for split in task.splits:
        pages: list[Page] = []
        for part in (part for part in task.parts if part.split == split):
            for language in part.languages:
                sheet = _read(task, part, language, request, sources)
                if isinstance(sheet, Finding):
                    yield sheet
                    continue
                here.add((task.name, split, language))
                yield from _of_sheet(sheet, request)
                if task.parallel:
                    pages.append(page_of(sheet))
        yield from check_parallel(pages)


def _read(task: Task, part: Part, language: str, request: Request, sources: Sources) -> Sheet | Finding:
    place = sources.availability(task, part.split, language=language)
    if place not in _PLACES and not (place == "hub" and request.download):
        reason = "it is not on this machine" if place == "hub" else place.removeprefix("unavailable: ")
        return _not_read(task, part, language, "note", reason)
    try:
        return read_sheet(sources, task, part=part, language=language)
    except SourceError as error:
        return _not_read(task, part, language, "error", str(error))


def _not_read(task: Task, part: Part, language: str, grade: str, reason: str) -> Finding:
    return Finding(
        grade="error" if grade == "error" else "note",
        check="reading",
        task=task.name,
        language=language,
        split=part.split,
        message=f"not read: {reason}",
    )


def _of_sheet(sheet: Sheet, request: Request) -> Iterator[Entry]:
    published = known.published_rows()
    truncated: dict[str, float] = {}
    findings = [finding for check in _CHECKS for finding in check(sheet)]
    for counter in request.counters:
        cut = [*check_truncation(sheet, counter, max_length=request.max_length)]
        truncated[counter.name] = sum(len(one.items) for one in cut) / max(sheet.usable.height, 1)
        findings += cut
    yield Size(
        task=sheet.task.name,
        language=sheet.language,
        split=sheet.split,
        rows=sheet.usable.height,
        unusable=sheet.items.height - sheet.usable.height,
        in_repository=sheet.total,
        published=published_rows(sheet, published),
        shares=answer_shares(sheet),
        repeated=repeated(sheet),
        characters=characters(sheet),
        truncated=truncated,
    )
    yield from check_counts(sheet, published)
    yield from findings


def _across_languages(
    vectors: Vectors,
    request: Request,
    *,
    tasks: Mapping[str, Task],
    sources: Sources,
    here: frozenset[tuple[str, Split, str]],
) -> Iterator[Finding]:
    """Audited training sets against the evaluation items of the targets of their format, in English if it is there."""
    done: dict[tuple[str, Split, str], NDArray[np.float32]] = {}

    def of(sheet: Sheet) -> NDArray[np.float32]:
        key = (sheet.task.name, sheet.split, sheet.language)
        if key not in done:
            done[key] = vectors(spoken(sheet))
        return done[key]

    for task in (tasks[name] for name in request.names):
        for target in (one for one in tasks.values() if is_target_of(one, task) and one.format == task.format):
            for split in (TEST, VALIDATION):
                for evaluation in _sheets(target, split, sources, here, only=_language(target)):
                    for training in _sheets(task, TRAIN, sources, here):
                        if training.language != evaluation.language:
                            yield from check_neighbours(training, evaluation, vectors=of, least=request.least)


def _language(task: Task) -> str:
    languages = task.languages_of(TEST)
    return "en" if "en" in languages else next(iter(languages), "")


def _sheets(
    task: Task, split: Split, sources: Sources, here: frozenset[tuple[str, Split, str]], *, only: str = ""
) -> Iterator[Sheet]:
    for part in (part for part in task.parts if part.split == split):
        for language in part.languages:
            if (task.name, split, language) in here and only in ("", language):
                yield read_sheet(sources, task, part=part, language=language)
