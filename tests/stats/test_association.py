from collections.abc import Callable
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.association import (
    COEFFICIENTS,
    Coefficient,
    associate,
    centred,
    matrices,
    permutation_test,
    within,
)

SCIPY: dict[str, Callable[..., Any]] = {
    "pearson": scipy.stats.pearsonr,
    "spearman": scipy.stats.spearmanr,
    "kendall": scipy.stats.kendalltau,
}
# Few different values, so that many are tied.
TIED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)), min_size=2, max_size=12)


def reference(x: npt.ArrayLike, y: npt.ArrayLike, method: Coefficient) -> float:
    return float(SCIPY[method](x, y).statistic)


@pytest.mark.parametrize("method", COEFFICIENTS)
def test_each_coefficient_is_that_of_scipy_in_every_row(method: Coefficient) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=20), generator.integers(0, 6, size=(30, 20))
    expected = [reference(x, row, method) for row in y]
    assert associate(x, y, method=method) == pytest.approx(expected)
    assert associate(y, x, method=method) == pytest.approx(expected)
    assert associate(y, y[::-1], method=method) == pytest.approx(
        [reference(a, b, method) for a, b in zip(y, y[::-1], strict=True)]
    )


@settings(max_examples=60, deadline=None)
@given(points=TIED, method=st.sampled_from(COEFFICIENTS))
def test_a_point_drawn_twice_is_two_points(points: list[tuple[int, int, int]], method: Coefficient) -> None:
    x, y, times = np.array(points, dtype=float).T
    found = associate(x, y, method=method, weights=times)[0]
    every = np.repeat(x, times.astype(int)), np.repeat(y, times.astype(int))
    if min(len(set(every[0])), len(set(every[1]))) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(reference(*every, method), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(points=TIED, method=st.sampled_from(COEFFICIENTS), slope=st.sampled_from([2.0, -0.5]))
def test_a_straight_line_changes_nothing_but_the_sign(
    points: list[tuple[int, int, int]], method: Coefficient, slope: float
) -> None:
    x, y, _ = np.array(points, dtype=float).T
    before, after = associate(x, y, method=method), associate(x, slope * y + 3, method=method)
    assert after == pytest.approx(np.sign(slope) * before, nan_ok=True)


def test_kendall_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 50, 9))
    whole = associate(x, y, method="kendall")
    monkeypatch.setattr("xfer_bench.stats.association._BLOCK_BYTES", 8 * 36 * 7)
    assert np.array_equal(associate(x, y, method="kendall"), whole)


@pytest.mark.parametrize("method", COEFFICIENTS)
def test_matrices_are_every_pair_of_columns(method: Coefficient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xfer_bench.stats.association._BLOCK_BYTES", 8 * 4 * 9 * 9 * 5)
    values = np.random.default_rng(9).integers(0, 5, size=(12, 9, 4)).astype(float)
    values[3, :, 2] = 1.0
    found = matrices(values, method=method)
    for a in range(4):
        for b in range(4):
            assert found[:, a, b] == pytest.approx(
                associate(values[:, :, a], values[:, :, b], method=method), nan_ok=True
            )
    assert np.isnan(found[3, 2]).all()
    with pytest.raises(ResultsError, match="matrices need"):
        matrices(values[0], method=method)


@pytest.mark.parametrize("method", ["spearman", "kendall"])
def test_few_points_have_an_exact_p_value(method: Coefficient) -> None:
    # Without ties the null distributions of both are symmetric, so scipy's doubled tail is our two-sided one.
    x, y = np.arange(6.0), np.array([2.0, 1.0, 4.0, 3.0, 6.0, 5.0])
    ours = permutation_test(x, y, method=method)
    if method == "kendall":
        theirs = scipy.stats.kendalltau(x, y, method="exact").pvalue
    else:
        theirs = scipy.stats.permutation_test(
            (x,), lambda a: scipy.stats.spearmanr(a, y).statistic, permutation_type="pairings", n_resamples=factorial(6)
        ).pvalue
    assert (ours.exact, ours.permutations) == (True, 720)
    assert ours.p_value == pytest.approx(theirs)


def test_exact_p_counts_every_order() -> None:
    x, y = np.array([0.0, 1, 5, 6, 20]), np.array([1.0, 0, 3, 9, 8])
    each = [abs(scipy.stats.pearsonr(order, y).statistic) for order in permutations(x)]
    observed = scipy.stats.pearsonr(x, y).statistic
    assert permutation_test(x, y).p_value == pytest.approx(np.mean(np.array(each) >= observed - 1e-12))


def test_many_points_have_a_monte_carlo_p_value() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=12)
    y = 0.5 * x + generator.normal(size=12)
    ours = permutation_test(x, y, permutations=20_000, seed=0)
    # Of normal data the permutation distribution is nearly Student's; Monte Carlo error .002
    assert ours.p_value == pytest.approx(scipy.stats.pearsonr(x, y).pvalue, abs=0.02)
    theirs = scipy.stats.pearsonr(
        x, y, method=scipy.stats.PermutationMethod(n_resamples=20_000, rng=np.random.default_rng(0))
    )
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.015)
    assert not ours.exact
    assert permutation_test(x, y, permutations=99, seed=0) == permutation_test(x, y, permutations=99, seed=0)


def test_p_is_never_nought() -> None:
    x = np.arange(30.0)
    assert permutation_test(x, x, permutations=99).p_value == pytest.approx(1 / 100)
    assert permutation_test(x[:4], x[:4]).p_value == pytest.approx(2 / 24)


