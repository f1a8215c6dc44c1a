import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.method import Method, Test
from xfer_bench.stats.paired import paired_test

Outcomes = npt.NDArray[np.int64]


def two_systems(n: int = 300, languages: int = 1, *, seed: int = 0) -> tuple[Outcomes, Outcomes]:
    generator = np.random.default_rng(seed)
    easy = generator.normal(0.3, 1, (n, 1))
    first, second = (easy + shift + generator.normal(0, 1, (n, languages)) > 0 for shift in (0.3, 0.0))
    return first.astype(np.int64), second.astype(np.int64)


def test_the_value_is_the_difference_of_accuracies_in_points() -> None:
    a, b = two_systems()
    estimate = paired_test(a, b)
    assert estimate.value == pytest.approx(100 * (a.mean() - b.mean()))
    assert (estimate.n_items, estimate.n_clusters) == (300, 300)


def test_interval_is_that_of_scipys_paired_bootstrap() -> None:
    # scipy.stats.bootstrap with paired=True and method="percentile" on the same two systems.
    a, b = (system[:, 0] for system in two_systems())
    theirs = scipy.stats.bootstrap(
        (a, b),
        lambda x, y, axis: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        paired=True,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    ours = paired_test(a, b)
    tolerance = 5 * 0.06 * 100 * float(theirs.standard_error)  # Monte Carlo error of a quantile: .06 sd at 2.5 %
    assert ours.low == pytest.approx(100 * theirs.confidence_interval.low, abs=tolerance)
    assert ours.high == pytest.approx(100 * theirs.confidence_interval.high, abs=tolerance)


def test_p_value_is_near_that_of_the_z_test_on_the_differences() -> None:
    a, b = (system[:, 0] for system in two_systems(seed=11))
    difference = a - b
    z = difference.mean() / (difference.std() / np.sqrt(len(a)))
    expected = 2 * scipy.stats.norm.sf(abs(z))
    assert 0.005 < expected < 0.5  # else this compares nothing
    assert paired_test(a, b).p_value == pytest.approx(expected, abs=0.03)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), languages=st.integers(1, 4), size=st.integers(1, 3))
def test_swapping_the_systems_flips_the_sign_exactly(seed: int, languages: int, size: int) -> None:
    a, b = two_systems(40, languages, seed=seed)
    clusters = np.arange(40) // size
    forth, back = (paired_test(*pair, clusters=clusters, method=Method(resamples=199)) for pair in ((a, b), (b, a)))
    assert (back.value, back.low, back.high) == (-forth.value, -forth.high, -forth.low)
    assert back.p_value == forth.p_value


def test_identical_systems_have_zero_width_and_p_one() -> None:
    a, _ = two_systems(languages=3)
    same = paired_test(a, a, method=Method(resamples=500))
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("first", "second", "gain"), [(1, 1, 0), (0, 0, 0), (1, 0, 100), (0, 1, -100)])
@pytest.mark.parametrize("n", [1, 5])
def test_all_right_all_wrong_and_one_item(first: int, second: int, gain: float, n: int) -> None:
    estimate = paired_test(np.full(n, first), np.full(n, second), method=Method(resamples=99))
    assert (estimate.value, estimate.low, estimate.high) == (gain, gain, gain)
    # The bootstrap's own p would be 1 / 100, of one item too: the smallest that flipping the signs of n can give holds.
    assert estimate.p_value == (1 if gain == 0 else 2.0 ** (1 - n))


def test_translations_of_an_item_are_drawn_together() -> None:
    # The same answers in four languages tell no more than those in one; as independent items they would seem to.
    a, b = two_systems(200)
    one, four = paired_test(a, b), paired_test(np.tile(a, 4), np.tile(b, 4))
    assert (four.value, four.low, four.high, four.p_value) == (one.value, one.low, one.high, one.p_value)
    apart = paired_test(np.tile(a[:, 0], 4), np.tile(b[:, 0], 4))
    assert apart.value == pytest.approx(one.value)
    assert (apart.high - apart.low) / (one.high - one.low) == pytest.approx(0.5, abs=0.05)


def test_items_of_one_premise_are_drawn_together() -> None:
    a, b = two_systems(200)
    tripled, other = np.repeat(a[:, 0], 3), np.repeat(b[:, 0], 3)
    clustered = paired_test(tripled, other, clusters=np.repeat(np.arange(200), 3))
    alone = paired_test(a, b)
    assert (clustered.value, clustered.low, clustered.high) == (alone.value, alone.low, alone.high)
    assert (clustered.n_items, clustered.n_clusters) == (600, 200)
    independent = paired_test(tripled, other)
    assert (independent.high - independent.low) / (alone.high - alone.low) == pytest.approx(1 / np.sqrt(3), abs=0.05)


def test_the_names_of_clusters_do_not_matter_where_their_order_is_kept() -> None:
    a, b = two_systems(60)
    numbers = np.arange(60) // 3
    names = np.array([f"premise {number:03d}" for number in numbers])
    assert paired_test(a, b, clusters=numbers, method=Method(resamples=99)) == paired_test(
        a, b, clusters=names, method=Method(resamples=99)
    )


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones(3), np.ones(4), "same items"),
        (np.ones(0), np.ones(0), "same items"),
        (np.ones((2, 2, 2)), np.ones((2, 2, 2)), "same items"),
        (np.array([1, np.nan]), np.ones(2), "1 is right and 0 is wrong"),
        (np.array([1, 2]), np.ones(2), "1 is right and 0 is wrong"),
    ],
)
def test_nonsense_is_refused(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        paired_test(a, b)


def test_clusters_need_a_label_per_item() -> None:
    with pytest.raises(ResultsError, match="one label per item"):
        paired_test(np.ones(3), np.ones(3), clusters=np.ones(2))


def test_inversion_is_of_the_interval_that_is_asked_for() -> None:
    a, b = (system[:, 0] for system in two_systems(40, seed=3))
    p = {
        name: paired_test(a, b, method=Method(test="inversion", interval=name, resamples=1999)).p_value
        for name in ("percentile", "basic", "bca")
    }
    assert len(set(p.values())) == 3


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("test", [None, "inversion"])
def test_few_clusters_have_no_smaller_p_than_the_exact_test_of_their_signs(n: int, test: Test | None) -> None:
    better, worse = np.ones(3 * n, dtype=np.int64), np.zeros(3 * n, dtype=np.int64)
    premises = np.repeat(np.arange(n), 3)
    found = paired_test(better, worse, clusters=premises, method=Method(test=test, resamples=2_000))
    theirs = scipy.stats.permutation_test(
        (np.ones(n), np.zeros(n)), lambda a, b: np.mean(a - b), permutation_type="samples", vectorized=False
    )
    assert found.p_value == pytest.approx(theirs.pvalue)


def test_many_clusters_have_the_p_that_they_had() -> None:
    better, worse = np.ones(20, dtype=np.int64), np.zeros(20, dtype=np.int64)
    assert paired_test(better, worse, method=Method(resamples=10_000)).p_value == 1 / 10_001


@pytest.mark.parametrize("differing", [1, 2, 4, 5])
@pytest.mark.parametrize("test", [None, "inversion"])
def test_clusters_without_a_difference_do_not_lower_the_least_p(differing: int, test: Test | None) -> None:
    worse = np.zeros(500, dtype=np.int64)
    better = (np.arange(500) < differing).astype(np.int64)
    found = paired_test(better, worse, method=Method(test=test, resamples=2_000))
    assert found.p_value is not None
    assert found.p_value >= scipy.stats.binomtest(differing, differing).pvalue
