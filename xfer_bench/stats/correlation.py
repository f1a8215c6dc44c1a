"""Does an intermediate stage that is learnt better gain more on the target?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from xfer_bench.stats.association import Coefficient, associate, permutation_test, within
from xfer_bench.stats.bootstrap import Floats, percentile_interval
from xfer_bench.stats.evidence import FEWEST_TASKS, Evidence, How, evidence
from xfer_bench.stats.gains import target_name
from xfer_bench.stats.points import Measure, Point, Target, targets
from xfer_bench.stats.reliability import (
    BINOMIAL,
    Corrected,
    Reliability,
    corrected,
    noise_stretch,
    reliability_from_errors,
    split_half,
)

FEWEST_POINTS = 3

_USUAL = How()


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A correlation and its interval; `r`, `low` and `high` are None where there is none, and `reason` says why.

    p_value: two-sided, a fraction, of permuting the tasks' averages, whose own correlation is r_tasks; None with fewer
        than six intermediate tasks, from which nothing can be inferred about tasks. p_exact: all orders were gone
        through.
    over: what the interval resamples: items, seeds, tasks. undefined: share (0-1) of resamples without an r.
    within: after the mean of the points that share their baseline runs was taken off.
    """

    r: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_exact: bool | None = None
    r_tasks: float | None = None
    n_points: int
    n_tasks: int
    method: Coefficient
    over: str
    within: bool
    undefined: float = 0.0
    level: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Without:
    """The correlation when one intermediate task is left out; `r` is None where too little is left."""

    task: str
    r: float | None
    n_points: int


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Intermediate measure against target gain over the points of one target; `language` names the gain's average.

    measure: what x is: `gain` over a trained head on the frozen initial encoder, or accuracy `above chance`.
    within: the correlation within points that share their baseline runs; None where all share them, or none does.
    without: with each task left out. corrected: r without the noise of items, for Pearson's.
    """

    task: str
    setting: str
    variant: str
    split: str
    target: str
    language: str
    n_items: int
    n_clusters: int
    n_runs: int
    measure: Measure
    points: tuple[Point, ...]
    correlation: Correlation
    within: Correlation | None
    without: tuple[Without, ...]
    measure_reliability: Reliability
    gain_reliability: Reliability
    corrected: Corrected


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The correlation over the points of several targets, each within those that share their baseline runs."""

    targets: tuple[str, ...]
    n_runs: int
    measure: Measure
    correlation: Correlation
    without: tuple[Without, ...]


def correlate(
    points: Evidence, *, how: How = _USUAL, within_cells: bool = False, permutations: int = 10_000, seed: int = 0
) -> Correlation:
    """The correlation over points, with a percentile interval over their resamples.

    within_cells: first take off the mean of the points that share a cell, in every resample anew.

    The p-value permutes the averages of intermediate tasks: points of one task are not independent. No r with fewer
    than three points, or where x or y does not vary; resamples without an r are left out of the interval and counted.
    Noise in y pulls r, and so this interval, towards nought: see `Relation.corrected`.
    """
    nothing = Correlation(
        r=None, low=None, high=None, p_value=None, n_points=len(points.x), n_tasks=points.n_tasks, method=how.method,
        over=how.drawn, within=within_cells, level=how.level,
    )  # fmt: skip
    if len(points.x) < FEWEST_POINTS:
        return replace(nothing, reason=f"{len(points.x)} points are too few; a correlation needs {FEWEST_POINTS}")
    x, y = _sides(points, within_cells=within_cells)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        side = "intermediate measures" if np.ptp(x) == 0 else "gains"
        where = " within any baseline run" if within_cells else ""
        return replace(nothing, reason=f"the {side} do not vary{where}")
    drawn = points.correlations(how.method, within=within_cells)
    defined = np.isfinite(drawn)
    if not defined.any():
        return replace(nothing, reason="the gains vary in no resample")
    low, high = percentile_interval(drawn[defined], level=how.level)
    found = replace(
        nothing,
        r=float(associate(x, y, method=how.method)[0]),
        low=float(low),
        high=float(high),
        undefined=float(1 - defined.mean()),
    )
    return _with_p(found, *_task_means(points.tasks, x, y), permutations=permutations, seed=seed)


def relate(
    predictions: pl.DataFrame,
    stages: pl.DataFrame,
    *,
    baseline: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    how: How = _USUAL,
) -> list[Relation]:
    """Intermediate measure against target gain over the points of each target.

    The intermediate measure is that of a run's last intermediate stage: its gain above chance over a trained head on
    the frozen initial encoder, 100 (a - initial) / (100 - chance) in points, where that is known for all points of the
    target; otherwise 100 (a - chance) / (100 - chance). The gain is that of `avg_unseen`, or of `avg` where no language
    is unseen. Runs that go on from one intermediate stage are averaged into one point.

    Intervals draw clusters of items as `compare` does, with the intermediate measures as they are; `how` draws seeds
    and tasks with them. A target without points is absent. Raises ResultsError for development accuracies or chances
    outside 0-100, for seeds or tasks too few to draw, and for what `compare` refuses.
    """
    return [
        _relate(target, how=how, resamples=resamples, seed=seed)
        for target in targets(predictions, stages, baseline=baseline)
    ]


