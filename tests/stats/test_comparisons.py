import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions import LANGUAGES, make_predictions, right
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy, transfer_gains
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.paired import paired_test


def pick(comparisons: list[Comparison], *, arm: str, language: str) -> Comparison:
    (found,) = [one for one in comparisons if (one.arm, one.language) == (arm, language)]
    return found


def test_gains_are_the_means_of_the_gains_table() -> None:
    predictions = make_predictions(seeds=(0, 1, 2))
    gains = transfer_gains(accuracy(predictions), baseline="none")
    for comparison in compare(predictions, resamples=20):
        rows = gains.filter(pl.col("arm") == comparison.arm, pl.col("language").is_in(comparison.languages))
        assert comparison.gain == pytest.approx(rows["gain"].mean())
        assert comparison.accuracy == pytest.approx(rows["accuracy"].mean())
        assert comparison.baseline_accuracy == pytest.approx(rows["baseline_accuracy"].mean())
        assert comparison.n_seeds == rows["run"].n_unique() == 3


def test_averages_leave_out_english_and_what_any_arm_has_seen() -> None:
    comparisons = compare(make_predictions(), resamples=20)
    assert [one.language for one in comparisons] == ["avg_unseen", "avg", *LANGUAGES] * 2
    assert [one.arm for one in comparisons] == ["english"] * 7 + ["mixed"] * 7
    assert pick(comparisons, arm="english", language="avg").languages == ("et", "sw", "th", "zh")
    # `mixed` has seen th and zh, so they are no unseen languages for `english` either.
    assert pick(comparisons, arm="english", language="avg_unseen").languages == ("et", "sw")
    assert [one.language for one in comparisons if one.arm == "mixed" and one.seen] == ["en", "th", "zh"]
    assert [one.language for one in comparisons if one.seen is None] == ["avg_unseen", "avg"] * 2


def test_averages_over_nothing_are_absent() -> None:
    all_seen = make_predictions(seen={"english": LANGUAGES})
    assert [one.language for one in compare(all_seen, resamples=9)] == ["avg", *LANGUAGES] * 2
    assert [one.language for one in compare(make_predictions(languages=["en"]), resamples=9)] == ["en", "en"]


def test_what_is_unknown_about_an_arm_is_not_called_unseen() -> None:
    unknown = make_predictions().with_columns(seen_in_intermediate=pl.lit(None, dtype=pl.Boolean))
    assert "avg_unseen" not in {one.language for one in compare(unknown, resamples=9)}


def test_one_seed_and_one_language_are_the_paired_test() -> None:
    predictions = make_predictions(seeds=(4,), items_per_cluster=3)
    systems = (right(predictions, run=f"{arm}-4", language="th") for arm in ("mixed", "none"))
    estimate = paired_test(*systems, clusters=np.arange(60) // 3, resamples=500, seed=2)
    comparison = pick(compare(predictions, resamples=500, seed=2), arm="mixed", language="th")
    assert [comparison.gain, comparison.ci_low, comparison.ci_high] == pytest.approx(
        [estimate.value, estimate.low, estimate.high]
    )
    assert comparison.p_value == estimate.p_value
    assert (comparison.n_items, comparison.n_clusters) == (60, 20)


def test_interval_of_an_average_is_that_of_scipy_on_item_means() -> None:
    # scipy.stats.bootstrap (percentile) on the per-item mean over seeds and languages: the same, drawn otherwise.
    predictions = make_predictions(n_items=400)
    item_gain = np.mean(
        [
            right(predictions, run=f"mixed-{seed}", language=language)
            - right(predictions, run=f"none-{seed}", language=language)
            for seed in (0, 1)
            for language in ("et", "sw")
        ],
        axis=0,
    )
    theirs = scipy.stats.bootstrap(
        (item_gain,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(0)
    )
    ours = pick(compare(predictions), arm="mixed", language="avg_unseen")
    tolerance = 5 * 0.06 * 100 * float(theirs.standard_error)
    assert ours.ci_low == pytest.approx(100 * theirs.confidence_interval.low, abs=tolerance)
    assert ours.ci_high == pytest.approx(100 * theirs.confidence_interval.high, abs=tolerance)


def test_seeds_are_averaged_and_not_counted_as_items() -> None:
    predictions = make_predictions(seeds=(0,))
    copies = [
        predictions.with_columns(target_seed=pl.lit(seed).cast(pl.Int64), run=pl.col("arm") + f"-{seed}")
        for seed in range(4)
    ]
    one, four = compare(predictions, resamples=300), compare(pl.concat(copies), resamples=300)
    assert [(a.gain, a.ci_low, a.ci_high, a.p_value) for a in four] == [
        (a.gain, a.ci_low, a.ci_high, a.p_value) for a in one
    ]
    assert {a.n_seeds for a in four} == {4}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), items_per_cluster=st.sampled_from([1, 3]))
def test_swapping_arm_and_baseline_flips_the_sign_exactly(seed: int, items_per_cluster: int) -> None:
    predictions = make_predictions(
        effects={"none": 0, "other": 0.5}, seen={}, seed=seed, items_per_cluster=items_per_cluster
    )
    forth = compare(predictions, baseline="none", resamples=99)
    back = compare(predictions, baseline="other", resamples=99)
    for there, again in zip(forth, back, strict=True):
        assert (again.gain, again.ci_low, again.ci_high) == (-there.gain, -there.ci_high, -there.ci_low)
        assert again.p_value == there.p_value
        assert again.accuracy == there.baseline_accuracy


