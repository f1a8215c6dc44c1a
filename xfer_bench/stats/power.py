"""Power: the smallest gain that a comparison can find, and how many items or seeds a wanted one needs.

Before a study from what is expected (`Design`); after one from what was observed (`stats.observed_power`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats

# With fewer seeds their variance is not known well enough for a test over items and seeds.
FEWEST_SEEDS = 3
_NORMAL = NormalDist()
_MANY = 1 << 40
_QUANTILES = 400
_PRECISION = 1e-6


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of a comparison: two-sided at `level`, with this power; `gain`, in points, is one to plan for.

    Raises ResultsError for a level outside 0-1, a power below one half, and a gain that is not above nought.
    """

    power: float = 0.8
    level: float = 0.95
    gain: float | None = None

    def __post_init__(self) -> None:
        smallest_detectable(1.0, level=self.level, power=self.power)
        if self.gain is not None:
            _check_gain(self.gain)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The variance of a mean gain in parts, in points squared.

    items: of the mean over the items at hand, which more seeds do not lessen; as an estimate it may be below nought.
    seeds: from one seed to the next. rest: of one seed's mean, from what is particular to an item in a seed.
    n_clusters, n_seeds: how many there are.
    """

    items: float
    seeds: float
    rest: float
    n_clusters: int
    n_seeds: int

    @property
    def standard_error(self) -> float:
        """Of the mean over all items and seeds, both taken as random; points."""
        return math.sqrt(max(self.items + (self.seeds + self.rest) / self.n_seeds, 0.0))

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom at the expected mean squares (Biometrics Bulletin 2, 1946)."""
        residual, more, others = self.rest / self.n_seeds, self.n_seeds - 1, self.n_clusters - 1
        by_items, by_seeds = self.items + residual, self.seeds / self.n_seeds + residual
        squares = (by_items**2 + residual**2 / more) / others + by_seeds**2 / more
        return (by_items + by_seeds - residual) ** 2 / squares if squares else math.inf

    def power_of(self, gain: float, *, level: float = 0.95) -> float:
        """The chance that the random-effects t test finds a true gain of so many points, a fraction.

        The gain's estimate is normal and independent of the mean squares. Few seeds leave theirs so uncertain that
        the noncentral t at its expectation promises up to ten points too much; so the test's rule, that of
        `seeds.random_effects`, is averaged over the chi-squared distribution of the seeds' mean square, with those of
        items and residual at their expectations. Raises ResultsError for a single seed, whose difference from others
        nobody has seen.
        """
        if self.seeds + self.rest == 0 or self.standard_error == 0:
            return power_of(gain, self.standard_error, level=level)
        from scipy.special import ndtr

        error = self.standard_error
        bounds = self._bounds(level)
        return float(np.mean(ndtr((abs(gain) - bounds) / error) + ndtr((-abs(gain) - bounds) / error)))

    def smallest_detectable(self, *, level: float = 0.95, power: float = 0.8) -> float:
        """The smallest gain that the random-effects t test finds with this power, in points."""
        normal = smallest_detectable(self.standard_error, level=level, power=power)
        if self.seeds + self.rest == 0 or normal == 0:
            return normal
        return _smallest(lambda gain: self.power_of(gain, level=level) >= power, start=normal)

    def _bounds(self, level: float) -> Floats:
        """From which gain on the test rejects, at equally likely values of the seeds' mean square."""
        from scipy.special import gammaincinv, stdtrit

        more, others = self.n_seeds - 1, self.n_clusters - 1
        if not more:
            raise ResultsError("one seed does not show how much seeds differ; use at least 3, or take it as given")
        residual, items = self.rest / self.n_seeds, max(self.items, 0.0)
        chances = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        by_seeds = (self.seeds / self.n_seeds + residual) * gammaincinv(more / 2, chances) / (more / 2)
        uncertain = ((items + residual) ** 2 + residual**2 / more) / others if items and others else 0.0
        enlarged = by_seeds * (1 + 2 / more)
        df = np.maximum((items + enlarged) ** 2 / (uncertain + enlarged**2 / more), more)
        return np.asarray(stdtrit(df, (1 + level) / 2) * np.sqrt(items + by_seeds))


