"""Points with their resamples: items, and where asked seeds and tasks, drawn jointly over all points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError
from xfer_bench.stats.association import COEFFICIENTS, Coefficient, associate, centred
from xfer_bench.stats.bootstrap import Floats, Numbers, resample_means
from xfer_bench.stats.gains import streams
from xfer_bench.stats.points import Target

Over: TypeAlias = Literal["items", "both"]

FEWEST_SEEDS = 3
FEWEST_TASKS = 6


@dataclass(frozen=True, kw_only=True)
class How:
    """What is correlated how, and over what its interval holds.

    over: `items` draws clusters of items, for these seeds; `both` draws seeds with them. tasks: intermediate tasks
    are drawn as well, so that what is said holds for tasks like these.
    """

    method: Coefficient = "pearson"
    over: Over = "items"
    tasks: bool = False
    level: float = 0.95

    def __post_init__(self) -> None:
        if self.method not in COEFFICIENTS:
            raise ResultsError(f"no correlation named {self.method!r}; choose one of {', '.join(COEFFICIENTS)}")
        if self.over not in {"items", "both"}:
            raise ResultsError(f"no resampling over {self.over!r}; choose one of items, both")

    @property
    def drawn(self) -> str:
        """What is resampled, in words."""
        return "items" + ("+seeds" if self.over == "both" else "") + ("+tasks" if self.tasks else "")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Points, and how they came out in every resample.

    x, y: (points,). tasks: (points,) intermediate tasks. cells: (points,) labels; points with the same one share the
    noise of a baseline. draws: (resamples, points), y in each resample; x stays as it is. weights: (resamples,
    points), how often each point was drawn; None for once.
    """

    x: Floats
    y: Floats
    tasks: tuple[str, ...]
    cells: tuple[Any, ...]
    draws: Floats
    weights: Numbers | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.x), len(self.y), len(self.tasks), len(self.cells), self.draws.shape[-1]}
        if (
            len(sizes) > 1
            or self.draws.ndim != 2
            or (self.weights is not None and self.weights.shape != self.draws.shape)
        ):
            raise ResultsError(
                f"evidence needs one x, y, task, cell and column of draws for each point; got {len(self.x)}, "
                f"{len(self.y)}, {len(self.tasks)}, {len(self.cells)} and {self.draws.shape}"
            )

    @property
    def n_tasks(self) -> int:
        """How many different intermediate tasks there are."""
        return len(set(self.tasks))

    def correlations(self, method: Coefficient, *, within: bool) -> Floats:
        """The correlation in each resample, (resamples,); within: after each cell's own mean was taken off."""
        if not within:
            return associate(self.x, self.draws, method=method, weights=self.weights)
        x = np.broadcast_to(self.x, self.draws.shape)
        left = (centred(values, self.cells, weights=self.weights) for values in (x, self.draws))
        return associate(*left, method=method, weights=self.weights)


def evidence(targets: Sequence[Target], *, how: How, resamples: int, seed: int) -> Evidence:
    """The points of one or more targets with joint resamples.

    Targets over the same items of one task draw the same clusters, others their own. Seeds: where each intermediate
    stage has one run, and no two of an arm share a target seed, the two seeds are one factor and drawn together;
    otherwise target seeds are drawn, the same for all arms and the baseline, and intermediate seeds within each arm.
    Raises ResultsError for fewer than 3 seeds of a kind that is drawn, and for fewer than 6 tasks where these are.
    """
    points = [point for target in targets for point in target.points]
    tasks = tuple(point.intermediate_task for point in points)
    runs = np.hstack(_run_draws(targets, resamples=resamples, seed=seed))
    averaging = _diagonal([target.averaging for target in targets])
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1])))
    weights: Numbers | None = None
    if how.over == "both":
        draws, weights = _with_seeds(targets, runs, averaging > 0, generator)
    else:
        draws = runs @ averaging
    if how.tasks:
        times = _task_counts(tasks, resamples, generator)
        weights = times if weights is None else weights * times
    return Evidence(
        x=np.array([point.intermediate for point in points]),
        y=np.array([point.gain for point in points]),
        tasks=tasks,
        cells=tuple(cell for target in targets for cell in target.cells),
        draws=draws,
        weights=weights,
    )


