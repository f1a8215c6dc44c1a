"""What every method covers, rejects and finds in worlds of which the truth is known."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, generator_of
from xfer_bench.stats.cautions import FEWEST_ITEMS, FEWEST_SEEDS
from xfer_bench.stats.components import mean_squares
from xfer_bench.stats.power import Design, Spread, power_of
from xfer_bench.stats.trials import LEVEL, METHODS, Of, Said, Trial
from xfer_bench.stats.worlds import Sample, World, draw

Measure: TypeAlias = Literal["coverage", "rejection", "power"]

COVERAGE = (93.5, 96.5)
CONSERVATIVE_COVERAGE = 94.5
REJECTION = 5.5
POWER_WITHIN = 3.0
# Outside of what is wanted by two Monte Carlo errors at most.
BORDERLINE = "holds up to Monte Carlo error"
# Methods that promise to cover at least as often as they say.
CONSERVATIVE = frozenset({"Clopper-Pearson", "crossed bootstrap"})
# Methods that hold for these runs only, or not even for them; shown for what they do over seeds or over languages.
UNSUITED = frozenset({"languages independent", "seeds resampled", "t over seeds", "sign flips over seeds"})
# Tests that reject less often than they may, and so have less power than is predicted where few items differ.
EXACT = frozenset({"permutation", "McNemar exact"})

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

    n: items in each language. correlation: of an item's latent difficulty between languages. seeds: pairs of runs, or
    target seeds where there are several intermediate ones, each followed by all. percent: of replications whose
    interval has the truth in it (coverage), or whose p-value is at most 1 - level, without a gain (rejection) or with
    one (power). wanted: the percent that a good method has. verdict: whether it has. claimed: whether this package
    says so: from 500 clusters on over items, and from 5 seeds on over both.
    """

    method: str
    design: str
    n: int
    cluster_size: int
    languages: int
    correlation: float
    intermediate_seeds: int
    seeds: int
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
    error = 100 * float(np.sqrt(share * (1 - share) / cell.replications))
    wanted, verdict = _verdict(name, measure, 100 * share, error=error, predicted=predicted)
    return Row(
        method=name,
        design=cell.design,
        n=world.items,
        cluster_size=world.size,
        languages=world.languages,
        correlation=world.correlation,
        intermediate_seeds=world.seeds[0] if len(world.seeds) == 2 else 1,
        seeds=world.seeds[-1] if world.seeds else 1,
        seed_sd=world.seed_sd,
        accuracy=world.accuracy,
        gain=world.gain,
        replications=cell.replications,
        measure=measure,
        percent=round(100 * share, 2),
        monte_carlo_se=round(error, 2),
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


def _verdict(name: str, measure: Measure, percent: float, *, error: float, predicted: float) -> tuple[str, str]:
    """What is wanted of a percentage, in words, and whether it is so."""
    if measure == "rejection":
        low, high, wanted = 0.0, REJECTION, f"<= {REJECTION}"
        below, above = "", "rejects too often"
    elif measure == "power":
        low, high, wanted = (
            predicted - POWER_WITHIN,
            predicted + POWER_WITHIN,
            f"within {POWER_WITHIN:g} of {predicted:.1f}",
        )
        below, above = "less than predicted", "more than predicted"
    else:
        low, high = (CONSERVATIVE_COVERAGE, 100.0) if name in CONSERVATIVE else COVERAGE
        wanted = f">= {low}" if name in CONSERVATIVE else f"{low} to {high}"
        below, above = "covers too little", "covers too much"
    if low <= percent <= high:
        return wanted, "holds"
    if low - 2 * error <= percent <= high + 2 * error:
        return wanted, BORDERLINE
    return wanted, below if percent < low else above


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
