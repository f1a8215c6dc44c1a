import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_effectsize

from xfer_bench.errors import ResultsError
from xfer_bench.stats.effects import cohen_h, discordant_odds, paired_effect


@pytest.mark.parametrize(("first", "second"), [(0.7, 0.5), (0.5, 0.7), (0, 1), (1, 1), (0.34, 0.95)])
def test_cohen_h_is_that_of_statsmodels(first: float, second: float) -> None:
    assert cohen_h(first, second) == pytest.approx(proportion_effectsize(first, second), abs=1e-12)


@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_cohen_h_flips_its_sign_with_the_systems(first: float, second: float) -> None:
    assert cohen_h(first, second) == -cohen_h(second, first)
    assert cohen_h(first, first) == 0


def test_cohen_h_takes_fractions_but_for_rounding() -> None:
    assert cohen_h(1 + 1e-15, 0.5) == cohen_h(1, 0.5)
    for wrong in (70.0, -0.1, float("nan")):
        with pytest.raises(ResultsError, match="as fractions"):
            cohen_h(wrong, 0.5)


@pytest.mark.parametrize(("b", "c"), [(12, 5), (1, 1), (300, 250), (1, 40), (0, 6)])
def test_odds_interval_is_the_exact_one_of_the_share(b: int, c: int) -> None:
    # scipy.stats.binomtest's Clopper-Pearson interval of b / (b + c), as odds.
    theirs = scipy.stats.binomtest(b, b + c).proportion_ci(method="exact")
    found = discordant_odds(b, c)
    assert found.odds_ratio == pytest.approx(b / c)
    assert found.low == pytest.approx(theirs.low / (1 - theirs.low))
    assert found.high == pytest.approx(theirs.high / (1 - theirs.high))
    assert found.reason == ""


def test_odds_interval_leaves_out_one_where_the_exact_test_rejects() -> None:
    for b in range(21):
        found = discordant_odds(b, 20 - b)
        low, high = found.low or 0.0, float("inf") if found.high is None else found.high
        assert (not low <= 1 <= high) == (scipy.stats.binomtest(b, 20).pvalue < 0.05)


def test_odds_of_nothing_are_none_with_the_reason() -> None:
    none = discordant_odds(0, 0)
    assert (none.odds_ratio, none.low, none.high) == (None, None, None)
    assert "no discordant items" in none.reason
    unbounded = discordant_odds(6, 0)
    assert (unbounded.odds_ratio, unbounded.high) == (None, None)
    assert unbounded.low == pytest.approx(0.025 ** (1 / 6) / (1 - 0.025 ** (1 / 6)))
    assert "no item that the first has wrong" in unbounded.reason
    assert discordant_odds(0, 6).low == 0
    with pytest.raises(ResultsError, match="got 3 and -1"):
        discordant_odds(3, -1)


def test_effect_by_hand() -> None:
    first, second = np.array([1, 1, 1, 1, 0, 0, 1, 0]), np.array([1, 0, 0, 0, 1, 0, 1, 0])
    found = paired_effect(first, second)
    assert (found.first, found.second, found.difference) == (62.5, 37.5, 25)
    assert (found.b, found.c, found.odds.odds_ratio) == (3, 1, 3)
    assert found.cohen_h == pytest.approx(proportion_effectsize(0.625, 0.375))
    assert found.odds == discordant_odds(3, 1)


@given(seed=st.integers(0, 1000), n=st.integers(1, 40))
def test_swapping_systems_flips_the_difference_and_inverts_the_odds(seed: int, n: int) -> None:
    first, second = np.random.default_rng(seed).integers(2, size=(2, n))
    forth, back = paired_effect(first, second), paired_effect(second, first)
    assert (back.difference, back.cohen_h, back.b, back.c) == (-forth.difference, -forth.cohen_h, forth.c, forth.b)
    if forth.odds.odds_ratio and back.odds.odds_ratio and forth.odds.high and back.odds.low:
        assert back.odds.odds_ratio == pytest.approx(1 / forth.odds.odds_ratio)
        assert back.odds.low == pytest.approx(1 / forth.odds.high)


def test_dependent_items_have_odds_but_no_exact_interval() -> None:
    first, second = np.array([1, 1, 0, 0]), np.array([0, 1, 1, 1])
    clustered = paired_effect(first, second, clusters=np.array([0, 0, 1, 1]))
    several = paired_effect(np.stack([first, first], axis=1), np.stack([second, second], axis=1))
    for one, odds in ((clustered, 1 / 2), (several, 2 / 4)):
        assert (one.difference, one.odds.odds_ratio, one.odds.low, one.odds.high) == (-25, odds, None, None)
        assert "independent items" in one.odds.reason
    assert "no discordant" in paired_effect(first, first, clusters=np.zeros(4)).odds.reason


def test_bad_input_is_refused() -> None:
    with pytest.raises(ResultsError, match="the same items"):
        paired_effect(np.ones(2), np.ones(3))
    with pytest.raises(ResultsError, match="1 for right and 0 for wrong"):
        paired_effect(np.array([0.5]), np.ones(1))
    with pytest.raises(ResultsError, match="one label per item"):
        paired_effect(np.ones(2), np.ones(2), clusters=np.arange(5))
