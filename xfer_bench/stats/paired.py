"""Two systems on the same items."""

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Numbers, cluster_sums, p_value, percentile_interval, resample_means
from xfer_bench.stats.estimates import Estimate


def paired_test(
    a: Numbers,
    b: Numbers,
    *,
    clusters: Numbers | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """How many points `a` is above `b`, with a percentile interval and a two-sided p-value.

    a, b: 1 where the system was right and 0 where it was wrong; (items,), or (items, languages) for parallel items,
        whose translations are then drawn together and averaged.
    clusters: (items,) labels of what is drawn as one; by default each item alone.

    Raises ResultsError for other numbers, or shapes that do not fit.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape or first.ndim not in {1, 2} or not first.size:
        raise ResultsError(
            f"a paired test needs two systems on the same items, (items,) or (items, languages); got {first.shape} "
            f"and {second.shape}"
        )
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise ResultsError("a paired test needs 1 for right and 0 for wrong; other numbers were given")
    labels = np.arange(len(first)) if clusters is None else np.asarray(clusters)
    if labels.shape != first.shape[:1]:
        raise ResultsError(f"the clusters need one label per item; got {labels.shape} for {len(first)} items")
    difference = (first.astype(np.int64) - second.astype(np.int64)).reshape(len(first), -1)
    n_languages = difference.shape[1]
    sums, sizes = cluster_sums(difference.sum(axis=1, keepdims=True), labels)
    draws = resample_means(sums, sizes, resamples=resamples, seed=seed) / n_languages
    observed = sums.sum(axis=0) / sizes.sum() / n_languages
    low, high = percentile_interval(draws, level=level)
    return Estimate(
        value=float(100 * observed[0]),
        low=float(100 * low[0]),
        high=float(100 * high[0]),
        level=level,
        n_items=len(first),
        n_clusters=len(sizes),
        resamples=resamples,
        p_value=float(p_value(draws, observed)[0]),
    )
