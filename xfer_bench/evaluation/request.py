"""A request: checkpoints × tasks × languages, resolved into cells before anything is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal

from xfer_bench.errors import CheckpointError, SourceError, TaskError, XferBenchError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column, column
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.identity import Identity, identify
from xfer_bench.evaluation.known import Known
from xfer_bench.evaluation.lineage import run_names
from xfer_bench.evaluation.precision import resolved
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.sources import embedded, repairs
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import find
from xfer_bench.tasks.task import PUBLISHED, REPAIRED, Split, Task


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What to score. Empty tasks or languages mean all that fit; limit: the first so many items of each language.

    variants: `published`, `repaired`, or both when empty, where a task has both: only the items that differ are more
    work. precision: `auto` is fp32 on a CPU, and on a GPU bf16 where it agrees with fp32. verify: digest every file
    and row anew instead of trusting sizes and times. strict: what would be skipped is an error.
    """

    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    split: Split = "test"
    limit: int | None = None
    variants: tuple[str, ...] = ()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    verify: bool = False
    strict: bool = False


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One checkpoint on one column. scorer: digest of all that decides its scores but the rows.

    missing: how many of the column's items are not in the store, nor among those of the checkpoint's cells before it.
    """

    checkpoint: Scorable
    identity: Identity
    column: Column
    precision: Literal["fp32", "bf16"]
    scorer: str
    missing: int

    @property
    def sequences(self) -> int:
        """How many sequences are still to be scored, about where only a part of the items is."""
        return round(self.column.sequences * self.missing / max(self.column.items, 1))


@dataclass(frozen=True, kw_only=True)
class Request:
    """The cells of a request, checkpoint by checkpoint; what was left out, and which checkpoints failed, and why."""

    ask: Ask
    cells: tuple[Cell, ...]
    skipped: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def missing(self) -> tuple[Cell, ...]:
        """The cells with something to score. Cells that two checkpoints of equal weights share are named once."""
        seen: set[tuple[str, str, str, str]] = set()
        todo = []
        for cell in self.cells:
            key = (cell.scorer, cell.column.task.name, cell.column.language, cell.column.fingerprint)
            if cell.missing and key not in seen:
                todo.append(cell)
            seen.add(key)
        return tuple(todo)

    def by_scorer(self) -> list[tuple[Cell, ...]]:
        """The cells of each checkpoint and task together, in their order: variant by variant."""
        groups: dict[tuple[str, str, str], list[Cell]] = {}
        for cell in self.cells:
            groups.setdefault((cell.checkpoint.name, cell.scorer, cell.column.task.name), []).append(cell)
        return [tuple(cells) for cells in groups.values()]


def by_variant(cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """A task's cells, variant by variant."""
    return [tuple(some) for _, some in groupby(cells, key=lambda cell: cell.column.task.variant)]


def request(
    checkpoints: Sequence[Scorable],
    ask: Ask,
    *,
    tasks: Mapping[str, Task],
    sources: Sources,
    store: PredictionStore,
    progress: Progress = silent,
) -> Request:
    """Resolve a request. Identifies rows and files; loads no weights, and reads only what it has not seen before.

    Raises TaskError for a task or language that does not exist, SourceError for a task asked by name whose rows
    cannot be had, and under `strict` either for what would be skipped. What was not asked by name and does
    not fit is skipped with its reason, and so is a second copy of a checkpoint, whose items would count twice.
    A checkpoint that cannot be read fails, and the others go on.
    """
    resolver = _Resolver(ask=ask, tasks=tasks, sources=sources, store=store)
    resolver.check()
    cells: list[Cell] = []
    failed: list[str] = []
    owners: dict[tuple[str, int | None], str] = {}
    for number, checkpoint in enumerate(checkpoints):
        # Reading every byte of a large checkpoint for the first time takes seconds.
        progress(Update(whole="planning", finished=number, pieces=len(checkpoints), piece=Path(checkpoint.name).name))
        if checkpoint.head is None:
            resolver.skip(f"{checkpoint.name}: {checkpoint.reason}")
            continue
        try:
            identity = identify(checkpoint, store, verify=ask.verify)
            runs = run_names(checkpoint, weights=identity.weights)
            again = next((run for run in runs if run in owners), None)
            if again is not None:
                resolver.skip(f"{checkpoint.name}: {owners[again]} has the same run {again[0]}")
                continue
            cells += resolver.cells(checkpoint, identity)
            owners |= dict.fromkeys(runs, checkpoint.name)
        except CheckpointError as error:
            if ask.strict:
                raise
            failed.append(str(error))
    return Request(ask=ask, cells=tuple(cells), skipped=tuple(resolver.skipped), failed=tuple(failed))


