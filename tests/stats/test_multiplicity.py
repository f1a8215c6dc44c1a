from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from xfer_bench.errors import ResultsError
from xfer_bench.stats.multiplicity import Method, adjust, adjust_families, benjamini_hochberg, holm

Adjustment = Callable[[npt.ArrayLike], npt.NDArray[np.float64]]
BOTH: list[tuple[Adjustment, str]] = [(holm, "holm"), (benjamini_hochberg, "fdr_bh")]


@settings(max_examples=25, deadline=None)
@given(p=st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.02, 0.04]), min_size=1, max_size=40))
def test_adjusted_values_are_those_of_statsmodels(p: list[float]) -> None:
    for ours, method in BOTH:
        assert ours(p) == pytest.approx(multipletests(p, method=method)[1], rel=1e-12, abs=1e-300)


def test_worked_example() -> None:
    # By hand: Holm 3 x .01, 2 x .02, and .03 raised to .04; Benjamini-Hochberg 3/1 x .01, 3/2 x .02, 3/3 x .03.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert benjamini_hochberg([0.03, 0.01, 0.02]) == pytest.approx([0.03, 0.03, 0.03])


@given(p=st.lists(st.floats(0, 1), max_size=20), seed=st.integers(0, 100))
def test_adjusting_keeps_the_order_and_never_helps(p: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(p))
    for ours, _ in BOTH:
        adjusted = ours(p)
        assert np.all(adjusted >= np.array(p) * (1 - 1e-12))
        assert np.all(adjusted <= 1)
        assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)
        assert np.array_equal(ours(np.array(p)[order]), adjusted[order])
    assert np.all(benjamini_hochberg(p) <= holm(p) * (1 + 1e-12))


def test_families_are_adjusted_each_on_its_own_and_both_values_are_shown() -> None:
    p, families = [0.01, 0.04, 0.02, 0.03], ["languages", "primary", "languages", "languages"]
    found = adjust_families(p, families)
    assert [one.raw for one in found] == p
    assert [one.adjusted for one in found] == pytest.approx([0.03, 0.04, 0.04, 0.04])
    assert [(one.family, one.size) for one in found] == [
        ("languages", 3),
        ("primary", 1),
        ("languages", 3),
        ("languages", 3),
    ]
    assert {one.method for one in found} == {"holm"}


@pytest.mark.parametrize("method", ["holm", "bh", "none"])
def test_a_family_of_one_stays_as_it_is(method: Method) -> None:
    assert adjust_families([0.0321], ["only"], method=method)[0].adjusted == 0.0321


def test_adjust_names_the_method() -> None:
    p = [0.2, 0.01]
    assert np.array_equal(adjust(p, method="none"), p)
    assert np.array_equal(adjust(p, method="holm"), holm(p))
    assert np.array_equal(adjust(p, method="bh"), benjamini_hochberg(p))
    assert adjust_families([], []) == ()
    with pytest.raises(ResultsError, match="no adjustment named 'bonferroni'; choose one of holm, bh, none"):
        adjust(p, method="bonferroni")  # type: ignore[arg-type]


def test_the_values_given_are_left_alone() -> None:
    p = np.array([0.2, 0.01])
    adjust(p, method="none")[0] = 1
    assert p.tolist() == [0.2, 0.01]


@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([0.1, float("nan")], "p-value 2 of 2 is nan"),
        ([None, 0.1], "p-value 1 of 2 is nan"),
        ([0.1, 1.1], "p-value 2 of 2 is 1.1"),
        ([-0.1], "p-value 1 of 1 is -0.1"),
        (["a"], "numbers from 0 to 1"),
        ([[0.1], [0.2]], "one row"),
    ],
)
def test_what_is_no_p_value_is_refused(p: Sequence[object], message: str) -> None:
    for ours, _ in BOTH:
        with pytest.raises(ResultsError, match=message):
            ours(p)  # type: ignore[arg-type]


def test_every_test_has_a_family() -> None:
    with pytest.raises(ResultsError, match="2 p-values and 1 families"):
        adjust_families([0.1, 0.2], ["one"])
