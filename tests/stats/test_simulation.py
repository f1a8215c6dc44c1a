from pathlib import Path

import numpy as np
import polars as pl
import pytest

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import percentile_interval, resample_means
from xfer_bench.stats.calibration import cells
from xfer_bench.stats.cautions import expectation
from xfer_bench.stats.simulation import Cell, Row, calibrate, simulate
from xfer_bench.stats.worlds import World, draw

TABLE = Path(__file__).parents[2] / "data" / "calibration.csv"
REPLICATIONS = 2_000


def tried(world: World, *methods: str, replications: int = REPLICATIONS, accuracy: bool = False) -> dict[str, Row]:
    """The rows of one cell by `method measure`."""
    of = "accuracy" if accuracy else "gain"
    cell = Cell(design="test", world=world, methods=methods, replications=replications, of=of)  # type: ignore[arg-type]
    return {f"{row.method} {row.measure}": row for row in simulate(cell)}


def near(row: Row, low: float, high: float) -> bool:
    """Within these percentages, up to four Monte Carlo errors."""
    return low - 4 * row.monte_carlo_se <= row.percent <= high + 4 * row.monte_carlo_se


def sampled(world: World, *, replications: int = 500) -> tuple[float, float, float]:
    """Mean gain, its Monte Carlo error, and the baseline's mean accuracy, in points."""
    sample = draw(world, replications=replications, generator=np.random.default_rng(0))
    answers = world.items * world.languages
    gains = 100 * sample.differences.reshape(replications, world.clusters, -1).mean(axis=2).sum(axis=1) / answers
    return gains.mean(), gains.std() / np.sqrt(replications), 100 * float(sample.before.sum(axis=1).mean()) / answers


@pytest.mark.parametrize(
    "world",
    [
        World(items=300, accuracy=34.0, gain=4.0),
        World(items=300, size=3, languages=3, correlation=0.8, accuracy=90.0, gain=3.0),
        World(items=200, seeds=(5,), seed_sd=5.0, gain=3.0),
        World(items=200, seeds=(3, 4), seed_sd=5.0, accuracy=60.0, gain=-2.0),
    ],
)
def test_accuracy_and_gain_are_exactly_those_asked_for(world: World) -> None:
    gain, error, accuracy = sampled(world)
    assert gain == pytest.approx(world.gain, abs=4 * error)
    assert accuracy == pytest.approx(world.accuracy, abs=6 * error)


def test_correlation_lies_between_languages_and_clusters_hang_together() -> None:
    generator = np.random.default_rng(0)
    inflation = []
    for correlation in (0.0, 0.4, 0.8):
        sample = draw(World(items=300, languages=10, correlation=correlation), replications=100, generator=generator)
        inflation.append(sample.differences.var(axis=1).mean() / sample.language_variance.mean())
    assert inflation[0] == pytest.approx(1, abs=0.02)
    assert inflation[1] > 2
    assert inflation[2] > 4
    clustered = draw(World(items=300, size=3, correlation=0.6), replications=100, generator=generator).before
    assert clustered.var() > 1.1 * 3 * 0.65 * 0.35


def test_seeds_shift_whole_runs() -> None:
    sample = draw(World(items=500, seeds=(40,), seed_sd=4.0), replications=50, generator=np.random.default_rng(0))
    gains = 100 * sample.differences.sum(axis=1) / 500
    # Both systems have seeds, and 500 items with a discordance d add d / 500.
    expected = 2 * 4.0**2 + 100**2 * 0.27 / 500
    assert gains.var(axis=1).mean() == pytest.approx(expected, rel=0.15)


def test_a_grid_shares_its_baseline() -> None:
    world = World(items=400, seeds=(30, 3), seed_sd=6.0)
    sample = draw(world, replications=40, generator=np.random.default_rng(0))
    gains = 100 * sample.differences.sum(axis=1) / 400
    # Averaged over intermediates, targets still differ by the baseline's runs (6 squared) and by a third of the arm's.
    assert gains.mean(axis=1).var(axis=1, ddof=1).mean() == pytest.approx(36 + 12, rel=0.35)


@pytest.mark.parametrize(
    "options",
    [{"items": 10, "size": 3}, {"items": 10, "accuracy": 98.0, "gain": 3.0}, {"items": 10, "seed_sd": 1.0}],
)
def test_what_is_no_world_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ResultsError):
        World(**options)  # type: ignore[arg-type]


def test_over_items_the_defaults_hold_at_500() -> None:
    rows = tried(World(items=500), "percentile", "permutation", "McNemar exact", "McNemar mid-p")
    assert near(rows["percentile coverage"], 93.5, 96.5)
    for test in ("percentile", "permutation", "McNemar exact", "McNemar mid-p"):
        assert near(rows[f"{test} rejection"], 0, 5.5)


