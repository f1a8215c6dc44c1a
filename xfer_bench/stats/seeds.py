"""Seeds as a random factor: intervals that let items and seeds vary.

`random_effects` for pairs of runs with independent seeds, `crossed_random_effects` for grids in which runs share
intermediate stages, and the crossed bootstrap beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers, check_draws, check_level, generator_of, resample_means
from xfer_bench.stats.components import CLUSTER, INTERMEDIATE, RESIDUAL, SEED, TARGET, mean_squares, pseudo_values
from xfer_bench.stats.permutation import permutation_p

FEWEST_SEEDS = 3
ENOUGH_SEEDS = 5
FEWEST_FLIPPED = 6

_BLOCK_BYTES = 1 << 25
# Streams of a seed that neither the bootstrap of clusters (from 0 on) nor the multinomial one (the last) uses.
_STREAM = (1 << 64) - 2
_MOST_ENUMERATED = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomEffects:
    """Means over items and seeds, both taken as random, in the outcomes' unit per item (fractions for right answers).

    value, standard_error, low, high: (columns,). df: (columns,), degrees of freedom of the t interval. p_value:
    (columns,), of the two-sided t test that the value is nought. mean_squares: by effect, (columns,), of values with
    one per cluster and run, in the squared unit. warnings: lines for the reader.
    """

    value: Floats
    standard_error: Floats
    df: Floats
    low: Floats
    high: Floats
    p_value: Floats
    level: float
    mean_squares: Mapping[str, Floats]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedTable:
    """Mean and standard deviation (n - 1 in the denominator) over n seeds; no sd with one seed. In the input's unit."""

    mean: Floats
    sd: Floats | None
    n: int


def random_effects(outcomes: Numbers, sizes: Numbers, *, level: float = 0.95) -> RandomEffects:
    """Means with intervals over clusters and seeds, from pairs of runs that share neither of their stages.

    outcomes: (clusters, seeds, columns), each cluster's total of right answers, or of the paired difference (the
        arm's run minus the baseline's with that target seed). sizes: (clusters,), items.

    The model is y_ik = mu + cluster_i + seed_k + e_ik with all effects random and one value per cell, for which
    n K Var(mean) = E(MS_cluster) + E(MS_seed) - E(MS_residual) (Searle, Casella and McCulloch, Variance Components,
    1992, 4.3). Clusters of other than equal size come in linearised (`components.pseudo_values`).

    The cluster component, MS_cluster - MS_residual, is truncated at nought, and MS_seed is kept whole: then the
    variance is never negative, and where the clusters' component is nil the interval is the exact t over seeds.
    Truncating the seed component too would be conservative (in simulation 97 % at 5 seeds where neither varies). So
    the standard error can come out below that over items alone where seeds happen to agree; their t is wider.

    Degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946), (sum of terms)^2 / sum of (term^2 / df), and
    at least those of the seeds, with MS_seed enlarged by 1 + 2 / (K - 1), the factor by which its expected square
    exceeds the square of its expectation: with Satterthwaite's own, seeds that agree by chance make the variance too
    small and the degrees of freedom too large at once. Simulated over all ratios of the components (100 and 500
    clusters), coverage was 94.7-95.6 % at 5 seeds where it was 94.1-95.6 % without that factor, 94.5 and 93.9 % at the
    lowest at 4 and 3 seeds.

    Raises ResultsError for fewer than 3 seeds or 2 clusters, and for shapes or numbers that make no sense.
    """
    values = _values(outcomes, sizes, factors=(SEED,), level=level)
    squares, df = mean_squares(values)
    clusters, seeds, residual = (squares[effect] for effect in ((0,), (1,), (0, 1)))
    items = np.maximum(clusters - residual, 0)
    uncertain = np.where(items > 0, clusters**2 / df[0,] + residual**2 / df[0, 1], 0)
    enlarged = seeds * (1 + 2 / df[1,])
    return _estimate(
        values,
        variance=(items + seeds) / values[..., 0].size,
        df=_satterthwaite(items + enlarged, uncertain + enlarged**2 / df[1,], fewest=df[1,]),
        level=level,
        squares=squares,
    )


