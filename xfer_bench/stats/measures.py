"""One target's gains: every arm, average and language at once, each with its interval and p-value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers, cluster_sums, differing_clusters, p_value
from xfer_bench.stats.cautions import expectation
from xfer_bench.stats.components import run_grid
from xfer_bench.stats.effects import cohen_h
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.intervals import interval
from xfer_bench.stats.mcnemar import mcnemar
from xfer_bench.stats.method import Method
from xfer_bench.stats.observed_power import observed_power
from xfer_bench.stats.outcomes import Pair, Pairing
from xfer_bench.stats.paired import over_clusters
from xfer_bench.stats.power import Wanted, smallest_detectable
from xfer_bench.stats.seeds import crossed_bootstrap, crossed_random_effects, random_effects, sign_flips

MCNEMAR = frozenset({"mcnemar", "mid-p"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A comparison with what belongs to its family's test: the gain in every resample, in points; None without any."""

    comparison: Comparison
    draws: Floats | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Column:
    """One quantity. won: (clusters, pairs) items that only the arm has right minus those that only the other has."""

    arm: str
    name: str
    languages: tuple[str, ...]
    pairs: tuple[Pair, ...]
    won: Numbers


@dataclass(frozen=True, kw_only=True, eq=False)
class _Inference:
    """Over columns; fractions. draws: (resamples, columns). test: the p-values' name.

    smallest: by column the smallest detectable gain in points, where it is another than the standard error tells.
    """

    low: Floats
    high: Floats
    standard_error: Floats
    p_value: Floats
    test: str
    df: Floats | None = None
    draws: Floats | None = None
    smallest: Mapping[str, float] = field(default_factory=dict)
    caution: str = ""


def measure(pairing: Pairing, method: Method) -> list[Measured]:
    """By arm, its averages and then its languages. Raises ResultsError where the method is undefined."""
    counts, sizes = cluster_sums(pairing.right.reshape(len(pairing.clusters), -1), pairing.clusters)
    right = counts.reshape(len(sizes), *pairing.right.shape[1:])
    columns = [*_columns(pairing, right)]
    if method.test in MCNEMAR:
        columns = [column for column in columns if column.languages == (column.name,)]
    if method.over == "items":
        found = _over_items(pairing, columns, sizes, method)
        return [_measured(pairing, column, right, found, place, method) for place, column in enumerate(columns)]
    measured = []
    for arm in pairing.arms:
        some = [column for column in columns if column.arm == arm]
        found = _over_both(pairing, some, sizes, method)
        measured += [_measured(pairing, column, right, found, place, method) for place, column in enumerate(some)]
    return measured


def _columns(pairing: Pairing, right: Numbers) -> Iterator[_Column]:
    for arm in pairing.arms:
        pairs = tuple(pairing.pairs_of(arm))
        won = right[:, [pair.after for pair in pairs]] - right[:, [pair.before for pair in pairs]]
        for name, languages in pairing.averages.items():
            places = pairing.places(languages)
            yield _Column(arm=arm, name=name, languages=languages, pairs=pairs, won=won[:, :, places].sum(axis=2))


def _over_items(pairing: Pairing, columns: Sequence[_Column], sizes: Numbers, method: Method) -> _Inference:
    divisors = np.array([len(column.pairs) * len(column.languages) for column in columns])
    sums = _sums(columns)
    found = over_clusters(sums, sizes, divisors=divisors, method=method)
    p = found.p_value
    if method.test in MCNEMAR:
        p = np.array([_mcnemar_p(pairing, column, method) for column in columns])
    # Of equal draws numpy's standard deviation is not quite nought.
    error = np.where(np.ptp(found.draws, axis=0) > 0, found.draws.std(axis=0), 0.0)
    return _Inference(
        low=found.low, high=found.high, standard_error=error, p_value=p,
        test=method.test or "bootstrap", draws=found.draws,
        caution=_cautions([method.interval, method.test or "bootstrap"], clusters=len(sizes)),
    )  # fmt: skip


def _sums(columns: Sequence[_Column]) -> Numbers:
    """Over each column's pairs: (clusters, columns)."""
    return np.stack([column.won.sum(axis=1) for column in columns], axis=-1)


def _mcnemar_p(pairing: Pairing, column: _Column, method: Method) -> float:
    if len(column.pairs) > 1 or len(np.unique(pairing.clusters)) < len(pairing.clusters):
        what = f"{len(column.pairs)} pairs of runs" if len(column.pairs) > 1 else "items that come in clusters"
        raise ResultsError(
            f"McNemar's test is for one pair of runs over independent items; {column.arm} on {pairing.task} has "
            f"{what}: use --permutation"
        )
    (pair,), (place,) = column.pairs, pairing.places(column.languages)
    after, before = pairing.right[:, pair.after, place], pairing.right[:, pair.before, place]
    return mcnemar(after, before, method="mid-p" if method.test == "mid-p" else "exact").p_value


