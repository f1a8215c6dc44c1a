import tracemalloc
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, p_value, percentile_interval, resample_means
from xfer_bench.stats.intervals import (
    METHODS,
    Method,
    interval,
    jackknife_means,
    p_by_inversion,
    pair_differences,
    simultaneous,
)

every_method = pytest.mark.parametrize("method", METHODS)


def drawn(
    sums: npt.NDArray[Any], sizes: npt.NDArray[Any] | None = None, *, resamples: int = 2000, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """Draws, what was observed, and the jackknife."""
    each = np.ones(len(sums)) if sizes is None else sizes
    draws = resample_means(sums, each, resamples=resamples, seed=seed)
    return draws, sums.sum(axis=0) / each.sum(), jackknife_means(sums, each)


def skewed(n: int, columns: int, *, seed: int = 1) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).lognormal(sigma=1.2, size=(n, columns)) - 1.5


def systems(n: int, count: int, columns: int, *, seed: int = 2) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(2, size=(n, count, columns))


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("method", "theirs"), [("percentile", "percentile"), ("basic", "basic"), ("bca", "BCa")])
def test_interval_is_that_of_scipy_from_the_same_draws(method: Method, theirs: Any, level: float) -> None:
    # scipy.stats.bootstrap gives its draws away; only the interval is compared.
    values = skewed(60, 3)
    result = scipy.stats.bootstrap(
        (values,),
        np.mean,
        axis=0,
        n_resamples=1500,
        method=theirs,
        confidence_level=level,
        rng=np.random.default_rng(4),
    )
    jackknife = jackknife_means(values, np.ones(60))
    draws = np.asarray(result.bootstrap_distribution).T
    low, high = interval(draws, values.mean(axis=0), method=method, level=level, jackknife=jackknife)
    np.testing.assert_allclose(low, result.confidence_interval.low, rtol=1e-10)
    np.testing.assert_allclose(high, result.confidence_interval.high, rtol=1e-10)


def test_bca_over_clusters_of_different_sizes_is_that_of_scipy() -> None:
    # scipy.stats.bootstrap of a ratio over paired clusters, whose jackknife leaves one cluster out.
    sizes = np.random.default_rng(0).integers(1, 6, size=80)
    sums = np.random.default_rng(1).binomial(sizes, 0.85)
    result = scipy.stats.bootstrap(
        (sums, sizes),
        lambda right, size, axis: right.sum(axis=axis) / size.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=3000,
        method="BCa",
        rng=np.random.default_rng(4),
    )
    jackknife = jackknife_means(sums[:, None], sizes)
    observed = np.array([sums.sum() / sizes.sum()])
    draws = np.asarray(result.bootstrap_distribution)[:, None]
    low, high = interval(draws, observed, method="bca", jackknife=jackknife)
    assert low[0] == pytest.approx(result.confidence_interval.low, rel=1e-10)
    assert high[0] == pytest.approx(result.confidence_interval.high, rel=1e-10)


def test_jackknife_by_hand() -> None:
    left_out = jackknife_means(np.array([[1, 0], [2, 3], [0, 1]]), np.array([1, 3, 2]))
    np.testing.assert_allclose(left_out, [[2 / 5, 4 / 5], [1 / 3, 1 / 3], [3 / 4, 3 / 4]])


@every_method
def test_columns_do_not_know_of_each_other(method: Method) -> None:
    draws, observed, jackknife = drawn(skewed(50, 300), resamples=1200)
    low, high = interval(draws, observed, method=method, jackknife=jackknife)
    one = slice(211, 212)
    alone = interval(draws[:, one], observed[one], method=method, jackknife=jackknife[:, one])
    assert (low[211], high[211]) == (alone[0][0], alone[1][0])


