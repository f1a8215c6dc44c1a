"""Score a request: checkpoint by checkpoint, what is missing of it, committed every few seconds."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import polars as pl
from transformers import PreTrainedTokenizerBase

from xfer_bench.errors import CacheError
from xfer_bench.evaluation.batching import Positions, shelves
from xfer_bench.evaluation.blocks import Sealed
from xfer_bench.evaluation.budgets import CPU_TOKENS, Budget, budget_for
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column
from xfer_bench.evaluation.digests import scoring_source
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.engines import Engine, Here, engine_for
from xfer_bench.evaluation.evaluator import Scores, devices_of
from xfer_bench.evaluation.identity import Identity, check_unchanged
from xfer_bench.evaluation.known import Known
from xfer_bench.evaluation.request import Cell
from xfer_bench.evaluation.tokens import Encoded, tokens_of
from xfer_bench.evaluation.work import Part, Work, work_of
from xfer_bench.models.encoding import encode
from xfer_bench.models.labels import output_order
from xfer_bench.models.loading import config_of, longest, tokenizer_of
from xfer_bench.models.precision import Precision
from xfer_bench.progress import Progress, Update

# A kill loses what was scored since the last commit: about this many seconds of it.
COMMIT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the scoring of one checkpoint took.

    sequences, distinct: asked for, and scored, since equal ones are scored once. tokens, padded: of the distinct
    ones, without and with padding. ties: items whose two highest scores are closer than `work.TIE`. seconds: of
    scoring alone; loading: waited for weights; all: everything, writing included.
    """

    checkpoint: str
    precision: str
    path: str
    reason: str
    sequences: int
    distinct: int
    tokens: int
    padded: int
    ties: int
    seconds: float
    loading: float
    all: float


