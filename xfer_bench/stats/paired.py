"""Systems on the same items, from plain arrays: their accuracies, and how far one is above another."""

from dataclasses import dataclass

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers, cluster_sums, differing_clusters, p_value, resample_means
from xfer_bench.stats.estimates import Estimate
from xfer_bench.stats.intervals import interval, jackknife_means, p_by_inversion
from xfer_bench.stats.mcnemar import mcnemar
from xfer_bench.stats.method import Method
from xfer_bench.stats.permutation import permutation_p

_USUAL = Method()


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Columns and their bootstrap over clusters; fractions. draws: (resamples, columns); the others (columns,)."""

    value: Floats
    draws: Floats
    low: Floats
    high: Floats
    p_value: Floats


def over_clusters(sums: Numbers, sizes: Numbers, *, divisors: Numbers | int, method: Method) -> Drawn:
    """Means over items with the method's interval, and the p-value of its test that they are nought.

    sums: (clusters, columns), whole numbers of right answers, or of differences; sizes: (clusters,), items. divisors:
        (columns,), of how many answers to an item a column is the mean. Dividing comes after drawing, which is
        therefore exact.

    `inversion` inverts the interval that is given. McNemar's tests look at single items: the p-value beside them is
    the bootstrap's, and the caller's own stands instead.
    """
    draws = resample_means(sums, sizes, resamples=method.resamples, seed=method.seed) / divisors
    value: Floats = sums.sum(axis=0) / sizes.sum() / divisors
    jackknife = jackknife_means(sums, sizes) / divisors if method.interval == "bca" else None
    low, high = interval(draws, value, method=method.interval, level=method.level, jackknife=jackknife)
    differing = differing_clusters(sums)
    if method.test == "permutation":
        p = permutation_p(sums, resamples=method.resamples, seed=method.seed)
    elif method.test == "inversion":
        p = p_by_inversion(draws, value, method=method.interval, jackknife=jackknife, differing=differing)
    else:
        p = p_value(draws, value, differing=differing)
    return Drawn(value=value, draws=draws, low=low, high=high, p_value=p)


def paired_test(a: Numbers, b: Numbers, *, clusters: Numbers | None = None, method: Method = _USUAL) -> Estimate:
    """How many points `a` is above `b`, with an interval and a two-sided p-value.

    a, b: 1 where the system was right and 0 where it was wrong; (items,), or (items, languages) for parallel items,
        whose translations are then drawn together and averaged.
    clusters: (items,) labels of what is drawn as one; by default each item alone.
    method: over items; for seeds as a random factor there is `seeds.random_effects`.

    Raises ResultsError for other numbers, shapes that do not fit, and a method that is not defined for them.
    """
    first, second = _outcomes(a), _outcomes(b)
    if first.shape != second.shape or first.ndim not in {1, 2} or not first.size:
        raise ResultsError(
            f"a paired test needs two systems on the same items, (items,) or (items, languages); got {first.shape} "
            f"and {second.shape}"
        )
    labels = _labels(clusters, len(first))
    difference = (first - second).reshape(len(first), -1).sum(axis=1, keepdims=True)
    p = None
    if method.test in {"mcnemar", "mid-p"}:
        p = mcnemar(first, second, clusters=labels, method="mid-p" if method.test == "mid-p" else "exact").p_value
    return _estimates(difference, labels, method, divisor=first.size // len(first), tested=True, p=p)[0]


def accuracies(right: Numbers, *, clusters: Numbers | None = None, method: Method = _USUAL) -> tuple[Estimate, ...]:
    """Each system's accuracy in points, with an interval; all from the same draws.

    right: (items, systems) or (items, systems, languages), 1 right and 0 wrong; languages are averaged within an item.
    clusters: (items,) labels of what is drawn as one; by default each item alone.

    Raises ResultsError for other numbers and shapes that do not fit.
    """
    outcomes = _outcomes(right)
    if outcomes.ndim not in {2, 3} or not outcomes.size:
        raise ResultsError(f"accuracies need (items, systems) or (items, systems, languages); got {outcomes.shape}")
    items, systems = outcomes.shape[:2]
    sums = outcomes.reshape(items, systems, -1).sum(axis=2)
    divisor = outcomes.size // items // systems
    return tuple(_estimates(sums, _labels(clusters, items), method, divisor=divisor, tested=False))


def _outcomes(values: Numbers) -> Numbers:
    outcomes = np.asarray(values)
    if not np.isin(outcomes, (0, 1)).all():
        raise ResultsError("1 is right and 0 is wrong; other numbers were given")
    return outcomes.astype(np.int64)


def _labels(clusters: Numbers | None, items: int) -> Numbers:
    labels = np.arange(items) if clusters is None else np.asarray(clusters)
    if labels.shape != (items,):
        raise ResultsError(f"the clusters need one label per item; got {labels.shape} for {items} items")
    return labels


def _estimates(
    values: Numbers, labels: Numbers, method: Method, *, divisor: int, tested: bool, p: float | None = None
) -> list[Estimate]:
    if method.over != "items":
        raise ResultsError("one run a system says nothing of seeds; over both is seeds.random_effects, of several runs")
    sums, sizes = cluster_sums(values, labels)
    found = over_clusters(sums, sizes, divisors=divisor, method=method)
    p_values = found.p_value if p is None else np.full(len(found.value), p)
    return [
        Estimate(
            value=float(100 * found.value[place]),
            low=float(100 * found.low[place]),
            high=float(100 * found.high[place]),
            level=method.level,
            n_items=len(values),
            n_clusters=len(sizes),
            resamples=method.resamples,
            p_value=float(p_values[place]) if tested else None,
        )
        for place in range(len(found.value))
    ]