@every_method
def test_interval_of_the_opposite_is_the_mirror_image(method: Method) -> None:
    draws, observed, jackknife = drawn(skewed(50, 3))
    low, high = interval(draws, observed, method=method, jackknife=jackknife)
    mirrored = interval(-draws, -observed, method=method, jackknife=-jackknife)
    np.testing.assert_allclose(mirrored[0], -high, atol=1e-12)
    np.testing.assert_allclose(mirrored[1], -low, atol=1e-12)
    p = p_by_inversion(draws, observed, method=method, jackknife=jackknife)
    np.testing.assert_allclose(p_by_inversion(-draws, -observed, method=method, jackknife=-jackknife), p)


@every_method
@pytest.mark.parametrize("value", [0, 1, 0.3])
def test_without_variation_there_is_no_width(method: Method, value: float) -> None:
    sums = np.column_stack([np.full(40, value), skewed(40, 1)])
    draws, observed, jackknife = drawn(sums, resamples=200)
    low, high = interval(draws, observed, method=method, jackknife=jackknife)
    assert low[0] == high[0] == pytest.approx(value)
    assert low[1] < high[1]
    p = p_by_inversion(draws, observed, method=method, jackknife=jackknife)
    # Where all draws are on one side, p is the smallest there is; BCa corrects its half a draw of bias.
    assert p[0] == 1 if value == 0 else p[0] < 0.02


@every_method
def test_one_resample_is_an_interval_without_width(method: Method) -> None:
    draws, observed, jackknife = drawn(skewed(20, 2), resamples=1)
    low, high = interval(draws, observed, method=method, jackknife=jackknife)
    assert np.array_equal(low, high)


def test_p_by_inversion_by_hand() -> None:
    # Of nine draws one is below nought and one equals it: 2 (1 + 2) / (9 + 1); mirrored at .25 five are.
    draws = np.array([-0.1, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])[:, None]
    observed = np.array([0.25])
    assert p_by_inversion(draws, observed)[0] == pytest.approx(0.6)
    assert p_by_inversion(draws, observed, method="basic")[0] == pytest.approx(2 * (1 + 3) / 10)


def test_p_by_inversion_is_never_nought() -> None:
    draws, observed, jackknife = drawn(skewed(50, 1) + 100, resamples=99)
    assert p_by_inversion(draws, observed)[0] == pytest.approx(2 / 100)
    assert 0 < p_by_inversion(draws, observed, method="bca", jackknife=jackknife)[0] < 0.05


@every_method
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-0.5, 0.5))
def test_interval_just_excludes_nought_at_p(method: Method, seed: int, shift: float) -> None:
    values = skewed(40, 1, seed=seed)
    draws, observed, jackknife = drawn(values - values.mean() + shift, resamples=4000)
    p = float(p_by_inversion(draws, observed, method=method, jackknife=jackknife)[0])
    # A few draws lie between the p-value's convention and the interval's, more where BCa stretches the tails.
    slack = 0.2 * p + 0.004
    for one, within in ((p - slack, True), (p + slack, False)):
        if 0 < one < 1:
            low, high = interval(draws, observed, method=method, level=1 - one, jackknife=jackknife)
            assert (low[0] <= 0 <= high[0]) == within


def test_p_by_inversion_is_the_centred_p_where_draws_are_symmetric() -> None:
    draws, observed, _ = drawn(np.random.default_rng(0).normal(0.04, 1, size=(500, 4)), resamples=20_000)
    np.testing.assert_allclose(p_by_inversion(draws, observed), p_value(draws, observed), atol=0.02)


def test_simultaneous_intervals_of_independent_columns_are_sidaks() -> None:
    # Independent columns: the largest of k normal |t| has the quantile of Sidak (1967).
    columns = 12
    values = np.random.default_rng(0).normal(size=(3000, columns))
    draws, observed, _ = drawn(values, resamples=20_000)
    low, high, adjusted = simultaneous(draws, observed, level=0.95)
    critical = (high - low) / (2 * draws.std(axis=0, ddof=1))
    sidak = scipy.stats.norm.ppf((1 + 0.95 ** (1 / columns)) / 2)
    assert np.ptp(critical) < 1e-12
    assert critical[0] == pytest.approx(sidak, abs=0.05)
    single = 2 * scipy.stats.norm.sf(np.abs(observed) / draws.std(axis=0, ddof=1))
    np.testing.assert_allclose(adjusted, 1 - (1 - single) ** columns, atol=0.02)


