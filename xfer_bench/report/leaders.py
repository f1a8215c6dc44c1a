"""Which arm of a column may be printed in bold: one that is certainly the best, not one that happens to be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl

from xfer_bench.stats.estimates import Comparison, significant
from xfer_bench.stats.gains import arm_gains
from xfer_bench.stats.outcomes import Pairing, pairings
from xfer_bench.stats.ranking import Ranking, rank_arms

# Task, variant, split, setting and target.
Target: TypeAlias = tuple[str, str, str, str, str]

# What a caption says of it.
RULE = (
    "bold: the best of its column, where simultaneous {level:g} % intervals of all differences between two arms "
    "(max-t, over items) put every other one below it and the adjusted test tells it from {baseline}"
)


@dataclass(frozen=True, kw_only=True)
class Leader:
    """The arm that is certainly the best on a target, in a language or an average."""

    target: Target
    language: str
    arm: str


def target_of(one: Comparison | Pairing | Ranking) -> Target:
    """What is one target: also the same task as published and repaired are two."""
    return one.task, one.variant, one.split, one.setting, one.target


def leaders(
    predictions: pl.DataFrame,
    comparisons: Sequence[Comparison],
    *,
    baseline: str,
    resamples: int = 10_000,
    seed: int = 0,
) -> frozenset[Leader]:
    """The arms in bold, at most one for each target and language or average; often there is none.

    predictions: PREDICTIONS of the arms, without controls. comparisons: theirs with the baseline. The baseline is one
    of the arms. Such an arm is alone in the first group of `stats.ranking.rank_arms`, and its gain is significant
    after the adjustment for its family; where it is the baseline, so is every arm's loss.
    """
    against: dict[tuple[Target, str], list[Comparison]] = {}
    for one in comparisons:
        if one.baseline == baseline and not one.primary and not one.control:
            against.setdefault((target_of(one), one.language), []).append(one)
    return frozenset(
        Leader(target=target_of(pairing), language=language, arm=arm)
        for pairing in pairings(predictions, baseline=baseline)
        for language, arm in _alone(pairing, resamples=resamples, seed=seed, level=comparisons[0].level)
        if _told_apart(arm, against.get((target_of(pairing), language), []))
    )


def _alone(pairing: Pairing, *, resamples: int, seed: int, level: float) -> Iterator[tuple[str, str]]:
    """The languages and averages in which one arm is certainly above all others, and that arm."""
    found = arm_gains(pairing, pairing.averages, resamples=resamples, seed=seed)
    arms = (*found.arms, pairing.baseline)
    for place, language in enumerate(found.columns):
        # To train no intermediate stage gains nought in every resample.
        gains = np.append(found.gains[:, place], 0.0)
        draws = np.column_stack([found.draws[:, :, place], np.zeros(len(found.draws))])
        first = [rank.arm for rank in rank_arms(arms, gains, draws, level=level) if rank.group == 1]
        if len(first) == 1:
            yield language, first[0]


def _told_apart(arm: str, tests: Sequence[Comparison]) -> bool:
    if any(one.arm == arm for one in tests):
        return all(significant(one) and one.gain > 0 for one in tests if one.arm == arm)
    return bool(tests) and all(significant(one) and one.gain < 0 for one in tests)
