"""Made-up worlds of which the truth is known: two systems' right and wrong answers under a probit model."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats

Latent: TypeAlias = npt.NDArray[np.float32]
Totals: TypeAlias = npt.NDArray[np.int16]

# Shares of the latent variance of an answer: what both systems share (their agreement); of the rest, what a system
# keeps from one seed to the next; of what languages share, what the items of a cluster do.
_AGREEMENT = 0.6
_LASTING = 0.5
_CLUSTERED = 0.4
_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class World:
    """Two systems, the baseline `before` and `after`, on the same parallel items.

    items: in each language; size: items in each cluster. accuracy: of the baseline, points, over all items and seeds;
    gain: of `after` over it, points. correlation: of an item's latent difficulty between two languages (tetrachoric,
    as 0/1 outcomes come from thresholds). seeds: () for one run each whose level is the truth; (K,) for pairs of runs
    with independent seeds; (I, T) for a grid in which the baseline has T runs. seed_sd: of one run's true accuracy
    over seeds, points, to first order. Raises ResultsError for what is no world.
    """

    items: int
    size: int = 1
    languages: int = 1
    correlation: float = 0.0
    seeds: tuple[int, ...] = ()
    seed_sd: float = 0.0
    accuracy: float = 65.0
    gain: float = 0.0

    def __post_init__(self) -> None:
        if self.items < 1 or self.size < 1 or self.items % self.size or self.languages < 1 or len(self.seeds) > 2:
            raise ResultsError(f"{self} has no whole clusters, no languages or more than two kinds of seeds")
        if not (0 < self.accuracy < 100 and 0 < self.accuracy + self.gain < 100 and 0 <= self.correlation <= 1):
            raise ResultsError(f"{self} has an accuracy outside 0-100 points or a correlation outside 0-1")
        if self.seed_sd and not self.seeds:
            raise ResultsError(f"{self} has a seed sd but no seeds")

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return self.items // self.size


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What several replications of a world gave.

    differences: (replications, clusters, runs), or (replications, clusters, intermediates, targets) for a grid: each
    cluster's right answers of `after` minus those of `before`, over its items and all languages. before: (replications,
    clusters), right answers of the baseline's first run. language_variance: (replications,), the sum over languages of
    the clusters' variance in the first pair of runs. discordance: the share of answers in which that pair differs.
    """

    differences: Totals
    before: Totals
    language_variance: Floats
    discordance: float


def draw(world: World, *, replications: int, generator: np.random.Generator) -> Sample:
    """So many independent replications of a world.

    An answer is right where a normal number, of variance 1 for given seeds, exceeds a threshold. It is the sum of
    what the item is in all languages and in this one, for both systems, for one, and for one run (the multivariate
    probit model; Ashford and Sowden, Biometrics 26, 1970). A run's seeds shift the threshold by tau u with u normal.
    The threshold -mu is such that the accuracy over items and seeds, Phi(mu / sqrt(1 + tau^2)), is exactly the one
    asked for, and so is the gain.
    """
    shape = (replications, world.items)
    across, within = math.sqrt(world.correlation), math.sqrt(1 - world.correlation)
    both, own = math.sqrt(_AGREEMENT), math.sqrt(1 - _AGREEMENT)
    lasting, fresh = own * math.sqrt(_LASTING), own * math.sqrt(1 - _LASTING)
    levels = [_levels(world, replications, arm, generator) for arm in (False, True)]

    def noise() -> Latent:
        return generator.standard_normal(shape, dtype=np.float32)

    item = across * both * _clustered(world, shape, generator)
    system = [across * lasting * _clustered(world, shape, generator) for _ in levels]
    run = [[across * fresh * noise() for _ in range(level.shape[1])] for level in levels]
    n_runs = levels[1].shape[1]
    differences = np.zeros((replications, world.clusters, n_runs), dtype=np.int16)
    before = np.zeros((replications, world.clusters), dtype=np.int16)
    language_variance, discordant = np.zeros(replications), 0.0
    for _ in range(world.languages):
        common = item + within * both * noise()
        right = []
        for place, level in enumerate(levels):
            kept = common + system[place] + within * lasting * noise()
            latent = (kept + run[place][number] + within * fresh * noise() for number in range(level.shape[1]))
            right.append([one > -shift[:, None] for one, shift in zip(latent, level.T, strict=True)])
        for number, after in enumerate(right[1]):
            difference = after.astype(np.int8) - right[0][number % len(right[0])]
            total = difference.reshape(replications, world.clusters, world.size).sum(axis=2, dtype=np.int16)
            differences[..., number] += total
            if number == 0:
                language_variance += total.var(axis=1)
                discordant += float(np.abs(difference).mean())
        before += right[0][0].reshape(replications, world.clusters, world.size).sum(axis=2, dtype=np.int16)
    return Sample(
        differences=differences.reshape(replications, world.clusters, *(world.seeds or (1,))),
        before=before,
        language_variance=language_variance,
        discordance=discordant / world.languages,
    )


def _levels(world: World, replications: int, arm: bool, generator: np.random.Generator) -> Latent:
    """The latent mean of each run of a system: (replications, runs); a grid's runs by intermediate, then target."""
    mean = _NORMAL.inv_cdf((world.accuracy + world.gain * arm) / 100)
    tau = world.seed_sd / 100 / _NORMAL.pdf(mean)
    centre = mean * math.sqrt(1 + tau**2)
    if len(world.seeds) == 2 and arm:
        first, second = world.seeds
        parts = [(first, 1), (1, second), (first, second)]
        drawn = sum(generator.standard_normal((replications, *part)) for part in parts) / math.sqrt(len(parts))
        shifts = np.asarray(drawn).reshape(replications, -1)
    else:
        shifts = generator.standard_normal((replications, world.seeds[-1] if world.seeds else 1))
    return (centre + tau * shifts).astype(np.float32)


def _clustered(world: World, shape: tuple[int, int], generator: np.random.Generator) -> Latent:
    """Normal numbers of variance 1 that the items of a cluster share in part: (replications, items)."""
    own = generator.standard_normal(shape, dtype=np.float32)
    if world.size == 1:
        return own
    shared = generator.standard_normal((shape[0], world.clusters), dtype=np.float32)
    return np.asarray(
        math.sqrt(_CLUSTERED) * np.repeat(shared, world.size, axis=1) + math.sqrt(1 - _CLUSTERED) * own,
        dtype=np.float32,
    )