def test_p_values_under_the_null_are_uniform() -> None:
    generator = np.random.default_rng(5)
    p = [permutation_test(*generator.normal(size=(2, 6))).p_value for _ in range(800)]
    # Standard error of a share of .05 among 800: .0077
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=3 * 0.0077)


def test_within_is_the_partial_correlation_of_a_regression() -> None:
    generator = np.random.default_rng(2)
    seeds, targets = generator.integers(3, size=40), generator.integers(4, size=40)
    x = generator.normal(size=40) + seeds
    y = 0.7 * x + 2.0 * targets + generator.normal(size=40)
    left = within(x, y, [seeds.tolist(), targets.tolist()])
    dummies = np.column_stack([np.ones(40), np.eye(3)[seeds][:, 1:], np.eye(4)[targets][:, 1:]])
    fit = sm.OLS(y, np.column_stack([x, dummies])).fit()
    # Frisch-Waugh-Lovell: the slope of the residuals is that of the full regression, and r follows from its t.
    assert left.x @ left.y / (left.x @ left.x) == pytest.approx(fit.params[0])
    partial = fit.tvalues[0] / np.sqrt(fit.tvalues[0] ** 2 + fit.df_resid)
    assert associate(left.x, left.y)[0] == pytest.approx(partial)
    assert left.rank == 6


def test_one_effect_is_a_mean_taken_off_also_of_what_is_drawn() -> None:
    generator = np.random.default_rng(4)
    x, y, groups = generator.normal(size=12), generator.normal(size=12), [0, 1, 2] * 4
    assert np.allclose(centred(y[None, :], groups)[0], within(x, y, [groups]).y)
    times = generator.integers(0, 3, size=12)
    drawn = centred(y[None, :], groups, weights=times)[0]
    every = np.repeat(np.arange(12), times)
    repeated = within(x[every], y[every], [[groups[place] for place in every]])
    assert np.allclose(drawn[every], repeated.y)


def test_effects_that_say_everything_leave_nothing() -> None:
    x, y = np.random.default_rng(0).normal(50, 10, size=(2, 6))
    left = within(x, y, [range(6)])
    assert np.array_equal(left.x, np.zeros(6))
    assert np.isnan(associate(left.x, left.y)).all()


@pytest.mark.parametrize("method", COEFFICIENTS)
def test_subtracting_one_shared_baseline_changes_no_correlation(method: Coefficient) -> None:
    # One model, one seed, one language: gains are accuracies minus one number.
    intermediate, accuracy = np.random.default_rng(6).normal(60, 5, size=(2, 10))
    before = associate(intermediate, accuracy, method=method)
    assert associate(intermediate, accuracy - 51.3, method=method) == pytest.approx(before)
    assert associate(intermediate - 40.0, accuracy - 51.3, method=method) == pytest.approx(before)


def test_pooling_over_seeds_lets_the_baseline_into_both_sides() -> None:
    # Accuracies of two targets that have nothing to do with one another but the shared baseline run of each seed:
    # as gains over it they correlate at var(baseline) / (var(baseline) + var(arm)) = 4 / 5, and within seeds not.
    generator = np.random.default_rng(7)
    pooled, apart = [], []
    for _ in range(300):
        seeds = np.repeat(np.arange(40), 4)
        baseline = generator.normal(0, 2, size=40)[seeds]
        x, y = generator.normal(size=(2, 160)) - baseline
        left = within(x, y, [seeds.tolist()])
        pooled.append(associate(x, y)[0])
        apart.append(associate(left.x, left.y)[0])
    assert np.mean(pooled) == pytest.approx(0.8, abs=0.02)
    assert np.mean(apart) == pytest.approx(0, abs=3 * np.std(apart) / np.sqrt(300))


def test_pooling_over_languages_needs_the_baseline_of_each_language_taken_off() -> None:
    # Two seeds and three languages each have a baseline of their own: main effects of both do not take all of it
    # off, one effect with a label for each run and language does.
    generator = np.random.default_rng(8)
    seeds, languages = np.repeat([0, 1], 30), np.tile(np.repeat([0, 1, 2], 10), 2)
    added, crossed = [], []
    for _ in range(200):
        baseline = generator.normal(0, 3, size=(2, 3))[seeds, languages]
        x, y = generator.normal(size=(2, 60)) - baseline
        left = within(x, y, [seeds.tolist(), languages.tolist()])
        added.append(associate(left.x, left.y)[0])
        left = within(x, y, [list(zip(seeds.tolist(), languages.tolist(), strict=True))])
        crossed.append(associate(left.x, left.y)[0])
    assert np.mean(added) > 0.4
    assert np.mean(crossed) == pytest.approx(0, abs=3 * np.std(crossed) / np.sqrt(200))


def test_bad_input_is_one_line() -> None:
    x = np.arange(4.0)
    with pytest.raises(ResultsError, match="no correlation named 'r'; choose one of pearson, spearman, kendall"):
        associate(x, x, method="r")  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="need the same points; got 4, 3, 1"):
        associate(x, x[:3])
    with pytest.raises(ResultsError, match="y needs numbers; some are NaN or infinite"):
        associate(x, [0, 1, np.nan, 2])
    with pytest.raises(ResultsError, match="whole numbers from 0"):
        associate(x, x, weights=x / 2)
    with pytest.raises(ResultsError, match="effect 1 has 3 labels for 4 points"):
        within(x, x, [[0, 0, 1]])
    with pytest.raises(ResultsError, match="needs 3 points at least"):
        permutation_test(x[:2], x[:2])
    with pytest.raises(ResultsError, match="1 at least and a seed from 0; got 0 and 0"):
        permutation_test(x, x, permutations=0)