def _over_both(pairing: Pairing, columns: Sequence[_Column], sizes: Numbers, method: Method) -> _Inference:
    """Of one arm's columns."""
    _, grid = run_grid([(pair.intermediate_seed, pair.target_seed) for pair in columns[0].pairs])
    won = np.stack([column.won / len(column.languages) for column in columns], axis=-1)[:, grid]
    few = {"clusters": len(sizes), "seeds": min(grid.shape)}
    if method.test == "bootstrap":
        draws = crossed_bootstrap(won, sizes, resamples=method.resamples, seed=method.seed)
        observed = won.sum(axis=0).reshape(-1, len(columns)).mean(axis=0) / sizes.sum()
        low, high = interval(draws, observed, method="percentile", level=method.level)
        return _Inference(
            low=low, high=high, standard_error=draws.std(axis=0),
            p_value=p_value(draws, observed, differing=differing_clusters(_sums(columns))),
            test="crossed bootstrap", draws=draws, caution=_cautions(["crossed bootstrap"], **few),
        )  # fmt: skip
    fit = (random_effects if grid.ndim == 1 else crossed_random_effects)(won, sizes, level=method.level)
    p, test = fit.p_value, "random effects"
    if method.test == "permutation":
        if grid.ndim > 1:
            raise ResultsError(
                "signs are flipped over independent seeds; here runs share intermediate stages: use the random-effects "
                "test, which is the default over both"
            )
        p = sign_flips(won.sum(axis=0) / sizes.sum(), resamples=method.resamples, seed=method.seed)
        test = "sign flips"
    return _Inference(
        low=fit.low, high=fit.high, standard_error=fit.standard_error, p_value=p, test=test, df=fit.df,
        smallest=_smallest(pairing, columns[0].arm, method) if grid.ndim == 1 else {},
        caution="; ".join([*fit.warnings, *filter(None, [_cautions([test], **few)])]),
    )  # fmt: skip


def _smallest(pairing: Pairing, arm: str, method: Method) -> dict[str, float]:
    """Over items and seeds as `power` has it: few seeds' own standard error and df promise too much.

    Simulated with 3 seeds, a gain of (t + t_power) SE was found 65 times in 100 where 80 were promised. A grid of
    seeds, which `power` counts as one, has none here.
    """
    wanted = Wanted(power=method.power, level=method.level)
    return {
        one.language: one.smallest_both
        for one in observed_power(pairing, wanted=wanted)
        if one.arm == arm and one.smallest_both is not None
    }


def _cautions(names: Sequence[str], *, clusters: int, seeds: int = 1) -> str:
    """What is known of these methods with so few clusters or seeds, each line once."""
    lines = (expectation(name, n_clusters=clusters, n_seeds=seeds) for name in names)
    return "; ".join(dict.fromkeys(line for line in lines if line))


def _measured(
    pairing: Pairing, column: _Column, right: Numbers, found: _Inference, place: int, method: Method
) -> Measured:
    items, languages = len(pairing.clusters), pairing.places(column.languages)
    after, before = [pair.after for pair in column.pairs], [pair.before for pair in column.pairs]
    shares = right[:, :, languages].sum(axis=(0, 2)) / items / len(languages)
    arms, baselines = shares[after], shares[before]
    ahead, behind = _discordant(pairing, column, languages)
    df = None if found.df is None else float(found.df[place])
    comparison = Comparison(
        arm=column.arm,
        baseline=pairing.baseline,
        task=pairing.task,
        setting=pairing.setting,
        variant=pairing.variant,
        split=pairing.split,
        target=pairing.target,
        language=column.name,
        languages=column.languages,
        seen=_seen(pairing, column),
        n_items=items,
        n_clusters=len(right),
        n_seeds=len(column.pairs),
        dropped_seeds=pairing.dropped[column.arm],
        accuracy=float(100 * arms.mean()),
        accuracy_sd=_sd(arms),
        baseline_accuracy=float(100 * baselines.mean()),
        baseline_sd=_sd(shares[sorted(set(before))]),
        gain=float(100 * (arms.sum() - baselines.sum()) / len(arms)),
        gain_sd=_sd(arms - baselines),
        ci_low=float(100 * found.low[place]),
        ci_high=float(100 * found.high[place]),
        standard_error=float(100 * found.standard_error[place]),
        df=df,
        p_value=float(found.p_value[place]),
        smallest_detectable=found.smallest[column.name]
        if column.name in found.smallest
        else smallest_detectable(
            float(100 * found.standard_error[place]), level=method.level, power=method.power, df=df
        ),
        cohen_h=cohen_h(float(arms.mean()), float(baselines.mean())),
        odds_ratio=ahead / behind if behind else None,
        discordance=(ahead + behind) / (items * len(languages) * len(column.pairs)),
        over=method.over,
        test=found.test,
        level=method.level,
        resamples=method.resamples,
        caution=found.caution,
    )
    return Measured(comparison=comparison, draws=None if found.draws is None else 100 * found.draws[:, place])


def _seen(pairing: Pairing, column: _Column) -> bool | None:
    """None for an average, and where nobody knows."""
    cell = (column.arm, column.name)
    return None if column.languages != (column.name,) or cell in pairing.unknown else cell in pairing.seen


def _discordant(pairing: Pairing, column: _Column, languages: Sequence[int]) -> tuple[int, int]:
    """How many answers only the arm has right, and how many only the other."""
    right = pairing.right[:, :, languages]
    ahead = behind = 0
    for pair in column.pairs:
        ahead += int(np.count_nonzero(right[:, pair.after] > right[:, pair.before]))
        behind += int(np.count_nonzero(right[:, pair.after] < right[:, pair.before]))
    return ahead, behind


def _sd(shares: Floats) -> float | None:
    return float(100 * np.std(shares, ddof=1)) if len(shares) > 1 else None
