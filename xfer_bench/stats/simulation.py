"""What every method covers, rejects and finds in worlds of which the truth is known."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, generator_of
from xfer_bench.stats.components import mean_squares
from xfer_bench.stats.power import Design, Spread, power_of
from xfer_bench.stats.trials import LEVEL, METHODS, Of, Said, Trial
from xfer_bench.stats.worlds import Sample, World, draw

Measure: TypeAlias = Literal["coverage", "rejection", "power"]

COVERAGE = (93.5, 96.5)
CONSERVATIVE_COVERAGE = 94.5
REJECTION = 5.5
POWER_WITHIN = 3.0
# Methods that promise to cover at least as often as they say.
CONSERVATIVE = frozenset({"Clopper-Pearson", "crossed bootstrap"})
# Methods that hold for these runs only, or not even for them; shown for what they do over seeds or over languages.
UNSUITED = frozenset({"languages independent", "seeds resampled", "t over seeds", "sign flips over seeds"})
# Tests that reject less often than they may, and so have less power than is predicted where few items differ.
EXACT = frozenset({"permutation", "McNemar exact"})
FEWEST_ITEMS = 500
FEWEST_SEEDS = 5
FEW_CLUSTERS = 50

# Replications that share their resamples: enough to make one product of matrices worth while, and so few that what
# they share averages out over the many such groups.
_TOGETHER = 250


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A world, the methods tried on the same replications of it, and how many of these there are.

    design: for the reader. of: the gain, or the accuracy of the baseline's first run.
    """

    design: str
    world: World
    methods: tuple[str, ...]
    replications: int
    of: Of = "gain"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; accuracy, gain, seed_sd, percent and monte_carlo_se are points.

    n: items in each language. correlation: of an item's latent difficulty between languages. percent: of replications
    whose interval has the truth in it (coverage), or whose p-value is at most 1 - level, without a gain (rejection) or
    with one (power). wanted: the percent that a good method has. verdict: whether it has. claimed: whether this
    package says that it does: from 500 clusters on over items, and from 5 seeds on over both.
    """

    method: str
    design: str
    n: int
    cluster_size: int
    languages: int
    correlation: float
    seeds: str
    seed_sd: float
    accuracy: float
    gain: float
    replications: int
    measure: Measure
    percent: float
    monte_carlo_se: float
    wanted: str
    verdict: str
    claimed: bool


@dataclass(kw_only=True, eq=False)
class _Count:
    """What has been seen so far, of all replications together."""

    hits: dict[tuple[str, Measure], int] = field(default_factory=dict)
    moments: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, name: str, measure: Measure, held: npt.NDArray[np.bool_]) -> None:
        self.hits[name, measure] = self.hits.get((name, measure), 0) + int(held.sum())


def calibrate(cells: Iterable[Cell], *, seed: int = 0, progress: Callable[[Row], object] | None = None) -> pl.DataFrame:
    """The table of all cells, a row for each method and measure; the same for the same seed.

    progress: called with every row as soon as it is known. Raises ResultsError as `simulate` does.
    """
    rows: list[Row] = []
    for place, cell in enumerate(cells):
        for row in simulate(cell, seed=seed, stream=place):
            rows.append(row)
            if progress is not None:
                progress(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def simulate(cell: Cell, *, seed: int = 0, stream: int = 0) -> list[Row]:
    """What each of the cell's methods covers and rejects or finds.

    stream: gives cells with the same seed draws of their own. Raises ResultsError for an unknown method.
    """
    unknown = [name for name in cell.methods if name not in METHODS]
    if unknown:
        raise ResultsError(f"no method named {unknown[0]!r}; choose from {', '.join(METHODS)}")
    count = _Count()
    for start in range(0, cell.replications, _TOGETHER):
        generator = generator_of(seed, (stream << 32) + start)
        sample = draw(cell.world, replications=min(_TOGETHER, cell.replications - start), generator=generator)
        count.moments.append(_moments(sample, cell.world))
        # Other keys than those of the worlds.
        trial = Trial(sample=sample, world=cell.world, of=cell.of, seed=((stream + 1) << 32) + start)
        for name in cell.methods:
            for measure, held in _judged(METHODS[name](trial), cell):
                # The power that is predicted is that of a test which holds in this world.
                if measure != "power" or _suits(name, cell.world):
                    count.add(name, measure, held)
    return [_row(cell, name, measure, count) for name, measure in count.hits]


def _judged(said: Said, cell: Cell) -> Iterator[tuple[Measure, npt.NDArray[np.bool_]]]:
    truth = cell.world.gain if cell.of == "gain" else cell.world.accuracy
    if said.low is not None and said.high is not None:
        # An end on the truth has it; rounding must not lose it.
        yield "coverage", (said.low <= truth + 1e-9) & (truth - 1e-9 <= said.high)
    if said.p_value is not None and cell.of == "gain":
        yield "power" if cell.world.gain else "rejection", said.p_value <= 1 - LEVEL + 1e-12


def _row(cell: Cell, name: str, measure: Measure, count: _Count) -> Row:
    world, share = cell.world, count.hits[name, measure] / cell.replications
    predicted = _predicted(count.moments, world) if measure == "power" else 0.0
    wanted, verdict = _verdict(name, measure, 100 * share, predicted)
    return Row(
        method=name,
        design=cell.design,
        n=world.items,
        cluster_size=world.size,
        languages=world.languages,
        correlation=world.correlation,
        seeds=" x ".join(map(str, world.seeds)) or "1",
        seed_sd=world.seed_sd,
        accuracy=world.accuracy,
        gain=world.gain,
        replications=cell.replications,
        measure=measure,
        percent=round(100 * share, 2),
        monte_carlo_se=round(100 * float(np.sqrt(share * (1 - share) / cell.replications)), 2),
        wanted=wanted,
        verdict=verdict,
        claimed=_claimed(name, measure, world),
    )


def _claimed(name: str, measure: Measure, world: World) -> bool:
    if not _suits(name, world) or (measure == "power" and name in EXACT):
        return False
    return world.clusters >= FEWEST_ITEMS and min(world.seeds, default=FEWEST_SEEDS) >= FEWEST_SEEDS


def _suits(name: str, world: World) -> bool:
    return name == "random effects" if world.seeds else name not in UNSUITED


def _verdict(name: str, measure: Measure, percent: float, predicted: float) -> tuple[str, str]:
    """What is wanted of a percentage, in words, and whether it is so."""
    if measure == "rejection":
        return f"<= {REJECTION}", "holds" if percent <= REJECTION else "rejects too often"
    if measure == "power":
        wanted = f"within {POWER_WITHIN:g} of {predicted:.1f}"
        if abs(percent - predicted) <= POWER_WITHIN:
            return wanted, "holds"
        return wanted, "less than predicted" if percent < predicted else "more than predicted"
    low, high = (CONSERVATIVE_COVERAGE, 100.0) if name in CONSERVATIVE else COVERAGE
    wanted = f">= {low}" if name in CONSERVATIVE else f"{low} to {high}"
    if low <= percent <= high:
        return wanted, "holds"
    return wanted, "covers too little" if percent < low else "covers too much"


def _moments(sample: Sample, world: World) -> tuple[float, ...]:
    """What a prediction of power needs, from fractions."""
    if len(world.seeds) == 1:
        by_run = np.moveaxis(sample.differences, 0, -1) / (world.size * world.languages)
        return tuple(float(one.mean()) for one in mean_squares(by_run)[0].values())
    variance = sample.differences.reshape(len(sample.differences), world.clusters, -1)[..., 0].var(axis=1).mean()
    return sample.discordance, float(variance), float(sample.language_variance.mean())


def _predicted(moments: list[tuple[float, ...]], world: World) -> float:
    """The power that `stats.power` predicts, in points.

    From discordance and correlation over independent items, from the standard error over clusters of several, and from
    mean squares over items and seeds.
    """
    means: Floats = np.mean(moments, axis=0)
    if len(world.seeds) == 1:
        clusters, seeds, residual = means * 100**2
        spread = Spread(
            items=max(0.0, clusters - residual) / world.seeds[0] / world.clusters,
            seeds=max(0.0, seeds - residual) / world.clusters,
            rest=residual / world.clusters,
            n_clusters=world.clusters,
            n_seeds=world.seeds[0],
        )
        return 100 * spread.power_of(world.gain, level=LEVEL)
    discordance, variance, independent = means
    if world.size > 1:
        error = 100 * np.sqrt(variance / world.clusters) / (world.size * world.languages)
        return 100 * power_of(world.gain, float(error), level=LEVEL)
    others = world.languages - 1
    correlation = max(0.0, (variance / independent - 1) / others) if others else 0.0
    design = Design(items=world.items, discordance=discordance, languages=world.languages, correlation=correlation)
    return 100 * design.power_of(world.gain, level=LEVEL)


def expectation(method: str, *, n_clusters: int, n_seeds: int) -> str | None:
    """The line to print where the committed table (data/calibration.csv) shows that a method is off; None elsewhere.

    method: a name from `trials.METHODS`, or as comparisons name their tests (`bootstrap`, `mcnemar`, `mid-p`, `sign
    flips`), in any case; one that the table does not have gets None. n_seeds: pairs of runs with seeds of their own; in
    a grid the smaller of the two numbers. Percentages are of 95 % intervals and of tests at 5 %.
    """
    return next(_cautions(method.lower(), n_clusters, n_seeds), None)


def _cautions(name: str, n_clusters: int, n_seeds: int) -> Iterator[str]:
    if name in {"bootstrap", "percentile", "inversion", "basic", "bca"} and n_clusters < FEW_CLUSTERS:
        yield (
            f"{n_clusters} clusters are few for a bootstrap: simulated intervals covered 90-93 % at 10 and 20 clusters "
            "and p rejected 7-10 % without a gain; --permutation held its level"
        )
    if name == "bca" and n_clusters < FEWEST_ITEMS:
        yield "BCa with few items and accuracies near 100: simulated intervals covered 92 % at 100, p rejected 8 %"
    if name == "basic" and n_clusters < FEWEST_ITEMS:
        yield "basic intervals with few items and accuracies near 100: simulated ones covered 88 % at 100"
    if name == "random effects" and n_seeds < FEWEST_SEEDS:
        yield f"{n_seeds} seeds: where seed variance dominates, simulated t tests with 3 seeds rejected 6.3 %, not 5 %"
    if name == "crossed bootstrap":
        yield (
            f"crossed bootstrap, {n_seeds} seeds: simulated intervals covered 98 % without seed variance, and 78, 87 "
            "and 92 % with 3, 5 and 10 seeds where it dominates"
        )
    if name in {"sign flips", "sign flips over seeds"}:
        yield (
            "flips of seeds' signs hold for these items only: over other items as well, simulated p rejected up to "
            "34 % where seeds vary little"
        )
