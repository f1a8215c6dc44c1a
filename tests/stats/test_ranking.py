from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.method import Method
from xfer_bench.stats.ranking import Rank, random_regret, rank, rank_arms, regret, regrets

Floats = npt.NDArray[np.float64]


def ranks_of(gains: list[float], *, noise: float = 1.0, seed: int = 0, resamples: int = 2_000) -> tuple[Rank, ...]:
    values = np.array(gains)
    draws = values + np.random.default_rng(seed).normal(0, noise, (resamples, len(values)))
    return rank_arms([f"arm{place}" for place in range(len(values))], values, draws)


def test_arms_far_apart_have_one_rank_each() -> None:
    found = ranks_of([0.0, 20.0, 10.0])
    assert [(one.arm, one.rank, one.rank_low, one.rank_high, one.group) for one in found] == [
        ("arm1", 1, 1, 1, 1), ("arm2", 2, 2, 2, 2), ("arm0", 3, 3, 3, 3),
    ]  # fmt: skip
    assert [one.p_best for one in found] == [1, 0, 0]


def test_arms_that_cannot_be_told_apart_are_one_group() -> None:
    found = ranks_of([0.0, 10.0, 10.5, 0.4])
    assert [one.group for one in found] == [1, 1, 2, 2]
    assert [(one.rank_low, one.rank_high) for one in found] == [(1, 2), (1, 2), (3, 4), (3, 4)]


def test_identical_arms_share_everything() -> None:
    found = ranks_of([1.0, 1.0, 1.0], noise=0)
    assert [(one.rank, one.rank_low, one.rank_high, one.group) for one in found] == [(1, 1, 3, 1)] * 3
    assert [one.p_best for one in found] == pytest.approx([1 / 3] * 3)
    assert [(one.low, one.high) for one in found] == [(1, 1)] * 3


def test_one_arm_is_first() -> None:
    (only,) = ranks_of([2.0])
    assert (only.rank, only.rank_low, only.rank_high, only.p_best) == (1, 1, 1, 1)


def test_what_arms_have_in_common_does_not_blur_their_ranks() -> None:
    gains = np.array([0.0, 2.0])
    generator = np.random.default_rng(0)
    draws = gains + generator.normal(0, 0.3, (2_000, 2)) + generator.normal(0, 30, (2_000, 1))
    assert [one.rank_high for one in rank_arms(["a", "b"], gains, draws)] == [1, 2]


@settings(max_examples=30, deadline=None)
@given(gains=st.lists(st.integers(-3, 3), min_size=1, max_size=6), noise=st.sampled_from([0.0, 0.2, 2.0]))
def test_ranks_hang_together(gains: list[int], noise: float) -> None:
    found = ranks_of([float(gain) for gain in gains], noise=noise, resamples=200)
    assert sum(one.p_best for one in found) == pytest.approx(1)
    for one in found:
        assert one.rank_low <= one.rank <= one.rank_high
        assert one.rank == 1 + sum(other.gain > one.gain for other in found)
    assert [one.gain for one in found] == sorted((one.gain for one in found), reverse=True)
    assert found[0].group == 1


def test_true_ranks_lie_in_all_intervals_at_once_as_often_as_they_should() -> None:
    generator = np.random.default_rng(1)
    # Equal and nearly equal arms, where quantiles of resampled ranks would fail.
    truth = np.array([0.0, 0.0, 0.3, 0.3, 2.5])
    held, trials = 0, 300
    for _ in range(trials):
        gains = truth + generator.normal(size=5)
        draws = gains + generator.normal(size=(500, 5))
        found = {one.arm: one for one in rank_arms(list("abcde"), gains, draws)}
        held += all(
            found[arm].rank_low <= 1 + np.sum(truth > truth[place])
            and np.sum(truth >= truth[place]) <= found[arm].rank_high
            for place, arm in enumerate("abcde")
        )
    # Standard error of a share of .95 among 300: .0126
    assert held / trials >= 0.95 - 2 * 0.0126


