"""How much of the differences between points would come back with other items, and what that does to a correlation."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError
from xfer_bench.stats.association import associate
from xfer_bench.stats.bootstrap import Floats, Numbers

SPLIT_HALVES = "split halves"
BINOMIAL = "binomial error"


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The share (0-1) of the variance between points that is not noise of items; None where there is none.

    Below nought where points differ less than their noise alone would make them: shown as it comes out. method: how
    it was found. Seeds are no part of it: a point is these weights on all possible items.
    """

    value: float | None
    method: str
    n_points: int
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A correlation as it would be without noise in either side; None where that cannot be said.

    over_one: above 1 or below -1, which no correlation is: the reliabilities are too uncertain to correct with.
    low, high: an interval over items; None where items are not all that was drawn.
    """

    r: float | None
    low: float | None = None
    high: float | None = None
    over_one: bool = False
    reason: str = ""


def spearman_brown(r: float, *, factor: float = 2) -> float:
    """The reliability of a test `factor` times as long as one of reliability r: k r / (1 + (k - 1) r).

    Spearman, British Journal of Psychology 3, 1910; Brown, the same volume.
    """
    below = 1 + (factor - 1) * r
    if factor <= 0 or below <= 0:
        raise ResultsError(f"no test is {factor:g} times as long as one of reliability {r:g}")
    return factor * r / below


def split_half(sums: Numbers, sizes: Numbers, *, splits: int = 500, seed: int = 0) -> Reliability:
    """The reliability of the means of several points over the same clusters of items.

    sums: (clusters, points), each cluster's total at each point; sizes: (clusters,), items in each. A point may be a
    difference, as a gain is.

    The clusters are halved at random, the points' means in one half are correlated with those in the other (Pearson),
    and the mean r over `splits` halvings is stepped up to the full length by `spearman_brown`. The mean comes first:
    a single r near -1 would be stepped up beyond all bounds. None with fewer than 3 points or 2 clusters, and where
    points do not differ.
    """
    if sums.ndim != 2 or sizes.shape != sums.shape[:1]:
        raise ResultsError(f"halves need (clusters, points) and (clusters,); got {sums.shape} and {sizes.shape}")
    if splits < 1 or seed < 0:
        raise ResultsError(f"halves need 1 split at least and a seed from 0; got {splits} and {seed}")
    clusters, points = sums.shape
    nothing = Reliability(value=None, method=SPLIT_HALVES, n_points=points)
    if points < 3 or clusters < 2:
        return _without(nothing, f"{points} points over {clusters} clusters are too few; it needs 3 over 2")
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, clusters])))
    order = generator.permuted(np.tile(np.arange(clusters), (splits, 1)), axis=1)
    chosen = (order < clusters // 2).astype(np.float64)
    halves = [(part @ sums) / (part @ sizes)[:, None] for part in (chosen, 1 - chosen)]
    r = associate(halves[0], halves[1])
    if np.isnan(r).all():
        return _without(nothing, "the points do not differ")
    mean = float(np.nanmean(r))
    if mean <= -1 + 1e-9:
        return _without(nothing, "the halves contradict each other throughout")
    return Reliability(value=spearman_brown(mean), method=SPLIT_HALVES, n_points=points)


def reliability_from_errors(values: npt.ArrayLike, error_variances: npt.ArrayLike) -> Reliability:
    """The reliability of points (points,) with known error variances (points,), in the square of their unit.

    1 - mean error variance / variance of the points (n - 1 below): observed variance is true variance and error
    variance (Lord and Novick, Statistical Theories of Mental Test Scores, 1968, 3.3). None with fewer than 3 points,
    and where points do not differ.
    """
    x, errors = np.asarray(values, dtype=np.float64), np.asarray(error_variances, dtype=np.float64)
    if x.ndim != 1 or x.shape != errors.shape:
        raise ResultsError(f"each point needs one error variance; got {x.shape} and {errors.shape}")
    nothing = Reliability(value=None, method=BINOMIAL, n_points=len(x))
    if len(x) < 3:
        return _without(nothing, f"{len(x)} points are too few; it needs 3")
    if np.ptp(x) == 0:
        return _without(nothing, "the points do not differ")
    return Reliability(value=float(1 - errors.mean() / x.var(ddof=1)), method=BINOMIAL, n_points=len(x))


def binomial_variance(accuracy: Floats, items: Numbers, *, scale: Floats | float = 1.0) -> Floats:
    """The error variance of accuracies in points (0-100) on so many independent items: (points,), squared points.

    p (1 - p) / n, times the square of `scale`, by which an accuracy becomes a measure.
    """
    share = np.asarray(accuracy, dtype=np.float64) / 100
    return np.asarray(100**2 * share * (1 - share) / items * np.square(scale), dtype=np.float64)


def corrected(r: float | None, x: Reliability, y: Reliability) -> Corrected:
    """r without the noise of items in x and y: r / sqrt(reliability of x * reliability of y).

    Spearman, American Journal of Psychology 15, 1904. For Pearson's r; the noise of x and that of y are independent.
    """
    if r is None:
        return Corrected(r=None, reason="there is no r")
    product = 1.0
    for name, side in (("intermediate measures", x), ("target gains", y)):
        if side.value is None:
            return Corrected(r=None, reason=f"the reliability of the {name} is unknown: {side.reason}")
        if side.value <= 0:
            return Corrected(r=None, reason=f"the {name} differ by no more than the noise of items")
        product *= side.value
    value = float(r / np.sqrt(product))
    return Corrected(r=value, over_one=abs(value) > 1)


def noise_stretch(y: Floats, draws: Floats) -> Floats:
    """By what each resample's Pearson r with y is to be multiplied to be one without the noise in y: (resamples,).

    y: (points,); draws: (resamples, points), y over resampled items.

    sqrt(s* / (s* - 2 v)), where s* is the variance between points in a resample, and v that of the noise: a resample
    has the noise of the data and once more as much of its own. v is the mean variance between points of what a
    resample adds, so that noise which all points share does not count. Infinite where no variance but noise is left.
    """
    noise = (draws - y).var(axis=1, ddof=1).mean()
    spread = draws.var(axis=1, ddof=1)
    true = spread - 2 * noise
    ratio: Floats = np.divide(spread, true, out=np.full_like(spread, np.inf), where=true > 0)
    return np.asarray(np.sqrt(ratio))


def _without(nothing: Reliability, reason: str) -> Reliability:
    return Reliability(value=None, method=nothing.method, n_points=nothing.n_points, reason=reason)
