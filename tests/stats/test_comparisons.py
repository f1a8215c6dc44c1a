from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats import contingency_tables as contingency
from statsmodels.stats.multitest import multipletests

from tests.predictions import LANGUAGES, make_predictions, right
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy, transfer_gains
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.method import Method
from xfer_bench.stats.paired import paired_test
from xfer_bench.stats.seeds import random_effects


def pick(comparisons: list[Comparison], *, arm: str, language: str) -> Comparison:
    (found,) = [one for one in comparisons if (one.arm, one.language) == (arm, language)]
    return found


def test_gains_are_the_means_of_the_gains_table() -> None:
    predictions = make_predictions(seeds=(0, 1, 2))
    gains = transfer_gains(accuracy(predictions), baseline="none")
    for comparison in compare(predictions, method=Method(resamples=20)):
        rows = gains.filter(pl.col("arm") == comparison.arm, pl.col("language").is_in(comparison.languages))
        assert comparison.gain == pytest.approx(rows["gain"].mean())
        assert comparison.accuracy == pytest.approx(rows["accuracy"].mean())
        assert comparison.baseline_accuracy == pytest.approx(rows["baseline_accuracy"].mean())
        assert comparison.n_seeds == rows["run"].n_unique() == 3


def test_averages_leave_out_english_and_what_any_arm_has_seen() -> None:
    comparisons = compare(make_predictions(), method=Method(resamples=20))
    assert [one.language for one in comparisons] == ["avg_unseen", "avg", *LANGUAGES] * 2
    assert [one.arm for one in comparisons] == ["english"] * 7 + ["mixed"] * 7
    assert pick(comparisons, arm="english", language="avg").languages == ("et", "sw", "th", "zh")
    # `mixed` has seen th and zh, so they are no unseen languages for `english` either.
    assert pick(comparisons, arm="english", language="avg_unseen").languages == ("et", "sw")
    assert [one.language for one in comparisons if one.arm == "mixed" and one.seen] == ["en", "th", "zh"]
    assert [one.language for one in comparisons if one.seen is None] == ["avg_unseen", "avg"] * 2


def test_averages_over_nothing_are_absent() -> None:
    all_seen = make_predictions(seen={"english": LANGUAGES})
    assert [one.language for one in compare(all_seen, method=Method(resamples=99))] == ["avg", *LANGUAGES] * 2
    assert [one.language for one in compare(make_predictions(languages=["en"]), method=Method(resamples=99))] == [
        "en",
        "en",
    ]


def test_what_is_unknown_about_an_arm_is_not_called_unseen() -> None:
    unknown = make_predictions().with_columns(seen_in_intermediate=pl.lit(None, dtype=pl.Boolean))
    assert "avg_unseen" not in {one.language for one in compare(unknown, method=Method(resamples=99))}


