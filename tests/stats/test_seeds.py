import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import resample_means
from xfer_bench.stats.seeds import (
    crossed_bootstrap,
    crossed_random_effects,
    random_effects,
    seed_table,
    sign_flips,
)

Floats = npt.NDArray[np.float64]


def outcomes(*shape: int, seed: int = 3) -> Floats:
    """Paired differences of right answers: -1, 0 and 1."""
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(float)


def test_where_clusters_do_not_differ_it_is_the_t_test_over_seeds() -> None:
    # scipy.stats.ttest_1samp; every cluster has the same outcome, which differs from seed to seed.
    by_seed = np.random.default_rng(0).normal(0.5, 1, (6, 2))
    found = random_effects(np.broadcast_to(by_seed, (50, 6, 2)), np.ones(50), level=0.9)
    theirs = scipy.stats.ttest_1samp(by_seed, 0)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.df == pytest.approx([5, 5])
    assert [found.low, found.high] == [pytest.approx(end) for end in theirs.confidence_interval(0.9)]


def test_where_seeds_do_not_differ_it_is_the_t_test_over_clusters() -> None:
    # scipy.stats.ttest_1samp over clusters; every seed has the same outcomes.
    by_cluster = np.random.default_rng(0).normal(0.2, 1, (80, 1, 2))
    found = random_effects(np.broadcast_to(by_cluster, (80, 4, 2)), np.ones(80))
    theirs = scipy.stats.ttest_1samp(by_cluster[:, 0], 0)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.df == pytest.approx([79, 79])
    assert [found.low, found.high] == [pytest.approx(end) for end in theirs.confidence_interval(0.95)]


def test_a_grid_with_one_effective_factor_is_the_t_test_over_its_levels() -> None:
    levels = np.random.default_rng(2).normal(0.4, 1, (5, 1))
    for axis in (0, 1, 2):
        shape = [1, 1, 1, 1]
        shape[axis] = 5
        found = crossed_random_effects(np.broadcast_to(levels.reshape(shape), (5, 5, 5, 1)), np.ones(5))
        assert found.p_value == pytest.approx(scipy.stats.ttest_1samp(levels, 0).pvalue)
        assert found.df == pytest.approx([4])


def test_unequal_clusters_have_the_standard_error_of_the_ratio() -> None:
    # With seeds that agree: the linearised ratio estimator (Cochran, Sampling Techniques, 1977, 6.3).
    generator = np.random.default_rng(4)
    sizes = generator.integers(1, 6, 60)
    sums = generator.integers(-1, 2, 60) * sizes
    found = random_effects(np.repeat(sums[:, None, None], 3, axis=1), sizes)
    ratio = sums.sum() / sizes.sum()
    error = np.sqrt(np.sum((sums - ratio * sizes) ** 2) / (60 * 59)) / sizes.mean()
    assert found.value == pytest.approx([ratio])
    assert found.standard_error == pytest.approx([error])


def test_variance_by_hand() -> None:
    # Cluster means 1, 3 and seed means 1, 2, 3: MS_cluster = 6, MS_seed = 2; residuals 0, so MS_residual = 0 and the
    # variance is (6 + 2) / 6. With MS_seed enlarged to 2 (1 + 2/2) = 4 the df are (6 + 4)^2 / (36 / 1 + 16 / 2), and at
    # least 2.
    found = random_effects(np.array([[[0.0], [1], [2]], [[2], [3], [4]]]), np.ones(2))
    assert {name: float(square[0]) for name, square in found.mean_squares.items()} == pytest.approx(
        {"cluster": 6, "seed": 2, "residual": 0}
    )
    assert found.standard_error**2 == pytest.approx([8 / 6])
    assert found.df == pytest.approx([100 / 44])


