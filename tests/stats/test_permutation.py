import itertools

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import cluster_sums
from xfer_bench.stats.permutation import permutation_max_t, permutation_p

Ints = npt.NDArray[np.int64]


def differences(clusters: int, columns: int, *, seed: int = 3, most: int = 1, gain: float = 0.0) -> Ints:
    generator = np.random.default_rng(seed)
    raw = generator.integers(-most, most + 1, size=(clusters, columns))
    return np.where(generator.random((clusters, columns)) < gain, most, raw)


@pytest.mark.parametrize("most", [1, 3])
def test_exact_p_is_that_of_scipy(most: int) -> None:
    # scipy.stats.permutation_test exchanges the members of each pair ("samples"), all 2^10 ways.
    for seed in range(5):
        sums = differences(10, 1, seed=seed, most=most, gain=0.3)
        theirs = scipy.stats.permutation_test(
            (sums[:, 0], np.zeros(10)),
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=1 << 10,
        )
        assert permutation_p(sums, resamples=1 << 10, seed=0)[0] == pytest.approx(theirs.pvalue, abs=1e-12)


def test_drawn_p_is_the_exact_one_but_for_monte_carlo_error() -> None:
    sums = differences(14, 6, most=3, gain=0.2)
    exact = permutation_p(sums, resamples=1 << 14, seed=0)
    # With fewer resamples than flips they are drawn.
    drawn = permutation_p(sums, resamples=(1 << 13) - 1, seed=0)
    assert not np.array_equal(drawn, exact)
    assert np.all(np.abs(drawn - exact) < 5 * np.sqrt(exact * (1 - exact) / (1 << 13)) + 1e-3)


@pytest.mark.parametrize(("better", "worse"), [(3, 0), (9, 2), (6, 6), (1, 0), (0, 4)])
def test_with_differences_of_one_it_is_the_sign_test(better: int, worse: int) -> None:
    # scipy.stats.binomtest on the discordant items, which is McNemar's exact test.
    sums = np.array([[1]] * better + [[-1]] * worse + [[0]] * 40)
    theirs = scipy.stats.binomtest(better, better + worse).pvalue
    assert permutation_p(sums, resamples=10_000, seed=0)[0] == pytest.approx(theirs, abs=1e-12)


def test_a_large_sign_test() -> None:
    sums = np.array([[1]] * 120 + [[-1]] * 85 + [[0]] * 800)
    theirs = scipy.stats.binomtest(120, 205).pvalue
    error = np.sqrt(theirs * (1 - theirs) / 20_000)
    assert permutation_p(sums, resamples=20_000, seed=0)[0] == pytest.approx(theirs, abs=5 * error)


def test_as_many_items_as_xnli_has() -> None:
    sums = np.array([[1]] * 560 + [[-1]] * 500 + [[0]] * 3950)
    theirs = scipy.stats.binomtest(560, 1060).pvalue
    error = np.sqrt(theirs * (1 - theirs) / 5000)
    assert permutation_p(sums, resamples=5000, seed=0)[0] == pytest.approx(theirs, abs=5 * error)
    assert permutation_p(sums[:1060], resamples=5000, seed=0)[0] == pytest.approx(theirs, abs=5 * error)


def test_identical_systems_and_ties_with_them_have_p_one() -> None:
    assert permutation_p(np.zeros((5, 2)), resamples=100, seed=0).tolist() == [1, 1]
    assert permutation_p(np.zeros((500, 2)), resamples=100, seed=0).tolist() == [1, 1]
    balanced = np.array([[1], [-1]] * 50)
    assert permutation_p(balanced, resamples=100, seed=0).tolist() == [1]
    assert permutation_max_t(np.zeros((500, 2)), resamples=100, seed=0).tolist() == [1, 1]


def test_p_is_never_nought() -> None:
    assert permutation_p(np.ones((300, 1)), resamples=99, seed=0)[0] == 1 / 100
    assert permutation_p(np.ones((5, 1)), resamples=99, seed=0)[0] == 2 / 32


def test_one_item_shows_nothing() -> None:
    assert permutation_p(np.array([[1.0]]), resamples=100, seed=0)[0] == 1


@settings(max_examples=25, deadline=None)
@given(block=st.integers(1, 900), seed=st.integers(0, 2**64 - 1), whole=st.booleans())
def test_block_size_does_not_matter(block: int, seed: int, *, whole: bool) -> None:
    sums = differences(37, 5).astype(float) if whole else np.random.default_rng(1).normal(size=(37, 5))
    for test in (permutation_p, permutation_max_t):
        expected = test(sums, resamples=333, seed=seed)
        assert np.array_equal(test(sums, resamples=333, seed=seed, block=block), expected)