@dataclass(frozen=True, kw_only=True)
class Design:
    """A comparison of two systems that is still to be made.

    discordance: expected share of items on which just one of the two is right, a fraction. languages: over how many
    parallel ones the gain is averaged; correlation: of an item's differences in any two of them. seeds, seed_sd: how
    many pairs of runs, and the standard deviation of their gains beyond what their items explain, in points; with no
    sd the seeds are taken as given, and more of them are not counted as more items.

    Raises ResultsError for what no study can be, and for fewer than 3 seeds with an sd.
    """

    items: int
    discordance: float
    languages: int = 1
    correlation: float = 0.0
    seeds: int = 1
    seed_sd: float = 0.0

    def __post_init__(self) -> None:
        self.spread(0.0)
        if self.seeds < 1 or not 0 <= self.seed_sd < math.inf:
            raise ResultsError(
                f"{self.seeds} seeds with a standard deviation of {self.seed_sd:g} points are no study; "
                "use at least 1 seed and a standard deviation from 0"
            )
        if self.seed_sd and self.seeds < FEWEST_SEEDS:
            raise ResultsError(
                f"{self.seeds} seeds are too few to allow for a seed sd of {self.seed_sd:g} points; use at least "
                f"{FEWEST_SEEDS}, or no seed sd for a claim about these seeds only"
            )

    def spread(self, gain: float) -> Spread:
        """The variances if the gain is so many points."""
        error = paired_standard_error(
            self.items, self.discordance, gain=gain, languages=self.languages, correlation=self.correlation
        )
        return Spread(items=error**2, seeds=self.seed_sd**2, rest=0.0, n_clusters=self.items, n_seeds=self.seeds)

    def power_of(self, gain: float, *, level: float = 0.95) -> float:
        """The chance of finding a gain of so many points, a fraction."""
        return self.spread(gain).power_of(gain, level=level)

    def smallest_detectable(self, *, level: float = 0.95, power: float = 0.8) -> float | None:
        """The smallest gain found with this power, in points; None where it would exceed the discordance."""
        if self.discordance == 0:
            return None
        # gain = factor SE(gain), and the items' part of SE^2 falls with the gain, as discordance - gain^2 does.
        plain, factor = self.spread(0.0), smallest_detectable(1.0, level=level, power=power)
        share = plain.items / (100**2 * self.discordance)
        gain, most = factor * plain.standard_error / math.sqrt(1 + factor**2 * share), 100 * self.discordance
        if self.seed_sd and gain <= most:
            gain = _smallest(lambda wanted: self.power_of(min(wanted, most), level=level) >= power, start=gain)
        return gain if gain <= most else None


def smallest_detectable(
    standard_error: float, *, level: float = 0.95, power: float = 0.8, df: float | None = None
) -> float:
    """The smallest gain that a two-sided test finds with this power, in the units of its standard error (points).

    (z_(1-a/2) + z_power) SE with a = 1 - level; 2.80 SE at 95 and 80 % (Card et al., EMNLP 2020; Miller, Adding Error
    Bars to Evals, 2024). With df, the degrees of freedom of the standard error, the same of the noncentral t. The
    chance of finding it with the wrong sign, one in a million at 80 %, is left out. Raises ResultsError for a power
    below one half, with which no one plans.
    """
    _check(standard_error, level=level)
    if not 0.5 <= power < 1:
        raise ResultsError(f"a power of {power:g} is none to plan with; it lies from 0.5 to below 1, as 0.8 does")
    tail = (1 + level) / 2
    if standard_error == 0:
        return 0.0
    if df is None or df == math.inf:
        return (_NORMAL.inv_cdf(tail) + _NORMAL.inv_cdf(power)) * standard_error
    from scipy.special import nctdtrinc, stdtrit

    _check_df(df)
    return float(nctdtrinc(df, 1 - power, stdtrit(df, tail))) * standard_error


def power_of(gain: float, standard_error: float, *, level: float = 0.95, df: float | None = None) -> float:
    """The chance that a two-sided test finds a true gain, a fraction; gain and standard error in the same units.

    Of either sign, and so 1 - level for no gain. Without any error it is 1, and 0 for no gain. With df, by the
    noncentral t (Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, 2).
    """
    _check(standard_error, level=level)
    if not math.isfinite(gain):
        raise ResultsError(f"a gain of {gain} points is none; use a number")
    if standard_error == 0:
        return float(gain != 0)
    shift, tail = abs(gain) / standard_error, (1 + level) / 2
    if df is None or df == math.inf:
        bound = _NORMAL.inv_cdf(tail)
        return _NORMAL.cdf(shift - bound) + _NORMAL.cdf(-shift - bound)
    from scipy.special import nctdtr, stdtrit

    _check_df(df)
    bound = float(stdtrit(df, tail))
    missed, reversed_sign = float(nctdtr(df, shift, bound)), float(nctdtr(df, shift, -bound))
    # Far from the bound scipy gives NaN for what is as good as nought or one.
    missed = float(shift < bound) if math.isnan(missed) else missed
    return 1 - missed + (0.0 if math.isnan(reversed_sign) else reversed_sign)


