"""Intervals and p-values from draws: percentile, basic, BCa, simultaneous, and those of all pairs of systems."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import (
    Floats,
    Numbers,
    by_columns,
    check_level,
    p_value,
    percentile_interval,
    smallest_p,
)

Method: TypeAlias = Literal["percentile", "basic", "bca"]

METHODS: tuple[Method, ...] = ("percentile", "basic", "bca")

_BATCH_BYTES = 1 << 24
# Relative to a column's largest draw: what is nearer than this differs by rounding alone.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class PairDifference:
    """System `after` minus system `before`, both places among the systems.

    value, low, high, p_value: (columns,), one for each language, say; the first three in the unit of the draws.
    """

    after: int
    before: int
    value: Floats
    low: Floats
    high: Floats
    p_value: Floats


def interval(
    draws: Floats, observed: Floats, *, method: Method, level: float = 0.95, jackknife: Floats | None = None
) -> tuple[Floats, Floats]:
    """The bootstrap interval of each column: (low, high), each (columns,), in the unit of the draws.

    draws: (resamples, columns). observed: (columns,), the values in the data themselves.
    method: `percentile`, `basic` (also called the reverse percentile: the percentile interval mirrored at the
        observed value; Davison and Hinkley, Bootstrap Methods and their Application, 1997, 5.2), or `bca`, corrected
        for bias and skewness (Efron, Journal of the American Statistical Association 1987; as in Efron and
        Tibshirani, An Introduction to the Bootstrap, 1993, 14.3, draws equal to the observed value counted half).
    jackknife: (clusters, columns) from `jackknife_means`, which `bca` needs.

    A column without variation gets an interval without width. Raises ResultsError for another method, for `bca`
    without a jackknife, for shapes that do not fit, and for draws that are NaN or infinite.
    """
    _check(draws, observed, method=method, jackknife=jackknife)
    if method == "bca":
        return _bca(draws, observed, _acceleration(jackknife), level=level)
    low, high = percentile_interval(draws, level=level)
    return (low, high) if method == "percentile" else (2 * observed - high, 2 * observed - low)


def p_by_inversion(
    draws: Floats,
    observed: Floats,
    *,
    method: Method = "percentile",
    jackknife: Floats | None = None,
    differing: Numbers | None = None,
) -> Floats:
    """Two-sided p-value of each column at which its interval just excludes nought: (columns,).

    Parameters as for `interval`; differing: how many clusters are not nought, as `bootstrap.p_value` takes it. For the
    percentile interval it is 2 min(1 + #{g* <= 0}, 1 + #{g* >= 0}) / (B + 1) and 1 at most (Davison and Hinkley, 1997,
    4.4 and 5.3); for the basic one the same with 2 g - g* for g*; for BCa the tail of the corrected interval that ends
    at nought. Never nought; 1 for identical systems; of few clusters never below `bootstrap.smallest_p`, which their
    far too narrow interval does not know. Raises ResultsError as `interval` does.
    """
    _check(draws, observed, method=method, jackknife=jackknife)
    nought = 2 * observed if method == "basic" else np.zeros_like(observed, dtype=np.float64)
    below, equal = _counts_around(draws, nought)
    n_draws = len(draws)
    upper = (1 + below + equal) / (n_draws + 1)
    lower = (1 + n_draws - below) / (n_draws + 1)
    if method == "bca":
        from scipy.special import ndtr, ndtri

        bias, acceleration = _bias(draws, observed), _acceleration(jackknife)
        largest = 1 - 0.5 / (n_draws + 1)
        upper = ndtr(_uncorrected(ndtri(np.minimum(upper, largest)), bias, acceleration))
        lower = ndtr(-_uncorrected(-ndtri(np.minimum(lower, largest)), bias, acceleration))
    p = np.minimum(1.0, 2 * np.minimum(upper, lower))
    return np.asarray(p if differing is None else np.maximum(p, smallest_p(differing)))


def jackknife_means(sums: Numbers, sizes: Numbers) -> Floats:
    """The means without each cluster in turn: (clusters, columns).

    sums: (clusters, columns); sizes: (clusters,), as `resample_means` takes them. A mean of means (over languages,
    say) divides these as it divides the draws. Raises ResultsError for fewer than two clusters.
    """
    if sums.ndim != 2 or sizes.shape != sums.shape[:1]:
        raise ResultsError(
            f"the jackknife needs (clusters, columns) and (clusters,); got {sums.shape} and {sizes.shape}"
        )
    if len(sizes) < 2:
        raise ResultsError(
            f"BCa leaves out each cluster of items in turn, which needs at least two clusters; got {len(sizes)}: score "
            "more items, or ask for the percentile interval"
        )
    totals = np.ascontiguousarray(sums.T).sum(axis=1, dtype=np.float64)
    return np.asarray((totals - sums) / (sizes.sum(dtype=np.float64) - sizes)[:, None])


def simultaneous(draws: Floats, observed: Floats, *, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Intervals that hold for all columns at once, and adjusted p-values: (low, high, adjusted_p), each (columns,).

    draws: (resamples, columns), drawn jointly. observed: (columns,).

    With s the standard deviation of a column's draws, t* = |g* - g| / s, and M* the largest t* of a resample over
    the columns, the intervals are g -/+ c s with c the level's quantile of M*, and p = (1 + #{M* >= |g| / s}) /
    (B + 1), the single-step max-t adjustment, which holds however the columns depend on each other (Westfall and
    Young, Resampling-Based Multiple Testing, 1993, 2.6; Hothorn, Bretz and Westfall, Biometrical Journal 2008). An
    interval excludes nought just where the adjusted p is at most 1 - level. Columns without variation do not count
    among the others and get no width, with p = 1 where they are nought and 1 / (B + 1) elsewhere.

    Raises ResultsError for too few resamples for the level, for shapes that do not fit, and for draws that are NaN
    or infinite.
    """
    _check(draws, observed, method="percentile", jackknife=None)
    check_level(level)
    n_draws = len(draws)
    # The quantile as the interval and the p-value agree on it; rounding must not push 0.95 * 10,000 up by one.
    rank = int(np.ceil(level * (n_draws + 1) - 1e-9))
    if rank > n_draws:
        raise ResultsError(
            f"{n_draws} resamples are too few for simultaneous intervals at level {level:g}; use at least "
            f"{int(np.ceil(level / (1 - level) - 1e-9))}"
        )
    spread = np.concatenate(by_columns(_spread, draws))
    varies = spread > 0
    scale = np.where(varies, spread, np.inf)
    largest = np.sort(np.maximum.reduce(by_columns(_largest_t, draws, observed, scale)))
    critical = largest[rank - 1]
    t = np.where(varies, np.abs(observed) / scale, np.where(observed == 0, 0, np.inf))
    # Equal up to rounding counts as equal, here and in the other p-values.
    reached = n_draws - np.searchsorted(largest, t * (1 - 1e-9))
    return observed - critical * spread, observed + critical * spread, (1 + reached) / (n_draws + 1)