def test_one_seed_and_one_language_are_the_paired_test() -> None:
    predictions = make_predictions(seeds=(4,), items_per_cluster=3)
    systems = (right(predictions, run=f"{arm}-4", language="th") for arm in ("mixed", "none"))
    estimate = paired_test(*systems, clusters=np.arange(60) // 3, method=Method(resamples=500, seed=2))
    comparison = pick(compare(predictions, method=Method(resamples=500, seed=2)), arm="mixed", language="th")
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
    one, four = (
        compare(predictions, method=Method(resamples=300)),
        compare(pl.concat(copies), method=Method(resamples=300)),
    )
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
    forth = compare(predictions, baseline="none", method=Method(resamples=99))
    back = compare(predictions, baseline="other", method=Method(resamples=99))
    for there, again in zip(forth, back, strict=True):
        assert (again.gain, again.ci_low, again.ci_high) == (-there.gain, -there.ci_high, -there.ci_low)
        assert again.p_value == there.p_value
        assert again.accuracy == there.baseline_accuracy


def test_identical_arms_have_zero_width_and_p_one() -> None:
    predictions = make_predictions(effects={"none": 0})
    twin = predictions.with_columns(
        arm=pl.lit("twin"), run=pl.lit("twin-") + pl.col("run"), intermediate_seed=pl.col("target_seed")
    )
    for one in compare(pl.concat([predictions, twin]), method=Method(resamples=99)):
        assert (one.gain, one.ci_low, one.ci_high, one.p_value) == (0, 0, 0, 1)


def test_order_of_rows_and_company_of_other_arms_do_not_matter() -> None:
    predictions = make_predictions()
    expected = compare(predictions, method=Method(resamples=99))
    assert compare(predictions.sample(fraction=1, shuffle=True, seed=2), method=Method(resamples=99)) == expected
    alone = compare(predictions.filter(pl.col("arm") != "mixed"), method=Method(resamples=99))
    before, after = (pick(some, arm="english", language="avg") for some in (alone, expected))
    # The family alone is another: with one test instead of two there is less to adjust for.
    assert (before.family_size, after.family_size) == (1, 2)
    assert (before.gain, before.ci_low, before.ci_high, before.p_value) == (
        after.gain, after.ci_low, after.ci_high, after.p_value,
    )  # fmt: skip


def test_only_common_seeds_pair() -> None:
    predictions = make_predictions(seeds=(0, 1, 2)).filter(pl.col("run") != "none-1", pl.col("run") != "mixed-2")
    comparisons = compare(predictions, method=Method(resamples=99))
    assert pick(comparisons, arm="english", language="avg").n_seeds == 2
    assert pick(comparisons, arm="mixed", language="avg").n_seeds == 1
    systems = (right(predictions, run=run, language="th").mean() for run in ("mixed-0", "none-0"))
    assert pick(comparisons, arm="mixed", language="th").gain == pytest.approx(
        100 * -np.subtract(*reversed([*systems]))
    )


def test_targets_are_compared_apart() -> None:
    two = pl.concat([make_predictions(n_items=30), make_predictions(task="xnli", items_per_cluster=3)])
    comparisons = compare(two, method=Method(resamples=99))
    assert {(one.task, one.n_items, one.n_clusters) for one in comparisons} == {("xcopa", 30, 30), ("xnli", 60, 20)}
    alone = compare(two.filter(task="xnli"), method=Method(resamples=99))
    assert [(one.gain, one.ci_low, one.ci_high, one.p_value) for one in alone] == [
        (one.gain, one.ci_low, one.ci_high, one.p_value) for one in comparisons if one.task == "xnli"
    ]
    # The arms' tests on both targets are one family; the languages of one arm on one target are another.
    sizes = {(one.language in {"avg", "avg_unseen"}, one.family_size) for one in comparisons}
    assert sizes == {(True, 4), (False, 5), (False, 2)}


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
    with pytest.raises(ResultsError, match=r"arm 'mixed' \(run mixed-1\) lacks 1 item of .* in 'sw' .* example '0007'"):
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
    seeded = compare(make_predictions(seeds=(0,)), baseline="none", method=Method(resamples=200))
    foreign = compare(runs, baseline="none", method=Method(resamples=200))
    assert [(one.arm, one.language, one.gain, one.ci_low) for one in foreign] == [
        (one.arm, one.language, one.gain, one.ci_low) for one in seeded
    ]
    with pytest.raises(ResultsError, match="--baseline"):
        compare(runs, method=Method(resamples=200))


def many_seeds(seeds: int = 5) -> pl.DataFrame:
    return make_predictions(seeds=range(seeds), n_items=90)


def test_over_both_is_the_random_effects_interval_of_the_differences() -> None:
    predictions = many_seeds()
    runs = [[f"{arm}-{seed}" for arm in ("mixed", "none")] for seed in range(5)]
    answers = [[right(predictions, run=run, language="th") for run in pair] for pair in runs]
    difference = np.stack([after - before for after, before in answers], axis=1)
    fit = random_effects(difference[:, :, None], np.ones(90, dtype=np.int64))
    found = pick(compare(predictions, method=Method(over="both")), arm="mixed", language="th")
    expected = [100 * float(ends[0]) for ends in (fit.value, fit.low, fit.high)]
    assert [found.gain, found.ci_low, found.ci_high] == pytest.approx(expected)
    assert (found.p_value, found.df) == pytest.approx((fit.p_value[0], fit.df[0]))
    assert (found.test, found.over, found.simultaneous_low) == ("random effects", "both", None)


def test_over_both_is_wider_than_over_items_where_seeds_differ() -> None:
    predictions = many_seeds()
    items, both, crossed = (
        pick(compare(predictions, method=method), arm="mixed", language="avg_unseen")
        for method in (Method(), Method(over="both"), Method(over="both", test="bootstrap"))
    )
    assert both.gain == items.gain == crossed.gain
    assert items.ci_high - items.ci_low < crossed.ci_high - crossed.ci_low < both.ci_high - both.ci_low
    assert crossed.test == "crossed bootstrap"


def test_of_few_clusters_the_crossed_bootstrap_has_no_small_p_either() -> None:
    predictions = make_predictions(effects={"none": -3.0, "mixed": 6.0}, seeds=range(5), n_items=3)
    found = compare(predictions, method=Method(over="both", test="bootstrap", resamples=500))
    assert all(one.p_value >= 2.0 ** (1 - one.n_clusters) for one in found)
    assert any(one.p_value == 2.0 ** (1 - one.n_clusters) for one in found)
    assert all("3 clusters are too few" in one.caution for one in found)


def test_over_both_refuses_fewer_than_three_seeds_and_says_why() -> None:
    with pytest.raises(ResultsError, match="2 seeds cannot say how much seeds vary, at least 3"):
        compare(make_predictions(), method=Method(over="both"))


def test_crossed_seeds_are_a_grid_and_never_independent() -> None:
    runs = [make_predictions(effects={"mixed": 0.5}, seeds=range(3), n_items=60, seed=one) for one in range(3)]
    grid = [
        some.with_columns(
            intermediate_seed=pl.lit(one, dtype=pl.Int64), run=pl.format("mixed-{}-{}", pl.lit(one), "target_seed")
        )
        for one, some in enumerate(runs)
    ]
    baseline = make_predictions(effects={"none": 0.0}, seeds=range(3), n_items=60, seed=9)
    labels = grid[0].select("item", "label").unique()
    parts = [
        some.with_columns(correct=pl.col("prediction") == pl.col("label"))
        .drop("label")
        .join(labels, on="item")
        .with_columns(prediction=pl.when("correct").then("label").otherwise(1 - pl.col("label")))
        .select(grid[0].columns)
        for some in (*grid, baseline)
    ]
    predictions = pl.concat(parts)
    (found,) = [
        one for one in compare(predictions, method=Method(over="both")) if (one.arm, one.language) == ("mixed", "th")
    ]
    assert (found.n_seeds, found.test) == (9, "random effects")
    holed = predictions.filter(pl.col("run") != "mixed-2-1")
    with pytest.raises(ResultsError, match="without being all their combinations"):
        compare(holed, method=Method(over="both"))
    with pytest.raises(ResultsError, match="independent seeds"):
        compare(predictions, method=Method(over="both", test="permutation"))


def test_a_contrast_averages_over_what_neither_arm_has_seen() -> None:
    predictions = make_predictions(
        effects={"none": 0.0, "english": 0.4, "mixed": 0.8, "third": 0.2},
        seen={"english": ("en",), "mixed": ("en", "th"), "third": ("zh",)},
    )
    forth = compare(predictions, contrast=("mixed", "english"), method=Method(resamples=99))
    back = compare(predictions, contrast=("english", "mixed"), method=Method(resamples=99))
    # What `third` has seen does not matter between these two.
    assert {one.languages for one in (forth[0], back[0])} == {("et", "sw", "zh")}
    assert (forth[0].gain, forth[0].ci_low) == (-back[0].gain, -back[0].ci_high)
    assert {(one.arm, one.baseline) for one in forth} == {("mixed", "english")}


def test_the_primary_contrast_is_the_first_family() -> None:
    found = compare(make_predictions(), primary=[("mixed", "english")], method=Method(resamples=99))
    first, *rest = found
    assert (first.primary, first.family, first.family_size, first.language) == (True, "primary", 1, "avg_unseen")
    assert not any(one.primary for one in rest)
    assert {one.baseline for one in rest} == {"none"}


def test_adjusted_p_values_are_those_of_statsmodels_within_the_family() -> None:
    # statsmodels.stats.multitest.multipletests on the raw p-values of one family.
    for name, theirs in (("holm", "holm"), ("bh", "fdr_bh")):
        found = compare(make_predictions(), method=Method(resamples=199, adjust=name))  # type: ignore[arg-type]
        family = [one for one in found if one.family == "languages of mixed on xcopa test CO"]
        _, expected, _, _ = multipletests([one.p_value for one in family], method=theirs)
        assert [one.p_adjusted for one in family] == pytest.approx(list(expected))
        assert {one.family_size for one in family} == {5}
    assert {one.p_adjusted for one in compare(make_predictions(), method=Method(adjust="none", resamples=99))} == {None}


def test_simultaneous_intervals_hold_the_pointwise_ones() -> None:
    for one in compare(make_predictions(), method=Method(resamples=999)):
        assert one.simultaneous_low is not None
        assert one.simultaneous_high is not None
        assert one.simultaneous_high - one.simultaneous_low >= 0.9 * (one.ci_high - one.ci_low)


def test_permutation_agrees_with_the_bootstrap_where_both_hold() -> None:
    drawn, flipped = (
        pick(compare(make_predictions(n_items=300), method=method), arm="english", language="avg")
        for method in (Method(), Method(test="permutation"))
    )
    assert (flipped.ci_low, flipped.ci_high, flipped.test) == (drawn.ci_low, drawn.ci_high, "permutation")
    assert flipped.p_value == pytest.approx(drawn.p_value, abs=0.02)


def test_mcnemar_is_for_one_pair_of_runs_over_independent_items() -> None:
    one_seed = make_predictions(seeds=(4,))
    found = compare(one_seed, method=Method(test="mcnemar"))
    # Averages have no such test, so they are absent.
    assert {one.language for one in found} == set(LANGUAGES)
    mine = pick(found, arm="mixed", language="th")
    table = [right(one_seed, run=run, language="th") for run in ("mixed-4", "none-4")]
    counts = [[np.sum((table[0] == a) & (table[1] == b)) for b in (1, 0)] for a in (1, 0)]
    assert mine.p_value == pytest.approx(contingency.mcnemar(counts, exact=True).pvalue)
    with pytest.raises(ResultsError, match="has 2 pairs of runs: use --permutation"):
        compare(make_predictions(), method=Method(test="mcnemar"))
    with pytest.raises(ResultsError, match="items that come in clusters: use --permutation"):
        compare(make_predictions(seeds=(4,), items_per_cluster=3), method=Method(test="mcnemar"))


def test_a_seed_on_one_side_only_is_counted() -> None:
    predictions = make_predictions(seeds=(0, 1, 2)).filter(pl.col("run") != "none-2")
    assert {one.dropped_seeds for one in compare(predictions, method=Method(resamples=99))} == {(2,)}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"level": 1.0}, "a level of 1.0 is none"),
        ({"power": 0.0}, "a power of 0.0 is none"),
        ({"over": "both", "test": "mcnemar"}, "mcnemar is a test over items"),
        ({"over": "both", "interval": "bca"}, "bca interval is one over items"),
    ],
)
def test_methods_that_mean_nothing_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        Method(**choices)


