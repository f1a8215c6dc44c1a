from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from xfer_bench.errors import ResultsError
from xfer_bench.stats.proportions import clopper_pearson, wilson

Interval = Callable[..., tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
BOTH = [(wilson, "wilson", "wilson"), (clopper_pearson, "beta", "exact")]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("ours", "statsmodels", "scipy"), BOTH)
def test_intervals_are_those_of_statsmodels_and_scipy(
    ours: Interval, statsmodels: str, scipy: str, level: float
) -> None:
    for right, n in [(0, 1), (1, 1), (0, 30), (30, 30), (340, 1000), (4759, 5010), (263, 500), (1, 5010)]:
        found = tuple(float(end) / 100 for end in ours(right, n, level=level))
        assert found == pytest.approx(proportion_confint(right, n, alpha=1 - level, method=statsmodels), abs=1e-12)
        theirs = scipy_interval(right, n, level=level, method=scipy)
        assert found == pytest.approx(theirs, abs=1e-12)


def scipy_interval(right: int, n: int, *, level: float, method: str) -> tuple[float, float]:
    interval = scipy.stats.binomtest(right, n).proportion_ci(confidence_level=level, method=method)  # type: ignore[arg-type]
    return interval.low, interval.high


@pytest.mark.parametrize("ours", [wilson, clopper_pearson])
def test_arrays_are_their_elements(ours: Interval) -> None:
    right, n = np.array([[0, 3], [10, 500]]), np.array([10, 500])
    low, high = ours(right, n)
    assert low.shape == high.shape == (2, 2)
    for place, count in np.ndenumerate(right):
        assert (low[place], high[place]) == pytest.approx(tuple(map(float, ours(int(count), int(n[place[1]])))))


@given(n=st.integers(1, 3000), share=st.floats(0, 1))
def test_intervals_hold_the_accuracy_mirror_it_and_nest(n: int, share: float) -> None:
    right = round(share * n)
    for ours in (wilson, clopper_pearson):
        low, high = map(float, ours(right, n))
        assert 0 <= low <= 100 * right / n <= high <= 100
        assert low < high
        assert tuple(map(float, ours(n - right, n))) == pytest.approx((100 - high, 100 - low), abs=1e-9)
        wider = tuple(map(float, ours(right, n, level=0.99)))
        assert wider[0] <= low < high <= wider[1]


def test_all_wrong_and_all_right_end_exactly_at_the_edge() -> None:
    for ours in (wilson, clopper_pearson):
        assert float(ours(0, 7)[0]) == 0
        assert float(ours(7, 7)[1]) == 100


def test_coverage() -> None:
    # Summed over all outcomes, without Monte Carlo error: Clopper-Pearson never below, Wilson on average about.
    n = 100
    right = np.arange(n + 1)
    shares = np.linspace(0.02, 0.98, 97)
    chance = scipy.stats.binom.pmf(right[:, None], n, shares)
    covered = {}
    for ours in (wilson, clopper_pearson):
        low, high = ours(right, n)
        inside = (low[:, None] <= 100 * shares) & (100 * shares <= high[:, None])
        covered[ours.__name__] = (chance * inside).sum(axis=0)
    assert covered["clopper_pearson"].min() >= 0.95
    assert covered["wilson"].mean() == pytest.approx(0.95, abs=0.005)
    assert covered["wilson"].min() > 0.9


@pytest.mark.parametrize(
    ("right", "n", "message"),
    [
        (1, 0, "at least one item"),
        (np.array([1, np.nan]), 5, "NaN"),
        (6, 5, "from 0 right to all items right"),
        (-1, 5, "from 0 right to all items right"),
        (np.array([0.5]), 5, "whole numbers"),
    ],
)
def test_what_is_no_count_is_refused(right: npt.NDArray[np.float64], n: int, message: str) -> None:
    for ours in (wilson, clopper_pearson):
        with pytest.raises(ResultsError, match=message):
            ours(right, n)


def test_a_level_is_a_fraction() -> None:
    with pytest.raises(ResultsError, match="between 0 and 1"):
        wilson(1, 2, level=95)
