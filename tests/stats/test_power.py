import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower, TTestPower

from xfer_bench.errors import ResultsError
from xfer_bench.stats.power import (
    Design,
    Spread,
    Wanted,
    items_needed,
    paired_standard_error,
    power_of,
    seeds_needed,
    smallest_detectable,
)
from xfer_bench.stats.seeds import random_effects

XCOPA, XNLI = 500, 5010
Floats = npt.NDArray[np.float64]


@pytest.mark.parametrize(("items", "discordance", "points"), [(XCOPA, 0.2, 5.6), (XCOPA, 0.5, 8.8), (XNLI, 0.2, 1.8)])
def test_smallest_gains_of_the_benchmarks(items: int, discordance: float, points: float) -> None:
    # The project's own arithmetic for one language at 80 % power.
    assert Design(items=items, discordance=discordance).smallest_detectable() == pytest.approx(points, abs=0.05)


def test_standard_error_by_hand() -> None:
    assert paired_standard_error(XCOPA, 0.2) == pytest.approx(2.0)
    # Differences of +1, -1 and 0 on 30, 10 and 60 items: their variance is .4 - .2^2.
    values = np.repeat([1, -1, 0], [30, 10, 60])
    assert paired_standard_error(100, 0.4, gain=20) == pytest.approx(100 * values.std() / 10)


def test_eleven_parallel_languages_are_not_eleven_times_the_items() -> None:
    # An accuracy of 68.7 has the item variance .687 x .313: .63 if languages were independent, 1.25 at .3.
    spread = 0.687 * 0.313
    apart = paired_standard_error(XCOPA, spread, languages=11)
    together = paired_standard_error(XCOPA, spread, languages=11, correlation=0.3)
    assert apart == pytest.approx(0.63, abs=0.005)
    assert together == pytest.approx(1.25, abs=0.005)
    assert together / apart == pytest.approx(2)


def test_perfectly_parallel_languages_are_one() -> None:
    one = paired_standard_error(300, 0.3, gain=4)
    assert paired_standard_error(300, 0.3, gain=4, languages=15, correlation=1) == pytest.approx(one)


@pytest.mark.parametrize(("power", "level"), [(0.8, 0.95), (0.9, 0.95), (0.5, 0.99)])
def test_power_of_the_smallest_gain_is_the_power_asked_for(power: float, level: float) -> None:
    for df in (None, 4.5, 60.0):
        gain = smallest_detectable(1.7, level=level, power=power, df=df)
        assert power_of(gain, 1.7, level=level, df=df) == pytest.approx(power, abs=1e-4)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.8, 4.0])
def test_power_is_that_of_statsmodels(shift: float) -> None:
    # A one-sample t test of n = 9 with effect size shift / sqrt(n), and a z test.
    theirs = TTestPower().power(effect_size=shift / 3, nobs=9, alpha=0.05, alternative="two-sided")
    assert power_of(-shift * 1.3, 1.3, df=8) == pytest.approx(theirs, abs=1e-6)
    normal = NormalIndPower(ddof=0).power(shift / 10, nobs1=100, alpha=0.05, ratio=0, alternative="two-sided")
    assert power_of(shift, 1.0) == pytest.approx(normal, abs=1e-9)


@pytest.mark.parametrize("df", [2.0, 2.23, 3.0, 50.0, 500.0])
def test_large_gains_are_found_for_certain(df: float) -> None:
    # scipy.special.nctdtr is NaN for some of these.
    powers = [power_of(gain, 1.0, df=df) for gain in (10, 20, 30, 37, 40, 100, 1000)]
    assert powers == sorted(powers)
    assert powers[-1] == 1
    assert powers[1] > 1 - 1e-8
    # Continuous where the certain begins.
    near = [power_of(gain, 1.0, df=df) for gain in np.arange(0, 40, 0.1)]
    assert np.all(np.diff(near) > -1e-7)


def test_few_degrees_of_freedom_need_larger_gains() -> None:
    gains = [smallest_detectable(1.0, df=df) for df in (2, 4, 20, 1e6)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] == pytest.approx(smallest_detectable(1.0), abs=1e-4)
    assert smallest_detectable(1.0, df=math.inf) == smallest_detectable(1.0) == pytest.approx(2.8016, abs=1e-4)


def test_without_any_error_any_gain_is_found() -> None:
    assert smallest_detectable(0.0) == smallest_detectable(0.0, df=math.nan) == 0
    assert (power_of(1.0, 0.0), power_of(0.0, 0.0)) == (1, 0)
    assert power_of(0.0, 1.0) == pytest.approx(0.05)


