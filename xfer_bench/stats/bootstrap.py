"""The cluster bootstrap: resampled means as a matrix product, percentile intervals and p-values."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError

Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[Any]

_BLOCK_BYTES = 1 << 25
# Resamples that share a generator: making one for each would cost more than the draws.
_GROUP = 64
_EXACT_IN_FLOAT32 = 1 << 24
_EXACT_IN_FLOAT64 = 1 << 53
_SEEDS = 1 << 64


def resample_means(sums: Numbers, sizes: Numbers, *, resamples: int, seed: int, block: int | None = None) -> Floats:
    """Means of resampled clusters, drawn jointly for all columns: (resamples, columns).

    sums: (clusters, columns), each cluster's total in each column; a column is a system, a language, a difference.
    sizes: (clusters,), each cluster's number of items.
    block: about how many resamples are computed at once; by default as many as fit into 32 MB.

    In each resample as many clusters as there are get drawn with replacement, and the mean is the sum of their
    `sums` over the sum of their `sizes` (Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8).
    Each sixty-four resamples have a generator of their own, keyed by the seed and their number, so the draws depend
    on the seed and the number of clusters alone: not on `block`, on threads, or on what else is computed; two calls
    over the same clusters draw the same ones. The result is the same bit for bit for any block size. Raises
    ResultsError for shapes or numbers that make no sense.
    """
    _check(sums, sizes, resamples=resamples, seed=seed)
    clusters = len(sums)
    together = np.column_stack([sums, sizes])
    exact = _exact_type(together)
    values = together.astype(exact or np.float64)
    groups = max(1, (block or _BLOCK_BYTES // (4 * clusters)) // _GROUP)
    means = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, groups * _GROUP):
        stop = min(start + groups * _GROUP, resamples)
        drawn = _counts(seed, start, stop, clusters, dtype=values.dtype)
        # Products of other than whole numbers depend on how many rows go in at once, so these go in one by one.
        totals = drawn @ values if exact else np.stack([row @ values for row in drawn])
        means[start:stop] = totals[:, :-1] / totals[:, -1:].astype(np.float64)
    return means


def percentile_interval(draws: Floats, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """The percentile interval of each column of (resamples, columns): (low, high), each (columns,).

    Both ends are taken in the same way from their own side, so that the interval of -x is exactly the mirror image.
    """
    if not 0 < level < 1:
        raise ResultsError(f"a level of {level} is no level; it lies between 0 and 1, as 0.95 does")
    tail = (1 - level) / 2
    return np.quantile(draws, tail, axis=0), -np.quantile(-draws, tail, axis=0)


def p_value(draws: Floats, observed: Floats) -> Floats:
    """Two-sided bootstrap p-value of each column for the hypothesis that its value is nought: (columns,).

    (1 + #{|g* - g| >= |g|}) / (B + 1): the centred bootstrap distribution stands for that of the null (Davison and
    Hinkley, 1997, 4.4). Never below 1 / (B + 1); 1 for identical systems.
    """
    extreme = np.abs(draws - observed) >= np.abs(observed)
    return np.asarray((1 + extreme.sum(axis=0)) / (len(draws) + 1), dtype=np.float64)


def cluster_sums(values: Numbers, clusters: Numbers) -> tuple[Numbers, Numbers]:
    """Totals per cluster of (items, columns), and the clusters' sizes: (clusters, columns) and (clusters,).

    clusters: (items,), any labels; the clusters come out in their labels' order.
    """
    _, position = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(position)
    sums = np.zeros((len(sizes), values.shape[1]), dtype=np.float64)
    np.add.at(sums, position, values)
    return sums, sizes


def _counts(seed: int, start: int, stop: int, clusters: int, *, dtype: npt.DTypeLike) -> Numbers:
    """How often each cluster is drawn in the resamples from `start`, a multiple of the group, to `stop`."""
    counts = np.empty((-(-(stop - start) // _GROUP), _GROUP, clusters), dtype=dtype)
    for place in range(len(counts)):
        counts[place] = _group_counts(seed, start // _GROUP + place, clusters)
    return counts.reshape(-1, clusters)[: stop - start]


def _group_counts(seed: int, group: int, clusters: int) -> npt.NDArray[np.intp]:
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, group], dtype=np.uint64)))
    small = np.uint16 if clusters <= np.iinfo(np.uint16).max else np.uint32
    drawn = generator.integers(clusters, size=(_GROUP, clusters), dtype=small).astype(np.intp)
    # Resample r counts in its own stretch of one long count.
    drawn += np.arange(_GROUP)[:, None] * clusters
    return np.bincount(drawn.ravel(), minlength=_GROUP * clusters).reshape(_GROUP, clusters)


def _exact_type(sums: Numbers) -> type[np.float32] | type[np.float64] | None:
    """The smallest type in which sums of whole numbers are exact, so that the order of adding cannot matter."""
    if not np.array_equal(sums, np.rint(sums)):
        return None
    largest = len(sums) * float(np.abs(sums).max(initial=0))
    if largest < _EXACT_IN_FLOAT32:
        return np.float32
    return np.float64 if largest < _EXACT_IN_FLOAT64 else None


def _check(sums: Numbers, sizes: Numbers, *, resamples: int, seed: int) -> None:
    if sums.ndim != 2 or sizes.shape != sums.shape[:1] or not len(sizes):
        raise ResultsError(
            f"the bootstrap needs (clusters, columns) and (clusters,), at least one cluster; got {sums.shape} "
            f"and {sizes.shape}"
        )
    if not np.isfinite(sums).all():
        raise ResultsError("the bootstrap needs numbers; some outcomes are NaN or infinite")
    if not (sizes > 0).all():
        raise ResultsError("every cluster needs at least one item; some have none")
    if resamples < 1:
        raise ResultsError(f"{resamples} resamples are too few; at least 1, and 10000 for a paper")
    if not 0 <= seed < _SEEDS:
        raise ResultsError(f"a seed of {seed} is no seed; use a whole number from 0 to 2**64 - 1")