@dataclass(kw_only=True)
class Scoring:
    """Scores what is missing. What is finished when an interrupt or an error gets through is in the store.

    total: sequences to be scored in all, for the progress. batch_tokens: tokens of a batch, padding included, or
    None to find it. devices: as `devices_of` takes it.
    """

    store: PredictionStore
    progress: Progress
    total: int
    batch_tokens: int | None = None
    devices: str = "auto"
    accounts: list[Account] = field(default_factory=list)
    _engines: dict[Precision, Engine] = field(default_factory=dict)
    _done: int = 0

    def score(self, cells: Sequence[Cell], *, following: Cell | None = None) -> None:
        """Score what is missing of these cells of one checkpoint and one scorer, and put it into the store.

        following: a cell of the checkpoint that will be asked for next, whose weights may load meanwhile.
        Raises CheckpointError when the checkpoint cannot be scored, CacheError when the store cannot be written.
        """
        began = time.monotonic()
        cell = cells[0]
        known = Known(self.store.blocks.load(cell.scorer))
        todo = [(one.column, rows) for one in cells if (rows := known.rows(one.column))["prediction"].null_count()]
        if not todo:
            return  # A checkpoint with equal weights, or another process, has scored it meanwhile.
        encoder = _Encoder(cell.checkpoint, cell.identity, self.store)
        wanted = zip(todo, _unscored([rows for _, rows in todo]), strict=True)
        work = work_of([encoder.part(column, chosen) for (column, _), chosen in wanted if chosen.any()])
        engine = self._engine(cell.precision)
        waiting = time.monotonic()
        engine.begin(cell.checkpoint)
        check_unchanged(cell.checkpoint, cell.identity)
        waiting = time.monotonic() - waiting
        if following is not None and following.precision == cell.precision:
            engine.announce(following.checkpoint)
        run = _Run(cell=cell, work=work, store=self.store, advance=partial(self._advance, cell))
        budget = budget_for(
            cell.checkpoint,
            self.store,
            precision=cell.precision,
            wanted=self.batch_tokens,
            devices=devices_of(self.devices),
        )
        run.through(engine, budget)
        with self.store.failing_as_one_line():
            _seal(self.store, cell.scorer, todo, run.rows())
        self._done += len(work.sequences)
        facts = engine.facts()
        budget.learn(self.store, tokens=run.tokens, seconds=run.seconds, largest=facts.largest)
        self.accounts.append(
            Account(
                checkpoint=cell.checkpoint.name,
                precision=cell.precision,
                path=facts.path,
                reason=facts.reason,
                sequences=len(work.sequences),
                distinct=len(work.lengths),
                tokens=run.tokens,
                padded=run.padded,
                ties=run.ties,
                seconds=run.seconds,
                loading=waiting,
                all=time.monotonic() - began,
            )
        )

    def close(self) -> None:
        """Let go of the devices."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    def _engine(self, precision: Precision) -> Engine:
        if precision not in self._engines:
            self.close()
            self._engines[precision] = engine_for(devices_of(self.devices), precision)
        return self._engines[precision]

    def _advance(self, cell: Cell, done: int, total: int) -> None:
        self.progress(
            Update(
                whole="evaluation",
                finished=min(self._done + done, self.total),
                pieces=self.total,
                piece=Path(cell.checkpoint.name).name,
                done=done,
                total=total,
            )
        )


class _Run:
    """One checkpoint's work on its way through the engine, committed every few seconds."""

    def __init__(self, *, cell: Cell, work: Work, store: PredictionStore, advance: Callable[[int, int], None]) -> None:
        self.cell = cell
        self.work = work
        self.store = store
        self.advance = advance
        self.tokens = self.padded = self.ties = 0
        self.seconds = 0.0
        self._scores: Scores | None = None
        self._done = np.zeros(len(work.lengths), dtype=np.bool_)
        self._taken = np.zeros(work.items, dtype=np.bool_)
        self._frames: list[pl.DataFrame] = []
        self._committed = 0
        self._last = time.monotonic()
        self._order = _order(cell.checkpoint, cell.column)

    def through(self, engine: Engine, budget: Budget) -> None:
        """Score all of it. Raises CheckpointError, CacheError."""
        work = self.work
        cut = shelves(work.lengths, work.owners, work.sequences, budget=budget.tokens, tokens=budget.shelf)
        self._last = began = time.monotonic()
        self.advance(0, len(work.lengths))
        try:
            for number, scores in engine.scores(map(work.pieces, cut)):
                shelf = cut[number]
                self._take(np.concatenate(shelf.batches), scores)
                self.tokens += shelf.tokens
                self.padded += shelf.padded
                self.advance(int(self._done.sum()), len(work.lengths))
                if time.monotonic() - self._last > COMMIT_SECONDS:
                    self._commit()
        except BaseException:
            # Whatever stopped it, an interrupt or the next sequence's error: what is finished is not lost.
            with suppress(CacheError):
                self._commit()
            raise
        self.seconds = time.monotonic() - began
        self._gather()

    def rows(self) -> pl.DataFrame:
        """STORED of all items."""
        return pl.concat(self._frames)

    def _take(self, sequences: Positions, scores: Scores) -> None:
        if self._scores is None:
            self._scores = np.full((len(self._done), scores.shape[1]), np.nan, dtype=np.float32)
        self._scores[sequences] = scores
        self._done[sequences] = True

    def _gather(self) -> None:
        """Turn what is finished since the last time into rows."""
        if self._scores is None:
            return
        new = self.work.finished(self._done) & ~self._taken
        rows, ties = self.work.answers(new, self._scores, order=self._order, weights=self.cell.identity.weights)
        self._frames.append(rows)
        self._taken |= new
        self.ties += ties

    def _commit(self) -> None:
        self._gather()
        rows = pl.concat(self._frames[self._committed :]) if self._frames[self._committed :] else pl.DataFrame()
        if rows.height:
            with self.store.failing_as_one_line():
                self.store.blocks.add(self.cell.scorer, rows, code=scoring_source())
        self._committed = len(self._frames)
        self._last = time.monotonic()


