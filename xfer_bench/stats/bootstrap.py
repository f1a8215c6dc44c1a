"""The cluster bootstrap: resampled means as a matrix product, percentile intervals and p-values."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError

Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[Any]
Part = TypeVar("Part")

_BLOCK_BYTES = 1 << 24
_COUNTS_BYTES = 1 << 26
# Columns whose draws are looked at together: few enough to stay in a core's cache.
_PART_BYTES = 1 << 21
# Resamples that share a generator: making one for each would cost more than the draws.
_GROUP = 64
_EXACT_BITS_IN_FLOAT32 = 24
_EXACT_BITS_IN_FLOAT64 = 53
_SEEDS = 1 << 64
# Draws this near to each other, relatively, differ by rounding alone.
_TIE = 1e-9


def resample_means(
    sums: Numbers, sizes: Numbers, *, resamples: int, seed: int, block: int | None = None, threads: int | None = None
) -> Floats:
    """Means of resampled clusters, drawn jointly for all columns: (resamples, columns).

    sums: (clusters, columns), each cluster's total in each column; a column is a system, a language, a difference.
    sizes: (clusters,), each cluster's number of items.
    block: about how many resamples are computed at once; by default as many as fit into 16 MB.
    threads: how many draw; by default as many as there are cores, or OMP_NUM_THREADS. The product has BLAS's own.

    In each resample as many clusters as there are get drawn with replacement, and the mean is the sum of their
    `sums` over the sum of their `sizes` (Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8).
    Each sixty-four resamples have a generator of their own, keyed by the seed and their number, so the draws depend
    on the seed and the number of clusters alone: two calls over the same clusters draw the same ones. Sums of whole
    numbers are exact, so the result is the same bit for bit whatever the block, the threads, BLAS, and the other
    columns. Fractions are first rounded to about 2**-52 of the column's largest total, number of clusters times
    largest entry, and are then as exact. The result lies column by column in memory (Fortran's order). Raises
    ResultsError for shapes or numbers that make no sense.
    """
    _check(sums, sizes, resamples=resamples, seed=seed)
    values, powers = _whole_rows(sums, sizes)
    means = np.empty((len(values) - 1, resamples))
    rows = max(1, block or _BLOCK_BYTES // (values.itemsize * len(sizes)))
    weights = np.empty((min(rows, resamples), len(sizes)), dtype=values.dtype)
    stop = 0
    for counts in _counts(seed, len(sizes), resamples=resamples, threads=threads):
        for place in range(0, len(counts), rows):
            some = weights[: len(counts) - place]
            some[:] = counts[place : place + rows]
            totals = values @ some.T
            start, stop = stop, stop + len(some)
            np.divide(totals[:-1], totals[-1], out=means[:, start:stop], dtype=np.float64)
    if powers.any():
        np.ldexp(means, (powers[-1] - powers[:-1])[:, None], out=means)
    return means.T


def percentile_interval(draws: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """The percentile interval of each column of (resamples, columns): (low, high), each (columns,).

    Both ends are taken in the same way from their own side, so that the interval of -x is exactly the mirror image.
    An end between two draws is interpolated (Hyndman and Fan, The American Statistician 1996, definition 7). Raises
    ResultsError for a level that is none, and for draws that are NaN or infinite.
    """
    check_level(level)
    parts = by_columns(lambda rows: np.stack(_percentiles(rows, level)), draws)
    low, high = np.concatenate(parts, axis=1)
    return low.reshape(draws.shape[1:]), high.reshape(draws.shape[1:])


def p_value(draws: Floats, observed: Floats, *, differing: Numbers | None = None) -> Floats:
    """Two-sided bootstrap p-value of each column for the hypothesis that its value is nought: (columns,).

    (1 + #{|g* - g| >= |g|}) / (B + 1): the centred bootstrap distribution stands for that of the null (Davison and
    Hinkley, 1997, 4.4). Never below 1 / (B + 1); 1 for identical systems. Equal up to rounding counts as equal.

    differing: (columns,), how many of the clusters that were drawn from are not nought; p is then never below
        `smallest_p` of them either. Draws do not tell how many there were, and those from few are far too narrow:
        without this, 3 clusters that agree have 1 / (B + 1).
    """
    parts = by_columns(_p_values, draws, np.broadcast_to(observed, draws.shape[1:]))
    p = np.asarray(np.concatenate(parts).reshape(draws.shape[1:]), dtype=np.float64)
    return p if differing is None else np.maximum(p, smallest_p(differing))


def differing_clusters(sums: Numbers) -> Numbers:
    """How many clusters' sums of (clusters, columns) are not nought: (columns,), as `p_value` takes them."""
    return np.asarray(np.count_nonzero(sums, axis=0))


def smallest_p(differing: Numbers | int) -> Floats:
    """The smallest two-sided p-value that so many independent differences can give: 2**(1 - differing), 1 at most.

    It is that of the sign-flip permutation test (Fisher, The Design of Experiments, 1935, 21): under the null
    hypothesis each cluster's difference is as likely to have the other sign, so that of all 2**differing flips of signs
    2 at least are as extreme as what was seen; clusters without a difference tell nothing. 1 for one, 0.0625 for five;
    from 15 on below what 10,000 resamples tell apart, so that usual numbers feel nothing of it.
    """
    return np.asarray(np.minimum(1.0, np.exp2(1.0 - differing)))


def cluster_sums(values: Numbers, clusters: Numbers) -> tuple[Numbers, Numbers]:
    """Totals per cluster of (items, columns), and the clusters' sizes: (clusters, columns) and (clusters,).

    clusters: (items,), any labels; the clusters come out in their labels' order. Raises ResultsError when there are
    not as many labels as items.
    """
    if len(values) != len(clusters):
        raise ResultsError(f"the clusters need one label per item; got {len(clusters)} for {len(values)} items")
    _, position = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(position)
    order = np.argsort(position, kind="stable")
    return np.add.reduceat(values[order], np.cumsum(sizes) - sizes, axis=0, dtype=np.float64), sizes


def by_columns(work: Callable[..., Part], draws: Floats, *beside: Numbers) -> list[Part]:
    """What `work` gives for the first few columns of (resamples, columns), for the next few, and so on, in threads.

    work: called with (columns, resamples), a copy that it may overwrite, and the same columns of each of `beside`,
        (columns,). Raises ResultsError when there are no draws.
    """
    if not len(draws):
        raise ResultsError("no draws; an interval or a p-value needs at least 1 resample")
    rows = draws.reshape(len(draws), -1).T
    others = [other.reshape(-1) for other in beside]
    step = max(1, _PART_BYTES // (8 * len(draws)))

    def one(start: int) -> Part:
        copied = np.array(rows[start : start + step], dtype=np.float64, order="C")
        return work(copied, *(other[start : start + step] for other in others))

    starts = range(0, max(1, len(rows)), step)
    if len(starts) == 1:
        return [one(0)]
    with ThreadPoolExecutor(_cores()) as pool:
        return list(pool.map(one, starts))


def check_level(level: float) -> None:
    """Refuse what is no confidence level, with a ResultsError."""
    if not 0 < level < 1:
        raise ResultsError(f"a level of {level} is no level; it lies between 0 and 1, as 0.95 does")


def generator_of(seed: int, stream: int) -> np.random.Generator:
    """The generator of one stream of a seed (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011)."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)))


def check_draws(*, resamples: int, seed: int) -> None:
    """Refuse numbers of resamples and seeds that are none, with a ResultsError."""
    if resamples < 1:
        raise ResultsError(f"{resamples} resamples are too few; at least 1, and 10000 for a paper")
    if not 0 <= seed < _SEEDS:
        raise ResultsError(f"a seed of {seed} is no seed; use a whole number from 0 to 2**64 - 1")


def _counts(seed: int, clusters: int, *, resamples: int, threads: int | None) -> Iterator[npt.NDArray[np.uint8]]:
    """How often each cluster is drawn, (rows, clusters), for some resamples after others, each time in one memory.

    Drawing much at once lets BLAS's threads go to sleep, which after a product go on turning for a while and would
    take the cores from the threads that draw. A byte suffices: that one of n clusters is drawn 256 times among n has
    a probability of at most n / 256!, below 10**-490.
    """
    rows = max(1, _COUNTS_BYTES // clusters)
    counts = np.empty((min(rows, resamples), clusters), dtype=np.uint8)
    if rows < _GROUP:
        drawn = chain.from_iterable(_draws(seed, group, clusters) for group in count())
        for start in range(0, resamples, rows):
            yield _fill(counts[: resamples - start], drawn)
        return
    rows -= rows % _GROUP
    with ThreadPoolExecutor(threads or _cores()) as pool:
        for start in range(0, resamples, rows):
            block = counts[: min(rows, resamples - start)]
            parts = [block[place : place + _GROUP] for place in range(0, len(block), _GROUP)]
            groups = (_draws(seed, group, clusters) for group in count(start // _GROUP))
            list(pool.map(_fill, parts, groups))
            yield block


def _fill(counts: npt.NDArray[np.uint8], drawn: Iterator[Numbers]) -> npt.NDArray[np.uint8]:
    # One resample after another, so that what is counted stays in the cache.
    for row, clusters in zip(counts, drawn, strict=False):
        row[:] = np.bincount(clusters, minlength=len(row))
    return counts


def _draws(seed: int, group: int, clusters: int) -> Iterator[Numbers]:
    """The clusters that each resample of a group draws."""
    generator = generator_of(seed, group)
    if clusters <= np.iinfo(np.uint16).max:
        yield from generator.integers(clusters, size=(_GROUP, clusters), dtype=np.uint16)
        return
    for _ in range(_GROUP):
        yield generator.integers(clusters, size=clusters, dtype=np.uint32)


def _whole_rows(sums: Numbers, sizes: Numbers) -> tuple[Numbers, npt.NDArray[np.intc]]:
    """Columns and, last, sizes, as rows of whole numbers of which every sum is exact: (columns + 1, clusters).

    And by which power of two each row was multiplied for that: 0 for whole numbers of which sums are exact anyway.
    """
    parts = [sums, sizes[:, None]]
    largest = np.concatenate(
        [np.abs([part.max(axis=0), part.min(axis=0)], dtype=np.float64).max(axis=0) for part in parts]
    )
    whole = np.concatenate([_are_whole(part) for part in parts])
    bits = np.frexp(len(sums))[1] + np.frexp(largest)[1]
    powers = np.where(whole & (bits <= _EXACT_BITS_IN_FLOAT64), np.intc(0), _EXACT_BITS_IN_FLOAT64 - 1 - bits)
    narrow = whole.all() and bits.max() <= _EXACT_BITS_IN_FLOAT32
    rows = np.empty((len(powers), len(sizes)), dtype=np.float32 if narrow else np.float64)
    rows[:-1] = sums.T
    rows[-1] = sizes
    if powers.any():
        np.rint(np.ldexp(rows, powers[:, None]), out=rows)
    return rows, powers


def _are_whole(columns: Numbers) -> npt.NDArray[np.bool_]:
    if columns.dtype.kind in "biu":
        return np.ones(columns.shape[1], dtype=np.bool_)
    return np.asarray((columns == np.rint(columns)).all(axis=0))


def _percentiles(rows: Floats, level: float) -> tuple[Floats, Floats]:
    """Both ends for each of (columns, resamples), whose order changes."""
    if not np.isfinite(rows).all():
        raise ResultsError("an interval needs numbers; some draws are NaN or infinite")
    last = rows.shape[1] - 1
    place, share = divmod(last * (1 - level) / 2, 1)
    above = min(int(place) + 1, last)
    # One place at a time: numpy does that several times faster than four places at once.
    rows.partition(above, axis=1)
    low = _between(rows[:, : max(above, 1)].max(axis=1), rows[:, above], share)
    below = last - above
    rows.partition(below, axis=1)
    high = -_between(-rows[:, min(below + 1, last) :].min(axis=1), -rows[:, below], share)
    return low, high


def _between(first: Floats, second: Floats, share: float) -> Floats:
    return first + (second - first) * share if share < 0.5 else second - (second - first) * (1 - share)


def _p_values(rows: Floats, observed: Floats) -> Floats:
    far = np.abs(rows - observed[:, None])
    # What is no number counts as the null hypothesis'.
    extreme = ~(far < (np.abs(observed) * (1 - _TIE))[:, None])
    return np.asarray((1 + extreme.sum(axis=1)) / (rows.shape[1] + 1), dtype=np.float64)


def _cores() -> int:
    """How many threads this process may run at once."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told):
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check(sums: Numbers, sizes: Numbers, *, resamples: int, seed: int) -> None:
    if sums.ndim != 2 or sizes.shape != sums.shape[:1] or not len(sizes):
        raise ResultsError(
            f"the bootstrap needs (clusters, columns) and (clusters,), at least one cluster; got {sums.shape} "
            f"and {sizes.shape}"
        )
    if not (np.isfinite(sums).all() and np.isfinite(sizes).all()):
        raise ResultsError("the bootstrap needs numbers; some outcomes or sizes are NaN or infinite")
    if not (sizes > 0).all():
        raise ResultsError("every cluster needs at least one item; some have none")
    check_draws(resamples=resamples, seed=seed)
