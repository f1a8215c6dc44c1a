"""The bootstrap of one mean over clusters of equal size, whatever their number."""

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers, check_draws, generator_of

# Of all streams of a seed the last: the others belong to `resample_means`.
_STREAM = (1 << 64) - 1


def multinomial_means(sums: Numbers, sizes: Numbers, *, resamples: int, seed: int) -> Floats:
    """Means of resampled clusters of one column: (resamples,).

    sums: (clusters,), each cluster's total. sizes: (clusters,), each cluster's number of items, all the same.

    Where clusters are of one size, it only matters how often each distinct total is drawn, and these numbers are a
    multinomial draw with the totals' shares in the data (Efron, The Jackknife, the Bootstrap and Other Resampling
    Plans, 1982, 5.1): exactly the distribution that `resample_means` draws from, at a cost that depends on the number
    of distinct totals alone once they are counted. The draws depend on the seed, the totals and their numbers, not
    on the clusters' order; those of -x are minus those of x, save where both are equally distributed. Raises
    ResultsError when sizes differ, and for shapes or numbers that make no sense.
    """
    check_draws(resamples=resamples, seed=seed)
    if sums.ndim != 1 or sizes.shape != sums.shape or not len(sums):
        raise ResultsError(
            f"one mean needs (clusters,) and (clusters,), at least one cluster; got {sums.shape} and {sizes.shape}"
        )
    size = float(sizes[0])
    if not size > 0 or not (sizes == sizes[0]).all():
        raise ResultsError(
            f"the multinomial bootstrap needs clusters of one size; got sizes from {sizes.min()} to {sizes.max()}: "
            "use resample_means"
        )
    totals, counts = _distinct(sums)
    mirrored = (*-totals[::-1], *counts[::-1]) > (*totals, *counts)
    if mirrored:
        totals, counts = -totals[::-1], counts[::-1]
    drawn = generator_of(seed, _STREAM).multinomial(len(sums), counts / len(sums), size=resamples)
    means = drawn @ totals / (len(sums) * size)
    return -means if mirrored else means


def _distinct(sums: Numbers) -> tuple[Floats, Numbers]:
    """The distinct totals in order, and how many clusters have each."""
    if not np.isfinite(sums).all():
        raise ResultsError("the bootstrap needs numbers; some outcomes are NaN or infinite")
    totals, counts = np.unique(sums, return_counts=True)
    return totals.astype(np.float64), counts
