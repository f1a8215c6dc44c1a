"""Every number of a comparison against its own formula, written out by hand over the answers themselves."""

import math

import numpy as np
import polars as pl
import pytest
import scipy.stats

from tests.predictions import make_predictions, right
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.measures import measure
from xfer_bench.stats.method import IntervalName, Method
from xfer_bench.stats.observed_power import observe
from xfer_bench.stats.outcomes import Pairing, pairings


def one_target(predictions: pl.DataFrame) -> Pairing:
    (pairing,) = pairings(predictions, baseline="none")
    return pairing


def of(pairing: Pairing, *, arm: str, language: str, method: Method) -> Comparison:
    (found,) = [
        one.comparison
        for one in measure(pairing, method)
        if (one.comparison.arm, one.comparison.language) == (arm, language)
    ]
    return found


def answers(predictions: pl.DataFrame, *, arm: str, languages: tuple[str, ...], seeds: int) -> np.ndarray:
    """(items, seeds, languages)"""
    by_seed = [
        np.stack([right(predictions, run=f"{arm}-{seed}", language=language) for language in languages], axis=1)
        for seed in range(seeds)
    ]
    return np.stack(by_seed, axis=1)


@pytest.mark.parametrize(("task", "size"), [("xcopa", 1), ("xnli", 3)])
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_what_is_counted_is_counted_by_hand(task: str, size: int, seeds: int) -> None:
    predictions = make_predictions(seeds=range(seeds), n_items=90, items_per_cluster=size, task=task)
    for one in (found.comparison for found in measure(one_target(predictions), Method(resamples=2_000))):
        ours = answers(predictions, arm=one.arm, languages=one.languages, seeds=seeds)
        theirs = answers(predictions, arm="none", languages=one.languages, seeds=seeds)
        difference = ours - theirs
        assert one.gain == pytest.approx(100 * difference.mean())
        assert (one.n_items, one.n_clusters, one.n_seeds) == (90, 90 // size, seeds)
        assert one.discordance == pytest.approx((difference != 0).mean())
        assert one.odds_ratio == pytest.approx((difference > 0).sum() / (difference < 0).sum())
        shares = [2 * math.asin(math.sqrt(side.mean())) for side in (ours, theirs)]
        assert one.cohen_h == pytest.approx(shares[0] - shares[1])
        for value, side in ((one.accuracy_sd, ours), (one.baseline_sd, theirs), (one.gain_sd, difference)):
            assert value == (None if seeds == 1 else pytest.approx(100 * side.mean(axis=(0, 2)).std(ddof=1)))
        # The plain standard error of a mean of clusters; 2,000 resamples know theirs to 1.6 %.
        by_cluster = difference.mean(axis=(1, 2)).reshape(-1, size).mean(axis=1)
        assert one.standard_error == pytest.approx(100 * by_cluster.std() / math.sqrt(len(by_cluster)), rel=0.08)


@pytest.mark.parametrize("seeds", [3, 5])
def test_over_both_is_the_two_way_table_of_cluster_means(seeds: int) -> None:
    predictions = make_predictions(seeds=range(seeds), n_items=90, items_per_cluster=3, task="xnli")
    for one in (found.comparison for found in measure(one_target(predictions), Method(over="both"))):
        sides = (answers(predictions, arm=arm, languages=one.languages, seeds=seeds) for arm in (one.arm, "none"))
        table = np.subtract(*sides).mean(axis=2).reshape(30, 3, seeds).mean(axis=1)
        grand, by_cluster, by_seed = table.mean(), table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
        of_clusters = seeds * ((by_cluster - grand) ** 2).sum() / 29
        of_seeds = 30 * ((by_seed - grand) ** 2).sum() / (seeds - 1)
        residual = ((table - by_cluster - by_seed + grand) ** 2).sum() / (29 * (seeds - 1))
        error = math.sqrt((max(of_clusters - residual, 0) + of_seeds) / table.size)
        assert one.df is not None
        half = scipy.stats.t.ppf(0.975, one.df) * error
        assert [one.ci_low, one.ci_high] == pytest.approx([100 * (grand - half), 100 * (grand + half)])
        assert one.p_value == pytest.approx(2 * scipy.stats.t.sf(abs(grand) / error, one.df))


@pytest.mark.parametrize("name", ["percentile", "basic", "bca"])
def test_inversion_is_of_the_interval_that_is_shown(name: IntervalName) -> None:
    pairing = one_target(make_predictions(n_items=40))
    outside = []
    for one in (
        found.comparison for found in measure(pairing, Method(test="inversion", interval=name, resamples=1999))
    ):
        outside.append(one.ci_low > 0 or one.ci_high < 0)
        # Ends of intervals are interpolated: right at the level both answers are right.
        if abs(one.p_value - 0.05) > 0.005:
            assert (one.p_value < 0.05) == outside[-1]
    assert len(set(outside)) == 2


def test_inversion_of_a_skewed_column_depends_on_the_interval() -> None:
    pairing = one_target(make_predictions(n_items=40, effects={"none": 0.0, "arm": 0.4}))
    names: tuple[IntervalName, ...] = ("percentile", "basic", "bca")
    methods = [Method(test="inversion", interval=name, resamples=1999) for name in names]
    p = [[one.comparison.p_value for one in measure(pairing, method)] for method in methods]
    assert p[0] != p[1] != p[2] != p[0]


def test_the_smallest_gain_over_both_is_the_one_that_power_tells() -> None:
    predictions = make_predictions(seeds=range(3), n_items=90)
    told = {(one.arm, one.language): one.smallest_both for one in observe(predictions)}
    for found in measure(one_target(predictions), Method(over="both")):
        one = found.comparison
        assert one.smallest_detectable == told[one.arm, one.language]


def test_a_single_item_varies_in_nothing() -> None:
    pairing = one_target(make_predictions(n_items=1, seeds=range(3)))
    assert {one.comparison.standard_error for one in measure(pairing, Method(resamples=100))} == {0.0}


def test_what_nobody_knows_is_neither_seen_nor_unseen() -> None:
    predictions = make_predictions().with_columns(
        seen_in_intermediate=pl.when(pl.col("arm") != "mixed").then("seen_in_intermediate")
    )
    pairing, method = one_target(predictions), Method(resamples=100)
    assert of(pairing, arm="mixed", language="th", method=method).seen is None
    assert of(pairing, arm="english", language="th", method=method).seen is False
    assert of(pairing, arm="english", language="en", method=method).seen is True


def test_mcnemars_tests_are_of_single_languages() -> None:
    predictions = make_predictions(seeds=(0,), n_items=120)
    ours, theirs = (right(predictions, run=f"{arm}-0", language="th") for arm in ("mixed", "none"))
    won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    exact = min(1.0, 2 * scipy.stats.binom.cdf(min(won, lost), won + lost, 0.5))
    single = scipy.stats.binom.pmf(min(won, lost), won + lost, 0.5)
    pairing = one_target(predictions)
    found = of(pairing, arm="mixed", language="th", method=Method(test="mcnemar", resamples=100))
    assert found.p_value == pytest.approx(exact)
    assert of(pairing, arm="mixed", language="th", method=Method(test="mid-p", resamples=100)).p_value == pytest.approx(
        exact - single
    )
    names = {one.comparison.language for one in measure(pairing, Method(test="mid-p", resamples=100))}
    assert names == {"en", "et", "sw", "th", "zh"}
