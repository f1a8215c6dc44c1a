"""What a finished study could have found: the smallest detectable gains, from its own differences."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from xfer_bench.metrics import baseline_arm
from xfer_bench.stats.bootstrap import Floats, Numbers, cluster_sums
from xfer_bench.stats.method import Over
from xfer_bench.stats.outcomes import Pairing, pairings
from xfer_bench.stats.power import FEWEST_SEEDS, Spread, Wanted, seeds_needed, smallest_detectable

# Standard errors below this, in points, are those of systems that differ in the same way everywhere.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class ObservedPower:
    """One arm against the baseline on one target, in one language or on average.

    n_seeds: pairs of runs that share no stage and no baseline run with one another.
    discordance: share of items on which just one of the two runs is right, over seeds and languages; a fraction.
    correlation: of an item's differences in two languages, within a pair of runs; None for a single language.
    gain, standard_error: points; the latter over clusters of items, for these seeds.
    seed_variance: of the gain from seed to seed beyond what items explain, in points squared; an estimate, which may
        be below nought and then counts as nought; None for one seed.
    smallest: the smallest detectable gain over items, for these seeds; smallest_both: over items and seeds, None for
        fewer than 3. None where the systems do not differ at all, which says nothing of other items.
    items_needed, seeds_needed: for the gain asked for, over items with these seeds, and over both with these items;
        None where none was asked for, where nothing differs, and where no number of seeds does.
    """

    arm: str
    baseline: str
    task: str
    setting: str
    variant: str
    split: str
    target: str
    language: str
    languages: tuple[str, ...]
    n_items: int
    n_clusters: int
    n_seeds: int
    discordance: float
    correlation: float | None
    gain: float
    standard_error: float | None
    seed_variance: float | None
    smallest: float | None
    smallest_both: float | None
    wanted_gain: float | None
    items_needed: int | None
    seeds_needed: int | None
    power: float
    level: float


def observe(
    predictions: pl.DataFrame, *, baseline: str | None = None, wanted: Wanted | None = None
) -> list[ObservedPower]:
    """`observed_power` of every target in PREDICTIONS, over items and seeds; raises what `stats.compare` raises."""
    chosen = baseline_arm(predictions, name=baseline)
    return [one for pairing in pairings(predictions, baseline=chosen) for one in observed_power(pairing, wanted=wanted)]


def observed_power(pairing: Pairing, *, wanted: Wanted | None = None, over: Over = "both") -> list[ObservedPower]:
    """Each arm's smallest detectable gains on one target, on average and per language, in the pairing's order.

    over: with `items`, nothing is said of other seeds, and scipy is not needed.
    """
    asked = wanted or Wanted()
    return [one for arm in pairing.arms for one in _Differences(pairing, arm).cells(asked, over=over)]


class _Differences:
    """All that the cells of one arm share; differences are fractions."""

    def __init__(self, pairing: Pairing, arm: str) -> None:
        self.pairing, self.arm = pairing, arm
        pairs = [pair for pair in pairing.pairs if pair.arm == arm]
        after, before = [pair.after for pair in pairs], [pair.before for pair in pairs]
        # By item, pair and language.
        difference: Numbers = pairing.right[:, after].astype(np.int8) - pairing.right[:, before]
        units = _units([(pair.intermediate_seed, pair.before) for pair in pairs])
        self.weights = np.bincount(units) / len(units)
        self.discordance = np.abs(difference).mean(axis=(0, 1))
        self.covariance = sum((_covariance(difference[:, place]) for place in range(len(pairs))), np.zeros(1))
        totals, self.sizes = cluster_sums(difference.reshape(len(difference), -1), pairing.clusters)
        by_pair = totals.reshape(len(totals), len(pairs), -1)
        # By cluster, seed and language.
        self.totals = np.stack([by_pair[:, units == unit].mean(axis=1) for unit in range(max(units) + 1)], axis=1)

    def cells(self, wanted: Wanted, *, over: Over) -> list[ObservedPower]:
        """One for each average and each language."""
        pairing = self.pairing
        names = {name: getattr(pairing, name) for name in ("baseline", "task", "setting", "variant", "split", "target")}
        return [
            ObservedPower(
                **names,
                arm=self.arm,
                language=name,
                languages=languages,
                n_items=len(pairing.clusters),
                n_clusters=len(self.sizes),
                n_seeds=len(self.weights),
                wanted_gain=wanted.gain,
                power=wanted.power,
                level=wanted.level,
                **self._cell(pairing.places(languages), wanted, over=over),
            )
            for name, languages in pairing.averages.items()
        ]

    def _cell(self, places: list[int], wanted: Wanted, *, over: Over) -> dict[str, Any]:
        n_items, n_seeds = len(self.pairing.clusters), len(self.weights)
        totals = 100 * self.totals[:, :, places].mean(axis=2)
        gains = totals.sum(axis=0) / n_items
        seed_variance, spread = _parts(totals, self.sizes, self.weights)
        known: dict[str, Any] = {
            "discordance": float(self.discordance[places].mean()),
            "correlation": _correlation(self.covariance[np.ix_(places, places)]),
            "gain": float(gains @ self.weights),
            "seed_variance": seed_variance,
            "standard_error": None,
            "smallest": None,
            "smallest_both": None,
            "items_needed": None,
            "seeds_needed": None,
        }
        if spread is None:
            return known
        asked = {"level": wanted.level, "power": wanted.power}
        error = math.sqrt(max(spread.items + spread.rest / n_seeds, 0.0))
        known |= {"standard_error": error}
        if error > _ROUNDING:
            known["smallest"] = smallest_detectable(error, **asked)
        if over == "both" and n_seeds >= FEWEST_SEEDS and spread.standard_error > _ROUNDING:
            known["smallest_both"] = spread.smallest_detectable(**asked)
        if wanted.gain is not None and known["smallest"] is not None:
            known["items_needed"] = math.ceil(n_items * (known["smallest"] / wanted.gain) ** 2)
            if over == "both" and n_seeds > 1:
                known["seeds_needed"] = seeds_needed(wanted.gain, spread, **asked)
        return known


def _parts(totals: Floats, sizes: Floats, weights: Floats) -> tuple[float | None, Spread | None]:
    """The variance of gains over seeds less its sampling part, and all parts; of (clusters, seeds) totals.

    Two-way random effects without replication: with the mean squares of items, seeds and residual, the variance over
    seeds is (MS_seeds - MS_residual) / clusters (Searle, Casella and McCulloch, Variance Components, 1992, 4.7).
    Clusters of unequal sizes enter as deviations from the ratio (Cochran, Sampling Techniques, 1977, 6.4). None for one
    seed, and None for one cluster.
    """
    n_clusters, n_seeds = totals.shape
    gains = totals.sum(axis=0) / sizes.sum()
    if n_clusters == 1:
        return None, None
    deviations = (totals - sizes[:, None] * gains) * (n_clusters / sizes.sum())
    over_items = float(((deviations @ weights) ** 2).sum()) / (n_clusters - 1) / n_clusters
    if n_seeds == 1:
        return None, Spread(items=over_items, seeds=0.0, rest=0.0, n_clusters=n_clusters, n_seeds=1)
    residuals = deviations - deviations.mean(axis=1, keepdims=True)
    rest = float((residuals**2).sum()) / ((n_clusters - 1) * (n_seeds - 1)) / n_clusters
    over_seeds = float(gains.var(ddof=1)) - rest
    spread = Spread(
        items=over_items - rest / n_seeds,
        seeds=max(over_seeds, 0.0),
        rest=rest,
        n_clusters=n_clusters,
        n_seeds=n_seeds,
    )
    return over_seeds, spread


def _units(pairs: list[tuple[int | None, int]]) -> Numbers:
    """Which seed each pair of runs belongs to, from 0: pairs that share an intermediate stage or baseline run are one.

    pairs: intermediate seed, None where there is none, and the place of the baseline run.
    """
    units = list(range(len(pairs)))
    for place, (seed, before) in enumerate(pairs):
        for other in range(place):
            shared = before == pairs[other][1] or (seed is not None and seed == pairs[other][0])
            if shared and units[other] != units[place]:
                one, gone = sorted((units[other], units[place]))
                units = [one if unit == gone else unit for unit in units]
    return np.unique(units, return_inverse=True)[1]


def _covariance(difference: Numbers) -> Floats:
    """(languages, languages), of the differences (items, languages) of one pair of runs."""
    centred = difference - difference.mean(axis=0)
    return np.asarray(centred.T @ centred)


def _correlation(covariance: Floats) -> float | None:
    """The mean covariance of two languages over their mean variance."""
    languages, within = len(covariance), float(np.trace(covariance))
    if languages == 1 or within == 0:
        return None
    return (float(covariance.sum()) / within - 1) / (languages - 1)


def observed_frame(observed: list[ObservedPower]) -> pl.DataFrame:
    """One row per cell, one column per field; `languages` as codes with spaces between."""
    rows = [{**asdict(one), "languages": " ".join(one.languages)} for one in observed]
    return pl.DataFrame(rows, infer_schema_length=None)