def rejected_by_z(differences: Floats) -> float:
    """The share of (studies, items) means that a two-sided z test at 5 % calls different from nought."""
    z = differences.mean(axis=1) / (differences.std(axis=1, ddof=1) / np.sqrt(differences.shape[1]))
    return float(np.mean(np.abs(z) > 1.96))


def parallel(design: Design, gain: float, *, studies: int, seed: int) -> Floats:
    """Means over languages of made-up differences (studies, items); a copied answer correlates two languages by 1."""
    generator = np.random.default_rng(seed)
    shape = (studies, design.items, design.languages)
    cut = np.cumsum([(design.discordance + gain / 100) / 2, (design.discordance - gain / 100) / 2])
    # Two languages both copy the item's common answer with the chance that they are to correlate by.
    copied = generator.random(shape) < math.sqrt(design.correlation)
    chance = np.where(copied, generator.random(shape[:2])[:, :, None], generator.random(shape))
    return np.asarray((np.where(chance < cut[0], 1.0, 0.0) - ((chance >= cut[0]) & (chance < cut[1]))).mean(axis=2))


@pytest.mark.parametrize(
    ("design", "studies"),
    [
        (Design(items=100, discordance=0.2), 20_000),
        (Design(items=500, discordance=0.2), 8_000),
        (Design(items=500, discordance=0.5), 8_000),
        (Design(items=200, discordance=0.3, languages=4, correlation=0.3), 6_000),
        (Design(items=200, discordance=0.3, languages=11, correlation=0.6), 2_500),
    ],
)
def test_predicted_power_is_the_actual_one(design: Design, studies: int) -> None:
    # Within 3 points; the Monte Carlo error is below 0.8.
    gain = design.smallest_detectable()
    assert gain is not None
    assert design.power_of(gain) == pytest.approx(0.8, abs=1e-4)
    for share in (0.6, 1.0):
        actual = rejected_by_z(parallel(design, share * gain, studies=studies, seed=1))
        assert actual == pytest.approx(design.power_of(share * gain), abs=0.03)


@pytest.mark.parametrize("seeds", [3, 4, 5, 10])
@pytest.mark.parametrize(("items", "by_seed", "rest"), [(1, 0, 1), (1, 1, 0.1), (1, 4, 1), (0.3, 9, 0.2)])
def test_predicted_power_over_items_and_seeds_is_the_actual_one(
    items: float, by_seed: float, rest: float, seeds: int
) -> None:
    # The product's own test, each study a column. Within 3 points; the Monte Carlo error is 0.7.
    clusters, studies = 60, 3_000
    spread = Spread(items=items, seeds=by_seed, rest=rest, n_clusters=clusters, n_seeds=seeds)
    gain = spread.smallest_detectable()
    assert spread.power_of(gain) == pytest.approx(0.8, abs=1e-3)
    generator = np.random.default_rng(2)
    totals = (
        generator.normal(0, math.sqrt(items * clusters), (clusters, 1, studies))
        + generator.normal(0, math.sqrt(by_seed), (1, seeds, studies))
        + generator.normal(0, math.sqrt(rest * clusters), (clusters, seeds, studies))
    )
    for share in (0.7, 1.0):
        found = random_effects(share * gain + totals, np.ones(clusters))
        assert np.mean(found.p_value <= 0.05) == pytest.approx(spread.power_of(share * gain), abs=0.03)


def test_seeds_that_dominate_are_the_t_test_and_items_that_do_the_normal_one() -> None:
    # statsmodels' t test of 5 seeds whose mean gain is so many standard deviations from nought.
    spread = Spread(items=0.0, seeds=4.0, rest=0.0, n_clusters=500, n_seeds=5)
    assert spread.standard_error == pytest.approx(math.sqrt(4 / 5))
    for gain in (0.0, 2.0, 4.0):
        theirs = TTestPower().power(effect_size=gain / 2, nobs=5, alpha=0.05, alternative="two-sided")
        assert spread.power_of(gain) == pytest.approx(theirs, abs=2e-3)
    assert spread.df == pytest.approx(4)
    wide = replace(spread, items=1e6)
    assert wide.df == pytest.approx(499, rel=1e-3)
    assert wide.smallest_detectable() == pytest.approx(smallest_detectable(wide.standard_error), rel=5e-3)
    assert replace(spread, seeds=0.0, items=1.0).smallest_detectable() == smallest_detectable(1.0)
    assert replace(spread, seeds=0.0).smallest_detectable() == 0
    assert replace(spread, items=-1.0).power_of(1.0) == 1
    assert replace(spread, n_clusters=1).power_of(2.0) == pytest.approx(spread.power_of(2.0))
    with pytest.raises(ResultsError, match="one seed does not show"):
        replace(spread, n_seeds=1).power_of(1.0)