def test_variance_of_the_mean_in_a_grid_is_estimated_without_bias() -> None:
    # 4,000 grids (as columns) with all components above nought, so that truncation hardly ever matters.
    generator = np.random.default_rng(8)
    shape = (40, 5, 4)
    parts = {(0,): 9.0, (1,): 2.0, (2,): 1.5, (0, 1): 1.0, (0, 2): 0.5, (1, 2): 0.1, (0, 1, 2): 1.0}
    values = np.zeros((*shape, 4000))
    truth = 0.0
    for effect, variance in parts.items():
        part = [number if axis in effect else 1 for axis, number in enumerate(shape)]
        values += generator.normal(0, np.sqrt(variance), (*part, 4000))
        truth += variance / np.prod(part)
    found = crossed_random_effects(values, np.ones(40))
    assert np.mean(found.standard_error**2) == pytest.approx(truth, rel=0.04)
    assert np.var(found.value) == pytest.approx(truth, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_swapping_systems_mirrors_everything(seed: int, grid: bool) -> None:
    data = outcomes(9, 3, 4, 2, seed=seed) if grid else outcomes(9, 4, 2, seed=seed)
    estimate = crossed_random_effects if grid else random_effects
    one, other = estimate(data, np.full(9, 2)), estimate(-data, np.full(9, 2))
    assert other.value == pytest.approx(-one.value)
    assert other.low == pytest.approx(-one.high)
    assert other.p_value == pytest.approx(one.p_value)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_the_order_of_clusters_and_seeds_does_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    data, sizes = outcomes(12, 5, 2, seed=seed), generator.integers(1, 4, 12)
    rows, columns = generator.permutation(12), generator.permutation(5)
    one, other = random_effects(data, sizes), random_effects(data[rows][:, columns], sizes[rows])
    assert other.low == pytest.approx(one.low)
    assert other.df == pytest.approx(one.df)


def test_a_column_does_not_depend_on_the_others() -> None:
    data = outcomes(40, 5, 6)
    assert random_effects(data[..., [4]], np.ones(40)).low == pytest.approx(random_effects(data, np.ones(40)).low[4])


def test_identical_systems_have_p_one_and_no_width() -> None:
    for found in (
        random_effects(np.zeros((10, 3, 2)), np.ones(10)),
        crossed_random_effects(np.zeros((10, 3, 3, 2)), np.ones(10)),
    ):
        assert found.p_value.tolist() == [1, 1]
        assert found.low.tolist() == found.high.tolist() == [0, 0]


def test_all_right_against_all_wrong_is_certain() -> None:
    found = random_effects(np.ones((10, 3, 1)), np.ones(10))
    assert (found.value[0], found.low[0], found.high[0], found.p_value[0]) == (1, 1, 1, 0)
    # Two of three items in every cluster: what varies is rounding, and counts as nothing.
    thirds = random_effects(np.full((10, 3, 1), 2), np.full(10, 3))
    assert (thirds.standard_error[0], thirds.p_value[0]) == (0, 0)


def test_few_seeds_come_with_a_warning() -> None:
    assert random_effects(outcomes(9, 5, 1), np.ones(9)).warnings == ()
    (line,) = random_effects(outcomes(9, 3, 1), np.ones(9)).warnings
    assert line.startswith("3 seeds are few")
    (line,) = crossed_random_effects(outcomes(9, 5, 4, 1), np.ones(9)).warnings
    assert line.startswith("4 target seeds are few")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((9, 2, 1), "2 seeds cannot say how much seeds vary.*about 50 % and 76 %"),
        ((9, 1, 1), "1 seed cannot"),
        ((1, 4, 1), "at least 2 clusters"),
        ((9, 4), "need outcomes"),
        ((9, 5, 2, 1), "2 target seeds cannot"),
    ],
)
def test_too_few_seeds_or_clusters_are_refused(shape: tuple[int, ...], message: str) -> None:
    estimate = crossed_random_effects if len(shape) == 4 else random_effects
    with pytest.raises(ResultsError, match=message):
        estimate(outcomes(*shape), np.ones(shape[0]))
    with pytest.raises(ResultsError, match=message):
        crossed_bootstrap(outcomes(*shape), np.ones(shape[0]), resamples=10, seed=0)


def test_nonsense_is_refused() -> None:
    data = outcomes(9, 4, 1)
    with pytest.raises(ResultsError, match="NaN"):
        random_effects(np.full((9, 4, 1), np.nan), np.ones(9))
    with pytest.raises(ResultsError, match="at least one item"):
        random_effects(data, np.zeros(9))
    with pytest.raises(ResultsError, match=r"got \(9, 4, 1\) and \(8,\)"):
        random_effects(data, np.ones(8))
    with pytest.raises(ResultsError, match="level of 95"):
        random_effects(data, np.ones(9), level=95)
    with pytest.raises(ResultsError, match="seed of -1"):
        crossed_bootstrap(data, np.ones(9), resamples=10, seed=-1)


def test_the_crossed_bootstrap_of_equal_seeds_is_the_bootstrap_of_clusters() -> None:
    data, sizes = outcomes(30, 1, 2), np.arange(1, 31)
    draws = crossed_bootstrap(np.repeat(data, 4, axis=1), sizes, resamples=200, seed=0)
    assert np.allclose(draws, resample_means(data[:, 0], sizes, resamples=200, seed=0))


def test_the_crossed_bootstrap_of_equal_clusters_resamples_seeds() -> None:
    by_seed = np.array([0.0, 1, 5, 12])
    draws = crossed_bootstrap(np.tile(by_seed[:, None], (20, 1, 1)), np.ones(20), resamples=20_000, seed=0)[:, 0]
    assert draws.mean() == pytest.approx(by_seed.mean(), abs=0.1)
    assert draws.std() == pytest.approx(by_seed.std() / 2, rel=0.02)
    assert np.isclose(draws, 0).mean() == pytest.approx(1 / 4**4, abs=0.002)