class _Encoder:
    """Tokens of columns, with the tokenizer loaded only when some column's are not stored."""

    def __init__(self, checkpoint: Scorable, identity: Identity, store: PredictionStore) -> None:
        self.checkpoint = checkpoint
        self.identity = identity
        self.store = store
        self._tokenizer: PreTrainedTokenizerBase | None = None

    def part(self, column: Column, chosen: pl.Series) -> Part:
        """The chosen items of a column, with its tokens."""
        tokens = tokens_of(column, identity=self.identity.tokens, store=self.store, encode=self._encode)
        return Part(column=column, positions=np.flatnonzero(chosen.to_numpy()), tokens=tokens)

    def _encode(self, column: Column) -> Encoded:
        if self._tokenizer is None:
            self._tokenizer = tokenizer_of(self.checkpoint.tokenizer)
        limit = longest(config_of(self.checkpoint.configuration), self._tokenizer)
        sequences = encode(column.rows, self._tokenizer, max_length=limit)
        # These tokens serve every checkpoint with this tokenizer: not under its name if it was another one by now.
        check_unchanged(self.checkpoint, self.identity)
        return Encoded(
            items=np.repeat(np.arange(column.items), sequences.counts).tolist(),
            ids=sequences.input_ids,
            types=sequences.type_ids,
            truncated=sequences.truncated,
        )


def _unscored(columns: Sequence[pl.DataFrame]) -> list[pl.Series]:
    """Which rows of each column are to be scored: a row that two variants of a task share only for the first."""
    asked = pl.concat([rows.select("row", "prediction") for rows in columns])
    first = asked.select(pl.col("prediction").is_null() & pl.col("row").is_first_distinct()).to_series()
    starts = [0, *accumulate(rows.height for rows in columns)]
    return [first[start:stop] for start, stop in pairwise(starts)]


def _seal(
    store: PredictionStore, scorer: str, columns: Sequence[tuple[Column, pl.DataFrame]], new: pl.DataFrame
) -> None:
    """Put columns that are now complete into one block that holds them whole, and drop the pieces that it replaces."""
    before = store.blocks.load(scorer)
    frames, sealed, start = [], [], 0
    for column, old in columns:
        held = old.filter(pl.col("prediction").is_not_null())
        rows = column.digests.to_frame("row").join(
            pl.concat([held, new]).unique("row", keep="first"), on="row", how="left", maintain_order="left"
        )
        frames.append(rows)
        sealed.append(
            Sealed(
                task=column.task.name,
                variant=column.task.variant,
                split=column.split,
                language=column.language,
                fingerprint=column.fingerprint,
                start=start,
                height=rows.height,
            )
        )
        start += rows.height
    whole = pl.concat(frames)
    path = store.blocks.add(scorer, whole, code=scoring_source(), sealed=sealed)
    replaced = [
        block.path
        for block in before
        if not block.sealed and block.path != path and block.frame()["row"].is_in(whole["row"].implode()).all()
    ]
    store.blocks.remove(replaced)


def sample(
    checkpoint: Scorable, identity: Identity, columns: Sequence[Column], store: PredictionStore, *, each: int
) -> Work:
    """About `each` items of every column, spread over it, as work."""
    encoder = _Encoder(checkpoint, identity, store)
    chosen = [np.linspace(0, column.items - 1, min(each, column.items)).astype(np.int64) for column in columns]
    masks = [pl.int_range(one.items, eager=True).is_in(place) for one, place in zip(columns, chosen, strict=True)]
    return work_of([encoder.part(column, mask) for column, mask in zip(columns, masks, strict=True)])


def answers(checkpoint: Scorable, identity: Identity, work: Work, *, precision: Precision, device: str) -> pl.DataFrame:
    """STORED of some work, scored here and now and not stored. Raises CheckpointError."""
    engine = Here(device, precision)
    engine.begin(checkpoint)
    check_unchanged(checkpoint, identity)
    cut = shelves(work.lengths, work.owners, work.sequences, budget=CPU_TOKENS, tokens=1 << 40)
    ((_, first),) = engine.scores(map(work.pieces, cut))
    engine.close()
    table = np.empty_like(first)
    table[np.concatenate(cut[0].batches)] = first
    everything = np.ones(work.items, dtype=np.bool_)
    return work.answers(everything, table, order=_order(checkpoint, work.parts[0].column), weights=identity.weights)[0]


def _order(checkpoint: Scorable, column: Column) -> tuple[int, ...]:
    labels = column.task.format.labels
    return output_order(checkpoint.id2label, labels, name=checkpoint.name) if labels else ()
