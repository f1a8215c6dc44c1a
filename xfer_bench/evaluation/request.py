"""A request: checkpoints × tasks × languages, resolved into cells with their cache keys before anything is scored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from xfer_bench.digest import value_digest
from xfer_bench.errors import SourceError, TaskError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.digests import function_digest, scoring_source, weights_digest
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.lineage import labelled
from xfer_bench.models.labels import output_order
from xfer_bench.progress import Progress, Update
from xfer_bench.sources import embedded
from xfer_bench.sources.items import fingerprint
from xfer_bench.sources.source import Rows, Sources
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
    fit is skipped with its reason.
    """
    reader = _Reader(ask=ask, tasks=tasks, sources=sources, loaded={})
    cells: list[Cell] = []
    skipped: list[str] = []
    code = scoring_source()
    for checkpoint in checkpoints:
        if checkpoint.head is None:
            skipped.append(f"{checkpoint.name}: {checkpoint.reason}")
            continue
        weights = store.remembered(checkpoint.path, "weights", weights_digest)
        function = store.remembered(checkpoint.path, "function", function_digest)
        for task in reader.fitting(checkpoint, skipped):
            order = (
                output_order(checkpoint.id2label, task.format.labels, name=checkpoint.name)
                if task.format.labels
                else ()
            )
            for language, rows in reader.rows(task).items():
                if checkpoint.covers is not None and rows.fingerprint not in checkpoint.covers:
                    skipped.append(
                        f"{checkpoint.name}: its vocabulary was trimmed to other texts than {task.name} in {language}"
                    )
                    continue
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
    ask: Ask
    tasks: Mapping[str, Task]
    sources: Sources
    loaded: dict[str, dict[str, Rows]]

    def fitting(self, checkpoint: Scorable, skipped: list[str]) -> list[Task]:
        """The tasks asked for that this head fits; with none asked, its own targets, or every target at hand."""
        if self.ask.tasks:
            named = [self._named(name) for name in self.ask.tasks]
            skipped += [
                f"{checkpoint.name}: its {checkpoint.head} head does not fit {task.name}"
                for task in named
                if task.format.head != checkpoint.head
            ]
            return [task for task in named if task.format.head == checkpoint.head]
        own = {run["target"] for run in (checkpoint.lineage or {}).get("runs", ())}
        chosen = []
        for task in self.tasks.values():
            if not task.settings or task.format.head != checkpoint.head or (own and task.name not in own):
                continue
            if not own and task.parts[0].repository in embedded.REPOSITORIES:
                continue
            try:
                self.rows(task)
            except SourceError as error:
                skipped.append(f"{checkpoint.name}: {task.name} left out: {error}")
            else:
                chosen.append(task)
        return chosen

    def rows(self, task: Task) -> dict[str, Rows]:
        """Rows by language, read once a request."""
        if task.name not in self.loaded:
            offered = task.languages_of(self.ask.split)
            if not offered:
                raise TaskError(f"{task.name} has no split {self.ask.split!r}; it has {', '.join(task.splits)}")
            chosen = [language for language in self.ask.languages if language in offered] or list(offered)
            unknown = [language for language in self.ask.languages if language not in offered]
            if unknown and (self.ask.tasks or not self._known_anywhere(unknown[0])):
                raise TaskError(f"{task.name} has no language {unknown[0]!r}; it has {', '.join(offered)}")
            self.loaded[task.name] = {
                language: self.sources.rows(task, language=language, split=self.ask.split) for language in chosen
            }
        return self.loaded[task.name]

    def _known_anywhere(self, language: str) -> bool:
        return any(task.settings and language in task.languages for task in self.tasks.values())

    def _named(self, name: str) -> Task:
        if name not in self.tasks:
            raise TaskError(f"no task named {name!r}; choose one of {', '.join(sorted(self.tasks))}")
        return self.tasks[name]