def crossed_random_effects(outcomes: Numbers, sizes: Numbers, *, level: float = 0.95) -> RandomEffects:
    """Means with intervals over clusters, intermediate seeds and target seeds, from a complete grid of runs.

    outcomes: (clusters, intermediate seeds, target seeds, columns), totals as in `random_effects`; runs that share an
        intermediate stage share its level, and the baseline's run t is shared by all i. sizes: (clusters,), items.

    All three factors A (clusters, n), B (I) and C (T) and their interactions are random. From the expected mean
    squares, such as E(MS_A) = s2 + T s2_AB + I s2_AC + I T s2_A, E(MS_AB) = s2 + T s2_AB and E(MS_ABC) = s2, it
    follows that n I T Var(mean) = E(MS_A + MS_B + MS_C - MS_AB - MS_AC - MS_BC + MS_ABC) (Searle, Casella and
    McCulloch, 1992, 4.7).

    The clusters' own part, MS_A - MS_AB - MS_AC + MS_ABC, is truncated at nought, the seeds' part, MS_B + MS_C -
    MS_BC, at the smaller of MS_B and MS_C, below neither of whose expectations it can be. Degrees of freedom are as in
    `random_effects`, with both seeds' mean squares enlarged, and at least those of the smaller factor. In a simulation
    of the mean squares coverage was 94.0-96.8 % in a 5 x 5 grid, 93.9-97.8 % in 3 x 3.

    Raises ResultsError for fewer than 3 seeds in either factor, and as `random_effects` does.
    """
    values = _values(outcomes, sizes, factors=(INTERMEDIATE, TARGET), level=level)
    squares, df = mean_squares(values)
    whole = squares[0,] - squares[0, 1] - squares[0, 2] + squares[0, 1, 2]
    items = np.maximum(whole, 0)
    spread = sum((squares[effect] ** 2 / df[effect] for effect in squares if 0 in effect), np.zeros(1))
    first, second = squares[1,], squares[2,]
    seeds = np.maximum(first + second - squares[1, 2], np.minimum(first, second))
    added = 2 * first / df[1,] + 2 * second / df[2,]
    uncertain = sum((squares[axis,] * (1 + 2 / df[axis,])) ** 2 / df[axis,] for axis in (1, 2))
    return _estimate(
        values,
        variance=(items + seeds) / values[..., 0].size,
        df=_satterthwaite(
            items + seeds + added, np.where(items > 0, spread, 0) + uncertain, fewest=min(df[1,], df[2,])
        ),
        level=level,
        squares=squares,
    )