def test_regret_is_what_the_pick_lacks_to_the_best() -> None:
    gains, predicted = np.array([1.0, 5.0, 3.0]), np.array([0.9, 0.1, 0.5])
    assert [regret(gains, predicted, k=k)[0] for k in (1, 2, 3)] == [4, 2, 0]
    assert regret(np.stack([gains, -gains]), predicted, k=1).tolist() == [4, 0]


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=7))
def test_more_picks_never_lose_more(pairs: list[tuple[float, float]]) -> None:
    gains, predicted = np.array(pairs).T
    lost = [regret(gains, predicted, k=k)[0] for k in range(1, len(gains) + 1)]
    assert lost == sorted(lost, reverse=True)
    assert lost[-1] == 0
    assert regret(gains, gains, k=1)[0] == 0


def test_random_regret_is_the_mean_over_all_choices() -> None:
    gains = np.array([1.0, -2.0, 5.0, 3.0, 3.0])
    for k in range(1, 6):
        each = [gains.max() - max(choice) for choice in combinations(gains, k)]
        assert random_regret(gains, k=k) == pytest.approx(np.mean(each))


def test_the_baseline_is_ranked_with_a_gain_of_nought() -> None:
    (found,) = rank(make_predictions(effects={"none": 0, "better": 3.0, "worse": -3.0}, seen={}), resamples=200)
    assert [(one.arm, one.rank, one.group) for one in found.ranks] == [
        ("better", 1, 1),
        ("none", 2, 2),
        ("worse", 3, 3),
    ]
    assert found.ranks[1].gain == found.ranks[1].low == found.ranks[1].high == 0


def test_gains_and_intervals_are_those_of_compare() -> None:
    predictions = make_predictions()
    (found,) = rank(predictions, resamples=200, seed=3)
    compared = compare(predictions, method=Method(resamples=200, seed=3))
    headline = {one.arm: (one.gain, one.ci_low, one.ci_high) for one in compared if one.language == found.language}
    assert {one.arm: (one.gain, one.low, one.high) for one in found.ranks if one.arm != "none"} == {
        arm: pytest.approx(values) for arm, values in headline.items()
    }


def test_a_predictor_that_knows_the_order_loses_nothing() -> None:
    predictions = make_predictions(effects={"none": 0, "a": 0.5, "b": 2.0, "c": 4.0}, seen={}, n_items=300)
    good = make_stages(predictions).with_columns(
        development_accuracy=pl.col("arm").replace_strict({"a": 55.0, "b": 60.0, "c": 70.0}, default=None)
    )
    (found,) = regrets(predictions, good, k=(1, 2, 3, 9), resamples=100)
    assert found.arms == ("c", "b", "a")
    assert found.best == "c"
    assert found.predictor == "intermediate accuracy above chance"
    assert [(lost.k, lost.points, lost.relative) for lost in found.lost] == [(1, 0, 0), (2, 0, 0), (3, 0, 0)]
    bad = good.with_columns(development_accuracy=125 - pl.col("development_accuracy"))
    (found,) = regrets(predictions, bad, resamples=100)
    worst = found.lost[0]
    assert worst.picked == ("a",)
    (ranking,) = rank(predictions, resamples=2)
    gains = {one.arm: one.gain for one in ranking.ranks}
    assert worst.points == pytest.approx(gains["c"] - gains["a"])
    assert worst.relative == pytest.approx(worst.points / gains["c"])
    assert worst.random == pytest.approx(gains["c"] - np.mean([gains[arm] for arm in "abc"]))
    best = accuracy(predictions).filter(pl.col("language") != "en", arm="c")["accuracy"].mean()
    assert isinstance(best, float)
    assert worst.of_accuracy == pytest.approx(worst.points / best)


def test_arms_without_a_prediction_are_left_out() -> None:
    predictions = make_predictions()
    stages = make_stages(predictions)
    assert regrets(predictions, stages.filter(arm="english"), resamples=20) == []
    assert regrets(predictions, stages.clear(), resamples=20) == []


def test_bad_input_is_one_line() -> None:
    gains = np.arange(3.0)
    with pytest.raises(ResultsError, match="ranks need"):
        rank_arms(["a", "b"], gains, gains[None, :])
    with pytest.raises(ResultsError, match="some gains are NaN"):
        rank_arms(["a"], np.array([np.nan]), np.ones((2, 1)))
    with pytest.raises(ResultsError, match="4 of 3 arms cannot be picked; k is from 1 to 3"):
        regret(gains, gains, k=4)
    with pytest.raises(ResultsError, match="each arm needs one prediction"):
        regret(gains, gains[:2], k=1)