@settings(max_examples=30, deadline=None)
@given(
    discordance=st.floats(0.05, 1),
    languages=st.integers(1, 15),
    correlation=st.floats(0, 1),
    gain=st.floats(0.5, 20),
)
def test_items_needed_are_enough_and_one_fewer_is_not(
    discordance: float, languages: int, correlation: float, gain: float
) -> None:
    design = Design(items=1, discordance=discordance, languages=languages, correlation=correlation)
    needed = items_needed(gain, design)
    if gain > 100 * discordance:
        assert needed is None
        return
    assert needed is not None
    assert replace(design, items=needed).power_of(gain) >= 0.8
    assert needed == 1 or replace(design, items=needed - 1).power_of(gain) < 0.8


def test_items_needed_turn_the_smallest_gain_round() -> None:
    for items, discordance in ((XCOPA, 0.2), (XNLI, 0.5)):
        design = Design(items=items, discordance=discordance)
        gain = design.smallest_detectable()
        assert gain is not None
        assert items_needed(gain + 1e-3, design) == pytest.approx(items, abs=items / 1000 + 1)


def test_seeds_needed_are_enough_and_one_fewer_is_not() -> None:
    spread = Spread(items=0.2, seeds=1.5, rest=0.5, n_clusters=500, n_seeds=5)
    for gain in (1.5, 2.0, 3.0):
        needed = seeds_needed(gain, spread)
        assert needed is not None
        for seeds, enough in ((needed, True), (needed - 1, False)):
            assert (replace(spread, n_seeds=seeds).power_of(gain) >= 0.8) == enough
    assert seeds_needed(30, spread) == 3
    assert seeds_needed(2.0, replace(spread, items=-0.1)) == seeds_needed(2.0, replace(spread, items=0.0))
    # These items alone find nothing smaller than 2.8 x sqrt(.2) = 1.25 points.
    assert seeds_needed(1.2, spread) is None


def test_no_number_of_items_makes_up_for_seeds() -> None:
    design = Design(items=500, discordance=0.2, seeds=3, seed_sd=2)
    assert items_needed(3, design) is None
    assert items_needed(3, replace(design, seeds=12)) is not None


def test_gains_beyond_the_discordance_are_not_found() -> None:
    assert Design(items=30, discordance=0.2).smallest_detectable() is None
    assert Design(items=500, discordance=0.0).smallest_detectable() is None
    assert items_needed(21, Design(items=500, discordance=0.2)) is None
    assert Design(items=1, discordance=1.0).smallest_detectable() == pytest.approx(100, abs=10)


def test_seed_sd_widens_a_plan() -> None:
    plain = Design(items=XCOPA, discordance=0.2)
    seeded = replace(plain, seeds=5, seed_sd=1.0)
    first, second = plain.smallest_detectable(), seeded.smallest_detectable()
    assert first is not None
    assert second is not None
    assert second > first
    assert seeded.spread(0).standard_error == pytest.approx(math.hypot(2.0, 1 / math.sqrt(5)))
    assert seeded.power_of(second) == pytest.approx(0.8, abs=1e-4)


def refused(kind: Any, message: str, **named: Any) -> None:
    with pytest.raises(ResultsError, match=message):
        kind(**named)


def test_what_no_study_can_be_is_refused() -> None:
    usual = {"items": 100, "discordance": 0.2}
    refused(Design, "0 items in 1 language are", **(usual | {"items": 0}))
    refused(Design, "discordance of 20 is none", **(usual | {"discordance": 20}))
    refused(Design, "discordance of nan is none", **(usual | {"discordance": math.nan}))
    refused(Design, "lies from -0.5 to 1", **usual, languages=3, correlation=-0.6)
    refused(Design, "3 languages cannot correlate by 1.1", **usual, languages=3, correlation=1.1)
    refused(Design, "standard deviation of -1 points", **usual, seed_sd=-1)
    refused(Design, "0 seeds", **usual, seeds=0)
    refused(
        Design, "2 seeds are too few to allow for a seed sd of 1 points; use at least 3", **usual, seeds=2, seed_sd=1
    )
    refused(Wanted, "power of 0.4 is none to plan with", power=0.4)
    refused(Wanted, "power of 1 is none", power=1)
    refused(Wanted, "level of 95 is no level", level=95)
    refused(Wanted, "wanted gain of 0 points", gain=0)
    refused(smallest_detectable, "standard error of -1 is none", standard_error=-1)
    refused(smallest_detectable, "standard error of nan is none", standard_error=math.nan)
    refused(smallest_detectable, "nan degrees of freedom", standard_error=1, df=math.nan)
    refused(power_of, "gain of nan", gain=math.nan, standard_error=1)
    with pytest.raises(ResultsError, match=r"a gain of 30 points needs as large a discordance; 0.2 allows 20"):
        paired_standard_error(100, 0.2, gain=30)
