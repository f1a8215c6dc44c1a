import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xfer_bench.errors import ResultsError
from xfer_bench.stats.association import associate
from xfer_bench.stats.reliability import (
    Reliability,
    binomial_variance,
    corrected,
    reliability_from_errors,
    spearman_brown,
    split_half,
)


def alike(value: float) -> Reliability:
    return Reliability(value=value, method="split halves", n_points=9)


@given(r=st.floats(0.01, 1), factor=st.floats(1, 10))
def test_longer_tests_are_more_reliable_and_shortening_takes_it_back(r: float, factor: float) -> None:
    longer = spearman_brown(r, factor=factor)
    assert r - 1e-12 <= longer <= 1 + 1e-12
    assert spearman_brown(longer, factor=1 / factor) == pytest.approx(r)


def test_spearman_brown_has_the_textbook_value() -> None:
    # A half of reliability .6 makes a whole of .75.
    assert spearman_brown(0.6) == pytest.approx(0.75)


def test_split_halves_find_the_reliability_that_was_put_in() -> None:
    # Points differ with variance 1, a mean of 400 items has error variance 1 / 2: reliability 2 / 3.
    generator = np.random.default_rng(0)
    values = generator.normal(size=200) + generator.normal(0, np.sqrt(200), size=(400, 200))
    found = split_half(values, np.ones(400), splits=100)
    assert found.value == pytest.approx(2 / 3, abs=0.06)


def test_split_halves_are_cronbachs_alpha() -> None:
    # Alpha is the mean of all split-half coefficients (Cronbach, Psychometrika 16, 1951); for 0/1 items it is KR-20.
    generator = np.random.default_rng(1)
    ability = generator.normal(size=300)
    right = (ability + generator.normal(0, 1.5, size=(60, 300)) > 0).astype(float)
    total = right.sum(axis=0)
    alpha = 60 / 59 * (1 - right.var(axis=1, ddof=1).sum() / total.var(ddof=1))
    assert split_half(right, np.ones(60), splits=400).value == pytest.approx(alpha, abs=0.005)


def test_noise_alone_has_no_reliability() -> None:
    noise = np.random.default_rng(2).normal(size=(200, 60))
    found = split_half(noise, np.ones(200)).value
    assert found is not None
    assert abs(found) < 0.25


def test_what_all_points_share_is_no_reliability_and_no_noise() -> None:
    # A hard item is hard for all points: no halving may make points look alike or apart by it.
    generator = np.random.default_rng(3)
    values = generator.normal(0, 3, size=(100, 20)) + generator.normal(size=20)
    shifted = values + 40 * generator.normal(size=(100, 1))
    before, after = split_half(values, np.ones(100)).value, split_half(shifted, np.ones(100)).value
    assert after == pytest.approx(before)


def test_binomial_error_is_that_of_accuracies() -> None:
    generator = np.random.default_rng(4)
    truth = generator.uniform(0.5, 0.7, size=400)
    accuracy = 100 * generator.binomial(250, truth) / 250
    found = reliability_from_errors(accuracy, binomial_variance(accuracy, np.full(400, 250)))
    assert found.value == pytest.approx(truth.var() * 1e4 / accuracy.var(), abs=0.05)
    # Scaled to above chance, both variances grow alike.
    above = (accuracy - 50) / 50 * 100
    scaled = reliability_from_errors(above, binomial_variance(accuracy, np.full(400, 250), scale=2))
    assert scaled.value == pytest.approx(found.value)


def test_correcting_undoes_attenuation() -> None:
    generator = np.random.default_rng(5)
    x, y = generator.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=20_000).T
    r = float(associate(x + generator.normal(0, 1, 20_000), y + generator.normal(0, 0.5, 20_000))[0])
    assert r == pytest.approx(0.8 * np.sqrt(1 / 2 * 1 / 1.25), abs=0.02)
    found = corrected(r, alike(1 / 2), alike(1 / 1.25))
    assert found.r == pytest.approx(0.8, abs=0.03)
    assert not found.over_one


def test_a_corrected_value_over_one_is_marked_and_not_cut() -> None:
    found = corrected(-0.9, alike(0.5), alike(0.5))
    assert found.r == pytest.approx(-1.8)
    assert found.over_one


def test_what_cannot_be_corrected_says_why() -> None:
    assert corrected(None, alike(0.5), alike(0.5)).reason == "there is no r"
    assert corrected(0.5, alike(-0.1), alike(0.5)).reason == (
        "the intermediate measures differ by no more than the noise of items"
    )
    unknown = split_half(np.ones((5, 2)), np.ones(5))
    assert corrected(0.5, alike(0.5), unknown).reason == (
        "the reliability of the target gains is unknown: 2 points over 5 clusters are too few; it needs 3 over 2"
    )


def test_points_that_do_not_differ_have_no_reliability() -> None:
    assert split_half(np.ones((8, 4)), np.ones(8)).reason == "the points do not differ"
    assert reliability_from_errors(np.ones(4), np.ones(4)).reason == "the points do not differ"
    assert reliability_from_errors(np.ones(2), np.ones(2)).reason == "2 points are too few; it needs 3"


def test_bad_input_is_one_line() -> None:
    with pytest.raises(ResultsError, match=r"halves need \(clusters, points\) and \(clusters,\); got \(4,\)"):
        split_half(np.ones(4), np.ones(4))
    with pytest.raises(ResultsError, match="1 split at least"):
        split_half(np.ones((4, 3)), np.ones(4), splits=0)
    with pytest.raises(ResultsError, match="one error variance"):
        reliability_from_errors(np.ones(3), np.ones(2))
    with pytest.raises(ResultsError, match="no test is 2 times as long as one of reliability -1"):
        spearman_brown(-1)
