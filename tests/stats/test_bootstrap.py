import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import (
    cluster_sums,
    differing_clusters,
    generator_of,
    p_value,
    percentile_interval,
    resample_means,
    smallest_p,
)


def outcomes(n: int, columns: int, *, seed: int = 3) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(2, size=(n, columns))


def drawn_clusters(clusters: int, resamples: int, *, seed: int) -> npt.NDArray[np.int64]:
    """The clusters that the first few resamples draw: (resamples, clusters)."""
    generator = generator_of(seed, 0)
    kind = np.uint16 if clusters <= 65_535 else np.uint32
    drawn = generator.integers(clusters, size=(64 if kind is np.uint16 else resamples, clusters), dtype=kind)
    return drawn[:resamples].astype(np.int64)


def test_interval_of_one_system_is_that_of_scipy() -> None:
    # scipy.stats.bootstrap, method="percentile", draws otherwise; both ends have a Monte Carlo error.
    right = outcomes(500, 1)
    low, high = percentile_interval(resample_means(right, np.ones(500), resamples=10_000, seed=0))
    theirs = scipy.stats.bootstrap(
        (right[:, 0],), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    )
    # Standard error of a 2.5 % quantile of 10,000 draws: sqrt(.025 * .975 / 10,000) / density = .06 sd = .0013
    assert low[0] == pytest.approx(theirs.confidence_interval.low, abs=5 * 0.0013)
    assert high[0] == pytest.approx(theirs.confidence_interval.high, abs=5 * 0.0013)


def test_spread_of_the_draws_is_the_textbook_standard_error() -> None:
    right = outcomes(400, 1)
    draws = resample_means(right, np.ones(400), resamples=10_000, seed=0)
    assert draws.std() == pytest.approx(right.std() / np.sqrt(400), rel=0.03)
    assert draws.mean() == pytest.approx(right.mean(), abs=0.001)


@settings(max_examples=25, deadline=None)
@given(
    block=st.integers(1, 300),
    threads=st.integers(1, 5),
    seed=st.integers(0, 2**64 - 1),
    order=st.permutations(range(5)),
    whole=st.booleans(),
)
def test_blocks_threads_and_the_order_of_columns_do_not_matter_bitwise(
    block: int, threads: int, seed: int, order: list[int], *, whole: bool
) -> None:
    sums = (
        outcomes(37, 5).astype(float) if whole else np.random.default_rng(1).normal(size=(37, 5)) * 10.0 ** np.arange(5)
    )
    sizes = np.arange(1, 38)
    expected = resample_means(sums, sizes, resamples=200, seed=seed)
    other = resample_means(sums[:, order], sizes, resamples=200, seed=seed, block=block, threads=threads)
    assert np.array_equal(other, expected[:, order])
    alone = resample_means(sums[:, [2]], sizes, resamples=200, seed=seed, threads=threads)
    assert np.array_equal(alone, expected[:, [2]])


def test_fractions_are_means_of_the_clusters_drawn() -> None:
    generator = np.random.default_rng(5)
    # Of one size and another: columns that need other powers of two.
    scale = np.array([1e-200, 1.0, 1e200])
    values = generator.normal(size=(300, 3)) * scale
    sizes = generator.uniform(1, 3, size=300)
    drawn = drawn_clusters(300, 10, seed=4)
    expected = values[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)[:, None]
    draws = resample_means(values, sizes, resamples=10, seed=4)
    np.testing.assert_allclose(draws / scale, expected / scale, rtol=0, atol=1e-12)


@pytest.mark.parametrize("clusters", [1, 40, 65_535, 65_536, 1_200_000])
def test_means_are_those_of_the_clusters_drawn(clusters: int) -> None:
    # The last number is one of which sixty-four resamples are too many to be held at once.
    sums = np.arange(clusters)[:, None] % 11
    drawn = drawn_clusters(clusters, 3, seed=7)
    expected = sums[drawn, 0].sum(axis=1) / clusters
    assert np.array_equal(resample_means(sums, np.ones(clusters), resamples=3, seed=7)[:, 0], expected)


def test_the_draws_of_a_seed_stay_what_they_were() -> None:
    # As version 1.0 drew them; committed results depend on it.
    draws = resample_means(np.arange(10)[:, None], np.ones(10), resamples=66, seed=7)[:, 0] * 10
    assert np.rint(draws[[0, 1, 2, 63, 64, 65]]).tolist() == [42, 44, 34, 38, 45, 40]
    many = resample_means((np.arange(70_000) % 11)[:, None], np.ones(70_000), resamples=2, seed=7)[:, 0] * 70_000
    assert np.rint(many).tolist() == [350597, 350745]


