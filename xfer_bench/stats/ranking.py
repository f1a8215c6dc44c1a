"""Which intermediate to pick: ranks with what is known of them, and what picking by a predictor loses."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import baseline_arm, why_unpaired
from xfer_bench.stats.bootstrap import Floats, percentile_interval
from xfer_bench.stats.gains import arm_gains, headline
from xfer_bench.stats.outcomes import Pairing, pairings
from xfer_bench.stats.points import Measure, targets


@dataclass(frozen=True, kw_only=True)
class Rank:
    """One arm's place. rank: by the gains seen, 1 is best; arms with equal gains share the better one.

    rank_low, rank_high: the ranks that it may have, held for all arms together. group: 1 for those that cannot be told
    from the best, then on. gain, low, high: points, its own interval. p_best: share (0-1) of resamples in which it is
    best; those that share the first place share it.
    """

    arm: str
    rank: int
    rank_low: int
    rank_high: int
    group: int
    gain: float
    low: float
    high: float
    p_best: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The arms of one target, the baseline among them with a gain of nought, best first."""

    task: str
    setting: str
    variant: str
    split: str
    target: str
    language: str
    baseline: str
    n_items: int
    n_clusters: int
    ranks: tuple[Rank, ...]
    level: float


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What is lost by trying only the k arms that a predictor puts first, and keeping the best of them.

    points, low, high: the best arm's gain minus that of the best of the k. relative: of the best gain's size; None
    where that is nought. of_accuracy: of the best arm's accuracy. random: points lost on average by any k arms.
    """

    k: int
    picked: tuple[str, ...]
    points: float
    low: float
    high: float
    relative: float | None
    of_accuracy: float | None
    random: float


@dataclass(frozen=True, kw_only=True)
class Regret:
    """Regret@k of one predictor on one target. best: the arm with the largest gain. arms: predicted best first."""

    task: str
    setting: str
    variant: str
    split: str
    target: str
    language: str
    predictor: str
    best: str
    arms: tuple[str, ...]
    lost: tuple[Lost, ...]
    level: float


def rank_arms(arms: Sequence[str], gains: Floats, draws: Floats, *, level: float = 0.95) -> tuple[Rank, ...]:
    """Ranks of arms by gain, best first.

    gains: (arms,); draws: (resamples, arms), drawn jointly, so that what is common to two arms cancels.

    All pairwise differences get simultaneous intervals: d +- c s, with s the standard deviation of d over resamples and
    c the `level` quantile of the largest |d* - d| / s of all pairs (Westfall and Young, Resampling-Based Multiple
    Testing, 1993, 2.3). An arm's rank lies between 1 + the number of arms above it for certain and the number of
    arms minus those below it for certain, for all arms at once with probability `level` (Mogstad, Romano, Shaikh and
    Wilhelm, Review of Economic Studies 91, 2024); quantiles of resampled ranks would leave true ranks out when arms
    are nearly equal. Groups: the best arm and all that are not certainly below it, then the best of those left, and
    so on. Raises ResultsError for shapes that do not fit.
    """
    if gains.shape != (len(arms),) or draws.ndim != 2 or draws.shape[1:] != gains.shape or not len(arms):
        raise ResultsError(f"ranks need (arms,) and (resamples, arms); got {len(arms)}, {gains.shape}, {draws.shape}")
    if not (np.isfinite(gains).all() and np.isfinite(draws).all()):
        raise ResultsError("ranks need numbers; some gains are NaN or infinite")
    below = _certainly_below(gains, draws, level=level)
    low, high = percentile_interval(draws, level=level)
    first = draws == draws.max(axis=1, keepdims=True)
    p_best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    groups = _groups(gains, below)
    order = np.argsort(-gains, kind="stable")
    return tuple(
        Rank(
            arm=arms[at],
            rank=1 + int((gains > gains[at]).sum()),
            rank_low=1 + int(below[at].sum()),
            rank_high=len(arms) - int(below[:, at].sum()),
            group=groups[at],
            gain=float(gains[at]),
            low=float(low[at]),
            high=float(high[at]),
            p_best=float(p_best[at]),
        )
        for at in order.tolist()
    )


def regret(gains: Floats, predicted: Floats, *, k: int) -> Floats:
    """What is lost by keeping the best of the k arms that are predicted best: (rows,), in the gains' unit.

    gains: (arms,) or (rows, arms); predicted: (arms,), larger is better; equal ones go in their order.

    max over all - max over the k first (Renggli et al., CVPR 2022; for intermediate tasks Poth et al., EMNLP 2021,
    Regret@k, who divide it by the best performance). Raises ResultsError for a k that is none.
    """
    rows = np.atleast_2d(gains)
    if predicted.shape != rows.shape[1:]:
        raise ResultsError(f"each arm needs one prediction; got {predicted.shape} for {rows.shape[1]} arms")
    if not 1 <= k <= len(predicted):
        raise ResultsError(f"{k} of {len(predicted)} arms cannot be picked; k is from 1 to {len(predicted)}")
    picked = np.argsort(-predicted, kind="stable")[:k]
    return np.asarray(rows.max(axis=1) - rows[:, picked].max(axis=1), dtype=np.float64)


def random_regret(gains: Floats, *, k: int) -> float:
    """The mean of `regret` over all choices of k arms: what a predictor that knows nothing loses."""
    ordered = np.sort(gains)
    # The arm at place j is the best of k in as many choices as there are of the k - 1 others below it.
    choices = np.array([comb(place, k - 1) for place in range(len(ordered))], dtype=np.float64)
    return float(ordered[-1] - ordered @ choices / choices.sum())


def rank(
    predictions: pl.DataFrame,
    *,
    baseline: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Ranking]:
    """The arms of each target by the gain of its headline average, over items and for these seeds.

    The baseline is one of the arms, with a gain of nought in every resample: to train no intermediate stage is a
    choice too. Raises ResultsError for what `compare` refuses.
    """
    found = []
    chosen = baseline_arm(predictions, name=baseline)
    for pairing in pairings(predictions, baseline=chosen):
        columns = headline(pairing)
        ours = arm_gains(pairing, columns, resamples=resamples, seed=seed)
        draws = np.column_stack([ours.draws[:, :, 0], np.zeros(len(ours.draws))])
        arms, gains = (*ours.arms, pairing.baseline), np.append(ours.gains[:, 0], 0.0)
        found.append(
            Ranking(
                **_names(pairing),
                language=ours.columns[0],
                baseline=pairing.baseline,
                n_items=len(pairing.clusters),
                n_clusters=len(set(pairing.clusters.tolist())),
                ranks=rank_arms(arms, gains, draws, level=level),
                level=level,
            )
        )
    if not found:
        raise ResultsError(why_unpaired(predictions, baseline=chosen))
    return found


def regrets(
    predictions: pl.DataFrame,
    stages: pl.DataFrame,
    *,
    baseline: str | None = None,
    k: Sequence[int] = (1, 2, 3),
    resamples: int = 10_000,
    seed: int = 0,
) -> list[Regret]:
    """Regret@k of the intermediate measure, mean over an arm's stages, against the realised headline gain.

    Arms without an intermediate development accuracy, the baseline among them, cannot be predicted and are left out.
    A k beyond the number of arms is left out, and so is a target with fewer than two arms, or than every k. The
    intervals draw items; a regret is never below nought, so neither is its interval.
    """
    found = []
    for target in targets(predictions, stages, baseline=baseline):
        ours = arm_gains(target.pairing, headline(target.pairing), resamples=resamples, seed=seed)
        arms = [arm for arm in ours.arms if any(point.arm == arm for point in target.points)]
        if len(arms) < max(2, min(k, default=1)):
            continue
        predicted = np.array(
            [np.mean([point.intermediate for point in target.points if point.arm == arm]) for arm in arms]
        )
        at = [ours.arms.index(arm) for arm in arms]
        gains, draws, accuracy = ours.gains[at, 0], ours.draws[:, at, 0], (ours.gains + ours.baseline)[at, 0]
        order = np.argsort(-predicted, kind="stable")
        found.append(
            Regret(
                **_names(target.pairing),
                language=target.language,
                predictor=predictor_name(target.measure),
                best=arms[int(gains.argmax())],
                arms=tuple(arms[place] for place in order),
                level=0.95,
                lost=tuple(
                    _lost(arms, gains, draws, predicted, accuracy, one) for one in sorted({*k}) if one <= len(arms)
                ),
            )
        )
    return found


def _names(pairing: Pairing) -> dict[str, str]:
    return {name: getattr(pairing, name) for name in ("task", "setting", "variant", "split", "target")}


def predictor_name(measure: Measure) -> str:
    """What the intermediate measure is called where it predicts."""
    return "intermediate gain" if measure == "gain" else "intermediate accuracy above chance"


def _lost(arms: Sequence[str], gains: Floats, draws: Floats, predicted: Floats, accuracy: Floats, k: int) -> Lost:
    points = float(regret(gains, predicted, k=k)[0])
    low, high = percentile_interval(regret(draws, predicted, k=k))
    best = abs(float(gains.max()))
    top = float(accuracy[gains.argmax()])
    return Lost(
        k=k,
        picked=tuple(arms[place] for place in np.argsort(-predicted, kind="stable")[:k]),
        points=points,
        low=float(low),
        high=float(high),
        relative=points / best if best else None,
        of_accuracy=points / top if top else None,
        random=random_regret(gains, k=k),
    )


def _certainly_below(
    gains: Floats, draws: Floats, *, level: float
) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    """(arms, arms): whether the first is below the second by a simultaneous interval that leaves nought out."""
    size = len(gains)
    gap = gains - gains[:, None]
    error = draws - gains
    spread = np.zeros((size, size))
    largest = np.zeros(len(draws))
    for at in range(size):
        away = error - error[:, [at]]
        spread[at] = away.std(axis=0)
        largest = np.maximum(largest, (np.abs(away) / np.where(spread[at] > 0, spread[at], np.inf)).max(axis=1))
    # A difference without any spread is certain, except for what adding and dividing leave.
    return np.asarray(gap > np.quantile(largest, level) * spread + 1e-9)


def _groups(gains: Floats, below: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]") -> list[int]:
    groups = [0] * len(gains)
    left = np.argsort(-gains, kind="stable").tolist()
    number = 0
    while left:
        number += 1
        best = left[0]
        # The best itself is never below itself, so this ends.
        for at in [at for at in left if not below[at, best]]:
            groups[at] = number
            left.remove(at)
    return groups
