"""Where the variance comes from: mean squares and variance components of complete arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers, cluster_sums
from xfer_bench.stats.outcomes import Pairing

Effect: TypeAlias = tuple[int, ...]
Quantity: TypeAlias = Literal["accuracy", "gain"]

CLUSTER, SEED, INTERMEDIATE, TARGET, LANGUAGE = "cluster", "seed", "intermediate seed", "target seed", "language"
RESIDUAL = "residual"

_BLOCK_BYTES = 1 << 25
# Sums of squares below this share of the whole are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Components:
    """How much of the variance of one outcome each factor and each interaction makes.

    names: the factors, then their interactions as `cluster x seed`, last `residual`. estimates: squared points, which
    can be below nought. shares: fractions of the estimates' sum, None where that is not above nought. df, mean_squares:
    of each.
    """

    names: tuple[str, ...]
    estimates: tuple[float, ...]
    shares: tuple[float | None, ...]
    df: tuple[int, ...]
    mean_squares: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ArmComponents:
    """The variance components of one arm's accuracies, or of its gains over the baseline's runs."""

    arm: str
    quantity: Quantity
    components: Components


def mean_squares(values: Numbers) -> tuple[dict[Effect, Floats], dict[Effect, int]]:
    """Mean squares and degrees of freedom of every effect in a complete array with one value per cell.

    values: (levels of the first factor, ..., levels of the last, columns), at least two levels each. An effect is the
    tuple of its factors' axes: (0,) a main effect, (0, 1) an interaction; that of all of them is the residual. Returns
    {effect: (columns,)} and {effect: df}. From the sums of squares of marginal means (Searle, Casella and McCulloch,
    Variance Components, 1992, 4.7). Raises ResultsError for a factor with one level and for what is no number.
    """
    shape = values.shape[:-1]
    if not shape or min(shape) < 2:
        raise ResultsError(f"every factor of an analysis of variance needs at least 2 levels; got {shape}")
    effects = [effect for size in range(1, len(shape) + 1) for effect in combinations(range(len(shape)), size)]
    df = {effect: int(np.prod([shape[axis] - 1 for axis in effect])) for effect in effects}
    step = max(1, int(_BLOCK_BYTES // (8 * np.prod(shape))))
    starts = range(0, max(1, values.shape[-1]), step)
    parts = [_sums_of_squares(values[..., start : start + step], effects) for start in starts]
    return {effect: np.concatenate([part[effect] for part in parts]) / df[effect] for effect in effects}, df


def variance_components(values: Numbers, *, names: Sequence[str] = (CLUSTER, SEED, LANGUAGE)) -> Components:
    """Variance components of a complete array, all factors random, one value per cell.

    values: (clusters, seeds, languages), or with other and fewer factors, two at least; points. names: of the axes.

    The estimators of the analysis of variance: mean squares equated with their expectations, which for effect S of
    axes with n_a levels gives sum over T containing S of (-1)^(|T| - |S|) MS_T, over the product of n_a for a not in S
    (Searle, Casella and McCulloch, 1992, 4.3 and 4.7). They are unbiased, and so can come out negative. Raises
    ResultsError for fewer than two factors or levels, and for what is no number.
    """
    if values.ndim != len(names) or values.ndim < 2:
        raise ResultsError(
            f"variance components need one axis for each of {', '.join(names)}, two at least; got {values.shape}"
        )
    squares, df = mean_squares(values[..., None])
    estimates = []
    for effect in squares:
        others = np.prod([values.shape[axis] for axis in range(values.ndim) if axis not in effect])
        containing = [more for more in squares if set(effect) <= set(more)]
        signed = sum((-1) ** (len(more) - len(effect)) * float(squares[more][0]) for more in containing)
        estimates.append(float(signed / others))
    total = sum(estimates)
    return Components(
        names=tuple(
            RESIDUAL if len(effect) == values.ndim else " x ".join(names[axis] for axis in effect) for effect in squares
        ),
        estimates=tuple(estimates),
        shares=tuple(one / total if total > 0 else None for one in estimates),
        df=tuple(df.values()),
        mean_squares=tuple(float(one[0]) for one in squares.values()),
    )


def pairing_components(pairing: Pairing) -> list[ArmComponents]:
    """The variance components of accuracies of the baseline and each arm, then of each arm's gains.

    Factors are the cluster, the seeds (see `run_grid`) and the language, as far as there are several of them. A value
    is a cluster's accuracy in points; where clusters differ in size it is the ratio's linearised value, so that
    components add up to the variance of the mean over items. Raises ResultsError for arms whose runs are no grid.
    """
    everyone = (pairing.baseline, *pairing.arms)
    return [
        *(arm_components(pairing, arm, quantity="accuracy") for arm in everyone),
        *(arm_components(pairing, arm, quantity="gain") for arm in pairing.arms),
    ]


def arm_components(pairing: Pairing, arm: str, *, quantity: Quantity) -> ArmComponents:
    """Those of one arm, or of the accuracies of the baseline. Raises ResultsError as `pairing_components` does."""
    if arm == pairing.baseline:
        runs = {pair.before: (pair.intermediate_seed, pair.target_seed) for pair in pairing.pairs}
        targets = {target for _, target in runs.values()}
        # A baseline with one run for each target seed has no intermediate seed of its own.
        seeds = [(intermediate if len(targets) < len(runs) else None, target) for intermediate, target in runs.values()]
        right = pairing.right[:, list(runs)].astype(np.float64)
    else:
        pairs = pairing.pairs_of(arm)
        seeds = [(pair.intermediate_seed, pair.target_seed) for pair in pairs]
        right = pairing.right[:, [pair.after for pair in pairs]].astype(np.float64)
        if quantity == "gain":
            right -= pairing.right[:, [pair.before for pair in pairs]]
    if not seeds:
        raise ResultsError(f"no runs of an arm {arm!r}; there are {', '.join((pairing.baseline, *pairing.arms))}")
    try:
        seed_names, places = run_grid(seeds)
    except ResultsError as error:
        raise ResultsError(f"arm {arm!r}: {error}") from None
    sums, sizes = cluster_sums(right.reshape(len(right), -1), pairing.clusters)
    by_run = 100 * pseudo_values(sums, sizes).reshape(len(sizes), *right.shape[1:])
    values = by_run[:, places.ravel()].reshape(len(sizes), *places.shape, -1)
    names = [CLUSTER, *seed_names, LANGUAGE]
    kept = [place for place, levels in enumerate(values.shape) if levels > 1]
    components = variance_components(
        values.reshape([values.shape[place] for place in kept]), names=[names[place] for place in kept]
    )
    return ArmComponents(arm=arm, quantity=quantity, components=components)


def run_grid(seeds: Sequence[tuple[int | None, int | None]]) -> tuple[tuple[str, ...], npt.NDArray[np.intp]]:
    """How runs with these (intermediate seed, target seed) are crossed: names of the factors, and where each run lies.

    One factor where no seed comes twice (`seed`) or only one of the two varies; two, (intermediates, targets), where
    each intermediate stage is followed by each target seed; places are those in `seeds`. Raises ResultsError for
    anything else: runs that share an intermediate stage share its level, and only a whole grid shows how much that is.
    """
    if not seeds:
        raise ResultsError("no runs; seeds are crossed where there is at least one")
    intermediates, targets = (sorted(set(column), key=_order) for column in zip(*seeds, strict=True))
    if len(seeds) == len(intermediates) == len(targets):
        return (SEED,), np.arange(len(seeds))
    places = {pair: place for place, pair in enumerate(seeds)}
    if len(places) < len(seeds):
        twice = next(pair for pair in seeds if list(seeds).count(pair) > 1)
        raise ResultsError(f"several runs have the intermediate seed {twice[0]} and the target seed {twice[1]}")
    missing = [(one, other) for one in intermediates for other in targets if (one, other) not in places]
    if missing:
        raise ResultsError(
            f"{len(seeds)} runs share {len(intermediates)} intermediate and {len(targets)} target seeds without being "
            f"all their combinations (none has {missing[0][0]} and {missing[0][1]}); train all, or each seed once"
        )
    grid = np.array([[places[one, other] for other in targets] for one in intermediates], dtype=np.intp)
    named = [(INTERMEDIATE, len(intermediates)), (TARGET, len(targets))]
    kept = [(name, levels) for name, levels in named if levels > 1]
    return tuple(name for name, _ in kept), grid.reshape([levels for _, levels in kept])


def pseudo_values(sums: Numbers, sizes: Numbers) -> Floats:
    """Totals of clusters as values whose plain mean over clusters is the mean over items: of the shape of `sums`.

    sums: (clusters, ...), totals. sizes: (clusters,), items. (S_i - m_i R) / mbar + R, with mbar the mean size and R
    the mean over items of that run and column: the ratio linearised (Cochran, Sampling Techniques, 1977, 6.3), which
    for clusters of one size is S_i / m. Each run has an R of its own, so that a run that is better on every item alike
    makes no interaction with clusters of unequal sizes.
    """
    items = sizes.reshape(-1, *[1] * (sums.ndim - 1)).astype(np.float64)
    ratio = sums.sum(axis=0, dtype=np.float64) / items.sum()
    return np.asarray((sums - items * ratio) / items.mean() + ratio)


def _sums_of_squares(values: Numbers, effects: Sequence[Effect]) -> dict[Effect, Floats]:
    axes = tuple(range(values.ndim - 1))
    grand = values.mean(axis=axes, keepdims=True, dtype=np.float64)
    centred = values - grand
    if not np.isfinite(centred).all():
        raise ResultsError("an analysis of variance needs numbers; some outcomes are NaN or infinite")
    cells = int(np.prod(values.shape[:-1]))
    marginal: dict[Effect, Floats] = {(): np.zeros(values.shape[-1])}
    for effect in effects:
        means = centred.mean(axis=tuple(axis for axis in axes if axis not in effect))
        levels = cells // means[..., 0].size
        marginal[effect] = levels * np.einsum("ij,ij->j", *[means.reshape(-1, means.shape[-1])] * 2)
    # Relative to what varies, and, where nothing does, to the values themselves.
    negligible = _ROUNDING * marginal[axes] + _ROUNDING**2 * cells * grand.reshape(-1) ** 2
    sums = {}
    for effect in effects:
        parts = [part for size in range(len(effect) + 1) for part in combinations(effect, size)]
        square = sum(((-1.0) ** (len(effect) - len(part)) * marginal[part] for part in parts), np.zeros(1))
        sums[effect] = np.where(square > negligible, square, 0.0)
    return sums


def _order(seed: int | None) -> tuple[bool, int]:
    return seed is not None, seed or 0
