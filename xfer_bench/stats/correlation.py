"""Does a run that learns its intermediate task better gain more on the target?"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import INTERMEDIATE, baseline_arm
from xfer_bench.stats.bootstrap import Floats, cluster_sums, p_value, percentile_interval, resample_means
from xfer_bench.stats.estimates import Correlation, Point, Relation
from xfer_bench.stats.outcomes import Pair, Pairing, pairings

FEWEST_POINTS = 3
FEWEST_TASKS_FOR_P = 6


def correlate(x: Floats, y: Floats, *, draws: Floats, n_tasks: int, level: float = 0.95) -> Correlation:
    """Pearson's r of x and y with a percentile interval.

    x, y: (points,). draws: (resamples, points), y recomputed in every resample; x stays as it is.
    n_tasks: different intermediate tasks among the points; with fewer than six there is no p-value.

    No r with fewer than three points, or where x or y does not vary. Resamples in which y does not vary have no r
    and count as the null hypothesis' in the p-value.
    """
    nothing = Correlation(
        r=None, low=None, high=None, p_value=None, n_points=len(x), n_tasks=n_tasks, method="pearson", level=level
    )
    if len(x) < FEWEST_POINTS:
        return replace(nothing, reason=f"{len(x)} points are too few; a correlation needs {FEWEST_POINTS}")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return replace(nothing, reason=f"the {'intermediate accuracies' if np.ptp(x) == 0 else 'gains'} do not vary")
    r = float(_pearson(x, y[None, :])[0])
    drawn = _pearson(x, draws)
    defined = np.isfinite(drawn)
    if not defined.any():
        return replace(nothing, reason="the gains vary in no resample")
    low, high = percentile_interval(drawn[defined], level=level)
    extreme = np.where(defined, drawn, np.inf)
    p = float(p_value(extreme, np.array(r))) if n_tasks >= FEWEST_TASKS_FOR_P else None
    return replace(nothing, r=r, low=float(low), high=float(high), p_value=p)


def relate(
    predictions: pl.DataFrame,
    stages: pl.DataFrame,
    *,
    baseline: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Relation]:
    """Intermediate accuracy against target gain over the runs of each target.

    The intermediate measure is the development accuracy of a run's last intermediate stage above chance,
    100 (a - chance) / (100 - chance) in points; a run without one is no point. The gain is that of `avg_unseen`, or
    of `avg` where no language is unseen; the interval resamples the target's clusters as `compare` does, with
    intermediate accuracies, seeds and tasks as they are. A target without points is absent. Raises ResultsError for
    development accuracies or chances outside 0-100, and for what `compare` refuses.
    """
    measures = _intermediate_measures(stages)
    chosen = baseline_arm(predictions, name=baseline)
    relations = (
        _relate(pairing, measures, resamples=resamples, seed=seed, level=level)
        for pairing in pairings(predictions, baseline=chosen)
    )
    return [relation for relation in relations if relation is not None]


def _intermediate_measures(stages: pl.DataFrame) -> dict[str, tuple[str, float]]:
    """Run to the task of its last intermediate stage and the accuracy above chance there, in points."""
    last = (
        stages.filter((pl.col("role") == INTERMEDIATE) & pl.col("development_accuracy").is_not_null())
        .sort("run", "position")
        .unique("run", keep="last", maintain_order=True)
    )
    odd = last.filter(
        pl.col("chance").is_null()
        | ~pl.col("chance").is_between(0, 100, closed="left")
        | ~pl.col("development_accuracy").is_between(0, 100)
    )
    if not odd.is_empty():
        row = odd.row(0, named=True)
        raise ResultsError(
            f"run {row['run']!r} has the development accuracy {row['development_accuracy']} and the chance "
            f"{row['chance']} on {row['task']}; both are points from 0 to 100"
        )
    above = 100 * (pl.col("development_accuracy") - pl.col("chance")) / (100 - pl.col("chance"))
    return {run: (task, value) for run, task, value in last.select("run", "task", above.alias("above")).iter_rows()}


def _relate(
    pairing: Pairing, measures: dict[str, tuple[str, float]], *, resamples: int, seed: int, level: float
) -> Relation | None:
    pairs = [pair for pair in pairing.pairs if pair.run in measures]
    if not pairs or not pairing.averages:
        return None
    # The averages come before the languages: the unseen ones where there are any, English alone at the worst.
    language, languages = next(iter(pairing.averages.items()))
    places = pairing.places(languages)
    right = pairing.right[:, :, places].sum(axis=2, dtype=np.int64)
    counts = np.stack([right[:, pair.after] - right[:, pair.before] for pair in pairs], axis=-1)
    sums, sizes = cluster_sums(counts, pairing.clusters)
    draws = 100 * resample_means(sums, sizes, resamples=resamples, seed=seed) / len(places)
    gains = 100 * sums.sum(axis=0) / sizes.sum() / len(places)
    points = tuple(_points(pairs, measures, gains))
    x = np.array([point.intermediate for point in points])
    n_tasks = len({point.intermediate_task for point in points})
    return Relation(
        task=pairing.task,
        setting=pairing.setting,
        variant=pairing.variant,
        split=pairing.split,
        target=pairing.target,
        language=language,
        n_items=len(pairing.clusters),
        n_clusters=len(sizes),
        points=points,
        correlation=correlate(x, gains, draws=draws, n_tasks=n_tasks, level=level),
    )


def _points(pairs: list[Pair], measures: dict[str, tuple[str, float]], gains: Floats) -> Iterator[Point]:
    for pair, gain in zip(pairs, gains, strict=True):
        task, intermediate = measures[pair.run]
        yield Point(
            arm=pair.arm,
            run=pair.run,
            intermediate_task=task,
            intermediate_seed=pair.intermediate_seed,
            target_seed=pair.target_seed,
            intermediate=intermediate,
            gain=float(gain),
        )


def _pearson(x: Floats, rows: Floats) -> Floats:
    """Pearson's r of x (points,) with each row of (rows, points); NaN where a row does not vary."""
    a = x - x.mean()
    b = rows - rows.mean(axis=1, keepdims=True)
    spread: Any = np.sqrt((a @ a) * np.einsum("rp,rp->r", b, b))
    flat = np.ptp(rows, axis=1) == 0
    return np.where(flat, np.nan, (b @ a) / np.where(flat, 1.0, spread))
