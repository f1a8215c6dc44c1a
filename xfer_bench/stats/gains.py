"""The gains of arms on one target with joint resamples: the same clusters for all arms, languages and averages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xfer_bench.stats.bootstrap import Floats, cluster_sums, resample_means
from xfer_bench.stats.outcomes import Pairing


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmGains:
    """gains, baseline: (arms, columns) in points; draws: (resamples, arms, columns), the gains over resampled items.

    columns: the names of averages or languages. Runs of an arm are averaged; `baseline` is the accuracy of the runs
    that the arm is measured against.
    """

    arms: tuple[str, ...]
    columns: tuple[str, ...]
    gains: Floats
    baseline: Floats
    draws: Floats


def arm_gains(
    pairing: Pairing, columns: Mapping[str, Sequence[str]], *, resamples: int = 10_000, seed: int = 0
) -> ArmGains:
    """Each arm's mean gain over its runs, on each of the columns: a name and the languages that it is the mean of."""
    arms, names = pairing.arms, tuple(columns)
    sums, before, divisors = [], [], []
    for arm in arms:
        pairs = [pair for pair in pairing.pairs if pair.arm == arm]
        ours = pairing.right[:, [pair.after for pair in pairs]].sum(axis=1, dtype=np.int64)
        theirs = pairing.right[:, [pair.before for pair in pairs]].sum(axis=1, dtype=np.int64)
        for name in names:
            places = pairing.places(columns[name])
            sums.append((ours - theirs)[:, places].sum(axis=1))
            before.append(theirs[:, places].sum())
            divisors.append(len(pairs) * len(places))
    counted, sizes = cluster_sums(np.stack(sums, axis=-1), pairing.clusters)
    each = np.array(divisors)
    draws = 100 * resample_means(counted, sizes, resamples=resamples, seed=seed) / each
    shape = (len(arms), len(names))
    return ArmGains(
        arms=arms,
        columns=names,
        gains=(100 * counted.sum(axis=0) / sizes.sum() / each).reshape(shape),
        baseline=(100 * np.array(before) / sizes.sum() / each).reshape(shape),
        draws=draws.reshape(-1, *shape),
    )


def headline(pairing: Pairing) -> dict[str, tuple[str, ...]]:
    """The average that stands for the target: `avg_unseen`, or `avg` where no language is unseen, or English alone."""
    name, languages = next(iter(pairing.averages.items()))
    return {name: languages}


def target_name(pairing: Pairing) -> str:
    """Task, split and setting in words, with the variant and the training target where they are special."""
    variant = "" if pairing.variant == "published" else f" {pairing.variant}"
    after = "" if pairing.target == pairing.task else f" after {pairing.target}"
    return f"{pairing.task}{variant} {pairing.split}{after} ({pairing.setting})"


def streams(several: Sequence[Pairing], *, seed: int) -> list[int]:
    """The bootstrap's seed for each target: the same over the same items of a task, another over others.

    Two sets of items with as many clusters would otherwise be drawn alike, as if their items were the same. The first
    set has the seed itself, as `compare` has it.
    """
    sets = [(one.task, one.split) for one in several]
    places = {name: place for place, name in enumerate(dict.fromkeys(sets))}
    return [_stream(seed, places[name]) for name in sets]


def _stream(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]) if number else seed
