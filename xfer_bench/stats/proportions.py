"""Intervals for one accuracy from its counts alone, over independent items."""

from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers

Counts: TypeAlias = Numbers | int


def wilson(right: Counts, n: Counts, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's score interval of an accuracy, in points: (low, high), of the shape of `right` and `n` together.

    right, n: right answers and items, whole numbers or arrays of them. The accuracies p with |right/n - p| at most z
    of p's own standard errors (Wilson, Journal of the American Statistical Association 22, 1927; recommended by Brown,
    Cai and DasGupta, Statistical Science 16, 2001). Covers `level` on average over accuracies. Items count as
    independent: for items in clusters it is too narrow, and the bootstrap over clusters is not. Raises ResultsError for
    counts that are none.
    """
    hits, items = _counts(right, n, level=level)
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = hits / items
    middle = (share + z2 / (2 * items)) / (1 + z2 / items)
    half = np.sqrt(z2 * (share * (1 - share) / items + z2 / (4 * items**2))) / (1 + z2 / items)
    # All wrong and all right end at 0 and 100 but for rounding.
    low = np.where(hits == 0, 0.0, 100 * (middle - half))
    return low, np.where(hits == items, 100.0, 100 * (middle + half))


def clopper_pearson(right: Counts, n: Counts, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """The exact interval of an accuracy, in points: (low, high), of the shape of `right` and `n` together.

    right, n: as in `wilson`. The accuracies that neither one-sided binomial test at (1 - level) / 2 rejects (Clopper
    and Pearson, Biometrika 26, 1934), as quantiles of beta distributions. Covers at least `level` whatever the
    accuracy, and so is wider than need be. Items count as independent. Raises ResultsError for counts that are none.
    """
    from scipy.special import betaincinv

    hits, items = _counts(right, n, level=level)
    tail = (1 - level) / 2
    # At an edge one shape would be nought; a harmless one stands in for it.
    low = np.where(hits == 0, 0.0, betaincinv(np.maximum(hits, 1), items - hits + 1, tail))
    high = np.where(hits == items, 1.0, betaincinv(hits + 1, np.maximum(items - hits, 1), 1 - tail))
    return 100 * low, 100 * high


def _counts(right: Counts, n: Counts, *, level: float) -> tuple[Floats, Floats]:
    hits, items = np.broadcast_arrays(np.asarray(right, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if not 0 < level < 1:
        raise ResultsError(f"a level of {level} is no level; it lies between 0 and 1, as 0.95 does")
    if not (np.isfinite(hits).all() and np.isfinite(items).all()):
        raise ResultsError("an interval needs counts; some are NaN or infinite")
    if not (items >= 1).all():
        raise ResultsError("an accuracy needs at least one item; some cells have none")
    if not ((hits >= 0) & (hits <= items) & (hits == np.rint(hits)) & (items == np.rint(items))).all():
        raise ResultsError("right answers and items are counted: whole numbers, from 0 right to all items right")
    return hits, items