def pool(
    predictions: pl.DataFrame,
    stages: pl.DataFrame,
    *,
    baseline: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    how: How = _USUAL,
) -> Pooled | None:
    """The correlation over all targets, within points that share their baseline runs; None with fewer than two.

    Subtracting a baseline run is a constant for the points that share it, and noise in common for all others, so each
    such group's mean is taken off both sides first: the fixed effect of target and target seed together. One
    intermediate stage gives a point on each target; the permuted tasks' averages are over all of these.
    """
    several = targets(predictions, stages, baseline=baseline, same=True)
    if len(several) < 2:
        return None
    points = evidence(several, how=how, resamples=resamples, seed=seed)
    return Pooled(
        targets=tuple(target_name(one.pairing) for one in several),
        n_runs=sum(len(one.pairs) for one in several),
        measure=several[0].measure,
        correlation=correlate(points, how=how, within_cells=True, permutations=resamples, seed=seed),
        without=leave_one_out(points, how=how, within_cells=True),
    )


def leave_one_out(points: Evidence, *, how: How = _USUAL, within_cells: bool = False) -> tuple[Without, ...]:
    """The correlation without each intermediate task in turn."""
    found = []
    for task in sorted(set(points.tasks)):
        kept = [at for at, name in enumerate(points.tasks) if name != task]
        r = float("nan")
        if len(kept) >= FEWEST_POINTS:
            x, y = points.x[kept], points.y[kept]
            if within_cells:
                left = within(x, y, [[points.cells[at] for at in kept]])
                x, y = left.x, left.y
            r = float(associate(x, y, method=how.method)[0])
        found.append(Without(task=task, r=None if np.isnan(r) else r, n_points=len(kept)))
    return tuple(found)


def _relate(target: Target, *, how: How, resamples: int, seed: int) -> Relation:
    points = evidence([target], how=how, resamples=resamples, seed=seed)
    x_reliability = _measure_reliability(target, points.x)
    y_reliability = split_half(target.sums @ target.averaging, target.sizes, seed=seed)
    correlation = correlate(points, how=how, permutations=resamples, seed=seed)
    shared = 1 < len(set(points.cells)) < len(points.cells)
    of = target.pairing
    return Relation(
        task=of.task,
        setting=of.setting,
        variant=of.variant,
        split=of.split,
        target=of.target,
        language=target.language,
        n_items=len(of.clusters),
        n_clusters=len(target.sizes),
        n_runs=len(target.pairs),
        measure=target.measure,
        points=target.points,
        correlation=correlation,
        within=correlate(points, how=how, within_cells=True, permutations=resamples, seed=seed) if shared else None,
        without=leave_one_out(points, how=how),
        measure_reliability=x_reliability,
        gain_reliability=y_reliability,
        corrected=_corrected(points, correlation, x_reliability, y_reliability),
    )


def _measure_reliability(target: Target, x: Floats) -> Reliability:
    if target.measure_errors is None:
        return Reliability(value=None, method=BINOMIAL, n_points=len(x), reason="the number of items is not known")
    return reliability_from_errors(x, target.measure_errors)


def _corrected(points: Evidence, found: Correlation, x: Reliability, y: Reliability) -> Corrected:
    if found.method != "pearson":
        return Corrected(r=None, reason=f"the correction is for Pearson's r, not for {found.method}")
    value = corrected(found.r, x, y)
    if value.r is None or points.weights is not None or x.value is None:
        return value
    drawn = points.correlations("pearson", within=False)
    # No r, no side; and where nothing but noise is left, the whole way to one.
    with np.errstate(invalid="ignore"):
        stretched = np.clip(drawn * noise_stretch(points.y, points.draws) / np.sqrt(x.value), -1, 1)
    low, high = percentile_interval(np.nan_to_num(stretched), level=found.level)
    return replace(value, low=float(low), high=float(high))


def _sides(points: Evidence, *, within_cells: bool) -> tuple[Floats, Floats]:
    if not within_cells:
        return points.x, points.y
    left = within(points.x, points.y, [points.cells])
    return left.x, left.y


def _task_means(tasks: Sequence[str], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    names = np.array(tasks, dtype=object)
    each = [names == task for task in dict.fromkeys(tasks)]
    return np.array([x[mine].mean() for mine in each]), np.array([y[mine].mean() for mine in each])


def _with_p(found: Correlation, x: Floats, y: Floats, *, permutations: int, seed: int) -> Correlation:
    if len(x) < FEWEST_TASKS or np.isnan(associate(x, y, method=found.method)[0]):
        return found
    test = permutation_test(x, y, method=found.method, permutations=permutations, seed=seed)
    return replace(found, p_value=test.p_value, p_exact=test.exact, r_tasks=test.r)