def test_other_columns_do_not_matter() -> None:
    sums = differences(40, 4, most=2)
    together = permutation_p(sums, resamples=500, seed=1)
    assert np.array_equal(permutation_p(sums[:, [2]], resamples=500, seed=1), together[[2]])
    beside_few = permutation_p(np.column_stack([np.eye(40)[0], sums]), resamples=500, seed=1)
    assert np.array_equal(beside_few[1:], together)
    assert beside_few[0] == 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), clusters=st.integers(1, 60))
def test_swapping_the_systems_changes_nothing(seed: int, clusters: int) -> None:
    sums = differences(clusters, 3, seed=seed, most=2)
    for test in (permutation_p, permutation_max_t):
        assert np.array_equal(test(sums, resamples=200, seed=4), test(-sums, resamples=200, seed=4))


def test_seed_zero_is_a_seed() -> None:
    sums = differences(60, 3)
    zero, again, one = (permutation_p(sums, resamples=2000, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(zero, again)
    assert not np.array_equal(zero, one)


def test_equal_totals_count_as_equal_when_rounded() -> None:
    # Tenths add up differently in a different order; the totals are the same ones.
    whole = differences(12, 3, most=3)
    assert np.array_equal(
        permutation_p(whole * 0.1, resamples=5000, seed=0), permutation_p(whole, resamples=5000, seed=0)
    )
    many = differences(90, 3, most=3)
    assert np.array_equal(permutation_p(many / 7, resamples=3000, seed=0), permutation_p(many, resamples=3000, seed=0))


def test_items_of_a_cluster_are_flipped_together() -> None:
    # Each cluster holds three copies: as much is known as from one of them.
    single = differences(200, 1, gain=0.1)
    sums, _ = cluster_sums(np.repeat(single, 3, axis=0), np.repeat(np.arange(200), 3))
    apart = permutation_p(np.repeat(single, 3, axis=0), resamples=2000, seed=0)
    assert np.array_equal(permutation_p(sums, resamples=2000, seed=0), permutation_p(single, resamples=2000, seed=0))
    assert permutation_p(sums, resamples=2000, seed=0)[0] > 2 * apart[0]


def test_under_the_null_it_rejects_no_more_often_than_it_says() -> None:
    # 2,000 columns of skewed clusters without any difference: at most 5 % and three Monte Carlo errors.
    generator = np.random.default_rng(5)
    size = generator.geometric(0.4, size=(60, 2000))
    p = permutation_p(size * generator.choice([-1, 1], size=size.shape), resamples=999, seed=0)
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 2000))


def test_max_t_by_hand() -> None:
    # All 2^10 flips of standardised totals, enumerated.
    sums = differences(10, 3, most=2, gain=0.3)
    flips = np.array(list(itertools.product([-1, 1], repeat=10)))
    scale = np.sqrt((sums**2).sum(axis=0))
    largest = (np.abs(flips @ sums) / scale).max(axis=1)
    exact = np.array([np.mean(largest >= bound - 1e-9) for bound in np.abs(sums.sum(axis=0)) / scale])
    drawn = permutation_max_t(sums, resamples=20_000, seed=0)
    assert drawn == pytest.approx(exact, abs=0.02)


def test_max_t_of_one_column_is_the_plain_test_and_of_more_it_is_no_smaller() -> None:
    sums = differences(80, 6, gain=0.1)
    plain = permutation_p(sums, resamples=1000, seed=0)
    assert np.array_equal(permutation_max_t(sums[:, [1]], resamples=1000, seed=0), plain[[1]])
    assert np.array_equal(permutation_max_t(np.tile(sums[:, [1]], 4), resamples=1000, seed=0), np.tile(plain[1], 4))
    # Drawn flips are the same ones for both.
    assert np.all(permutation_max_t(sums, resamples=1000, seed=0) >= plain)


@pytest.mark.parametrize(
    ("sums", "resamples", "seed", "message"),
    [
        (np.ones((0, 1)), 10, 0, "at least one cluster"),
        (np.ones(3), 10, 0, r"needs \(clusters, columns\)"),
        (np.full((3, 1), np.nan), 10, 0, "NaN"),
        (np.ones((3, 1)), 0, 0, "0 resamples"),
        (np.ones((3, 1)), 10, -1, "seed of -1"),
    ],
)
def test_nonsense_is_refused(sums: npt.NDArray[np.float64], resamples: int, seed: int, message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        permutation_p(sums, resamples=resamples, seed=seed)