def test_mcnemar_leaves_the_primary_contrast_out_rather_than_another_in_its_place() -> None:
    found = compare(
        make_predictions(seeds=(4,)), primary=[("mixed", "english")], method=Method(test="mcnemar", resamples=99)
    )
    assert not any(one.primary for one in found)


def test_variants_of_a_task_are_families_of_their_own() -> None:
    predictions = make_predictions()
    both = pl.concat([predictions, predictions.with_columns(variant=pl.lit("translated"))])
    found = compare(both, method=Method(resamples=99), variant="both")
    sizes = {(one.family, one.family_size) for one in found if one.languages == (one.language,)}
    assert sizes == {
        (f"languages of {arm} on xcopa test CO{variant}", 5)
        for arm in ("english", "mixed")
        for variant in ("", " translated")
    }


def test_arms_on_targets_of_one_language_are_one_family() -> None:
    # English benchmarks have no average, and their arms are as many tests as elsewhere.
    found = compare(make_predictions(languages=["en"]), method=Method(resamples=99))
    assert {(one.family, one.family_size) for one in found} == {("en of arms and targets", 2)}


def crossed(*, seeds: int = 3) -> pl.DataFrame:
    """`none` with one run for each target seed, `mixed` with one for each pair of seeds."""
    grid = make_predictions(effects={"none": 0.0, "mixed": 0.5}, seeds=range(seeds))
    own = grid.filter(arm="mixed")
    again = [
        own.with_columns(
            intermediate_seed=pl.lit(one, dtype=pl.Int64), run=pl.format("mixed-{}-{}", pl.lit(one), "target_seed")
        )
        for one in range(seeds)
    ]
    return pl.concat([grid.filter(arm="none"), *again])


def test_a_contrast_the_wrong_way_round_says_which_way_is_right() -> None:
    assert compare(crossed(), contrast=("mixed", "none"), method=Method(resamples=99))[0].n_seeds == 9
    with pytest.raises(ResultsError, match=r"has its intermediate seed too; .* as mixed:none"):
        compare(crossed(), contrast=("none", "mixed"), method=Method(resamples=99))


@pytest.mark.parametrize("name", ["arm", "run", "task", "split", "language"])
def test_rows_without_a_name_are_refused(name: str) -> None:
    empty = make_predictions().with_columns(pl.when(pl.col("item") != "0003").then(name).alias(name))
    with pytest.raises(ResultsError, match=rf"30 predictions have no {name} .* item '0003', for example"):
        compare(empty)