@dataclass(frozen=True, kw_only=True)
class _Resolver:
    """Identifies columns once a request, and notes what is left out."""

    ask: Ask
    tasks: Mapping[str, Task]
    sources: Sources
    store: PredictionStore
    columns: dict[tuple[str, str], dict[str, Column]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def skip(self, reason: str, kind: type[XferBenchError] = CheckpointError) -> None:
        """Leave something out, or refuse to under `strict` by an error of this kind."""
        if self.ask.strict:
            raise kind(reason)
        # Variants of a task lack the same languages.
        if reason not in self.skipped:
            self.skipped.append(reason)

    def check(self) -> None:
        """Refuse tasks and languages that do not exist, and a limit that leaves nothing."""
        if self.ask.limit is not None and self.ask.limit < 1:
            raise TaskError(f"a limit of {self.ask.limit} items; it must be 1 or more")
        for name in self.ask.tasks:
            task = find(name, among=self.tasks)
            if not task.languages_of(self.ask.split):
                raise TaskError(f"{name} has no split {self.ask.split!r}; it has {', '.join(task.splits)}")
        unknown = [name for name in self.ask.variants if name not in {PUBLISHED, REPAIRED}]
        if unknown:
            raise TaskError(f"no variant {unknown[0]!r}; there are {PUBLISHED} and {REPAIRED}")
        considered = [task for task in self.tasks.values() if self._considered(task)]
        offered = dict.fromkeys(one for task in considered for one in task.languages_of(self.ask.split))
        if not offered:
            raise TaskError(f"no target has a split {self.ask.split!r}; name a task that has one")
        for language in self.ask.languages:
            if language not in offered:
                names = ", ".join(self.ask.tasks) or "any target"
                raise TaskError(f"no language {language!r} in {names}; there are {', '.join(offered)}")

    def cells(self, checkpoint: Scorable, identity: Identity) -> list[Cell]:
        """The checkpoint's cells."""
        found: list[Cell] = []
        for task in self._fitting(checkpoint):
            variants = [self._covered(checkpoint, one, self._columns(one)) for one in self._variants(task)]
            columns = [one for some in variants for one in some.values()]
            if not columns:
                continue
            sample = list({one.language: one for one in reversed(columns)}.values())[::-1]
            precision = resolved(self.ask.precision, checkpoint, identity, sample, self.store)
            scorer = identity.scorer(checkpoint, task.format, precision=precision)
            known = Known(self.store.blocks.load(scorer))
            for some in variants:
                earlier = {} if some is variants[0] else variants[0]
                found += [
                    Cell(
                        checkpoint=checkpoint,
                        identity=identity,
                        column=one,
                        precision=precision,
                        scorer=scorer,
                        missing=known.missing(one, besides=earlier.get(one.language)),
                    )
                    for one in some.values()
                ]
        return found

    def _fitting(self, checkpoint: Scorable) -> list[Task]:
        """The tasks asked for that this head fits; with none asked, its own targets, or every target at hand."""
        own = {run["target"] for run in (checkpoint.lineage or {}).get("runs", ())}
        chosen: list[Task] = []
        for task in self.tasks.values():
            if not self._considered(task):
                continue
            if task.format.head != checkpoint.head:
                if self.ask.tasks:
                    self.skip(f"{checkpoint.name}: its {checkpoint.head} head does not fit {task.name}")
            elif self.ask.tasks or task.name in own or not (own or _embedded(task)):
                chosen.append(task)
        return chosen

    def _variants(self, task: Task) -> list[Task]:
        """The task in each of its variants that were asked for."""
        chosen = [one for one in task.variants if not self.ask.variants or one in self.ask.variants]
        if not chosen:
            has = ", ".join(task.variants)
            self.skip(f"{task.name} has no variant {self.ask.variants[0]!r}; it has {has}", TaskError)
        return [task.as_variant(one) for one in chosen]

    def _columns(self, task: Task) -> dict[str, Column]:
        """Columns by language. A language that was not asked for by name and cannot be had here is left out."""
        place = (task.name, task.variant)
        if place not in self.columns:
            asked = self.ask.languages
            chosen = [one for one in task.languages_of(self.ask.split) if not asked or one in asked]
            if not chosen:
                self.skip(f"{task.name} is in none of the languages asked for", TaskError)
            if not (asked and self.ask.tasks):
                chosen = [language for language in chosen if self._at_hand(task, language)]
            self.columns[place] = {language: self._column(task, language) for language in chosen}
        return self.columns[place]

    def _column(self, task: Task, language: str) -> Column:
        return column(
            task,
            language=language,
            split=self.ask.split,
            limit=self.ask.limit,
            sources=self.sources,
            remember=partial(self.store.remember, verify=self.ask.verify),
        )

    def _covered(self, checkpoint: Scorable, task: Task, columns: Mapping[str, Column]) -> Mapping[str, Column]:
        """The languages that a trimmed vocabulary was made for; on others it would know fewer words than it did."""
        covers = checkpoint.covers
        if covers is None:
            return columns
        others = [language for language, one in columns.items() if not self._covers(covers, one)]
        if others:
            self.skip(
                f"{checkpoint.name}: its vocabulary was trimmed to other texts than {task.title} {self.ask.split} "
                f"in {', '.join(others)}"
            )
        return {language: one for language, one in columns.items() if language not in others}

    def _covers(self, covers: frozenset[str], one: Column) -> bool:
        """Whether a vocabulary that was trimmed to rows of these fingerprints has the column's words.

        Repaired rows consist of words of the published ones and of values that other rows have as published. So they
        are covered where the published ones are, and those of a language with nothing to repair.
        """
        repair = repairs.repair_of(one.task)
        if one.whole in covers or one.task.variant == PUBLISHED or repair is None:
            return one.whole in covers
        published, split = one.task.as_variant(PUBLISHED), self.ask.split
        if self._column(published, one.language).whole not in covers:
            return False
        unreadable: list[str] = []
        for name in published.languages_of(split):
            clean = name not in repair.languages(split)
            if clean and not self.sources.availability(published, split, language=name).startswith("unavailable"):
                # Nobody asked for this language: its damage matters only where no other one tells.
                try:
                    if self._column(published, name).whole in covers:
                        return True
                except SourceError as error:
                    unreadable.append(str(error))
        for reason in unreadable:
            self.skip(reason, SourceError)
        return False

    def _considered(self, task: Task) -> bool:
        return task.name in self.ask.tasks if self.ask.tasks else bool(task.settings)

    def _at_hand(self, task: Task, language: str) -> bool:
        place = self.sources.availability(task, self.ask.split, language=language)
        if place.startswith("unavailable"):
            self.skip(f"{task.name} in {language} is {place}", SourceError)
            return False
        return True


def _embedded(task: Task) -> bool:
    return all(part.repository in embedded.REPOSITORIES for part in task.parts)