def test_over_clusters_and_languages_the_defaults_hold() -> None:
    rows = tried(World(items=1500, size=3, languages=3, correlation=0.6), "percentile", "permutation", replications=500)
    assert near(rows["percentile coverage"], 93.5, 96.5)
    assert near(rows["permutation rejection"], 0, 5.5)


def test_intervals_of_one_accuracy() -> None:
    rows = tried(World(items=500, accuracy=95.0), "percentile", "BCa", "Wilson", "Clopper-Pearson", accuracy=True)
    assert set(rows) == {f"{name} coverage" for name in ("percentile", "BCa", "Wilson", "Clopper-Pearson")}
    assert all(near(rows[f"{name} coverage"], 93.5, 96.5) for name in ("percentile", "BCa", "Wilson"))
    assert near(rows["Clopper-Pearson coverage"], 94.5, 100)


@pytest.mark.parametrize("seed_sd", [0.0, 2.0, 10.0])
def test_over_both_the_default_holds_from_no_seed_variance_to_a_dominant_one(seed_sd: float) -> None:
    rows = tried(World(items=500, seeds=(5,), seed_sd=seed_sd), "random effects", "crossed bootstrap")
    assert near(rows["random effects coverage"], 93.5, 96.5)
    assert near(rows["random effects rejection"], 0, 5.5)
    crossed = rows["crossed bootstrap coverage"].percent
    assert crossed < 90 if seed_sd == 10 else crossed > 95


@pytest.mark.parametrize("seed_sd", [0.0, 10.0])
def test_over_a_grid_the_default_holds(seed_sd: float) -> None:
    rows = tried(World(items=300, seeds=(5, 5), seed_sd=seed_sd), "random effects", replications=500)
    assert near(rows["random effects coverage"], 93.5, 96.5)


def test_resampling_few_seeds_covers_far_too_little() -> None:
    # The mean is within the two or three seeds' range with chance 1 - 2 (1/2)^K: 50 and 75 %.
    for seeds, covered in ((2, 50), (3, 75)):
        rows = tried(World(items=500, seeds=(seeds,), seed_sd=15.0), "seeds resampled")
        assert near(rows["seeds resampled coverage"], covered - 1, covered + 1)


def test_seeds_alone_say_nothing_about_other_items() -> None:
    rows = tried(World(items=500, seeds=(8,)), "t over seeds", "sign flips over seeds", "percentile")
    assert rows["t over seeds rejection"].percent > 15
    assert rows["sign flips over seeds rejection"].percent > 15
    assert near(rows["percentile rejection"], 0, 5.5)


def test_power_is_the_one_predicted() -> None:
    rows = tried(World(items=500, languages=3, correlation=0.4, gain=4.0), "percentile")
    both = tried(World(items=500, seeds=(5,), seed_sd=2.0, gain=6.0), "random effects", "t over seeds")
    for row in (rows["percentile power"], both["random effects power"]):
        predicted = float(row.wanted.split()[-1])
        assert near(row, predicted - 3, predicted + 3)
        assert 50 < predicted < 90
    # Power is no virtue of a test that does not hold.
    assert "t over seeds power" not in both


def test_languages_taken_as_independent_make_the_interval_up_to_twice_too_narrow() -> None:
    # One sample of 15 parallel languages: drawn jointly, and each language with draws of its own.
    width: dict[tuple[float, str], float] = {}
    for correlation in (0.0, 0.3, 0.6):
        generator = np.random.default_rng(0)
        item = generator.normal(size=(2000, 1))
        noise = generator.normal(size=(2000, 15))
        right = np.sqrt(correlation) * item + np.sqrt(1 - correlation) * noise > -0.4
        sizes = np.ones(2000)
        joint = resample_means(right, sizes, resamples=2000, seed=0).mean(axis=1)
        alone = [resample_means(right[:, [place]], sizes, resamples=2000, seed=place) for place in range(15)]
        for name, draws in (("joint", joint), ("alone", np.hstack(alone).mean(axis=1))):
            low, high = percentile_interval(draws[:, None])
            width[correlation, name] = float(high[0] - low[0])
    ratios = [width[correlation, "joint"] / width[correlation, "alone"] for correlation in (0.0, 0.3, 0.6)]
    assert ratios[0] == pytest.approx(1, abs=0.1)
    # 0/1 outcomes of a latent correlation of .3 correlate by about .19: sqrt(1 + 14 * .19) = 1.9.
    assert ratios[1] == pytest.approx(1.9, abs=0.2)
    assert ratios[2] > 2
    rows = tried(
        World(items=300, languages=15, correlation=0.4), "languages independent", "percentile", replications=500
    )
    assert rows["languages independent coverage"].percent < 85
    assert near(rows["percentile coverage"], 93.5, 96.5)