def test_the_crossed_bootstrap_has_the_variance_of_the_pigeonhole_model() -> None:
    # Weights W_i V_k of independent multinomial counts: Var = sum of squares of cluster, seed and cell effects around
    # the mean (Owen, Annals of Applied Statistics 2007, 3), here for equal clusters and as exact expectations.
    data = outcomes(25, 6, 1)[..., 0]
    draws = crossed_bootstrap(data[..., None], np.ones(25), resamples=40_000, seed=1)[:, 0]
    centred = data - data.mean()
    rows, columns = centred.mean(axis=1), centred.mean(axis=0)
    cells = centred - rows[:, None] - columns
    expected = np.mean(rows**2) / 25 + np.mean(columns**2) / 6 + np.mean(cells**2) / 150
    assert draws.var() == pytest.approx(expected, rel=0.03)


def test_the_crossed_bootstrap_of_a_grid_resamples_both_kinds_of_seeds() -> None:
    first, second = np.array([0.0, 3, 9]), np.array([0.0, 1, 1, 6])
    grid = np.tile((first[:, None] + second)[..., None], (10, 1, 1, 1))
    draws = crossed_bootstrap(grid, np.ones(10), resamples=20_000, seed=0)[:, 0]
    assert draws.var() == pytest.approx(first.var() / 3 + second.var() / 4, rel=0.03)


def test_the_crossed_bootstrap_is_deterministic_and_columns_are_drawn_jointly() -> None:
    data = outcomes(30, 4, 5)
    draws = crossed_bootstrap(data, np.ones(30), resamples=300, seed=0)
    assert np.array_equal(draws, crossed_bootstrap(data, np.ones(30), resamples=300, seed=0))
    assert np.array_equal(draws[:, [3]], crossed_bootstrap(data[..., [3]], np.ones(30), resamples=300, seed=0))
    assert not np.array_equal(draws, crossed_bootstrap(data, np.ones(30), resamples=300, seed=1))


def test_many_columns_go_in_blocks_and_give_the_same() -> None:
    # 5,000 resamples of 4 runs are 160 kB a column: 300 columns take two blocks.
    data = outcomes(6, 4, 300)
    draws = crossed_bootstrap(data, np.ones(6), resamples=5_000, seed=0)
    last = crossed_bootstrap(data[..., -2:], np.ones(6), resamples=5_000, seed=0)
    assert np.array_equal(draws[:, -2:], last)


def test_seed_table_is_mean_and_sd() -> None:
    table = seed_table(np.array([[60.0, 50], [62, 50], [64, 50]]))
    assert (table.mean.tolist(), table.n) == ([62, 50], 3)
    assert table.sd is not None
    assert table.sd.tolist() == [2, 0]
    assert seed_table(np.array([[60, 50]])).sd is None
    with pytest.raises(ResultsError, match="NaN"):
        seed_table(np.array([[np.nan]]))
    with pytest.raises(ResultsError, match="at least one seed"):
        seed_table(np.ones((0, 2)))


@pytest.mark.parametrize("seeds", [6, 8, 11])
def test_sign_flips_are_those_of_scipy(seeds: int) -> None:
    gains = np.random.default_rng(seeds).normal(0.7, 1, (seeds, 3))
    # More resamples than there are flips: scipy then looks at all of them.
    theirs = [
        scipy.stats.permutation_test([column], np.mean, permutation_type="samples", n_resamples=10_000).pvalue
        for column in gains.T
    ]
    assert sign_flips(gains) == pytest.approx(theirs)


def test_sign_flips_need_six_seeds() -> None:
    with pytest.raises(ResultsError, match=r"5 seeds .* below 0\.0625; use at least 6, where it can be 0\.03125"):
        sign_flips(np.ones((5, 1)))
    assert sign_flips(np.ones((6, 1))).tolist() == [2 / 64]


def test_sign_flips_of_no_gain_are_one() -> None:
    assert sign_flips(np.zeros((6, 2))).tolist() == [1, 1]


def test_sign_flips_of_many_seeds_are_drawn() -> None:
    gains = np.random.default_rng(1).normal(0.4, 1, (25, 1))
    p = sign_flips(gains, resamples=4000, seed=0)
    assert np.array_equal(p, sign_flips(gains, resamples=4000, seed=0))
    # The t test of so many normal numbers is nearly the same.
    assert p == pytest.approx(scipy.stats.ttest_1samp(gains, 0).pvalue, abs=0.02)


def test_sign_flips_say_the_same_of_the_opposite() -> None:
    gains = np.random.default_rng(1).normal(0.4, 1, (9, 2))
    assert np.array_equal(sign_flips(gains), sign_flips(-gains))