def pair_differences(
    draws: Floats, observed: Floats, *, pairs: Sequence[tuple[int, int]] | None = None, level: float = 0.95
) -> Iterator[PairDifference]:
    """Differences of pairs of systems with percentile intervals and the bootstrap's p-values, one pair after another.

    draws: (resamples, systems, columns) of one joint draw, in which the difference of two drawn means is the drawn
        mean of the difference. observed: (systems, columns).
    pairs: (after, before) places; by default every two systems once, the earlier minus the later.

    However many pairs, memory for a few of them is taken. Raises ResultsError for shapes that do not fit.
    """
    check_level(level)
    if draws.ndim != 3 or observed.shape != draws.shape[1:]:
        raise ResultsError(
            "pairs need draws (resamples, systems, columns) and what was observed (systems, columns); got "
            f"{draws.shape} and {observed.shape}"
        )
    chosen = list(combinations(range(len(observed)), 2)) if pairs is None else pairs
    return _pair_differences(draws, observed, chosen, level)


def _pair_differences(
    draws: Floats, observed: Floats, pairs: Sequence[tuple[int, int]], level: float
) -> Iterator[PairDifference]:
    n_draws, _, n_columns = draws.shape
    at_once = max(1, _BATCH_BYTES // (8 * n_draws * max(1, n_columns)))
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        # Column by column in memory, as quantiles are taken.
        rows = np.stack([(draws[:, after] - draws[:, before]).T for after, before in batch])
        series = np.moveaxis(rows, -1, 0)
        values = np.stack([observed[after] - observed[before] for after, before in batch])
        low, high = percentile_interval(series, level=level)
        p = p_value(series, values)
        for place, (after, before) in enumerate(batch):
            yield PairDifference(
                after=after, before=before, value=values[place], low=low[place], high=high[place], p_value=p[place]
            )


def _bca(draws: Floats, observed: Floats, acceleration: Floats, *, level: float) -> tuple[Floats, Floats]:
    from scipy.special import ndtr, ndtri

    check_level(level)
    bias = _bias(draws, observed)
    tail = ndtri((1 - level) / 2)
    shares = [ndtr(_corrected(z, bias, acceleration)) for z in (tail, -tail)]
    low, high = np.concatenate(by_columns(_quantiles, draws, *shares), axis=1)
    return low, high


def _corrected(z: float, bias: Floats, acceleration: Floats) -> Floats:
    """Where among the draws BCa's interval ends for the tail at z, as a normal quantile (1993, 14.10)."""
    return bias + (bias + z) / np.maximum(1 - acceleration * (bias + z), _ROUNDING)


def _uncorrected(corrected: Floats, bias: Floats, acceleration: Floats) -> Floats:
    """The z of which `_corrected` makes this."""
    moved = corrected - bias
    return moved / np.maximum(1 + acceleration * moved, _ROUNDING) - bias


def _bias(draws: Floats, observed: Floats) -> Floats:
    """BCa's z0. A share of nought or one would be infinite, and is taken for half a draw."""
    from scipy.special import ndtri

    below, equal = _counts_around(draws, observed)
    half = 0.5 / len(draws)
    return np.asarray(ndtri(np.clip((below + equal / 2) / len(draws), half, 1 - half)))


def _acceleration(jackknife: Floats | None) -> Floats:
    """BCa's a (1993, 14.15); 0 where nothing varies."""
    assert jackknife is not None
    # Row by row, so that a column's sum does not depend on how many there are.
    rows = np.ascontiguousarray(jackknife.T)
    from_mean = rows.mean(axis=1, keepdims=True) - rows
    squares = np.square(from_mean).sum(axis=1)
    # Differences by rounding alone have no skewness.
    flat = np.abs(from_mean).max(axis=1) <= _ROUNDING * np.abs(rows).max(axis=1)
    return np.asarray(np.where(flat, 0, (from_mean**3).sum(axis=1) / (6 * np.where(flat, 1, squares) ** 1.5)))


def _counts_around(draws: Floats, values: Floats) -> tuple[Floats, Floats]:
    """How many draws of each column are below its value, and how many equal it up to rounding."""

    def around(rows: Floats, value: Floats) -> Floats:
        distance = rows - value[:, None]
        rounding = (_ROUNDING * np.abs(rows).max(axis=1))[:, None]
        return np.stack([(distance < -rounding).sum(axis=1), (np.abs(distance) <= rounding).sum(axis=1)])

    below, equal = np.concatenate(by_columns(around, draws, values), axis=1)
    return below, equal


def _quantiles(rows: Floats, *shares: Floats) -> Floats:
    """One quantile of its own for each of (columns, resamples), for each of the `shares`; interpolated."""
    rows.sort(axis=1)
    last = rows.shape[1] - 1
    columns = np.arange(len(rows))
    ends = []
    for share in shares:
        place = np.minimum((last * share).astype(np.intp), max(last - 1, 0))
        first, second = rows[columns, place], rows[columns, np.minimum(place + 1, last)]
        ends.append(first + (second - first) * (last * share - place))
    return np.stack(ends)


def _spread(rows: Floats) -> Floats:
    """The standard deviation of each of (columns, resamples); exactly 0 where draws differ by rounding alone."""
    flat = np.ptp(rows, axis=1) <= _ROUNDING * np.abs(rows).max(axis=1)
    return np.where(flat, 0, rows.std(axis=1, ddof=min(1, rows.shape[1] - 1)))


def _largest_t(rows: Floats, observed: Floats, scale: Floats) -> Floats:
    return np.asarray((np.abs(rows - observed[:, None]) / scale[:, None]).max(axis=0, initial=0))


def _check(draws: Floats, observed: Floats, *, method: str, jackknife: Floats | None) -> None:
    if method not in METHODS:
        raise ResultsError(f"no interval named {method!r}; choose one of {', '.join(METHODS)}")
    if draws.ndim != 2 or observed.shape != draws.shape[1:]:
        raise ResultsError(
            f"an interval needs draws (resamples, columns) and what was observed (columns,); got {draws.shape} and "
            f"{observed.shape}"
        )
    if not (np.isfinite(draws).all() and np.isfinite(observed).all()):
        raise ResultsError("an interval needs numbers; some draws or values are NaN or infinite")
    if method == "bca" and (jackknife is None or jackknife.shape[1:] != observed.shape):
        given = "none" if jackknife is None else str(jackknife.shape)
        raise ResultsError(f"BCa needs the jackknife's means (clusters, {len(observed)}); got {given}")
