"""A request: checkpoints × tasks × languages, resolved into cells with their cache keys before anything is scored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from xfer_bench.digest import value_digest
from xfer_bench.errors import TaskError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.digests import digesting_source, function_digest, scoring_source, weights_digest
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.lineage import labelled, run_names
from xfer_bench.models.labels import output_order
from xfer_bench.progress import Progress, Update
from xfer_bench.sources import embedded
from xfer_bench.sources.items import fingerprint
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks import find
from xfer_bench.tasks.task import Split, Task

if TYPE_CHECKING:
    from xfer_bench.evaluation.evaluator import Scorer


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What to score. Empty tasks or languages mean all that fit; limit: the first so many items of each language.

    batch_tokens: tokens of a batch, padding included; it decides speed and memory, never the result.
    """

    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    split: Split = "test"
    limit: int | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    batch_tokens: int = 2048


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One checkpoint on one task in one language. key: of the block in the prediction store."""

    checkpoint: Scorable
    task: Task
    language: str
    items: pl.DataFrame
    weights: str
    key: str

    @property
    def sequences(self) -> int:
        """How many sequences it takes."""
        return int(self.items["candidates"].list.len().sum())


@dataclass(frozen=True, kw_only=True)
class Request:
    """The cells of a request, checkpoint by checkpoint, and what was left out with the reasons."""

    ask: Ask
    cells: tuple[Cell, ...]
    skipped: tuple[str, ...]

    def missing(self, store: PredictionStore) -> tuple[Cell, ...]:
        """The cells that are not stored yet."""
        return tuple(cell for cell in self.cells if not store.has(cell.key))


def request(
    checkpoints: Sequence[Scorable],
    ask: Ask,
    *,
    tasks: Mapping[str, Task],
    sources: Sources,
    store: PredictionStore,
) -> Request:
    """Resolve a request. Loads rows and digests files; loads no weights.

    Raises TaskError for a task or language that does not exist, SourceError for a task asked by name whose rows
    cannot be had, CheckpointError for a checkpoint with unusable labels. What was not asked by name and does not
    fit is skipped with its reason, and so is a second copy of a checkpoint, whose items would count twice.
    """
    cells: list[Cell] = []
    skipped: list[str] = []
    reader = _Reader(ask=ask, tasks=tasks, sources=sources, loaded={}, skipped=skipped)
    reader.check()
    code, digesting = scoring_source(), digesting_source()
    owners: dict[str, str] = {}
    for checkpoint in checkpoints:
        if checkpoint.head is None:
            skipped.append(f"{checkpoint.name}: {checkpoint.reason}")
            continue
        weights = store.remembered(checkpoint.path, f"weights {digesting}", weights_digest)
        function = store.remembered(checkpoint.path, f"function {digesting}", function_digest)
        runs = run_names(checkpoint, weights=weights)
        again = next((run for run in runs if run in owners), None)
        if again is not None:
            skipped.append(f"{checkpoint.name}: {owners[again]} has the same run {again}")
            continue
        owners |= dict.fromkeys(runs, checkpoint.name)
        for task in reader.fitting(checkpoint):
            order = (
                output_order(checkpoint.id2label, task.format.labels, name=checkpoint.name)
                if task.format.labels
                else ()
            )
            for language, rows in _covered(checkpoint, task, reader.rows(task), skipped).items():
                items = limited(rows.frame, ask.limit)
                decides = [weights, function, order, task.name, task.variant, ask.split, language, fingerprint(items)]
                key = value_digest([*decides, code, ask.precision])
                cells.append(
                    Cell(checkpoint=checkpoint, task=task, language=language, items=items, weights=weights, key=key)
                )
    return Request(ask=ask, cells=tuple(cells), skipped=tuple(skipped))


def score(asked: Request, store: PredictionStore, progress: Progress) -> Iterator[pl.DataFrame]:
    """PREDICTIONS, checkpoint by checkpoint. Every cell is stored as soon as it is scored; stored ones cost nothing."""
    missing = asked.missing(store)
    scoring = _Scoring(ask=asked.ask, progress=progress, total=sum(cell.sequences for cell in missing))
    for cell in asked.cells:
        block = store.fetch(cell.key, partial(scoring.block, cell))
        yield labelled(block, cell.checkpoint, precision=asked.ask.precision)


def _covered(checkpoint: Scorable, task: Task, rows: Mapping[str, Rows], skipped: list[str]) -> Mapping[str, Rows]:
    """The languages that a trimmed vocabulary was made for; on other texts it would know fewer words than it did."""
    if checkpoint.covers is None:
        return rows
    others = [language for language, one in rows.items() if one.fingerprint not in checkpoint.covers]
    if others:
        skipped.append(
            f"{checkpoint.name}: its vocabulary was trimmed to other texts than {task.name} {rows[others[0]].split} "
            f"in {', '.join(others)}"
        )
    return {language: one for language, one in rows.items() if language not in others}


def limited(items: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """The first `limit` items, and the rest of the cluster that the last of them belongs to."""
    if limit is None:
        return items
    clusters = items.head(limit)["cluster"].unique()
    return items.filter(pl.col("cluster").is_in(clusters.implode()))


class _Scoring:
    """Loads a checkpoint when its first missing cell is scored, keeps the one in use, and counts."""

    def __init__(self, *, ask: Ask, progress: Progress, total: int) -> None:
        self.ask = ask
        self.progress = progress
        self.total = total
        self.done = 0
        self.scorer: Scorer | None = None

    def block(self, cell: Cell) -> pl.DataFrame:
        # torch and transformers take seconds to import; a request that is stored already never needs them.
        from xfer_bench.evaluation.evaluator import Scorer

        if self.scorer is None or self.scorer.checkpoint.path != cell.checkpoint.path:
            self.scorer = None  # let go of the weights in use before the next are loaded
            self.scorer = Scorer.load(cell.checkpoint, precision=self.ask.precision, batch_tokens=self.ask.batch_tokens)
        label = f"{cell.task.name} {cell.language} ({Path(cell.checkpoint.name).name})"
        before = self.done

        def advance(count: int) -> None:
            self.done += count
            self.progress(
                Update(
                    whole="evaluation",
                    finished=self.done,
                    pieces=self.total,
                    piece=label,
                    done=self.done - before,
                    total=cell.sequences,
                )
            )

        return self.scorer.block(
            cell.items, task=cell.task, split=self.ask.split, weights=cell.weights, advance=advance
        )


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads rows once a request, and says what is left out."""

    ask: Ask
    tasks: Mapping[str, Task]
    sources: Sources
    loaded: dict[str, dict[str, Rows]]
    skipped: list[str]

    def check(self) -> None:
        """Refuse tasks and languages that do not exist."""
        for name in self.ask.tasks:
            task = find(name, among=self.tasks)
            if not task.languages_of(self.ask.split):
                raise TaskError(f"{name} has no split {self.ask.split!r}; it has {', '.join(task.splits)}")
        considered = [task for task in self.tasks.values() if self._considered(task)]
        offered = dict.fromkeys(one for task in considered for one in task.languages_of(self.ask.split))
        if not offered:
            raise TaskError(f"no target has a split {self.ask.split!r}; name a task that has one")
        for language in self.ask.languages:
            if language not in offered:
                names = ", ".join(self.ask.tasks) or "any target"
                raise TaskError(f"no language {language!r} in {names}; there are {', '.join(offered)}")

    def fitting(self, checkpoint: Scorable) -> list[Task]:
        """The tasks asked for that this head fits; with none asked, its own targets, or every target at hand."""
        own = {run["target"] for run in (checkpoint.lineage or {}).get("runs", ())}
        chosen: list[Task] = []
        for task in self.tasks.values():
            if not self._considered(task):
                continue
            if task.format.head != checkpoint.head:
                if self.ask.tasks:
                    self.skipped.append(f"{checkpoint.name}: its {checkpoint.head} head does not fit {task.name}")
            elif self.ask.tasks or task.name in own or not (own or _embedded(task)):
                chosen.append(task)
        return chosen

    def rows(self, task: Task) -> dict[str, Rows]:
        """Rows by language. A language that was not asked for by name and cannot be had here is left out."""
        if task.name not in self.loaded:
            asked = self.ask.languages
            chosen = [one for one in task.languages_of(self.ask.split) if not asked or one in asked]
            if not chosen:
                self.skipped.append(f"{task.name} is in none of the languages asked for")
            if not (asked and self.ask.tasks):
                chosen = [language for language in chosen if self._at_hand(task, language)]
            self.loaded[task.name] = {
                language: self.sources.rows(task, language=language, split=self.ask.split) for language in chosen
            }
        return self.loaded[task.name]

    def _considered(self, task: Task) -> bool:
        return task.name in self.ask.tasks if self.ask.tasks else bool(task.settings)

    def _at_hand(self, task: Task, language: str) -> bool:
        place = self.sources.availability(task, self.ask.split, language=language)
        if place.startswith("unavailable"):
            self.skipped.append(f"{task.name} in {language} is {place}")
            return False
        return True


def _embedded(task: Task) -> bool:
    return all(part.repository in embedded.REPOSITORIES for part in task.parts)