def crossed_bootstrap(outcomes: Numbers, sizes: Numbers, *, resamples: int, seed: int) -> Floats:
    """Means of resampled clusters and, independently, resampled seeds: (resamples, columns), right answers per item.

    outcomes: (clusters, seeds, columns), or for a grid (clusters, intermediate seeds, target seeds, columns), of which
        both are resampled; totals as in `random_effects`. sizes: (clusters,), items.

    The pigeonhole bootstrap (Owen, Annals of Applied Statistics 1, 2007; Owen and Eckles, ibid. 6, 2012). Where
    seeds vary little, it counts the noise of single cells up to three times, and its intervals cover more than they
    say; where seed variance dominates and seeds are few, it shares with every resampling of few seeds that its
    intervals cover less. Clusters are drawn as in `resample_means`; the draws depend on the seed and the numbers of
    clusters and seeds alone, and memory for about 32 MB of draws is taken besides the result. Raises ResultsError for
    fewer than 3 seeds in a factor and for shapes or numbers that make no sense.
    """
    check_draws(resamples=resamples, seed=seed)
    factors = (SEED,) if outcomes.ndim == 3 else (INTERMEDIATE, TARGET)
    _check(outcomes, sizes, factors=factors)
    levels = outcomes.shape[1:-1]
    weights = np.ones((1, resamples))
    for place, number in enumerate(levels):
        drawn = generator_of(seed, _STREAM - place).integers(number, size=(resamples, number))
        times = np.stack([(drawn == level).sum(axis=1) for level in range(number)]) / number
        weights = (weights[:, None] * times).reshape(-1, resamples)
    n_columns = outcomes.shape[-1]
    runs = outcomes.reshape(len(outcomes), -1, n_columns)
    draws = np.zeros((n_columns, resamples))
    step = max(1, _BLOCK_BYTES // (8 * resamples * runs.shape[1]))
    for start in range(0, n_columns, step):
        some = runs[..., start : start + step]
        means = resample_means(some.reshape(len(some), -1), sizes, resamples=resamples, seed=seed)
        # One run after another, so that the sum does not depend on how many columns go in at once.
        for weight, by_column in zip(weights, means.T.reshape(len(weights), -1, resamples), strict=True):
            draws[start : start + step] += weight * by_column
    return draws.T


def seed_table(accuracies: Numbers) -> SeedTable:
    """Mean, standard deviation and number of seeds of (seeds, columns). Raises ResultsError for none, and for NaN."""
    _check_seeds(accuracies)
    n = len(accuracies)
    return SeedTable(
        mean=accuracies.mean(axis=0, dtype=np.float64),
        sd=accuracies.std(axis=0, ddof=1, dtype=np.float64) if n > 1 else None,
        n=n,
    )


def sign_flips(gains: Numbers, *, resamples: int = 10_000, seed: int = 0) -> Floats:
    """Two-sided p-value that gains of independent seeds have the mean nought, by flipping their signs: (columns,).

    gains: (seeds, columns), each seed's gain over the baseline's run, of seeds that share no stage; any unit. Under the
    null hypothesis each is as likely to have the other sign (Fisher, The Design of Experiments, 1935, 21). All 2^K
    flips are looked at up to 16 seeds, `resamples` random ones from there on. Raises ResultsError for fewer than 6
    seeds, and for numbers that make no sense.
    """
    _check_seeds(gains)
    n = len(gains)
    if n < FEWEST_FLIPPED:
        raise ResultsError(
            f"{n} seeds are too few to flip their signs: no p-value could be below {2.0 ** (1 - n):.4g}; use at least "
            f"{FEWEST_FLIPPED}, where it can be {2.0 ** (1 - FEWEST_FLIPPED):.4g}"
        )
    exact = n <= _MOST_ENUMERATED
    return permutation_p(gains, resamples=max(resamples, 2**n) if exact else resamples, seed=seed)


def _values(outcomes: Numbers, sizes: Numbers, *, factors: tuple[str, ...], level: float) -> Floats:
    check_level(level)
    _check(outcomes, sizes, factors=factors)
    return pseudo_values(outcomes, sizes)


def _satterthwaite(total: Floats, uncertain: Floats, *, fewest: int) -> Floats:
    varies = uncertain > 0
    return np.maximum(np.where(varies, total**2 / np.where(varies, uncertain, 1), 0), fewest)


def _estimate(
    values: Floats, *, variance: Floats, df: Floats, level: float, squares: Mapping[tuple[int, ...], Floats]
) -> RandomEffects:
    from scipy.special import stdtr, stdtrit

    value, se = values.mean(axis=tuple(range(values.ndim - 1))), np.sqrt(variance)
    half = stdtrit(df, (1 + level) / 2) * se
    # Without any error a value other than nought is certain.
    t = np.where(se > 0, np.abs(value) / np.where(se > 0, se, 1), np.where(value == 0, 0, np.inf))
    factors = (CLUSTER, SEED) if values.ndim == 3 else (CLUSTER, INTERMEDIATE, TARGET)
    return RandomEffects(
        value=value,
        standard_error=se,
        df=df,
        low=value - half,
        high=value + half,
        p_value=np.minimum(1.0, 2 * stdtr(df, -t)),
        level=level,
        mean_squares={
            RESIDUAL if len(effect) == len(factors) else " x ".join(factors[axis] for axis in effect): squares[effect]
            for effect in squares
        },
        warnings=tuple(
            f"{number} {name}s are few: where seeds matter the interval rests on {number - 1} degrees of freedom and "
            f"is wide; {ENOUGH_SEEDS} or more are better"
            for name, number in zip(factors[1:], values.shape[1:-1], strict=True)
            if number < ENOUGH_SEEDS
        ),
    )


def _check(outcomes: Numbers, sizes: Numbers, *, factors: tuple[str, ...]) -> None:
    if outcomes.ndim != len(factors) + 2 or sizes.shape != outcomes.shape[:1]:
        raise ResultsError(
            f"items and seeds need outcomes (clusters, {', '.join(f'{name}s' for name in factors)}, columns) and sizes "
            f"(clusters,); got {outcomes.shape} and {sizes.shape}"
        )
    for name, number in zip(factors, outcomes.shape[1:-1], strict=True):
        if number < FEWEST_SEEDS:
            raise ResultsError(
                f"{number} {name}{'' if number == 1 else 's'} cannot say how much seeds vary, at least {FEWEST_SEEDS} "
                "can: resampling 2 or 3 seeds covers about 50 % and 76 % where seed variance dominates, and there is "
                "no variance estimate to speak of; conclude over items only"
            )
    if len(outcomes) < 2:
        raise ResultsError(f"items and seeds need at least 2 clusters; got {len(outcomes)}")
    if not np.isfinite(outcomes).all():
        raise ResultsError("items and seeds need numbers; some outcomes are NaN or infinite")
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ResultsError("every cluster needs at least one item; some have none")


def _check_seeds(values: Numbers) -> None:
    if values.ndim != 2 or not len(values):
        raise ResultsError(f"a table of seeds needs (seeds, columns), at least one seed; got {values.shape}")
    if not np.isfinite(values).all():
        raise ResultsError("a table of seeds needs numbers; some are NaN or infinite")