def test_the_same_seed_gives_the_same_table_and_cells_have_draws_of_their_own() -> None:
    cell = Cell(design="test", world=World(items=50), methods=("percentile",), replications=300)
    seen: list[Row] = []
    table = calibrate([cell, cell], seed=3, progress=seen.append)
    assert table.equals(calibrate([cell, cell], seed=3))
    assert table.height == len(seen) == 4
    first, second = simulate(cell, stream=0), simulate(cell, stream=1)
    assert [row.percent for row in first] != [row.percent for row in second]


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ResultsError, match="no method named 'jackknife'"):
        tried(World(items=50), "jackknife")


def test_the_committed_table_is_of_the_cells_that_are_simulated() -> None:
    table = pl.read_csv(TABLE)
    assert table.columns == list(Row.__dataclass_fields__)
    every = list(cells())
    tries = {
        (cell.design, cell.world.items, cell.world.accuracy, cell.world.gain, name)
        for cell in every
        for name in cell.methods
    }
    columns = ["design", "n", "accuracy", "gain", "method"]
    known = set(table.select(columns).iter_rows())
    # A method without an interval has no row where no power is predicted for it.
    assert {one for one in tries - known if one[-1] != "sign flips over seeds"} == set()
    assert known <= tries
    assert table["replications"].unique().to_list() == [10_000]


@pytest.mark.parametrize("method", ["percentile", "random effects"])
def test_in_the_committed_table_the_defaults_hold_where_it_is_claimed(method: str) -> None:
    claimed = pl.read_csv(TABLE).filter(pl.col("claimed") & (pl.col("method") == method))
    error = 2 * pl.col("monte_carlo_se")
    cover = claimed.filter(measure="coverage")
    assert cover.height > 15
    assert cover.filter(~pl.col("percent").is_between(93.5 - error, 96.5 + error)).height == 0
    assert claimed.filter(pl.col("measure") == "rejection", pl.col("percent") > 5.5 + error).height == 0
    power = claimed.filter(measure="power").with_columns(pl.col("wanted").str.split(" ").list.last().cast(float))
    assert power.height > 3
    assert power.filter((pl.col("percent") - pl.col("wanted")).abs() > 3 + error).height == 0


@pytest.mark.parametrize("method", ["bootstrap", "inversion", "permutation", "mcnemar", "mid-p", "random effects"])
def test_nothing_is_said_where_a_method_holds(method: str) -> None:
    assert expectation(method, n_clusters=500, n_seeds=5) is None


@pytest.mark.parametrize(
    ("method", "n_clusters", "n_seeds", "said"),
    [
        ("bootstrap", 20, 5, "20 clusters are few"),
        ("bootstrap", 6, 5, "6 clusters are few"),
        ("bootstrap", 5, 5, "5 clusters are too few for a bootstrap: its intervals are far too narrow"),
        ("inversion", 2, 5, "its p is held at 0.5 or more"),
        ("percentile", 1, 5, "1 cluster is too few for a bootstrap"),
        ("crossed bootstrap", 5, 5, "5 clusters are too few for a bootstrap"),
        ("random effects", 5, 5, "5 clusters are too few to tell how items vary; score more items"),
        ("BCa", 100, 1, "covered 93 %"),
        ("basic", 100, 1, "covered 88 %"),
        ("random effects", 500, 3, "rejected 6 %"),
        ("crossed bootstrap", 500, 5, "78, 86 and 91 %"),
        ("sign flips", 500, 8, "for these items only"),
    ],
)
def test_where_a_method_is_off_one_line_says_so(method: str, n_clusters: int, n_seeds: int, said: str) -> None:
    line = expectation(method, n_clusters=n_clusters, n_seeds=n_seeds)
    assert line is not None
    assert said in line
    assert "\n" not in line


def test_what_is_said_is_what_the_table_shows() -> None:
    table = pl.read_csv(TABLE)

    def percent(method: str, measure: str, **where: object) -> list[int]:
        return [round(one) for one in table.filter(method=method, measure=measure, gain=0, **where)["percent"]]

    few = [{"design": "mean over languages", "n": number} for number in (10, 20)]
    assert [percent("percentile", "coverage", **where) for where in few] == [[91], [93]]
    assert [percent("percentile", "rejection", **where) for where in few] == [[8], [7]]
    assert max(percent("permutation", "rejection")) <= 5
    extreme = {"n": 100, "accuracy": 95}
    assert percent("BCa", "coverage", design="one pair", **extreme) == [93]
    assert max(percent("BCa", "rejection", design="one pair", **extreme)) <= 5
    assert percent("basic", "coverage", design="accuracy", **extreme) == [88]
    dominant = {"design": "items and seeds", "n": 500, "seed_sd": 10}
    assert [percent("crossed bootstrap", "coverage", seeds=seeds, **dominant) for seeds in (3, 5, 10)] == [
        [78], [86], [91],
    ]  # fmt: skip
    assert percent("random effects", "rejection", seeds=3, **dominant) == [6]
    assert max(percent("sign flips over seeds", "rejection")) == 33