def test_large_whole_numbers_stay_exact() -> None:
    # Sums over 2**24 are not exact in float32.
    sums = outcomes(50, 2) * 1_000_003
    draws = resample_means(sums, np.ones(50), resamples=200, seed=0)
    small = resample_means(sums // 1_000_003, np.ones(50), resamples=200, seed=0)
    assert np.array_equal(np.rint(draws * 50), np.rint(small * 50) * 1_000_003)


def test_more_resamples_begin_with_the_same_ones() -> None:
    sums = outcomes(40, 3)
    longer = resample_means(sums, np.ones(40), resamples=100, seed=5)
    assert np.array_equal(longer[:30], resample_means(sums, np.ones(40), resamples=30, seed=5))


def test_columns_are_drawn_jointly_whatever_else_is_there() -> None:
    sums = outcomes(40, 3)
    together = resample_means(sums, np.ones(40), resamples=50, seed=0)
    assert np.array_equal(together[:, [1]], resample_means(sums[:, [1]], np.ones(40), resamples=50, seed=0))


def test_seed_zero_is_a_seed() -> None:
    sums = outcomes(40, 1)
    zero, again, one = (resample_means(sums, np.ones(40), resamples=20, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(zero, again)
    assert not np.array_equal(zero, one)


def test_means_weigh_clusters_by_their_items() -> None:
    sums = np.array([[3.0], [1.0]])
    draws = resample_means(sums, np.array([3, 1]), resamples=300, seed=0)
    assert np.array_equal(draws, np.ones((300, 1)))
    unequal = resample_means(np.array([[3.0], [0.0]]), np.array([3, 1]), resamples=300, seed=0)
    assert set(unequal[:, 0]) == {1.0, 0.75, 0.0}


def test_drawing_items_is_drawing_clusters_of_one() -> None:
    right = outcomes(30, 2)
    sums, sizes = cluster_sums(right, np.arange(30))
    assert np.array_equal(sums, right)
    assert sizes.tolist() == [1] * 30


def test_cluster_sums_by_hand() -> None:
    sums, sizes = cluster_sums(np.array([[1, 0], [1, 1], [0, 1]]), np.array(["b", "a", "b"]))
    assert sums.tolist() == [[1, 1], [1, 1]]
    assert sizes.tolist() == [1, 2]


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_cluster_sums_are_those_of_each_label(labels: list[int]) -> None:
    values = outcomes(len(labels), 3)
    sums, sizes = cluster_sums(values, np.array(labels))
    for place, label in enumerate(sorted(set(labels))):
        chosen = np.array(labels) == label
        assert sums[place].tolist() == values[chosen].sum(axis=0).tolist()
        assert sizes[place] == chosen.sum()


def test_unequal_numbers_of_labels_and_items_are_refused() -> None:
    with pytest.raises(ResultsError, match="got 3 for 4 items"):
        cluster_sums(outcomes(4, 2), np.array(["a", "b", "c"]))


def test_the_interval_of_the_opposite_is_the_exact_mirror_image() -> None:
    draws = resample_means(outcomes(33, 4) - outcomes(33, 4, seed=8), np.ones(33), resamples=997, seed=0)
    low, high = percentile_interval(draws)
    mirrored_low, mirrored_high = percentile_interval(-draws)
    assert np.array_equal(low, -mirrored_high)
    assert np.array_equal(high, -mirrored_low)


def test_interval_ends_are_the_quantiles() -> None:
    low, high = percentile_interval(np.arange(1001.0)[:, None], level=0.9)
    assert (low[0], high[0]) == (pytest.approx(50), pytest.approx(950))


def test_p_value_by_hand() -> None:
    # |g* - 2| >= 2 holds for 0, 4 and 5: (1 + 3) / (5 + 1).
    assert p_value(np.array([[0.0], [1.0], [3.0], [4.0], [5.0]]), np.array([2.0]))[0] == pytest.approx(4 / 6)


def test_p_value_counts_what_rounding_alone_keeps_from_being_equal() -> None:
    # g* is .4 and g is .2 as differences of means, so |g* - g| = |g|; in binary it falls short.
    draws, observed = np.array([0.7 - 0.3, 0.4 - 0.2]), np.array(0.4 - 0.2)
    assert abs(draws[0] - observed) < abs(observed)
    assert p_value(draws, observed) == pytest.approx(2 / 3)


def test_what_is_no_number_counts_as_the_null_hypothesis() -> None:
    assert p_value(np.array([0.2, np.nan, np.inf]), np.array(0.2)) == pytest.approx(3 / 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_interval_of_what_is_no_number_is_refused(bad: float) -> None:
    draws = np.zeros((50, 3))
    draws[7, 1] = bad
    with pytest.raises(ResultsError, match="some draws are NaN"):
        percentile_interval(draws)


def test_no_draws_are_refused() -> None:
    with pytest.raises(ResultsError, match="no draws"):
        percentile_interval(np.zeros((0, 3)))
    with pytest.raises(ResultsError, match="no draws"):
        p_value(np.zeros((0, 3)), np.zeros(3))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 300), columns=st.integers(0, 4), level=st.floats(0.01, 0.999), seed=st.integers(0, 99))
def test_interval_is_numpys_quantile_from_either_side(n: int, columns: int, level: float, seed: int) -> None:
    draws = np.random.default_rng(seed).normal(size=(n, columns))
    low, high = percentile_interval(draws, level=level)
    assert np.array_equal(low, np.quantile(draws, (1 - level) / 2, axis=0))
    assert np.array_equal(high, -np.quantile(-draws, (1 - level) / 2, axis=0))


def test_layout_and_shape_of_the_draws_do_not_matter() -> None:
    # More columns than are looked at together.
    draws = np.random.default_rng(0).normal(size=(5000, 4, 30))
    observed = draws.mean(axis=0)
    low, high = percentile_interval(draws)
    flat_low, flat_high = percentile_interval(np.asfortranarray(draws.reshape(5000, -1)))
    assert low.shape == (4, 30)
    assert np.array_equal(low.ravel(), flat_low)
    assert np.array_equal(high.ravel(), flat_high)
    assert np.array_equal(p_value(draws, observed).ravel(), p_value(draws.reshape(5000, -1), observed.ravel()))
    single = percentile_interval(draws[:, 1, 2])
    assert (float(single[0]), float(single[1])) == (low[1, 2], high[1, 2])


def test_p_value_is_one_where_nothing_differs_and_never_nought() -> None:
    assert p_value(np.zeros((99, 1)), np.zeros(1))[0] == 1
    assert p_value(np.full((99, 1), 5.0), np.array([5.0]))[0] == 1 / 100


@pytest.mark.parametrize(
    ("sums", "sizes", "resamples", "seed", "message"),
    [
        (np.ones((0, 1)), np.ones(0), 10, 0, "at least one cluster"),
        (np.ones((3, 1)), np.ones(2), 10, 0, "needs \\(clusters, columns\\)"),
        (np.full((3, 1), np.nan), np.ones(3), 10, 0, "NaN"),
        (np.ones((3, 1)), np.zeros(3), 10, 0, "at least one item"),
        (np.ones((3, 1)), np.ones(3), 0, 0, "0 resamples"),
        (np.ones((3, 1)), np.ones(3), 10, -1, "seed of -1"),
    ],
)
def test_nonsense_is_refused(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], resamples: int, seed: int, message: str
) -> None:
    with pytest.raises(ResultsError, match=message):
        resample_means(sums, sizes, resamples=resamples, seed=seed)


def test_a_level_is_a_fraction() -> None:
    with pytest.raises(ResultsError, match="between 0 and 1"):
        percentile_interval(np.zeros((5, 1)), level=95)


def test_p_is_held_at_the_least_that_so_many_differences_can_give() -> None:
    draws, observed = np.full((99, 2), 5.0), np.array([5.0, 0.0])
    assert p_value(draws, observed, differing=np.array([3, 40])).tolist() == [1 / 4, 1]
    assert p_value(draws, observed, differing=np.array([40, 40])).tolist() == p_value(draws, observed).tolist()
    assert smallest_p(np.array([0, 1, 2, 5, 5010])).tolist() == [1, 1, 1 / 2, 1 / 16, 0]
    assert differing_clusters(np.array([[2, 0], [-1, 0], [0, 3]])).tolist() == [2, 1]


def test_p_that_is_above_the_least_stays_as_it_is() -> None:
    sums = np.array([[2], [-1], [1], [-2], [1], [1]])
    draws = resample_means(sums, np.ones(6, dtype=np.int64), resamples=500, seed=0)
    assert np.array_equal(p_value(draws, sums.mean(axis=0), differing=np.array([6])), p_value(draws, sums.mean(axis=0)))
