"""What is still to be scored of a checkpoint: its distinct sequences, the items that need them, and their answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from xfer_bench.evaluation.batching import Positions, Shelf
from xfer_bench.evaluation.blocks import STORED
from xfer_bench.evaluation.columns import Column
from xfer_bench.evaluation.evaluator import Piece, Scores
from xfer_bench.evaluation.tokens import Tokens
from xfer_bench.frames import conform

# Two scores of one item that lie closer than this are called a tie: other batches may add in another order. The
# answer is then still that of the higher score, and of the first where they are equal.
TIE = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some items of one column. positions: of the items in the column; tokens: of the whole column."""

    column: Column
    positions: Positions
    tokens: Tokens


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """Distinct sequences and who needs them.

    lengths, source, place: (distinct,) tokens of each, and the part and position in its tokens where it is found.
    owners, sequences: (uses,) an item, counted over all parts, and a distinct sequence; grouped by item, in the order
    of its candidates.
    """

    parts: tuple[Part, ...]
    lengths: Positions
    source: Positions
    place: Positions
    owners: Positions
    sequences: Positions

    @property
    def items(self) -> int:
        """How many items there are in all parts."""
        return sum(len(part.positions) for part in self.parts)

    def pieces(self, shelf: Shelf) -> tuple[Piece, ...]:
        """The shelf's batches as arrays."""
        return tuple(self._piece(batch) for batch in shelf.batches)

    def finished(self, done: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(items,) which items have all their sequences among the distinct ones that are done."""
        starts = np.flatnonzero(np.diff(self.owners, prepend=-1))
        return np.logical_and.reduceat(done[self.sequences], starts)

    def answers(
        self, chosen: NDArray[np.bool_], scores: Scores, *, order: Sequence[int], weights: str
    ) -> tuple[pl.DataFrame, int]:
        """STORED of the chosen items, part after part, and how many of them are ties.

        scores: (distinct, outputs). order: for each class the output that scores it; empty for multiple choice.
        """
        frames, ties, first = [], 0, 0
        for part in self.parts:
            size = len(part.positions)
            mine = np.zeros_like(chosen)
            mine[first : first + size] = chosen[first : first + size]
            first += size
            if mine.any():
                uses = mine[self.owners]
                counts = np.unique(self.owners[uses], return_counts=True)[1]
                frame, tied = _answers(
                    part, mine[first - size : first], scores[self.sequences[uses]], counts, order, weights
                )
                frames.append(frame)
                ties += tied
        return pl.concat(frames) if frames else pl.DataFrame(schema=STORED), ties

    def _piece(self, batch: Positions) -> Piece:
        ids, types = [], []
        for source, place in zip(self.source[batch].tolist(), self.place[batch].tolist(), strict=True):
            tokens = self.parts[source].tokens
            start, stop = tokens.offsets[place], tokens.offsets[place + 1]
            ids.append(tokens.values[start:stop])
            if tokens.types is not None:
                types.append(tokens.types[start:stop])
        return Piece(
            ids=np.concatenate(ids), lengths=self.lengths[batch], types=np.concatenate(types) if types else None
        )


def work_of(parts: Sequence[Part]) -> Work:
    """Find the distinct sequences of these parts; equal sequences are scored once, whatever asks for them."""
    owners, digests, lengths, source, place = [], [], [], [], []
    first = 0
    for number, part in enumerate(parts):
        tokens = part.tokens
        used = np.flatnonzero(np.isin(tokens.item, part.positions))
        owners.append(first + np.searchsorted(part.positions, tokens.item[used]))
        digests.append(tokens.digests[used])
        lengths.append(tokens.lengths[used])
        source.append(np.full(len(used), number))
        place.append(used)
        first += len(part.positions)
    # As strings, since numpy does not sort raw bytes; both are padded to one length, so equality is that of the bytes.
    marks = np.concatenate(digests).view("S16")
    _, kept, inverse = np.unique(marks, return_index=True, return_inverse=True)
    return Work(
        parts=tuple(parts),
        lengths=np.concatenate(lengths)[kept],
        source=np.concatenate(source)[kept],
        place=np.concatenate(place)[kept],
        owners=np.concatenate(owners),
        sequences=inverse.astype(np.int64),
    )


def _answers(
    part: Part, chosen: NDArray[np.bool_], scores: Scores, counts: Positions, order: Sequence[int], weights: str
) -> tuple[pl.DataFrame, int]:
    """scores: (uses, outputs) of the chosen items, grouped by item. counts: (chosen,) uses of each."""
    if order:
        flat, counts = scores[:, list(order)].ravel(), np.full(len(scores), len(order))
    else:
        flat = scores[:, 0]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    table = np.full((len(counts), int(counts.max())), -np.inf, dtype=np.float32)
    table[np.arange(table.shape[1]) < counts[:, None]] = flat
    highest = np.partition(table, -2, axis=1)[:, -2:] if table.shape[1] > 1 else table
    ties = int((highest[:, -1] - highest[:, 0] <= TIE).sum()) if table.shape[1] > 1 else 0
    lists: Any = pa.LargeListArray.from_arrays(offsets, pa.array(flat, pa.float32()))
    places = part.positions[chosen]
    column = part.column
    frame = column.rows[places].select("language", "item", "cluster", "label")
    return conform(
        frame.with_columns(
            column.digests.gather(places),
            weights=pl.lit(weights),
            task=pl.lit(column.task.name),
            variant=pl.lit(column.task.variant),
            split=pl.lit(column.split),
            prediction=pl.Series(table.argmax(axis=1), dtype=pl.Int32),
            scores=pl.Series(pl.from_arrow(lists)),
        ),
        STORED,
    ), ties
