"""One variant of a task stands for it; runs on different ones are compared only when somebody asks for it."""

import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.stats.agreement import between_targets
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.correlation import pool, relate
from xfer_bench.stats.method import Method
from xfer_bench.stats.variants import BOTH, MIXED, headline_variant, narrow, wrong_languages
from xfer_bench.tasks.task import PUBLISHED, REPAIRED

FEW = Method(resamples=200)


def predictions(*variants: str, seed: int = 7, n_items: int = 40, task: str = "xcopa") -> pl.DataFrame:
    """Both variants of invented answers; in the languages that were published right they are the same."""
    published = make_predictions(n_items=n_items, task=task, seed=seed)
    other = make_predictions(n_items=n_items, task=task, seed=seed + 1).select("run", "language", "item", "prediction")
    repaired = published.with_columns(variant=pl.lit(REPAIRED)).join(
        other, on=["run", "language", "item"], suffix="_new", maintain_order="left"
    )
    wrong = pl.col("language").is_in(wrong_languages("xcopa", "test"))
    repaired = repaired.with_columns(prediction=pl.when(wrong).then("prediction_new").otherwise("prediction"))
    both = pl.concat([published, repaired.select(published.columns)])
    return both.filter(pl.col("variant").is_in(variants or (PUBLISHED, REPAIRED)))


def of(frame: pl.DataFrame, **variants: str) -> pl.DataFrame:
    """The rows of each arm in its own variants, the others' as they are."""
    keep = pl.lit(value=True)
    for arm, variant in variants.items():
        keep &= (pl.col("arm") != arm) | (pl.col("variant") == variant)
    return frame.filter(keep)


class TestNarrow:
    def test_the_repaired_rows_stand_for_the_task(self) -> None:
        found = narrow(predictions())
        assert found.predictions.equals(predictions(REPAIRED))
        assert found.notes == ("xcopa test: rows repaired in sw, th; --variant published takes them as published",)
        assert headline_variant(predictions(), task="xcopa") == REPAIRED

    def test_narrowing_again_changes_nothing(self) -> None:
        once = narrow(predictions()).predictions
        assert narrow(once).predictions.equals(once)
        assert narrow(once).notes == ()

    @pytest.mark.parametrize(
        ("variant", "said"),
        [
            (PUBLISHED, "xcopa test: rows as published, some of them wrong in sw, th"),
            (REPAIRED, "xcopa test: rows repaired in sw, th"),
        ],
    )
    def test_one_may_be_asked_for(self, variant: str, said: str) -> None:
        found = narrow(predictions(), variant=variant)
        assert found.predictions.equals(predictions(variant))
        assert found.notes == (said,)

    def test_both_may_be_asked_for(self) -> None:
        assert narrow(predictions(), variant=BOTH).predictions.equals(predictions())

    def test_published_rows_alone_stand_with_a_warning(self) -> None:
        found = narrow(predictions(PUBLISHED))
        assert found.predictions.equals(predictions(PUBLISHED))
        assert found.notes == (
            "xcopa test: rows as published, some of them wrong in sw, th; `xfer-bench eval` adds repaired ones",
        )
        clean = predictions(PUBLISHED).filter(pl.col("language").is_in(["et", "zh"]))
        assert narrow(clean).notes == ()

    def test_a_task_of_one_form_keeps_it(self) -> None:
        xnli = predictions(PUBLISHED, task="xnli")
        for variant in (None, PUBLISHED, REPAIRED, BOTH):
            assert narrow(xnli, variant=variant).predictions.equals(xnli)
        mixed = pl.concat([xnli, predictions()])
        kept = narrow(mixed).predictions
        assert kept.select("task", "variant").unique(maintain_order=True).rows() == [
            ("xnli", PUBLISHED),
            ("xcopa", REPAIRED),
        ]

    @pytest.mark.parametrize(("there", "asked"), [(PUBLISHED, REPAIRED), (REPAIRED, PUBLISHED)])
    def test_one_that_is_not_there_is_refused(self, there: str, asked: str) -> None:
        with pytest.raises(ResultsError, match=f"no {asked} rows of xcopa test in these predictions, only {there}"):
            narrow(predictions(there), variant=asked)

    def test_what_all_have_stands_where_one_arm_has_no_more(self) -> None:
        found = narrow(of(predictions(), mixed=PUBLISHED))
        assert set(found.predictions["variant"]) == {PUBLISHED}
        assert found.predictions["arm"].n_unique() == 3
        assert found.notes == (
            "xcopa test: rows as published, some of them wrong in sw, th; repaired ones are lacking of mixed",
        )
        one_language = predictions().filter((pl.col("variant") == PUBLISHED) | (pl.col("language") == "th"))
        assert headline_variant(one_language, task="xcopa") == PUBLISHED

    def test_only_arms_that_are_compared_have_to_share_it(self) -> None:
        found = narrow(of(predictions(), mixed=PUBLISHED), arms=["none", "english"])
        assert set(found.predictions["variant"]) == {REPAIRED}

    def test_arms_without_what_was_asked_for_are_named(self) -> None:
        found = narrow(of(predictions(), mixed=PUBLISHED), variant=REPAIRED)
        assert found.notes[0] == "left out on xcopa test, for want of repaired rows: mixed"

    def test_splits_are_apart(self) -> None:
        validation = predictions(PUBLISHED).with_columns(split=pl.lit("validation"))
        found = narrow(pl.concat([predictions(), validation])).predictions
        assert set(found.select("split", "variant").unique().rows()) == {("test", REPAIRED), ("validation", PUBLISHED)}


