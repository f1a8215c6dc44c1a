"""The clustered permutation test: what would be seen if the two systems' labels meant nothing."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers

_BLOCK_BYTES = 1 << 25
# Permutations that share a generator, and that are multiplied at once where rounding could matter.
_GROUP = 64
# The bootstrap's generators have the same keys; counting from elsewhere, these give other numbers.
_COUNTER = (0, 0, 0, 1)
_MOST_ENUMERATED = 16
_EXACT_IN_FLOAT32 = 1 << 24
_EXACT_IN_FLOAT64 = 1 << 53
_ROUNDING = 1e-12
_SEEDS = 1 << 64


def permutation_p(sums: Numbers, *, resamples: int, seed: int, block: int | None = None) -> Floats:
    """Two-sided p-value of each column for the hypothesis that two systems are exchangeable: (columns,), fractions.

    sums: (clusters, columns), each cluster's total of the paired differences in each column.
    block: about how many permutations are computed at once; by default as many as fit into about 32 MB.

    Swapping the two systems' labels in a cluster flips the sign of its total, in all columns at once. The statistic is
    the total over clusters (the mean, but for a constant), and p = (1 + #{|T*| >= |T|}) / (B + 1), never below
    1 / (B + 1) (Phipson and Smyth, Permutation P-values Should Never Be Zero, 2010; Dror et al., ACL 2018, 3.3). A
    column in which k clusters differ from nought, k at most 16 and 2^k at most `resamples`, goes through all 2^k flips
    instead: p = #{|T*| >= |T|} / 2^k, exactly. Identical systems give 1.

    Flips depend on the seed and the number of clusters alone, not on `block` or on the other columns. Whole numbers
    are added exactly; of others, totals that differ by rounding count as equal. Raises ResultsError for shapes or
    numbers that make no sense.
    """
    values = _checked(sums, resamples=resamples, seed=seed)
    differing = np.count_nonzero(values, axis=0)
    few = (differing <= _MOST_ENUMERATED) & (1 << np.minimum(differing, _MOST_ENUMERATED) <= resamples)
    p = np.ones(values.shape[1])
    for place in np.flatnonzero(few):
        p[place] = _exact_p(values[:, place])
    others = values[:, ~few]
    if others.shape[1]:
        bound = _bound(others)
        extreme = np.zeros(others.shape[1], dtype=np.int64)
        for totals in _flipped_totals(others, resamples=resamples, seed=seed, block=block):
            extreme += (np.abs(totals) >= bound).sum(axis=0)
        p[~few] = (1 + extreme) / (resamples + 1)
    return p


def permutation_max_t(sums: Numbers, *, resamples: int, seed: int, block: int | None = None) -> Floats:
    """p-values of all columns as one family, adjusted by the largest statistic: (columns,), fractions.

    sums, block: as in `permutation_p`. Each column's |T| over the root of its sum of squares (the standard deviation
    of T under flips) is compared with the largest such value among all columns under the same flips: single-step
    max-T (Westfall and Young, Resampling-Based Multiple Testing, 1993, 2.3). Holds the chance of any false alarm
    where all columns' differences may be flipped together: one pair of systems in many languages or on average; with
    several arms against one baseline it does so as the clusters grow many. Identical systems give 1.
    """
    values = _checked(sums, resamples=resamples, seed=seed)
    p = np.ones(values.shape[1])
    moving = values.any(axis=0)
    if moving.any():
        some = values[:, moving]
        scale = np.sqrt((some**2).sum(axis=0))
        bound = np.abs(some.sum(axis=0)) / scale * (1 - _ROUNDING)
        largest = np.concatenate(
            [
                (np.abs(totals) / scale).max(axis=1)
                for totals in _flipped_totals(some, resamples=resamples, seed=seed, block=block)
            ]
        )
        largest.sort()
        p[moving] = (1 + resamples - np.searchsorted(largest, bound)) / (resamples + 1)
    return p


def _exact_p(column: Floats) -> float:
    """All flips of one column's clusters that are not nought."""
    chosen = np.zeros(1)
    for value in column[column != 0]:
        chosen = np.concatenate([chosen, chosen + value])
    return float(np.mean(np.abs(column.sum() - 2 * chosen) >= _bound(column[:, None])[0]))


def _bound(values: Floats) -> Floats:
    """From where on a total is as extreme as the one observed: a little below it where numbers are rounded."""
    observed = np.abs(values.sum(axis=0))
    if _exact_type(values) is not None:
        return np.asarray(observed)
    return np.asarray(observed - _ROUNDING * np.abs(values).sum(axis=0))


def _flipped_totals(values: Floats, *, resamples: int, seed: int, block: int | None) -> Iterator[Floats]:
    """The columns' totals under flipped signs, (some, columns) at a time."""
    clusters, columns = values.shape
    exact = _exact_type(values)
    factor: Numbers = values.astype(exact or np.float64)
    groups = max(1, (block or _BLOCK_BYTES // (4 * max(clusters, 4 * columns))) // _GROUP)
    observed = values.sum(axis=0)
    for start in range(0, resamples, groups * _GROUP):
        stop = min(start + groups * _GROUP, resamples)
        flips = [_flips(seed, group, clusters) for group in range(start // _GROUP, -(-stop // _GROUP))]
        if exact:
            flipped: Numbers = np.concatenate(flips).astype(exact) @ factor
        else:
            # Products of other than whole numbers depend on how many rows go in at once, so each group goes in whole.
            flipped = np.concatenate([some.astype(np.float64) @ factor for some in flips])
        yield observed - 2 * flipped[: stop - start].astype(np.float64)


def _flips(seed: int, group: int, clusters: int) -> npt.NDArray[np.uint8]:
    """(group, clusters): 1 where the labels are swapped."""
    key = np.array([seed, group], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=np.array(_COUNTER, dtype=np.uint64)))
    drawn = generator.integers(256, size=(_GROUP, -(-clusters // 8)), dtype=np.uint8)
    return np.unpackbits(drawn, axis=1, count=clusters)


def _exact_type(values: Floats) -> type[np.float32] | type[np.float64] | None:
    """The smallest type in which any partial total is exact, so that the order of adding cannot matter."""
    if not np.array_equal(values, np.rint(values)):
        return None
    largest = float(np.abs(values).sum(axis=0).max(initial=0))
    if largest < _EXACT_IN_FLOAT32:
        return np.float32
    return np.float64 if largest < _EXACT_IN_FLOAT64 else None


def _checked(sums: Numbers, *, resamples: int, seed: int) -> Floats:
    values = np.asarray(sums, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise ResultsError(f"a permutation test needs (clusters, columns), at least one cluster; got {values.shape}")
    if not np.isfinite(values).all():
        raise ResultsError("a permutation test needs numbers; some differences are NaN or infinite")
    if resamples < 1:
        raise ResultsError(f"{resamples} resamples are too few; at least 1, and 10000 for a paper")
    if not 0 <= seed < _SEEDS:
        raise ResultsError(f"a seed of {seed} is no seed; use a whole number from 0 to 2**64 - 1")
    return values