def test_identical_arms_have_zero_width_and_p_one() -> None:
    predictions = make_predictions(effects={"none": 0})
    twin = predictions.with_columns(
        arm=pl.lit("twin"), run=pl.lit("twin-") + pl.col("run"), intermediate_seed=pl.col("target_seed")
    )
    for one in compare(pl.concat([predictions, twin]), resamples=99):
        assert (one.gain, one.ci_low, one.ci_high, one.p_value) == (0, 0, 0, 1)


def test_order_of_rows_and_company_of_other_arms_do_not_matter() -> None:
    predictions = make_predictions()
    expected = compare(predictions, resamples=99)
    assert compare(predictions.sample(fraction=1, shuffle=True, seed=2), resamples=99) == expected
    alone = compare(predictions.filter(pl.col("arm") != "mixed"), resamples=99)
    assert pick(alone, arm="english", language="avg") == pick(expected, arm="english", language="avg")


def test_only_common_seeds_pair() -> None:
    predictions = make_predictions(seeds=(0, 1, 2)).filter(pl.col("run") != "none-1", pl.col("run") != "mixed-2")
    comparisons = compare(predictions, resamples=9)
    assert pick(comparisons, arm="english", language="avg").n_seeds == 2
    assert pick(comparisons, arm="mixed", language="avg").n_seeds == 1
    systems = (right(predictions, run=run, language="th").mean() for run in ("mixed-0", "none-0"))
    assert pick(comparisons, arm="mixed", language="th").gain == pytest.approx(
        100 * -np.subtract(*reversed([*systems]))
    )


def test_targets_are_compared_apart() -> None:
    two = pl.concat([make_predictions(n_items=30), make_predictions(task="xnli", items_per_cluster=3)])
    comparisons = compare(two, resamples=9)
    assert {(one.task, one.n_items, one.n_clusters) for one in comparisons} == {("xcopa", 30, 30), ("xnli", 60, 20)}
    assert compare(two.filter(task="xnli"), resamples=9) == [one for one in comparisons if one.task == "xnli"]


def test_an_arm_that_lacks_a_language_is_named() -> None:
    holed = make_predictions().filter((pl.col("run") != "mixed-1") | (pl.col("language") != "sw"))
    with pytest.raises(
        ResultsError, match=r"arm 'mixed' \(run mixed-1\) lacks the language 'sw' of xcopa test.*'0000'"
    ):
        compare(holed)


def test_unequal_items_are_named() -> None:
    holed = make_predictions().filter(
        (pl.col("run") != "mixed-1") | (pl.col("language") != "sw") | (pl.col("item") != "0007")
    )
    with pytest.raises(ResultsError, match=r"arm 'mixed' \(run mixed-1\) lacks 1 items .* in 'sw' .* example '0007'"):
        compare(holed)


def test_languages_with_other_items_are_named() -> None:
    shifted = make_predictions().with_columns(
        pl.when(pl.col("language") == "et").then(pl.lit("x") + pl.col("item")).otherwise("item").alias("item"),
        pl.when(pl.col("language") == "et").then(pl.lit("x") + pl.col("item")).otherwise("item").alias("cluster"),
    )
    with pytest.raises(
        ResultsError, match=r"lacks 60 items of xcopa test in 'en' that others have, for example 'x0000'"
    ):
        compare(shifted)


def test_an_item_has_one_cluster() -> None:
    torn = make_predictions().with_columns(
        pl.when(pl.col("language") == "et").then(pl.lit("other")).otherwise("cluster").alias("cluster")
    )
    with pytest.raises(ResultsError, match="item '0000' of xcopa test is in the clusters '0000' and 'other'"):
        compare(torn)


def test_two_steps_of_a_run_are_refused() -> None:
    predictions = make_predictions()
    stepped = pl.concat([predictions, predictions.filter(run="mixed-0").with_columns(step=pl.lit(5).cast(pl.Int64))])
    with pytest.raises(ResultsError, match=r"run 'mixed-0' has several predictions for .*; keep those of one step"):
        compare(stepped)


def test_two_baseline_runs_of_one_seed_are_refused() -> None:
    predictions = make_predictions()
    again = predictions.filter(run="none-0").with_columns(run=pl.lit("none-again"))
    with pytest.raises(ResultsError, match="several runs with target seed 0: none-0, none-again"):
        compare(pl.concat([predictions, again]))


def test_without_a_common_seed_there_is_nothing_to_compare() -> None:
    apart = make_predictions(seeds=(0, 1)).filter((pl.col("arm") == "none") == (pl.col("target_seed") == 0))
    with pytest.raises(ResultsError, match="train both with the same target seeds"):
        compare(apart)


def test_checkpoints_from_elsewhere_have_no_seeds_and_are_compared_as_they_are() -> None:
    runs = make_predictions(seeds=(0,)).with_columns(
        target_seed=pl.lit(None, dtype=pl.Int64),
        intermediate_seed=pl.lit(None, dtype=pl.Int64),
        setting=pl.lit("external"),
    )
    seeded = compare(make_predictions(seeds=(0,)), baseline="none", resamples=200)
    foreign = compare(runs, baseline="none", resamples=200)
    assert [(one.arm, one.language, one.gain, one.ci_low) for one in foreign] == [
        (one.arm, one.language, one.gain, one.ci_low) for one in seeded
    ]
    with pytest.raises(ResultsError, match="--baseline"):
        compare(runs, resamples=200)
