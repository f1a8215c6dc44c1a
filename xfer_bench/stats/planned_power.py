"""What a study could find before it is made: the smallest detectable gains of usual and of given designs."""

from collections.abc import Iterable
from dataclasses import dataclass

from xfer_bench.errors import ResultsError
from xfer_bench.stats.power import Design, Wanted, items_needed, seeds_needed

DISCORDANCES = (0.2, 0.5)
CORRELATIONS = (0.0, 0.3, 0.6)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A test set: its items, and the parallel languages besides English over which gains are averaged."""

    name: str
    items: int
    languages: int


BENCHMARKS = (Benchmark(name="XCOPA", items=500, languages=11), Benchmark(name="XNLI", items=5010, languages=14))


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What differs from one study to another; None stands for the usual values.

    items, languages: instead of the benchmarks' own. discordance, correlation: fractions, instead of `DISCORDANCES`
    and `CORRELATIONS`. seeds, seed_sd (points): both or neither; without them seeds are taken as given.
    """

    items: int | None = None
    languages: int | None = None
    discordance: float | None = None
    correlation: float | None = None
    seeds: int | None = None
    seed_sd: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedPower:
    """One design and what it can find. benchmark: whose items these are, or empty.

    standard_error: of a gain of nought, in points. smallest: the smallest detectable gain, in points, over items, and
    over items and seeds where there is a seed sd; None where it would exceed the discordance. items_needed,
    seeds_needed: for the gain asked for; None where none was asked for, or where no number does.
    """

    benchmark: str
    items: int
    languages: int
    correlation: float | None
    discordance: float
    seeds: int | None
    seed_sd: float | None
    standard_error: float
    smallest: float | None
    wanted_gain: float | None
    items_needed: int | None
    seeds_needed: int | None
    power: float
    level: float


def planned_power(expected: Expected, *, wanted: Wanted | None = None) -> list[PlannedPower]:
    """Each benchmark in one language and averaged over all, at each correlation and discordance, in that order.

    With `items` there is one nameless benchmark, of one language unless `languages` says otherwise. Raises
    ResultsError for what no study can be, for seeds without an sd or the reverse, and for a correlation of one
    language.
    """
    if (expected.seeds is None) != (expected.seed_sd is None):
        raise ResultsError("the number of seeds and the seed sd go together: give both, or neither for given seeds")
    asked = wanted or Wanted()
    return [
        _planned(benchmark.name, design, asked, expected)
        for benchmark in _benchmarks(expected)
        for design in _designs(benchmark, expected)
    ]


def _benchmarks(expected: Expected) -> tuple[Benchmark, ...]:
    if expected.items is not None:
        return (Benchmark(name="", items=expected.items, languages=_or(expected.languages, 1)),)
    return tuple(
        Benchmark(name=one.name, items=one.items, languages=_or(expected.languages, one.languages))
        for one in BENCHMARKS
    )


def _designs(benchmark: Benchmark, expected: Expected) -> Iterable[Design]:
    if expected.correlation is not None and benchmark.languages == 1:
        raise ResultsError("a correlation is one between languages; give the number of languages, 2 or more")
    correlations = CORRELATIONS if expected.correlation is None else (expected.correlation,)
    means = [(1, 0.0)]
    if benchmark.languages != 1:
        means += [(benchmark.languages, correlation) for correlation in correlations]
    for languages, correlation in means:
        for discordance in DISCORDANCES if expected.discordance is None else (expected.discordance,):
            yield Design(
                items=benchmark.items,
                discordance=discordance,
                languages=languages,
                correlation=correlation,
                seeds=_or(expected.seeds, 1),
                seed_sd=expected.seed_sd or 0.0,
            )


def _planned(name: str, design: Design, wanted: Wanted, expected: Expected) -> PlannedPower:
    asked = {"level": wanted.level, "power": wanted.power}
    items = seeds = None
    if wanted.gain is not None:
        items = items_needed(wanted.gain, design, **asked)
        if design.seed_sd and wanted.gain <= 100 * design.discordance:
            seeds = seeds_needed(wanted.gain, design.spread(wanted.gain), **asked)
    return PlannedPower(
        benchmark=name,
        items=design.items,
        languages=design.languages,
        correlation=design.correlation if design.languages > 1 else None,
        discordance=design.discordance,
        seeds=expected.seeds,
        seed_sd=expected.seed_sd,
        standard_error=design.spread(0.0).standard_error,
        smallest=design.smallest_detectable(**asked),
        wanted_gain=wanted.gain,
        items_needed=items,
        seeds_needed=seeds,
        power=wanted.power,
        level=wanted.level,
    )


def _or(given: int | None, usual: int) -> int:
    return usual if given is None else given