def test_simultaneous_p_values_are_dunnetts() -> None:
    # scipy.stats.dunnett: several arms against one control, normal data of one variance and many items.
    generator = np.random.default_rng(3)
    control = generator.normal(size=4000)
    arms = [generator.normal(shift, 1, size=4000) for shift in (0.0, 0.03, 0.05, 0.06)]
    theirs = scipy.stats.dunnett(*arms, control=control, rng=np.random.default_rng(0))
    draws, observed, _ = drawn(np.column_stack([arm - control for arm in arms]), resamples=20_000)
    low, high, adjusted = simultaneous(draws, observed)
    np.testing.assert_allclose(adjusted, theirs.pvalue, atol=0.02)
    limits = theirs.confidence_interval()
    np.testing.assert_allclose(low, limits.low, atol=0.004)
    np.testing.assert_allclose(high, limits.high, atol=0.004)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_simultaneous_interval_excludes_nought_just_where_adjusted_p_is_small(level: float) -> None:
    shifts = np.linspace(-0.4, 0.4, 41)
    values = np.random.default_rng(1).normal(size=(200, 41)) + np.random.default_rng(2).normal(size=(200, 1))
    draws, observed, _ = drawn(values - values.mean(axis=0) + shifts, resamples=999)
    low, high, adjusted = simultaneous(draws, observed, level=level)
    excluded = (low > 0) | (high < 0)
    assert np.array_equal(excluded, adjusted <= 1 - level + 1e-12)
    assert 0 < excluded.sum() < 41


def test_equal_columns_need_no_adjustment() -> None:
    one = np.random.default_rng(0).integers(-1, 2, size=(300, 1))
    draws, observed, _ = drawn(np.repeat(one, 5, axis=1))
    adjusted = simultaneous(draws, observed)[2]
    np.testing.assert_allclose(adjusted, p_value(draws, observed))


def test_adjusting_never_makes_p_smaller_nor_intervals_narrower_by_much() -> None:
    draws, observed, _ = drawn(np.random.default_rng(6).normal(0.05, 1, size=(400, 10)), resamples=5000)
    low, high, adjusted = simultaneous(draws, observed)
    assert (adjusted >= p_value(draws, observed)).all()
    single_low, single_high = percentile_interval(draws)
    assert (high - low > single_high - single_low).all()


def test_columns_without_variation_do_not_disturb_simultaneous_intervals() -> None:
    values = np.random.default_rng(0).normal(size=(100, 3))
    draws, observed, _ = drawn(values, resamples=500)
    with_flat = np.column_stack([draws, np.zeros(500), np.full(500, 0.1)])
    low, high, adjusted = simultaneous(with_flat, np.array([*observed, 0, 0.1]))
    expected = simultaneous(draws, observed)
    for ours, theirs in zip((low, high, adjusted), expected, strict=True):
        assert np.array_equal(ours[:3], theirs)
    assert low[3:].tolist() == high[3:].tolist() == [0, 0.1]
    assert adjusted[3:].tolist() == [1, 1 / 501]
    alone = simultaneous(np.zeros((50, 2)), np.zeros(2))
    assert alone[2].tolist() == [1, 1]


def test_too_few_resamples_for_a_level_are_refused() -> None:
    draws, observed, _ = drawn(skewed(30, 2), resamples=19)
    assert np.isfinite(simultaneous(draws, observed, level=0.95)[0]).all()
    with pytest.raises(ResultsError, match=r"18 resamples are too few .* use at least 19"):
        simultaneous(draws[:18], observed, level=0.95)


