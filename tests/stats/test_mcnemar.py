import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from xfer_bench.errors import ResultsError
from xfer_bench.stats.mcnemar import Method, mcnemar, mcnemar_p


def systems(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[int], list[int]]:
    first = [1] * (both + only_first) + [0] * (only_second + neither)
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return first, second


@pytest.mark.parametrize("counts", [(5, 3), (0, 1), (0, 9), (7, 7), (59, 80), (400, 501)])
def test_exact_p_is_that_of_statsmodels(counts: tuple[int, int]) -> None:
    b, c = counts
    theirs = statsmodels_mcnemar([[10, b], [c, 10]], exact=True).pvalue
    assert mcnemar_p(b, c) == pytest.approx(theirs, rel=1e-10)


@pytest.mark.parametrize(
    ("table", "exact", "mid_p"),
    [
        # Fagerland, Lydersen and Laake (2013), table 1 (Bentur et al.): 18/256 and 10/256 by their formulas.
        ((1, 1, 7, 12), 0.0703, 0.0391),
        # ... and with the counts 6 and 16.
        ((59, 6, 16, 80), 0.0525, 0.0347),
    ],
)
def test_worked_examples(table: tuple[int, int, int, int], exact: float, mid_p: float) -> None:
    first, second = systems(*table)
    found = mcnemar(np.array(first), np.array(second))
    assert (found.n_items, found.b, found.c, found.method) == (sum(table), table[1], table[2], "exact")
    assert found.p_value == pytest.approx(exact, abs=5e-5)
    assert mcnemar(np.array(first), np.array(second), method="mid-p").p_value == pytest.approx(mid_p, abs=5e-5)
    assert found.odds_ratio == pytest.approx(table[1] / table[2])


@given(b=st.integers(0, 300), c=st.integers(0, 300))
def test_mid_p_is_the_published_formula(b: int, c: int) -> None:
    point = scipy.stats.binom.pmf(b, b + c, 0.5)
    tail = scipy.stats.binom.cdf(min(b, c), b + c, 0.5)
    expected = 1 if b + c == 0 else 1 - point / 2 if b == c else 2 * tail - point
    assert mcnemar_p(b, c, method="mid-p") == pytest.approx(expected, rel=1e-9)


@given(b=st.integers(0, 300), c=st.integers(0, 300), method=st.sampled_from(["exact", "mid-p"]))
def test_swapping_the_systems_changes_nothing_and_p_is_a_chance(b: int, c: int, method: Method) -> None:
    p = mcnemar_p(b, c, method=method)
    assert p == mcnemar_p(c, b, method=method)
    assert 0 < p <= 1
    assert mcnemar_p(b, c, method="mid-p") <= mcnemar_p(b, c)


def test_identical_systems_have_p_one_and_no_odds() -> None:
    same = np.array([1, 0, 1])
    for right in (same, np.ones(4), np.zeros(1)):
        found = mcnemar(right, right, method="mid-p")
        assert (found.b, found.c, found.p_value, found.odds_ratio) == (0, 0, 1, None)


def test_many_discordant_items_do_not_underflow() -> None:
    assert 0 < mcnemar_p(100, 900) < 1e-100
    assert mcnemar_p(0, 5000) == 0


@pytest.mark.parametrize(("n", "discordance"), [(60, 0.2), (60, 0.5), (200, 0.1), (200, 0.4)])
def test_under_the_null_both_hold_their_level(n: int, discordance: float) -> None:
    # Every outcome of n items with its chance: no Monte Carlo error.
    level: dict[Method, float] = {"exact": 0, "mid-p": 0}
    for discordant in range(n + 1):
        chance = scipy.stats.binom.pmf(discordant, n, discordance)
        split = scipy.stats.binom.pmf(np.arange(discordant + 1), discordant, 0.5)
        for method in level:
            p = [mcnemar_p(b, discordant - b, method=method) for b in range(discordant + 1)]
            level[method] += chance * split[np.array(p) <= 0.05].sum()
    assert level["exact"] < level["mid-p"] <= 0.0505


def test_clustered_items_are_refused_with_the_way_out() -> None:
    first, second = (np.array(system) for system in systems(2, 2, 1, 1))
    with pytest.raises(ResultsError, match="these 6 are in 2 clusters: use --permutation"):
        mcnemar(first, second, clusters=np.array([0, 0, 0, 1, 1, 1]))
    with pytest.raises(ResultsError, match=r"one seed and one language.*use --permutation"):
        mcnemar(np.ones((4, 2)), np.ones((4, 2)))
    alone = mcnemar(first, second, clusters=np.arange(6))
    assert alone == mcnemar(first, second)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ResultsError, match=r"the same items.*\(2,\) and \(3,\)"):
        mcnemar(np.ones(2), np.ones(3))
    with pytest.raises(ResultsError, match="at least one"):
        mcnemar(np.ones(0), np.ones(0))
    with pytest.raises(ResultsError, match="1 for right and 0 for wrong"):
        mcnemar(np.array([1, np.nan]), np.ones(2))
    with pytest.raises(ResultsError, match="one label per item"):
        mcnemar(np.ones(2), np.ones(2), clusters=np.arange(3))
    with pytest.raises(ResultsError, match="no McNemar test named 'asymptotic'; choose one of exact, mid-p"):
        mcnemar(np.ones(2), np.ones(2), method="asymptotic")  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="from 0; got -1 and 2"):
        mcnemar_p(-1, 2)
