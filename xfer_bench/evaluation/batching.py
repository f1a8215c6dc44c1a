"""Sequences of like length share a batch, under a budget of tokens; batches are scored shelf by shelf.

A shelf is as much work as is finished, and may be stored, at once: some items with all their sequences. Which items
share a shelf, and which sequences a batch, depends on the lengths and the budget alone, so one device and several do
the same sums. A resumed evaluation batches what is left, which may differ in the last digits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shelf:
    """batches: positions of sequences, longest first. tokens: how many they have; padded: with padding."""

    batches: tuple[Positions, ...]
    tokens: int
    padded: int


def length_sorted(lengths: Sequence[int] | NDArray[np.int64], *, budget: int) -> list[list[int]]:
    """Positions in `lengths`, longest first, in batches of at most `budget` tokens, padding included.

    A single sequence beyond the budget is a batch of its own.
    """
    known = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-known, kind="stable").tolist()
    batches: list[list[int]] = []
    for index in order:
        if batches and int(known[batches[-1][0]]) * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def shelves(
    lengths: NDArray[np.int64], owners: NDArray[np.int64], sequences: NDArray[np.int64], *, budget: int, tokens: int
) -> list[Shelf]:
    """All sequences, each once, on shelves of about this many tokens.

    lengths: (sequences,) of the distinct sequences. owners, sequences: (uses,) an item and a sequence that it needs,
    grouped by item. Items come in the order of their longest sequence, so those of an item lie on the shelf where
    its last one lies, or before it.
    """
    longest = np.zeros(int(owners.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(longest, owners, lengths[sequences])
    uses = np.argsort(-longest[owners], kind="stable")
    # A sequence that several items need is scored with the first of them.
    ordered = sequences[uses]
    first = np.sort(np.unique(ordered, return_index=True)[1])
    ordered, needed_by = ordered[first], owners[uses][first]
    ends = np.cumsum(lengths[ordered])
    cut: list[Shelf] = []
    start = 0
    while start < len(ordered):
        reached = (ends[start - 1] if start else 0) + tokens
        stop = max(start + 1, int(np.searchsorted(ends, reached, side="right")))
        while stop < len(ordered) and needed_by[stop] == needed_by[stop - 1]:
            stop += 1
        cut.append(_shelf(ordered[start:stop], lengths, budget))
        start = stop
    return cut


def _shelf(chosen: Positions, lengths: NDArray[np.int64], budget: int) -> Shelf:
    own = lengths[chosen]
    batches = tuple(chosen[batch] for batch in length_sorted(own, budget=budget))
    return Shelf(
        batches=batches,
        tokens=int(own.sum()),
        padded=sum(int(lengths[batch[0]]) * len(batch) for batch in batches),
    )
