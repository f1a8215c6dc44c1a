"""Sequences of different lengths one after another in one row of tokens, sorted so that equal lengths lie together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Run:
    """Neighbouring sequences of one length.

    start: their first token. first: the first of the sequences. count: how many there are. length: tokens of each.
    """

    start: int
    first: int
    count: int
    length: int

    @property
    def tokens(self) -> slice:
        """Where the run's tokens lie."""
        return slice(self.start, self.start + self.count * self.length)

    @property
    def sequences(self) -> slice:
        """Where the run's sequences lie."""
        return slice(self.first, self.first + self.count)

    def parts(self, count: int) -> Iterator["Run"]:
        """The run in pieces of at most so many sequences."""
        for begin in range(0, self.count, count):
            yield Run(
                start=self.start + begin * self.length,
                first=self.first + begin,
                count=min(count, self.count - begin),
                length=self.length,
            )


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of tokens, all tensors on the model's device.

    ids: (tokens,) int64. type_ids: (tokens,) or None. lengths: tokens of each sequence. runs: the sequences, grouped.
    firsts: (sequences,) position of each sequence's first token. bounds: (sequences + 1,) int32, those and the end.
    owners: (tokens,) the sequence of each token. places: (tokens,) its place in the sequence, from 0.
    """

    ids: torch.Tensor
    type_ids: torch.Tensor | None
    lengths: tuple[int, ...]
    runs: tuple[Run, ...]
    firsts: torch.Tensor
    bounds: torch.Tensor
    owners: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(cls, ids: torch.Tensor, type_ids: torch.Tensor | None, lengths: Sequence[int]) -> "Row":
        """The row of these tokens, on their device; neighbours of equal length become one run."""
        counts = np.asarray(lengths, dtype=np.int64)
        firsts = np.cumsum(counts) - counts
        owners = np.repeat(np.arange(len(counts)), counts)
        places = np.arange(int(counts.sum())) - np.repeat(firsts, counts)

        def moved(values: NDArray[np.int64] | NDArray[np.int32]) -> torch.Tensor:
            return torch.from_numpy(values).to(ids.device, non_blocking=True)

        return cls(
            ids=ids,
            type_ids=type_ids,
            lengths=tuple(lengths),
            runs=tuple(_runs(lengths)),
            firsts=moved(firsts),
            bounds=moved(np.append(firsts, counts.sum()).astype(np.int32)),
            owners=moved(owners),
            places=moved(places),
        )


def longest_first(lengths: Sequence[int]) -> list[int]:
    """The sequences in an order that brings equal lengths together."""
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


def token_order(lengths: Sequence[int], order: Sequence[int]) -> torch.Tensor:
    """(tokens,) int64: which token comes where when the sequences of these lengths are put into `order`."""
    counts = np.asarray(lengths, dtype=np.int64)
    chosen = np.asarray(order, dtype=np.int64)
    starts, sizes = (np.cumsum(counts) - counts)[chosen], counts[chosen]
    shift = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return torch.from_numpy(shift + np.arange(len(shift)))


def evenly_cut(lengths: Sequence[int], parts: int) -> list[int]:
    """Where to cut the sequences into neighbouring parts of about equally many tokens: parts + 1 boundaries."""
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
    goals = ends[-1] * np.arange(1, parts) / parts
    middles = ends - np.asarray(lengths) / 2
    return [0, *(int(cut) for cut in np.searchsorted(middles, goals)), len(lengths)]


def _runs(lengths: Sequence[int]) -> list[Run]:
    runs: list[Run] = []
    start = first = 0
    for index in range(1, len(lengths) + 1):
        if index == len(lengths) or lengths[index] != lengths[first]:
            count = index - first
            runs.append(Run(start=start, first=first, count=count, length=lengths[first]))
            start += count * lengths[first]
            first = index
    return runs
