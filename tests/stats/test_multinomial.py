import time

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import percentile_interval, resample_means
from xfer_bench.stats.multinomial import multinomial_means

TOTALS = np.random.default_rng(3).choice([-1, 0, 1, 3], p=[0.2, 0.5, 0.2, 0.1], size=600)


def test_distribution_is_that_of_drawing_clusters() -> None:
    sizes = np.full(600, 3)
    ours = multinomial_means(TOTALS, sizes, resamples=20_000, seed=0)
    drawn = resample_means(TOTALS[:, None], sizes, resamples=20_000, seed=0)[:, 0]
    # Kolmogorov and Smirnov's distance of two samples from one distribution.
    assert scipy.stats.ks_2samp(ours, drawn).pvalue > 0.01
    for moment in (np.mean, np.std, scipy.stats.skew, scipy.stats.kurtosis):
        # Four standard errors of the difference of two kurtoses, sqrt(24 / 20,000) each, the largest of the four.
        assert moment(ours) == pytest.approx(moment(drawn), abs=4 * np.sqrt(2 * 24 / 20_000))


def test_moments_are_the_exact_ones() -> None:
    n, resamples = len(TOTALS), 200_000
    draws = multinomial_means(TOTALS, np.ones(n), resamples=resamples, seed=1)
    error = TOTALS.std() / np.sqrt(n)
    assert draws.mean() == pytest.approx(TOTALS.mean(), abs=4 * error / np.sqrt(resamples))
    assert draws.std() == pytest.approx(error, rel=4 / np.sqrt(2 * resamples))
    # The bootstrap mean's third central moment is the data's over n squared.
    third = scipy.stats.moment(TOTALS, 3) / n**2
    assert scipy.stats.moment(draws, 3) == pytest.approx(third, abs=4 * np.sqrt(15 / resamples) * error**3)


def test_interval_of_zeros_and_ones_is_that_of_the_binomial() -> None:
    right = np.repeat([0, 1], [350, 150])
    low, high = percentile_interval(multinomial_means(right, np.ones(500), resamples=50_000, seed=0))
    exact = scipy.stats.binom(500, 0.3)
    assert low == pytest.approx(exact.ppf(0.025) / 500, abs=1 / 500)
    assert high == pytest.approx(exact.ppf(0.975) / 500, abs=1 / 500)


def test_ten_million_items_take_no_longer_than_counting_them() -> None:
    right = np.zeros(10_000_000, dtype=np.int8)
    right[::4] = 1
    start = time.perf_counter()
    draws = multinomial_means(right, np.ones(len(right), dtype=np.int8), resamples=10_000, seed=0)
    # About .1 s; drawing the clusters one by one would take ten minutes.
    assert time.perf_counter() - start < 20
    assert draws.std() == pytest.approx(np.sqrt(0.25 * 0.75 / 1e7), rel=0.03)


@given(totals=st.lists(st.integers(-3, 3), min_size=1, max_size=30), seed=st.integers(0, 2**64 - 1), data=st.data())
def test_order_of_the_clusters_does_not_matter(totals: list[int], seed: int, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(totals))
    sizes = np.full(len(totals), 2)
    draws = multinomial_means(np.array(totals), sizes, resamples=20, seed=seed)
    assert np.array_equal(multinomial_means(np.array(shuffled), sizes, resamples=20, seed=seed), draws)


@given(totals=st.lists(st.integers(-3, 3), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_draws_of_the_opposite_are_the_opposite(totals: list[int], seed: int) -> None:
    values = np.array(totals)
    sizes = np.ones(len(totals))
    draws = multinomial_means(values, sizes, resamples=20, seed=seed)
    opposite = multinomial_means(-values, sizes, resamples=20, seed=seed)
    if sorted(values) == sorted(-values):
        assert np.array_equal(opposite, draws)
    else:
        assert np.array_equal(opposite, -draws)


def test_seed_zero_is_a_seed() -> None:
    zero, again, one = (multinomial_means(TOTALS, np.ones(600), resamples=50, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(zero, again)
    assert not np.array_equal(zero, one)


@pytest.mark.parametrize("value", [0, 1, 2.5])
def test_what_does_not_vary_stays_what_it_is(value: float) -> None:
    draws = multinomial_means(np.full(40, value), np.full(40, 2), resamples=30, seed=0)
    assert np.array_equal(draws, np.full(30, value / 2))


def test_one_cluster_and_truth_values_will_do() -> None:
    assert multinomial_means(np.array([2]), np.array([3]), resamples=4, seed=0).tolist() == [2 / 3] * 4
    whether = TOTALS > 0
    as_numbers = multinomial_means(whether.astype(float), np.ones(600), resamples=30, seed=0)
    assert np.array_equal(multinomial_means(whether, np.ones(600), resamples=30, seed=0), as_numbers)


@pytest.mark.parametrize(
    ("sums", "sizes", "resamples", "seed", "message"),
    [
        (np.ones(3), np.array([1, 2, 3]), 10, 0, "one size; got sizes from 1 to 3"),
        (np.ones(3), np.zeros(3), 10, 0, "one size"),
        (np.ones(3), np.ones(2), 10, 0, "got \\(3,\\) and \\(2,\\)"),
        (np.ones((3, 1)), np.ones(3), 10, 0, "needs \\(clusters,\\)"),
        (np.ones(0), np.ones(0), 10, 0, "at least one cluster"),
        (np.array([1, np.nan]), np.ones(2), 10, 0, "NaN"),
        (np.ones(3), np.ones(3), 0, 0, "0 resamples"),
        (np.ones(3), np.ones(3), 10, -1, "seed of -1"),
    ],
)
def test_nonsense_is_refused(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], resamples: int, seed: int, message: str
) -> None:
    with pytest.raises(ResultsError, match=message):
        multinomial_means(sums, sizes, resamples=resamples, seed=seed)
