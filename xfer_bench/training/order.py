"""Which item is seen when: decided before the first step, by the seed alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xfer_bench.shares import quotas

_WINDOW = 50  # batches among which items of like length are put together


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is seen.

    examples: in all, the last batch being incomplete where batch_size does not divide them; steps: at most.
    tokens: the first batch that reaches so many is the last one; None for any number.
    """

    batch_size: int
    examples: int
    steps: int
    tokens: int | None = None


def order_of(lengths: Sequence[Sequence[int]], shares: Sequence[float], amount: Amount, *, seed: int) -> list[int]:
    """Which item is seen when, over all epochs: positions in the parts' items one after the other.

    lengths: tokens of each item of each part. shares: of the batches, by part; every batch comes from one part, each
    part has its share of them to within one batch, and they come in random order.
    Because the whole order is a function of the seed, an interrupted stage goes on with exactly the items that an
    uninterrupted one would see.
    """
    batches = list(_batches(lengths, shares, amount, seed))
    order = [item for batch in batches for item in batch]
    return order[: amount.examples] if amount.tokens is None else order


def _batches(
    lengths: Sequence[Sequence[int]], shares: Sequence[float], amount: Amount, seed: int
) -> Iterator[list[int]]:
    size = amount.batch_size
    steps = min(amount.steps, -(-amount.examples // size))
    streams = [_stream(part, size, seed=seed) for part in lengths]
    starts = np.cumsum([0, *map(len, lengths)])[:-1].tolist()
    flat = np.concatenate([np.asarray(part, dtype=np.int64) for part in lengths])
    tokens = 0
    for part in _turns(shares, steps, seed=seed):
        batch = [starts[part] + next(streams[part]) for _ in range(size)]
        yield batch
        tokens += int(flat[batch].sum())
        if amount.tokens is not None and tokens >= amount.tokens:
            return


def _turns(shares: Sequence[float], steps: int, *, seed: int) -> list[int]:
    """Which part each batch comes from."""
    if len(shares) == 1:
        return [0] * steps
    every = np.repeat(np.arange(len(shares)), quotas(shares, steps))
    # A stream of its own: the parts' items come in the order that they have alone.
    turns: list[int] = np.random.default_rng([seed, len(shares)]).permutation(every).tolist()
    return turns


def _stream(lengths: Sequence[int], batch_size: int, *, seed: int) -> Iterator[int]:
    """A part's items, epoch after epoch, without end.

    Every epoch is a new shuffle in which items of like length share a batch, within windows of 50 batches, and the
    batches come in random order.
    """
    rng = np.random.default_rng(seed)
    size = np.asarray(lengths)
    while True:
        shuffled = rng.permutation(len(size))
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(shuffled), _WINDOW * batch_size):
            window = shuffled[start : start + _WINDOW * batch_size]
            alike = window[np.argsort(-size[window], kind="stable")]
            batches += [alike[first : first + batch_size] for first in range(0, len(alike), batch_size)]
        whole = [batch for batch in batches if len(batch) == batch_size]
        rest = [batch for batch in batches if len(batch) < batch_size]
        for position in rng.permutation(len(whole)):
            yield from whole[position].tolist()
        # The incomplete batch goes last, so that the others stay together.
        for batch in rest:
            yield from batch.tolist()
