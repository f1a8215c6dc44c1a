"""The cells of the committed simulation: from few items to many, and from no seed variance to a dominant one."""

from collections.abc import Iterator

from xfer_bench.stats.simulation import Cell
from xfer_bench.stats.worlds import World

SHARES = ("percentile", "basic", "BCa", "Wilson", "Clopper-Pearson")
PAIRS = ("percentile", "inversion", "basic", "BCa", "permutation", "McNemar exact", "McNemar mid-p")
MEANS = ("percentile", "inversion", "basic", "BCa", "permutation", "languages independent")
CLUSTERED = ("percentile", "inversion", "basic", "BCa", "permutation")
SEEDS = ("random effects", "crossed bootstrap", "seeds resampled", "t over seeds", "percentile")
FLIPPED = (*SEEDS, "sign flips over seeds")
TWO_SEEDS = ("seeds resampled", "t over seeds")
GRIDS = ("random effects", "crossed bootstrap")


def cells(*, replications: int = 10_000) -> Iterator[Cell]:
    """All cells, each with so many replications."""
    for items in (100, 500, 5010):
        for accuracy in (34.0, 69.0, 95.0):
            world = World(items=items, accuracy=accuracy)
            yield Cell(design="accuracy", world=world, methods=SHARES, replications=replications, of="accuracy")
    world = World(items=500, languages=11, correlation=0.4)
    yield Cell(design="mean accuracy", world=world, methods=SHARES[:3], replications=replications, of="accuracy")
    families: tuple[tuple[str, Iterator[World], tuple[str, ...]], ...] = (
        ("one pair", _pairs(), PAIRS),
        ("mean over languages", _means(), MEANS),
        ("clusters of three", _clustered(), CLUSTERED),
    )
    for design, worlds, tried in families:
        for world in worlds:
            yield Cell(design=design, world=world, methods=tried, replications=replications)
    for world in _seeds():
        methods: tuple[str, ...] = TWO_SEEDS if world.seeds[0] < 3 else SEEDS if world.seeds[0] < 6 else FLIPPED
        yield Cell(design="items and seeds", world=world, methods=methods, replications=replications)
    for grid in ((3, 3), (3, 5), (5, 5)):
        for seed_sd in (0.0, 2.0, 10.0):
            world = World(items=500, seeds=grid, seed_sd=seed_sd)
            yield Cell(design="grid of seeds", world=world, methods=GRIDS, replications=replications)


def _pairs() -> Iterator[World]:
    for items in (50, 100, 200, 500, 1000, 5010):
        yield World(items=items)
    for items in (100, 500):
        for accuracy in (34.0, 95.0):
            yield World(items=items, accuracy=accuracy)
    yield World(items=100, accuracy=90.0, gain=5.0)
    yield World(items=500, accuracy=34.0, gain=5.0)
    yield World(items=500, gain=7.0)
    yield World(items=500, accuracy=92.0, gain=3.0)
    yield World(items=5010, gain=2.0)


def _means() -> Iterator[World]:
    for correlation in (0.0, 0.4, 0.8):
        yield World(items=500, languages=11, correlation=correlation)
    for items in (10, 20, 50, 100):
        yield World(items=items, languages=11, correlation=0.4)
    yield World(items=500, languages=11, correlation=0.4, gain=3.0)
    yield World(items=500, languages=11, correlation=0.8, accuracy=90.0, gain=2.0)
    yield World(items=5010, languages=15, correlation=0.4)


def _clustered() -> Iterator[World]:
    yield World(items=300, size=3, correlation=0.6)
    yield World(items=1500, size=3, correlation=0.6)
    yield World(items=5010, size=3, correlation=0.6)
    yield World(items=1500, size=3, languages=15, correlation=0.6)
    yield World(items=1500, size=3, correlation=0.6, accuracy=90.0, gain=2.0)


def _seeds() -> Iterator[World]:
    yield World(items=500, seeds=(2,), seed_sd=10.0)
    for items in (100, 500):
        for number in (3, 5, 10):
            for seed_sd in (0.0, 2.0, 10.0):
                yield World(items=items, seeds=(number,), seed_sd=seed_sd)
    for seed_sd in (0.0, 1.0, 10.0):
        yield World(items=5010, seeds=(5,), seed_sd=seed_sd)
    for seed_sd in (0.0, 5.0):
        yield World(items=20, languages=11, correlation=0.4, seeds=(5,), seed_sd=seed_sd)
    for seed_sd in (0.0, 1.0, 5.0):
        yield World(items=500, languages=11, correlation=0.4, seeds=(5,), seed_sd=seed_sd)
    for accuracy, gain in ((34.0, 0.0), (90.0, 0.0), (90.0, 3.0), (65.0, 10.0)):
        yield World(items=500, seeds=(5,), seed_sd=2.0, accuracy=accuracy, gain=gain)
    yield World(items=1500, size=3, correlation=0.6, seeds=(5,), seed_sd=1.0)
    yield World(items=500, seeds=(4,), seed_sd=2.0)
    yield World(items=500, seeds=(6,), seed_sd=2.0)
    # Power.
    yield World(items=500, seeds=(3,), seed_sd=2.0, gain=8.0)
    yield World(items=500, seeds=(5,), seed_sd=2.0, gain=6.0)
    yield World(items=500, seeds=(10,), seed_sd=2.0, gain=4.0)
    yield World(items=500, seeds=(5,), seed_sd=5.0, gain=10.0)
    yield World(items=500, languages=11, correlation=0.4, seeds=(5,), seed_sd=1.0, gain=3.0)
