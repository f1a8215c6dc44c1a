import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.stats.outcomes import pairings
from xfer_bench.stats.points import targets
from xfer_bench.stats.rules import Rule
from xfer_bench.stats.standing import own_results, standing, twins

STEPS = (10, 20, 30)
TLV = "selected on target-language validation (not zero-shot)"


def along(*steps: int, split: str = "test", setting: str = "CO") -> pl.DataFrame:
    """Two arms and the baseline at these steps, each step with answers of its own, under one name a run."""
    return pl.concat(
        [
            make_predictions(n_items=20, seed=step).with_columns(
                step=pl.lit(step, dtype=pl.Int64),
                split=pl.lit(split),
                setting=pl.lit(setting),
                weights=pl.format("{}@{}", "run", pl.lit(step)),
            )
            for step in steps
        ]
    )


def stages(predictions: pl.DataFrame, *, steps: int = 30) -> pl.DataFrame:
    return make_stages(predictions).with_columns(pl.lit(steps, dtype=pl.Int64).alias("steps"))


def of(frame: pl.DataFrame) -> set[int | None]:
    return {*frame["step"]}


def test_a_run_stands_for_the_step_of_its_last_stage() -> None:
    rows = along(*STEPS)
    known = standing(rows, stages(rows, steps=20))
    assert_frame_equal(known.predictions, rows.filter(step=20), check_row_order=False)
    assert known.notes == (
        "each run stands for its own result; 12 other kept steps are left to `figures` and `--select`",
    )
    assert len(list(pairings(known.predictions, baseline="none"))) == 1


def test_a_stage_that_selected_stands_for_the_step_that_it_selected() -> None:
    # All thirty steps were trained and kept, and development data chose the tenth.
    rows = along(*STEPS)
    known = stages(rows, steps=30).with_columns(
        selected_step=pl.when(pl.col("role") == "target").then(10).otherwise(30).cast(pl.Int64)
    )
    assert of(own_results(rows, known)) == {10}


def test_of_a_run_that_stages_do_not_know_the_highest_step_stands_and_is_told() -> None:
    rows = along(*STEPS)
    for unknown in (stages(rows).clear(), stages(rows, steps=25)):
        known = standing(rows, unknown)
        assert of(known.predictions) == {30}
        assert known.notes[1].startswith("the highest step stands for english-0 (step 30) and 5 more")


def test_one_step_a_run_stays_as_it_is_with_or_without_a_number() -> None:
    for rows in (make_predictions(), along(20)):
        known = standing(rows, stages(rows, steps=30))
        assert_frame_equal(known.predictions, rows)
        assert known.notes == ()


def test_runs_are_told_apart_by_their_target_too() -> None:
    copa, nli = along(10, 20), along(10, 20).with_columns(task=pl.lit("xnli"), target=pl.lit("xnli"))
    both = pl.concat([copa, nli])
    known = pl.concat([stages(copa, steps=10), stages(nli, steps=20)])
    found = own_results(both, known)
    assert found.select("target", "step").unique().sort("target").rows() == [("xcopa", 10), ("xnli", 20)]


def test_test_stands_where_there_are_two_splits() -> None:
    rows = pl.concat([along(20), along(20, split="validation")])
    known = standing(rows, stages(rows))
    assert {*known.predictions["split"]} == {"test"}
    assert known.notes == (
        "predictions on validation are left out beside those on test (`--split validation` takes them)",
    )
    asked = standing(rows, stages(rows), split="validation")
    assert {*asked.predictions["split"]} == {"validation"}
    assert asked.notes == ()


def test_a_target_that_is_scored_on_validation_alone_stays() -> None:
    other = along(20, split="validation").with_columns(task=pl.lit("xnli"), target=pl.lit("xnli"))
    rows = pl.concat([along(20), other])
    assert_frame_equal(standing(rows, stages(rows)).predictions, rows)
    alone = pl.concat([along(20).filter(arm="none"), along(20, split="validation")])
    assert standing(alone, stages(alone)).notes[0].endswith("; english, mixed: there alone")
    with pytest.raises(ResultsError, match="no predictions on validation; there are those on test"):
        standing(along(20), stages(along(20)), split="validation")