class TestAcross:
    def test_different_variants_are_refused_on_one_line(self) -> None:
        torn = of(predictions(), none=PUBLISHED, english=REPAIRED, mixed=REPAIRED)
        for ask in (narrow, compare):
            with pytest.raises(ResultsError, match=r"published: none; repaired: english, mixed") as caught:
                ask(torn)
            assert "\n" not in str(caught.value)
            assert "--across-variants" in str(caught.value)

    def test_they_are_compared_when_asked_for(self) -> None:
        torn = of(predictions(), none=PUBLISHED, english=REPAIRED)
        found = narrow(torn, across=True)
        assert set(found.predictions["variant"]) == {MIXED}
        assert found.predictions.height == predictions(PUBLISHED).height
        (note,) = found.notes
        assert note.startswith("xcopa test: variants mixed (published: mixed, none; repaired: english, mixed)")
        arms = {one.arm for one in compare(found.predictions, method=FEW)}
        assert arms == {"english", "mixed"}
        # The arm that has both stands with the repaired rows.
        best = found.predictions.filter(arm="mixed").drop("variant")
        assert best.equals(predictions(REPAIRED).filter(arm="mixed").drop("variant"))

    def test_nothing_is_crossed_where_one_is_shared(self) -> None:
        assert set(narrow(predictions(), across=True).predictions["variant"]) == {REPAIRED}

    def test_one_and_several_cannot_be_asked_for_together(self) -> None:
        with pytest.raises(ResultsError, match="leave one out"):
            narrow(predictions(), variant=PUBLISHED, across=True)

    def test_both_without_a_pair_is_refused(self) -> None:
        torn = of(predictions(), none=PUBLISHED, english=REPAIRED, mixed=REPAIRED)
        with pytest.raises(ResultsError, match="over one variant of the task's rows; score them on both"):
            compare(torn, variant=BOTH)


class TestReaders:
    def test_compare_takes_the_repaired_rows_and_others_when_asked(self) -> None:
        usual = compare(predictions(), method=FEW)
        assert usual == compare(predictions(REPAIRED), method=FEW)
        published = compare(predictions(), method=FEW, variant=PUBLISHED)
        assert published == compare(predictions(PUBLISHED), method=FEW)
        both = compare(predictions(), method=FEW, variant=BOTH)
        # Each variant has its own families: looking at the second one costs the first one nothing.
        assert [one for one in both if one.variant == REPAIRED] == usual
        assert [one.p_adjusted for one in both if one.variant == PUBLISHED] == [one.p_adjusted for one in published]

    def test_no_correlation_counts_an_item_twice(self) -> None:
        stages = make_stages(predictions(REPAIRED))
        usual = relate(predictions(), stages, resamples=100)
        assert [one.variant for one in usual] == [REPAIRED]
        assert pool(predictions(), stages, resamples=100) is None
        assert between_targets(predictions(), resamples=100) is None
