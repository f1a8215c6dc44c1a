"""Every method as it is tried in a simulation: from one sample of a world to what it says in each replication."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from xfer_bench.stats.bootstrap import (
    Floats,
    Numbers,
    differing_clusters,
    generator_of,
    p_value,
    percentile_interval,
    resample_means,
)
from xfer_bench.stats.intervals import interval, jackknife_means, p_by_inversion
from xfer_bench.stats.mcnemar import Method as McNemarMethod
from xfer_bench.stats.mcnemar import mcnemar_p
from xfer_bench.stats.permutation import permutation_p
from xfer_bench.stats.proportions import clopper_pearson, wilson
from xfer_bench.stats.seeds import crossed_bootstrap, crossed_random_effects, random_effects, sign_flips
from xfer_bench.stats.worlds import Sample, World

Of: TypeAlias = Literal["gain", "accuracy"]

LEVEL = 0.95

_RESAMPLES = 1_000
# Of a seed's streams, one that no resampling uses.
_STREAM = (1 << 64) - 9


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A sample of a world, what is estimated from it, and the seed of all resampling.

    of: the gain, or the accuracy of the baseline's first run.
    """

    sample: Sample
    world: World
    of: Of
    seed: int

    @property
    def sizes(self) -> Numbers:
        """Items in each cluster: (clusters,)."""
        return np.full(self.world.clusters, self.world.size)

    @property
    def sums(self) -> Numbers:
        """Each cluster's total over languages and runs: (clusters, replications)."""
        if self.of == "accuracy":
            return self.sample.before.T
        runs = self.sample.differences.reshape(len(self.sample.before), self.world.clusters, -1)
        return np.asarray(runs.sum(axis=2).T)

    @property
    def points(self) -> float:
        """What makes a mean of `sums` over items points."""
        runs = 1 if self.of == "accuracy" else int(np.prod(self.world.seeds))
        return 100 / (self.world.languages * runs)

    @property
    def by_run(self) -> Floats:
        """Each cluster's mean over languages, in points per item: (clusters, seeds, replications), or a grid's."""
        return np.asarray(np.moveaxis(self.sample.differences, 0, -1) * (100 / self.world.languages), dtype=np.float64)

    @property
    def of_runs(self) -> Floats:
        """Each pair's gain in points: (seeds, replications)."""
        return np.asarray(self.by_run.sum(axis=0) / self.world.items)


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What a method says in each of several replications: (replications,); points, and p-values as fractions."""

    low: Floats | None = None
    high: Floats | None = None
    p_value: Floats | None = None


Rule: TypeAlias = Callable[[Trial], Said]


def _percentile(trial: Trial) -> Said:
    sums = trial.sums
    draws = trial.points * resample_means(sums, trial.sizes, resamples=_RESAMPLES, seed=trial.seed)
    low, high = percentile_interval(draws, level=LEVEL)
    observed = trial.points * sums.sum(axis=0) / trial.world.items
    return Said(low=low, high=high, p_value=p_value(draws, observed, differing=differing_clusters(sums)))


def _bootstrap(method: Literal["percentile", "basic", "bca"]) -> Rule:
    """With the p-value at which the interval just leaves out nought."""

    def rule(trial: Trial) -> Said:
        sums, sizes = trial.sums, trial.sizes
        draws = trial.points * resample_means(sums, sizes, resamples=_RESAMPLES, seed=trial.seed)
        observed = trial.points * sums.sum(axis=0) / trial.world.items
        known = trial.points * jackknife_means(sums, sizes) if method == "bca" else None
        p = p_by_inversion(draws, observed, method=method, jackknife=known, differing=differing_clusters(sums))
        if method == "percentile":
            return Said(p_value=p)
        low, high = interval(draws, observed, method=method, level=LEVEL, jackknife=known)
        return Said(low=low, high=high, p_value=p)

    return rule


def _wilson(trial: Trial) -> Said:
    low, high = wilson(trial.sums.sum(axis=0), trial.world.items * trial.world.languages, level=LEVEL)
    return Said(low=low, high=high)


def _clopper_pearson(trial: Trial) -> Said:
    low, high = clopper_pearson(trial.sums.sum(axis=0), trial.world.items * trial.world.languages, level=LEVEL)
    return Said(low=low, high=high)


def _permutation(trial: Trial) -> Said:
    return Said(p_value=permutation_p(trial.sums, resamples=_RESAMPLES, seed=trial.seed))


def _mcnemar(method: McNemarMethod) -> Rule:
    def rule(trial: Trial) -> Said:
        sums = trial.sums
        pairs, places = np.unique([(sums > 0).sum(axis=0), (sums < 0).sum(axis=0)], axis=1, return_inverse=True)
        known = np.array([mcnemar_p(int(b), int(c), method=method) for b, c in pairs.T])
        return Said(p_value=known[places.reshape(-1)])

    return rule


def _languages_independent(trial: Trial) -> Said:
    """As if each language had items of its own: the variances of their means are added up."""
    means = trial.points * trial.sums.sum(axis=0) / trial.world.items
    half = 1.96 * trial.points / trial.world.size * np.sqrt(trial.sample.language_variance / trial.world.clusters)
    return Said(low=means - half, high=means + half, p_value=_normal_p(means, half / 1.96))


def _random_effects(trial: Trial) -> Said:
    fit = (random_effects if len(trial.world.seeds) == 1 else crossed_random_effects)(
        trial.by_run, trial.sizes, level=LEVEL
    )
    return Said(low=fit.low, high=fit.high, p_value=fit.p_value)


def _crossed_bootstrap(trial: Trial) -> Said:
    outcomes = np.moveaxis(trial.sample.differences, 0, -1)
    points = 100 / trial.world.languages
    draws = points * crossed_bootstrap(outcomes, trial.sizes, resamples=_RESAMPLES, seed=trial.seed)
    low, high = percentile_interval(draws, level=LEVEL)
    observed = trial.points * trial.sums.sum(axis=0) / trial.world.items
    return Said(low=low, high=high, p_value=p_value(draws, observed, differing=differing_clusters(trial.sums)))


def _seeds_resampled(trial: Trial) -> Said:
    gains = trial.of_runs
    drawn = generator_of(trial.seed, _STREAM).integers(len(gains), size=(_RESAMPLES, len(gains)))
    draws = gains[drawn].mean(axis=1)
    low, high = percentile_interval(draws, level=LEVEL)
    return Said(low=low, high=high, p_value=p_value(draws, gains.mean(axis=0)))


def _t_over_seeds(trial: Trial) -> Said:
    from scipy.special import stdtr, stdtrit

    gains = trial.of_runs
    df = len(gains) - 1
    means, error = gains.mean(axis=0), gains.std(axis=0, ddof=1) / np.sqrt(len(gains))
    half = stdtrit(df, (1 + LEVEL) / 2) * error
    t = np.divide(np.abs(means), error, out=np.where(means == 0, 0.0, np.inf), where=error > 0)
    return Said(low=means - half, high=means + half, p_value=2 * stdtr(df, -t))


def _sign_flips(trial: Trial) -> Said:
    return Said(p_value=sign_flips(trial.of_runs, resamples=_RESAMPLES, seed=trial.seed))


def _normal_p(means: Floats, error: Floats) -> Floats:
    from scipy.special import ndtr

    z = np.divide(np.abs(means), error, out=np.where(means == 0, 0.0, np.inf), where=error > 0)
    return np.asarray(2 * ndtr(-z))


METHODS: dict[str, Rule] = {
    "percentile": _percentile,
    "inversion": _bootstrap("percentile"),
    "basic": _bootstrap("basic"),
    "BCa": _bootstrap("bca"),
    "Wilson": _wilson,
    "Clopper-Pearson": _clopper_pearson,
    "permutation": _permutation,
    "McNemar exact": _mcnemar("exact"),
    "McNemar mid-p": _mcnemar("mid-p"),
    "languages independent": _languages_independent,
    "random effects": _random_effects,
    "crossed bootstrap": _crossed_bootstrap,
    "seeds resampled": _seeds_resampled,
    "t over seeds": _t_over_seeds,
    "sign flips over seeds": _sign_flips,
}