def test_own_results_on_a_split_are_those_that_were_scored_there() -> None:
    # The result was scored on test, all kept steps on validation.
    rows = pl.concat([along(30), along(*STEPS, split="validation")])
    known = standing(rows, stages(rows))
    assert {*known.predictions.select("split", "step").iter_rows()} == {("test", 30)}
    assert len(known.notes) == 1


def test_a_rule_chooses_and_is_told() -> None:
    rows = pl.concat([along(*STEPS), along(*STEPS, split="validation")])
    known = standing(rows, stages(rows), rule=Rule(name="target"))
    assert {*known.predictions["setting"]} == {f"CO, {TLV}"}
    assert known.notes[0] == f"steps of each run chosen by: {TLV}"
    assert {*known.predictions["split"]} == {"test"}
    single = standing(along(20), stages(along(20)), rule=Rule(name="oracle"))
    assert single.notes[1] == "every run has predictions of one step, so nothing was chosen"
    some = pl.concat([rows.filter(arm="mixed"), rows.filter(pl.col("arm") != "mixed", pl.col("step") == 30)])
    assert (
        standing(some, stages(some), rule=Rule(name="last")).notes[1].startswith("4 of 6 runs have predictions of one")
    )


def test_what_stands_stands_again() -> None:
    rows = pl.concat([along(*STEPS), along(*STEPS, split="validation")])
    for rule in (None, Rule(name="target"), Rule(name="own")):
        once = standing(rows, stages(rows), rule=rule).predictions
        again = standing(once, stages(rows))
        assert again.notes == ()
        assert_frame_equal(again.predictions, once)


def test_a_published_setting_that_selects_by_language_does_so_by_itself() -> None:
    tlv = pl.concat([along(*STEPS, setting="CO-TLV"), along(*STEPS, split="validation", setting="CO-TLV")])
    plain = along(*STEPS).with_columns(run=pl.col("run") + "-zs")
    both = pl.concat([tlv, plain])
    known = standing(both, stages(both))
    settings = known.predictions.partition_by("setting", as_dict=True)
    assert {*settings} == {("CO",), (f"CO-TLV, {TLV}",)}
    assert of(settings["CO",]) == {30}
    assert len(of(settings[f"CO-TLV, {TLV}",])) > 1
    assert f"xcopa, CO-TLV: {TLV}" in known.notes


def test_a_published_selection_without_steps_to_choose_among_is_told() -> None:
    rows = along(20, setting="CO-TLV")
    known = standing(rows, stages(rows))
    assert_frame_equal(known.predictions, rows, check_row_order=False)
    assert known.notes == (
        "TLV: every run has predictions of one step, so nothing was chosen",
        "xcopa, CO-TLV: nothing was chosen, it is the result itself",
    )


def test_where_it_cannot_select_the_other_targets_stay() -> None:
    tlv, plain = along(*STEPS, setting="CO-TLV"), along(30).with_columns(run=pl.col("run") + "-zs")
    both = pl.concat([tlv, plain])
    known = standing(both, stages(both))
    assert {*known.predictions["setting"]} == {"CO"}
    assert known.notes[0].startswith("left out: xcopa, CO-TLV: run 'none-0' has no predictions of xcopa validation")
    with pytest.raises(ResultsError, match="`xfer-bench eval CKPT --split validation`"):
        standing(tlv, stages(tlv))


def test_points_are_of_own_results() -> None:
    rows = along(*STEPS)
    known = stages(rows, steps=20)
    (every,), (own,) = targets(rows, known), targets(rows.filter(step=20), known)
    assert every.points == own.points


def test_checkpoints_of_intermediate_stages_and_an_empty_table_have_no_results() -> None:
    between = along(*STEPS, setting="intermediate")
    assert standing(between, stages(between)).predictions.is_empty()
    assert standing(between.clear(), stages(between)).notes == ()


def test_one_training_under_two_names_is_told() -> None:
    siqa = make_predictions().filter(arm="english")
    same = siqa.with_columns(arm=pl.lit("none"), run=pl.col("run") + "-si", setting=pl.lit("SI+CO"))
    assert twins(pl.concat([make_predictions(), same])) == [
        "one model under two names on xcopa: english (CO) and none (SI+CO) have the same weights"
    ]
    assert twins(make_predictions()) == []
    unknown = make_predictions().with_columns(weights=pl.lit(None, dtype=pl.String))
    assert twins(unknown) == []