def test_pairs_are_those_of_their_differences() -> None:
    right = systems(120, 5, 3)
    draws = resample_means(right.reshape(120, 15), np.ones(120), resamples=400, seed=0).reshape(400, 5, 3)
    pairs = list(pair_differences(draws, right.mean(axis=0), level=0.9))
    assert [(pair.after, pair.before) for pair in pairs] == list(combinations(range(5), 2))
    for pair in pairs:
        difference = right[:, pair.after] - right[:, pair.before]
        expected = resample_means(difference, np.ones(120), resamples=400, seed=0)
        low, high = percentile_interval(expected, level=0.9)
        np.testing.assert_allclose(pair.value, difference.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(pair.low, low, atol=1e-12)
        np.testing.assert_allclose(pair.high, high, atol=1e-12)
        assert np.array_equal(pair.p_value, p_value(expected, difference.mean(axis=0)))


def test_pairs_that_were_asked_for_come_in_their_order_and_swap_their_sign() -> None:
    right = systems(80, 4, 2)
    draws = resample_means(right.reshape(80, 8), np.ones(80), resamples=300, seed=0).reshape(300, 4, 2)
    one, other, same = pair_differences(draws, right.mean(axis=0), pairs=[(3, 0), (0, 3), (1, 1)])
    assert (one.after, one.before) == (3, 0)
    assert np.array_equal(one.value, -other.value)
    assert np.array_equal(one.low, -other.high)
    assert np.array_equal(one.p_value, other.p_value)
    assert same.low.tolist() == same.high.tolist() == [0, 0]
    assert same.p_value.tolist() == [1, 1]
    assert not list(pair_differences(draws, right.mean(axis=0), pairs=[]))


def test_all_pairs_take_little_memory() -> None:
    # 780 pairs of 8 columns and 2,000 resamples would be 100 MB, and are taken 16 MB at a time.
    right = systems(50, 40, 8)
    draws = resample_means(right.reshape(50, 320), np.ones(50), resamples=2000, seed=0).reshape(2000, 40, 8)
    tracemalloc.start()
    found = sum(1 for _ in pair_differences(draws, right.mean(axis=0)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == 780
    assert peak < 60e6


def test_pairs_that_do_not_fit_are_refused_before_the_first() -> None:
    with pytest.raises(ResultsError, match="systems, columns"):
        pair_differences(np.zeros((10, 4)), np.zeros(4))
    with pytest.raises(ResultsError, match="systems, columns"):
        pair_differences(np.zeros((10, 4, 2)), np.zeros((4, 3)))
    with pytest.raises(ResultsError, match="between 0 and 1"):
        pair_differences(np.zeros((10, 4, 2)), np.zeros((4, 2)), level=95)


def test_nonsense_is_refused() -> None:
    draws, observed, jackknife = drawn(skewed(10, 2), resamples=20)
    with pytest.raises(ResultsError, match="choose one of percentile, basic, bca"):
        interval(draws, observed, method="student")  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="jackknife's means \\(clusters, 2\\); got none"):
        interval(draws, observed, method="bca")
    with pytest.raises(ResultsError, match="got \\(10, 1\\)"):
        p_by_inversion(draws, observed, method="bca", jackknife=jackknife[:, :1])
    with pytest.raises(ResultsError, match="got \\(20, 2\\) and \\(1,\\)"):
        interval(draws, observed[:1], method="basic")
    with pytest.raises(ResultsError, match="NaN"):
        simultaneous(np.where(draws > np.median(draws), np.nan, draws), observed)
    with pytest.raises(ResultsError, match="between 0 and 1"):
        interval(draws, observed, method="bca", jackknife=jackknife, level=95)
    with pytest.raises(ResultsError, match="at least two clusters"):
        jackknife_means(np.ones((1, 2)), np.ones(1))


def test_bca_of_one_cluster_says_what_it_needs() -> None:
    with pytest.raises(ResultsError, match=r"BCa leaves out each cluster .* at least two clusters; got 1: score more"):
        jackknife_means(np.ones((1, 2)), np.ones(1))
