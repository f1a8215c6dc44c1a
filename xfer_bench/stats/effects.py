"""How large a difference between two systems is: in points, as Cohen's h, and as odds of the discordant items."""

import math
from dataclasses import dataclass

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Numbers
from xfer_bench.stats.mcnemar import discordant_pairs
from xfer_bench.stats.proportions import clopper_pearson

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class DiscordantOdds:
    """The odds that it is the first system that is right where just one is, and an interval.

    odds_ratio, low, high: None where there is none, and `reason` says why; `high` alone is None where the interval
    has no upper end.
    """

    odds_ratio: float | None
    low: float | None
    high: float | None
    level: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Sizes of one difference: accuracies `first` and `second` and `difference` in points, Cohen's h, and the odds.

    b, c: outcomes that only the first, and only the second, system has right.
    """

    first: float
    second: float
    difference: float
    cohen_h: float
    b: int
    c: int
    odds: DiscordantOdds


def paired_effect(a: Numbers, b: Numbers, *, clusters: Numbers | None = None, level: float = 0.95) -> Effect:
    """How much better `a` is than `b` on the same items.

    a, b: 1 where the system was right and 0 where it was wrong; (items,) or (items, languages), whose outcomes are
    then pooled. clusters: (items,) labels of items that belong together. The odds' interval is exact for independent
    items; with several languages, or several items in a cluster, the odds have none, and `reason` says so. Raises
    ResultsError for other numbers or shapes that do not fit.
    """
    first, second = np.asarray(a), np.asarray(b)
    only_first, only_second = discordant_pairs(first, second)
    labels = None if clusters is None else np.asarray(clusters)
    if labels is not None and labels.shape != first.shape[:1]:
        raise ResultsError(f"the clusters need one label per item; got {labels.shape} for {len(first)} items")
    odds = discordant_odds(only_first, only_second, level=level)
    alone = labels is None or len(np.unique(labels)) == len(labels)
    if only_first + only_second and (first.size > len(first) or not alone):
        reason = "the exact interval needs independent items, one language and one seed"
        odds = DiscordantOdds(odds_ratio=odds.odds_ratio, low=None, high=None, level=level, reason=reason)
    one, other = float(first.mean()), float(second.mean())
    return Effect(
        first=100 * one,
        second=100 * other,
        difference=100 * (only_first - only_second) / first.size,
        cohen_h=cohen_h(one, other),
        b=only_first,
        c=only_second,
        odds=odds,
    )


def cohen_h(first: float, second: float) -> float:
    """Cohen's h of two accuracies, as fractions: 2 asin(sqrt(p1)) - 2 asin(sqrt(p2)).

    About 0.2 is small, 0.5 medium, 0.8 large (Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988,
    6.2). The same number of points is a larger h near 0 and 1 than near one half. Raises ResultsError outside 0-1.
    """
    for share in (first, second):
        if not -_ROUNDING <= share <= 1 + _ROUNDING:
            raise ResultsError(f"Cohen's h needs accuracies as fractions, from 0 to 1; got {share:g}")
    one, other = (math.asin(math.sqrt(min(max(share, 0.0), 1.0))) for share in (first, second))
    return 2 * one - 2 * other


def discordant_odds(b: int, c: int, *, level: float = 0.95) -> DiscordantOdds:
    """b / c with its exact conditional interval, from the items that only the first, or only the second, has right.

    Given b + c, b is binomial, and the odds b / c are those of its share: the ends are Clopper and Pearson's for that
    share, as odds (Breslow and Day, Statistical Methods in Cancer Research I, 1980, 5.2). Items count as
    independent. Raises ResultsError for counts below nought.
    """
    if b < 0 or c < 0:
        raise ResultsError(f"counts of discordant items are whole numbers from 0; got {b} and {c}")
    if b + c == 0:
        reason = "no discordant items: both systems are right on the same ones"
        return DiscordantOdds(odds_ratio=None, low=None, high=None, level=level, reason=reason)
    low, high = (float(end) / 100 for end in clopper_pearson(b, b + c, level=level))
    return DiscordantOdds(
        odds_ratio=b / c if c else None,
        low=low / (1 - low),
        high=high / (1 - high) if c else None,
        level=level,
        reason="" if c else "the second system is right on no item that the first has wrong",
    )