def paired_standard_error(
    items: int, discordance: float, *, gain: float = 0.0, languages: int = 1, correlation: float = 0.0
) -> float:
    """The standard error of a difference of two accuracies on the same items, in points.

    100 sqrt((d - g^2) / n (1 + (L - 1) r) / L): an item's difference is -1, 0 or 1 and has the variance d - g^2, d the
    discordance and g the gain as a fraction (Miller, Adding Error Bars to Evals, 2024, 4.2); the mean over L parallel
    languages whose differences correlate by r has the share (1 + (L - 1) r) / L of it (Kish, Survey Sampling, 1965,
    5.4). discordance and correlation: fractions; gain: points.

    Raises ResultsError for no items or languages, a discordance outside 0-1, a correlation that L languages cannot
    have, and a gain beyond the discordance.
    """
    if items < 1 or languages < 1:
        many = "language" if languages == 1 else "languages"
        raise ResultsError(f"{items} items in {languages} {many} are no study; use at least 1 of each")
    if not 0 <= discordance <= 1:
        raise ResultsError(f"a discordance of {discordance:g} is none; it is a share of the items, from 0 to 1")
    lowest = -1.0 if languages == 1 else -1 / (languages - 1)
    if not lowest <= correlation <= 1:
        raise ResultsError(
            f"differences in {languages} languages cannot correlate by {correlation:g}; it lies from {lowest:.2g} to 1"
        )
    if not abs(gain) <= 100 * discordance:
        raise ResultsError(
            f"a gain of {gain:g} points needs as large a discordance; {discordance:g} allows {100 * discordance:g}"
        )
    variance = (discordance - (gain / 100) ** 2) / items * (1 + (languages - 1) * correlation) / languages
    return 100 * math.sqrt(max(variance, 0))


def items_needed(gain: float, design: Design, *, level: float = 0.95, power: float = 0.8) -> int | None:
    """The fewest items with which the design finds such a gain (points) with this power.

    None where no number does: the seeds' variance is too large, or the gain exceeds the discordance.
    """
    if _check_gain(gain) > 100 * design.discordance:
        return None
    return _fewest(lambda items: replace(design, items=items).power_of(gain, level=level) >= power, start=1)


def seeds_needed(gain: float, spread: Spread, *, level: float = 0.95, power: float = 0.8) -> int | None:
    """The fewest seeds with which these items show such a gain (points) with this power, over items and seeds.

    At least 3, as a test over seeds needs; None where no number does, since the items alone are too few.
    """
    _check_gain(gain)
    known = replace(spread, items=max(spread.items, 0.0))

    def enough(seeds: int) -> bool:
        return replace(known, n_seeds=seeds).power_of(gain, level=level) >= power

    return _fewest(enough, start=FEWEST_SEEDS)


def _fewest(enough: Callable[[int], bool], *, start: int) -> int | None:
    """The smallest number from `start` on that is enough; None if no doubling of it up to a trillion is."""
    low, high = start - 1, start
    while not enough(high):
        low, high = high, 2 * high
        if high > _MANY:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _smallest(enough: Callable[[float], bool], *, start: float) -> float:
    """The smallest gain from `start` on that is enough."""
    low, high = start, 2 * start
    while not enough(high):
        low, high = high, 2 * high
    while high - low > _PRECISION * start:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check(standard_error: float, *, level: float) -> None:
    if not 0 <= standard_error < math.inf:
        raise ResultsError(f"a standard error of {standard_error} is none; it is a number from 0")
    if not 0 < level < 1:
        raise ResultsError(f"a level of {level} is no level; it lies between 0 and 1, as 0.95 does")


def _check_df(df: float) -> None:
    if not df > 0:
        raise ResultsError(f"{df} degrees of freedom are none; use a number above 0, or none for a normal test")


def _check_gain(gain: float) -> float:
    if not 0 < gain < math.inf:
        raise ResultsError(f"a wanted gain of {gain:g} points is none; use a number above 0")
    return gain
