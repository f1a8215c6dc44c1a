"""Do the arms that gain in one language, or on one target, gain in another too?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import baseline_arm
from xfer_bench.stats.association import Coefficient, associate, matrices
from xfer_bench.stats.bootstrap import Floats, Numbers, percentile_interval
from xfer_bench.stats.gains import arm_gains, headline, streams, target_name
from xfer_bench.stats.outcomes import pairings
from xfer_bench.stats.variants import narrow

FEWEST_ARMS = 3


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """The correlation of the arms' gains in two places; None where there is none. n_arms: arms that both have."""

    first: str
    second: str
    n_arms: int
    r: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean correlation of one place with all others."""

    name: str
    r: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A correlation matrix of the arms' gains, its upper half in `pairs`; intervals hold for these arms and seeds.

    kind: between `languages` (of the one target in `where`) or between `targets`. means: of those places whose r with
    some other is known; over the others whose r is. reason: why there is no r at all.
    """

    kind: Literal["languages", "targets"]
    where: str
    names: tuple[str, ...]
    pairs: tuple[Likeness, ...]
    means: tuple[Mean, ...]
    method: Coefficient
    level: float
    reason: str = ""


def between_columns(draws: Floats, observed: Floats, *, method: Coefficient = "pearson") -> tuple[Floats, Floats]:
    """Correlations between all pairs of columns over rows that may be anything: arms, models.

    observed: (arms, columns); draws: (resamples, arms, columns). Gives (columns, columns) and (resamples, columns,
    columns), with NaN where a column does not vary and on the diagonal.
    """
    if draws.shape[1:] != observed.shape:
        raise ResultsError(
            f"draws need (resamples, arms, columns) for (arms, columns); got {draws.shape}, {observed.shape}"
        )
    matrix, drawn = matrices(observed[None], method=method)[0], matrices(draws, method=method)
    itself = np.arange(observed.shape[1])
    matrix[itself, itself] = drawn[:, itself, itself] = np.nan
    return matrix, drawn


def between_languages(
    predictions: pl.DataFrame,
    *,
    baseline: str | None = None,
    method: Coefficient = "pearson",
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Agreement]:
    """For each target with more than one language: the correlations of the arms' gains between its languages."""
    chosen = baseline_arm(predictions, name=baseline)
    found = []
    for pairing in pairings(predictions, baseline=chosen):
        if len(pairing.languages) < 2:
            continue
        columns = {language: (language,) for language in pairing.languages}
        gains = arm_gains(pairing, columns, resamples=resamples, seed=seed)
        where = target_name(pairing)
        if len(gains.arms) < FEWEST_ARMS:
            found.append(_nothing("languages", where, gains.columns, len(gains.arms), method, level))
            continue
        matrix, drawn = between_columns(gains.draws, gains.gains, method=method)
        counts = np.full(matrix.shape, len(gains.arms))
        found.append(_agreement("languages", where, gains.columns, (matrix, drawn, counts), method, level))
    return found


def between_targets(
    predictions: pl.DataFrame,
    *,
    baseline: str | None = None,
    method: Coefficient = "pearson",
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Agreement | None:
    """The correlations of the arms' headline gains between targets, over the arms that two have; None with one target.

    Targets over the same items of one task draw the same clusters, others their own.
    """
    chosen = baseline_arm(predictions, name=baseline)
    # Two variants of a task's rows would agree with each other.
    several = list(pairings(narrow(predictions).predictions, baseline=chosen))
    if len(several) < 2:
        return None
    all_gains = [
        arm_gains(one, headline(one), resamples=resamples, seed=stream)
        for one, stream in zip(several, streams(several, seed=seed), strict=True)
    ]
    size = len(several)
    matrix, drawn = np.full((size, size), np.nan), np.full((resamples, size, size), np.nan)
    counts = np.zeros((size, size), dtype=np.int64)
    for a, b in combinations(range(size), 2):
        first, second = all_gains[a], all_gains[b]
        arms = [arm for arm in first.arms if arm in second.arms]
        counts[a, b] = counts[b, a] = len(arms)
        if len(arms) < FEWEST_ARMS:
            continue
        left, right = ([one.arms.index(arm) for arm in arms] for one in (first, second))
        matrix[a, b] = matrix[b, a] = associate(first.gains[left, 0], second.gains[right, 0], method=method)[0]
        drawn[:, a, b] = associate(first.draws[:, left, 0], second.draws[:, right, 0], method=method)
        drawn[:, b, a] = drawn[:, a, b]
    names = tuple(map(target_name, several))
    if counts.max() < FEWEST_ARMS:
        return _nothing("targets", "", names, int(counts.max()), method, level)
    return _agreement("targets", "", names, (matrix, drawn, counts), method, level)


def _agreement(
    kind: Literal["languages", "targets"],
    where: str,
    names: Sequence[str],
    found: tuple[Floats, Floats, Numbers],
    method: Coefficient,
    level: float,
) -> Agreement:
    matrix, drawn, counts = found
    pairs = []
    for a, b in combinations(range(len(names)), 2):
        some = drawn[np.isfinite(drawn[:, a, b]), a, b]
        known = np.isfinite(matrix[a, b]) and len(some) > 0
        low, high = percentile_interval(some, level=level) if known else (None, None)
        pairs.append(
            Likeness(
                first=names[a],
                second=names[b],
                n_arms=int(counts[a, b]),
                r=float(matrix[a, b]) if known else None,
                low=None if low is None else float(low),
                high=None if high is None else float(high),
            )
        )
    means = tuple(mean for place in range(len(names)) for mean in _mean(place, names, matrix, drawn, level))
    return Agreement(
        kind=kind, where=where, names=tuple(names), pairs=tuple(pairs), means=means, method=method, level=level
    )


def _mean(place: int, names: Sequence[str], matrix: Floats, drawn: Floats, level: float) -> list[Mean]:
    others = np.isfinite(matrix[place])
    if not others.any():
        return []
    # A resample in which some pair has no r has no mean over the same pairs.
    each = drawn[:, place, others].mean(axis=1)
    each = each[np.isfinite(each)]
    if not len(each):
        return []
    low, high = percentile_interval(each, level=level)
    return [Mean(name=names[place], r=float(matrix[place, others].mean()), low=float(low), high=float(high))]


def _nothing(
    kind: Literal["languages", "targets"],
    where: str,
    names: Sequence[str],
    arms: int,
    method: Coefficient,
    level: float,
) -> Agreement:
    reason = f"{arms} {'arm is' if arms == 1 else 'arms are'} too few; a correlation over arms needs {FEWEST_ARMS}"
    return Agreement(
        kind=kind, where=where, names=tuple(names), pairs=(), means=(), method=method, level=level, reason=reason
    )