def _run_draws(targets: Sequence[Target], *, resamples: int, seed: int) -> list[Floats]:
    """Each target's gains in each resample, (resamples, runs), in points."""
    return [
        100 * resample_means(one.sums, one.sizes, resamples=resamples, seed=stream) / one.n_languages
        for one, stream in zip(targets, streams([target.pairing for target in targets], seed=seed), strict=True)
    ]


def _with_seeds(
    targets: Sequence[Target], runs: Floats, members: npt.NDArray[np.bool_], generator: np.random.Generator
) -> tuple[Floats, Numbers]:
    """The points' gains over the target seeds drawn, and how often each point was drawn: both (resamples, points)."""
    seeds = [pair.target_seed for target in targets for pair in target.pairs]
    stages = [(point.arm, point.intermediate_seed, None if point.intermediate_seed is not None else point.runs)
              for target in targets for point in target.points]  # fmt: skip
    paired = all(_paired(target) for target in targets)
    _check_seeds(seeds, stages, paired=paired)
    levels = list(dict.fromkeys(seeds))
    times = _counts(len(levels), len(runs), generator)[:, [levels.index(seed) for seed in seeds]]
    often = times @ members
    draws = (runs * times) @ members / np.where(often == 0, 1, often)
    if paired:
        return draws, often
    drawn: dict[tuple[Any, ...], Numbers] = {}
    for arm in dict.fromkeys(stage[0] for stage in stages):
        own = list(dict.fromkeys(stage for stage in stages if stage[0] == arm))
        drawn |= dict(zip(own, _counts(len(own), len(runs), generator).T, strict=True))
    return draws, np.stack([drawn[stage] for stage in stages], axis=-1) * (often > 0)


def _paired(target: Target) -> bool:
    """Whether each run has an intermediate stage and, within its arm, a target seed of its own."""
    seeds = [(pair.arm, pair.target_seed) for pair in target.pairs]
    return len(target.points) == len(target.pairs) == len(set(seeds))


def _check_seeds(seeds: Sequence[int | None], stages: Sequence[tuple[Any, ...]], *, paired: bool) -> None:
    found = len(set(seeds))
    kind = "target seeds"
    if found >= FEWEST_SEEDS and not paired:
        arms = {stage[0] for stage in stages}
        found, kind = min(
            (len({one for one in stages if one[0] == arm}), f"intermediate seeds of {arm!r}") for arm in arms
        )
    if found < FEWEST_SEEDS:
        raise ResultsError(
            f"seeds cannot be drawn from {found} {kind}: intervals over so few are far too narrow; train "
            f"{FEWEST_SEEDS} or more, or stay with the seeds at hand (--over items)"
        )


def _task_counts(tasks: Sequence[str], resamples: int, generator: np.random.Generator) -> Numbers:
    levels = list(dict.fromkeys(tasks))
    if len(levels) < FEWEST_TASKS:
        raise ResultsError(
            f"tasks cannot be drawn from {len(levels)} intermediate tasks: nothing can be inferred about tasks from so "
            f"few; it needs {FEWEST_TASKS}"
        )
    return _counts(len(levels), resamples, generator)[:, [levels.index(task) for task in tasks]]


def _counts(levels: int, resamples: int, generator: np.random.Generator) -> Numbers:
    """How often each of so many is drawn when as many are drawn with replacement: (resamples, levels)."""
    return generator.multinomial(levels, np.full(levels, 1 / levels), size=resamples)


def _diagonal(blocks: Sequence[Floats]) -> Floats:
    whole = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole
