"""The points of a relation: how well each intermediate stage was learnt, and what that gained on the target."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import INTERMEDIATE, baseline_arm
from xfer_bench.stats.bootstrap import Floats, Numbers, cluster_sums
from xfer_bench.stats.controls import control_runs, without_controls
from xfer_bench.stats.gains import headline
from xfer_bench.stats.outcomes import Pair, Pairing, pairings
from xfer_bench.stats.reliability import binomial_variance
from xfer_bench.stats.standing import in_one_variant

GAIN: Literal["gain"] = "gain"
ABOVE_CHANCE: Literal["above chance"] = "above chance"
Measure: TypeAlias = Literal["gain", "above chance"]

_INITIAL = "initial_accuracy"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One intermediate stage and what it gained: the mean of the runs that go on from it, which are no points apart.

    intermediate: points of `Measure`; gain: accuracy points over the baseline's runs with the same target seeds.
    """

    arm: str
    intermediate_task: str
    intermediate_seed: int | None
    runs: tuple[str, ...]
    target_seeds: tuple[int | None, ...]
    intermediate: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """A run's last intermediate stage: accuracies in points on `items` of its own development data."""

    task: str
    accuracy: float
    chance: float
    initial: float | None
    items: int | None

    def measured(self, measure: Measure) -> float:
        """100 (a - chance) / (100 - chance) at the stage's end, for a gain minus that of the initial encoder."""
        before = self.initial if measure == GAIN and self.initial is not None else self.chance
        return 100 * (self.accuracy - before) / (100 - self.chance)

    def error_variance(self, measure: Measure) -> float | None:
        """That of `measured`, for items drawn at random. Of a gain an upper bound: both accuracies as if apart."""
        if not self.items:
            return None
        known = [self.accuracy, *([self.initial] if measure == GAIN and self.initial is not None else [])]
        each = binomial_variance(np.array(known), np.array(self.items), scale=100 / (100 - self.chance))
        return float(each.sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """The points of one target, and the arrays that they come from.

    language: the average that the gains are of. measure_errors: (points,) error variances, or None where unknown.
    pairs: the runs, R of them. place: (R,) to which point each run belongs. sums: (clusters, R) right answers more
    than the baseline's, over all `n_languages`; sizes: (clusters,).
    """

    pairing: Pairing
    language: str
    n_languages: int
    measure: Measure
    points: tuple[Point, ...]
    measure_errors: Floats | None
    pairs: tuple[Pair, ...]
    place: Numbers
    sums: Numbers
    sizes: Numbers

    @property
    def cells(self) -> tuple[tuple[Any, ...], ...]:
        """For each point the baseline's runs that were subtracted: points with the same ones share their noise."""
        of = self.pairing
        target = (of.task, of.variant, of.split, of.setting, of.target)
        before = [sorted({pair.before for pair, at in zip(self.pairs, self.place, strict=True) if at == point})
                  for point in range(len(self.points))]  # fmt: skip
        return tuple((*target, *runs) for runs in before)

    @property
    def averaging(self) -> Floats:
        """(R, points): a product with it gives each point the mean of its runs."""
        members = np.eye(len(self.points))[self.place]
        return np.asarray(members / members.sum(axis=0))


def targets(
    predictions: pl.DataFrame, stages: pl.DataFrame, *, baseline: str | None = None, same: bool = False
) -> list[Target]:
    """Each target of PREDICTIONS whose runs have an intermediate stage with a development accuracy, with its points.

    Each run stands for its own result (`stats.standing`), on one variant of the rows (`stats.variants`), and controls
    are no points: an intermediate set from the target's own source gains for another reason.

    The gain is that of `avg_unseen`, or of `avg` where no language is unseen. The measure is the intermediate gain
    where the accuracy of the initial encoder is known for all points of the target, otherwise the accuracy above
    chance for all of them. same: one measure for all targets. Raises ResultsError for accuracies or chances outside
    0-100, and for what `compare` refuses.
    """
    learnt = last_intermediate(stages)
    chosen = baseline_arm(predictions, name=baseline)
    arms = without_controls(in_one_variant(predictions, stages).predictions, control_runs(stages))
    kept = [
        (pairing, [pair for pair in pairing.pairs if pair.run in learnt])
        for pairing in pairings(arms, baseline=chosen)
        if pairing.averages
    ]
    kept = [(pairing, pairs) for pairing, pairs in kept if pairs]
    measures = [_measure([learnt[pair.run] for pair in pairs]) for _, pairs in kept]
    if same and ABOVE_CHANCE in measures:
        measures = [ABOVE_CHANCE] * len(kept)
    return [_target(pairing, pairs, learnt, measure) for (pairing, pairs), measure in zip(kept, measures, strict=True)]


def last_intermediate(stages: pl.DataFrame) -> dict[str, Learnt]:
    """What is known of each run's last intermediate stage; a run whose stage has no development accuracy is absent."""
    known = (
        stages if _INITIAL in stages.columns else stages.with_columns(pl.lit(None, dtype=pl.Float64).alias(_INITIAL))
    )
    last = (
        known.filter((pl.col("role") == INTERMEDIATE) & pl.col("development_accuracy").is_not_null())
        .sort("run", "position")
        .unique("run", keep="last", maintain_order=True)
    )
    odd = last.filter(
        ~pl.col("chance").is_between(0, 100, closed="left").fill_null(value=False)
        | ~pl.col("development_accuracy").is_between(0, 100)
        | ~pl.col(_INITIAL).is_between(0, 100).fill_null(value=True)
    )
    if not odd.is_empty():
        row = odd.row(0, named=True)
        raise ResultsError(
            f"run {row['run']!r} has the development accuracy {row['development_accuracy']}, the initial accuracy "
            f"{row[_INITIAL]} and the chance {row['chance']} on {row['task']}; all are points from 0 to 100"
        )
    return {
        row["run"]: Learnt(
            task=row["task"],
            accuracy=row["development_accuracy"],
            chance=row["chance"],
            initial=row[_INITIAL],
            items=row["development_items"],
        )
        for row in last.iter_rows(named=True)
    }


def _measure(stages: Sequence[Learnt]) -> Measure:
    return ABOVE_CHANCE if any(stage.initial is None for stage in stages) else GAIN


def _target(pairing: Pairing, pairs: Sequence[Pair], learnt: dict[str, Learnt], measure: Measure) -> Target:
    ((language, languages),) = headline(pairing).items()
    right = pairing.right[:, :, pairing.places(languages)].sum(axis=2, dtype=np.int64)
    counts = np.stack([right[:, pair.after] - right[:, pair.before] for pair in pairs], axis=-1)
    sums, sizes = cluster_sums(counts, pairing.clusters)
    groups = _groups(pairs)
    place = np.empty(len(pairs), dtype=np.intp)
    for point, members in enumerate(groups):
        place[members] = point
    gains = 100 * sums.sum(axis=0) / sizes.sum() / len(languages)
    errors = [learnt[pairs[members[0]].run].error_variance(measure) for members in groups]
    return Target(
        pairing=pairing,
        language=language,
        n_languages=len(languages),
        measure=measure,
        points=tuple(_points(pairs, groups, learnt, measure, gains)),
        measure_errors=None if None in errors else np.array(errors, dtype=np.float64),
        pairs=tuple(pairs),
        place=place,
        sums=sums,
        sizes=sizes,
    )


def _groups(pairs: Sequence[Pair]) -> list[list[int]]:
    """The places of the runs that share an intermediate stage. Checkpoints without seeds are each their own."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for at, pair in enumerate(pairs):
        own = pair.run if pair.intermediate_seed is None else None
        found.setdefault((pair.arm, pair.intermediate_seed, own), []).append(at)
    return list(found.values())


def _points(
    pairs: Sequence[Pair], groups: list[list[int]], learnt: dict[str, Learnt], measure: Measure, gains: Floats
) -> Iterator[Point]:
    for members in groups:
        first = pairs[members[0]]
        yield Point(
            arm=first.arm,
            intermediate_task=learnt[first.run].task,
            intermediate_seed=first.intermediate_seed,
            runs=tuple(pairs[at].run for at in members),
            target_seeds=tuple(pairs[at].target_seed for at in members),
            intermediate=float(np.mean([learnt[pairs[at].run].measured(measure) for at in members])),
            gain=float(gains[members].mean()),
        )
