from collections.abc import Mapping, Sequence

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_predictions
from xfer_bench.errors import ResultsError
from xfer_bench.frames import PREDICTIONS, SCORES
from xfer_bench.metrics import accuracy
from xfer_bench.stats.outcomes import pairings
from xfer_bench.stats.selection import Rule, chosen, select, selected_scores, steps_of_trainings

OWN, LAST, ORACLE = Rule(name="own"), Rule(name="last"), Rule(name="oracle")
TARGET = Rule(name="target")
STEPS = (10, 20, 30)
# Right answers of 20, by step, split and language: English development data prefer step 20, Swahili 10, Thai 30.
RIGHT: Mapping[tuple[str, str], Sequence[int]] = {
    ("validation", "en"): (12, 15, 14),
    ("test", "en"): (11, 13, 16),
    ("test", "sw"): (14, 9, 10),
    ("test", "th"): (8, 10, 12),
}
# English development data prefer step 20, Swahili steps 20 and 30 alike, Thai step 10.
VALIDATED = {**RIGHT, ("validation", "sw"): (5, 9, 9), ("validation", "th"): (9, 8, 7)}
TLV = "selected on target-language validation (not zero-shot)"


def grid(
    right: Mapping[tuple[str, str], Sequence[int]] = RIGHT, *, steps: Sequence[int | None] = STEPS, task: str = "xcopa"
) -> pl.DataFrame:
    """One training whose checkpoints have so many of 20 items right; the name ends in a digest of each checkpoint."""
    frames = []
    for (split, language), counts in right.items():
        for place, (step, count) in enumerate(zip(steps, counts, strict=True)):
            rows = make_predictions(
                effects={"english": 0.0}, languages=(language,), seeds=(0,), n_items=20, task=task
            ).with_row_index("place")
            frames.append(
                rows.with_columns(
                    split=pl.lit(split),
                    step=pl.lit(step, dtype=pl.Int64),
                    run=pl.lit(f"english.{task}.CO.i0.t0-{place:08x}"),
                    prediction=pl.when(pl.col("place") < count).then("label").otherwise(1 - pl.col("label")),
                ).select(*PREDICTIONS)
            )
    return pl.concat(frames)


def steps_of(frame: pl.DataFrame, *, split: str = "test") -> dict[str, int | None]:
    return dict(frame.filter(split=split).select("language", "step").unique().iter_rows())


def test_own_development_chooses_one_step_for_all_languages() -> None:
    assert steps_of(chosen(grid(), OWN)) == {"en": 20, "sw": 20, "th": 20}


def test_last_is_the_last_step() -> None:
    assert steps_of(chosen(grid(), LAST)) == {"en": 30, "sw": 30, "th": 30}


def test_the_oracle_chooses_for_each_language_and_is_labelled() -> None:
    found = chosen(grid(), ORACLE)
    assert steps_of(found) == {"en": 30, "sw": 10, "th": 30}
    assert found["rule"].unique().to_list() == ["oracle (not zero-shot)"]


def test_target_language_validation_chooses_for_each_language_the_earliest_of_its_best() -> None:
    found = chosen(grid(VALIDATED), TARGET)
    assert steps_of(found) == {"en": 20, "sw": 20, "th": 10}
    assert found["rule"].unique().to_list() == [TLV]
    accuracies = dict(found.filter(split="test").select("language", "accuracy").iter_rows())
    assert accuracies == {"en": pytest.approx(65), "sw": pytest.approx(45), "th": pytest.approx(40)}


def test_a_rule_that_is_not_zero_shot_is_told_in_the_setting() -> None:
    for rule, setting in ((TARGET, f"CO, {TLV}"), (ORACLE, "CO, oracle (not zero-shot)"), (OWN, "CO"), (LAST, "CO")):
        assert select(grid(VALIDATED), rule)["setting"].unique().to_list() == [setting]
        assert selected_scores(grid(VALIDATED), rule)["setting"].unique().to_list() == [setting]
    # A baseline of one step is under the same setting, so that it is compared with what was chosen.
    single = grid(VALIDATED).filter(step=30).with_columns(run=pl.lit("none.t0"), arm=pl.lit("none"))
    both = select(pl.concat([grid(VALIDATED), single]), TARGET)
    assert both.select("arm", "setting").unique().sort("arm").rows() == [
        ("english", f"CO, {TLV}"), ("none", f"CO, {TLV}"),
    ]  # fmt: skip


def test_target_language_validation_needs_every_kept_step_in_every_language() -> None:
    with pytest.raises(ResultsError, match=r"no predictions of xcopa validation in 'sw' at step 10, .*"
                                           r"`xfer-bench eval CKPT --split validation`"):  # fmt: skip
        select(grid(), TARGET)
    torn = grid(VALIDATED).filter(
        ~((pl.col("split") == "validation") & (pl.col("language") == "th") & (pl.col("step") == 20))
    )
    with pytest.raises(ResultsError, match="has 2 of the 3 steps on xcopa validation in 'th'"):
        select(torn, TARGET)
    fewer = grid(VALIDATED).filter(~((pl.col("split") == "validation") & (pl.col("step") == 20)))
    with pytest.raises(ResultsError, match="no predictions of xcopa validation in 'en' at step 20"):
        select(fewer, TARGET)


def test_a_variant_without_validation_items_goes_by_the_published_ones() -> None:
    repaired = grid(VALIDATED).filter(split="test").with_columns(variant=pl.lit("repaired"))
    found = chosen(pl.concat([grid(VALIDATED), repaired]), TARGET)
    assert steps_of(found.filter(variant="repaired")) == {"en": 20, "sw": 20, "th": 10}
    with pytest.raises(ResultsError, match="no predictions of xcopa validation"):
        chosen(repaired, TARGET)


def test_it_is_known_of_how_many_steps_there_are_predictions() -> None:
    assert steps_of_trainings(grid()) == [3]
    assert steps_of_trainings(make_predictions()) == [1] * 6


def test_no_rule_is_better_than_the_oracle() -> None:
    rules = (OWN, LAST, TARGET, ORACLE, Rule(name="average", k=2))
    scores = chosen(grid(VALIDATED), *rules).pivot("rule", index=["split", "language"], values="accuracy")
    for rule in rules:
        assert (scores[rule.label] <= scores[ORACLE.label]).all()


def test_an_average_is_that_of_the_last_k_accuracies() -> None:
    found = chosen(grid(), Rule(name="average", k=2)).filter(split="test", language="sw").row(0, named=True)
    assert found["accuracy"] == pytest.approx(100 * (9 + 10) / 40)
    assert found["steps"] == [20, 30]
    assert found["step"] is None


def test_equal_checkpoints_give_the_earliest() -> None:
    same = dict.fromkeys(RIGHT, (10, 10, 10))
    assert steps_of(chosen(grid(same), OWN)) == {"en": 10, "sw": 10, "th": 10}
    assert steps_of(chosen(grid(dict.fromkeys(VALIDATED, (10, 10, 10))), TARGET)) == {"en": 10, "sw": 10, "th": 10}
    assert steps_of(chosen(grid(same), ORACLE)) == {"en": 10, "sw": 10, "th": 10}


@pytest.mark.parametrize("rule", [OWN, LAST, TARGET, ORACLE])
@pytest.mark.parametrize("naming", ["digest", "same", "step", "at"])
def test_runs_of_one_training_are_one_however_they_are_named(rule: Rule, naming: str) -> None:
    names = {
        "digest": pl.col("run"),
        "same": pl.lit("english.xcopa.CO.i0.t0"),
        "step": pl.format("english.xcopa.CO.i0.t0-step{}", "step"),
        "at": pl.format("english.xcopa.CO.i0.t0@{}-0123abcd", "step"),
    }
    named = grid(VALIDATED).with_columns(run=names[naming])
    kept = select(named, rule)
    assert kept["run"].n_unique() == 1
    assert kept["run"][0] == named.filter(step=30)["run"][0]
    assert steps_of(kept) == steps_of(chosen(grid(VALIDATED), rule))


def test_a_step_that_only_the_name_says_counts() -> None:
    elsewhere = grid().with_columns(
        run=pl.format("checkpoint-{}-0123abcd", "step"),
        arm=pl.format("out/checkpoint-{}", "step"),
        setting=pl.lit("external"),
        step=pl.lit(None, dtype=pl.Int64),
        intermediate_seed=pl.lit(None, dtype=pl.Int64),
        target_seed=pl.lit(None, dtype=pl.Int64),
    )
    kept = select(elsewhere, OWN)
    assert kept.select("arm", "run").unique().rows() == [("out/checkpoint-30", "checkpoint-30-0123abcd")]
    assert selected_scores(elsewhere, OWN).filter(split="test")["accuracy"].to_list() == [65, 45, 50]


def test_a_number_in_an_arms_name_is_no_step() -> None:
    arms = pl.concat(
        [
            grid().with_columns(arm=pl.lit(arm), run=pl.format("{}.xcopa.CO.i0.t0", pl.lit(arm)))
            for arm in ("xnli-15", "xnli-20", "xnli")
        ]
    )
    assert select(arms, LAST)["run"].n_unique() == 3


def test_what_is_selected_is_predictions_that_can_be_compared() -> None:
    several = pl.concat(
        [
            make_predictions(n_items=20, seed=step).with_columns(
                step=pl.lit(step, dtype=pl.Int64), split=pl.lit(split), run=pl.format("{}-{}", "run", pl.lit(digest))
            )
            for step, digest in ((10, "aaaaaaaa"), (20, "bbbbbbbb"))
            for split in ("validation", "test")
        ]
    )
    for rule in (OWN, LAST, TARGET, ORACLE):
        kept = select(several, rule)
        assert kept.schema == pl.Schema(PREDICTIONS)
        found = list(pairings(kept, baseline="none"))
        assert [(one.split, len(one.pairs)) for one in found] == [("test", 4), ("validation", 4)]
        scores = accuracy(kept)
        expected = selected_scores(several, rule)
        assert_frame_equal(scores.select(expected.columns), expected, check_row_order=False)
        assert expected.schema == pl.Schema(SCORES)


def test_single_checkpoints_stay_as_they_are_and_need_no_development_data() -> None:
    predictions = make_predictions()
    for rule in (OWN, LAST, TARGET, ORACLE):
        assert_frame_equal(select(predictions, rule), predictions, check_row_order=False)
    assert chosen(predictions, LAST)["steps"].list.len().to_list() == [0] * 30


def test_checkpoints_of_intermediate_stages_are_no_target_runs() -> None:
    predictions = make_predictions()
    both = pl.concat([predictions, predictions.with_columns(setting=pl.lit("intermediate"), run=pl.lit("siqa"))])
    assert_frame_equal(select(both, LAST), predictions, check_row_order=False)


def test_own_development_is_that_of_the_target() -> None:
    other = grid({("validation", "en"): (20, 0, 0)}, task="xnli").with_columns(
        target=pl.lit("xcopa"), run=grid({("validation", "en"): (20, 0, 0)})["run"]
    )
    assert steps_of(chosen(pl.concat([grid(), other]), OWN).filter(task="xcopa")) == {"en": 20, "sw": 20, "th": 20}


def test_what_is_missing_is_named() -> None:
    without = {cell: counts for cell, counts in RIGHT.items() if cell[0] == "test"}
    with pytest.raises(ResultsError, match=r"no predictions of validation in 'en' at step 10, so its own development"):
        select(grid(without), OWN)
    torn = grid().filter(~((pl.col("language") == "th") & (pl.col("step") == 10)))
    with pytest.raises(ResultsError, match=r"has 2 of the 3 steps on xcopa test in 'th'"):
        select(torn, LAST)
    fewer = grid().filter(~((pl.col("step") == 10) & (pl.col("item") == "0003")))
    with pytest.raises(ResultsError, match="different items at different steps"):
        select(fewer, LAST)
    early = grid({("test", "sw"): (9,)}, steps=(10,), task="xnli").with_columns(
        target=pl.lit("xcopa"), run=pl.lit("english.xcopa.CO.i0.t0-00000000")
    )
    with pytest.raises(ResultsError, match="no predictions of xnli test at the step that was chosen"):
        select(pl.concat([grid(), early]), LAST)
    with pytest.raises(ResultsError, match="has 3 checkpoints on xcopa test; 4 are asked for"):
        chosen(grid().filter(split="test"), Rule(name="average", k=4))
    with pytest.raises(ResultsError, match="no predictions of target runs"):
        select(grid().clear(), LAST)
    with pytest.raises(ResultsError, match="an average of checkpoints has no predictions"):
        select(grid(), Rule(name="average", k=2))


def test_two_checkpoints_of_one_step_are_refused() -> None:
    doubled = grid().with_columns(pl.lit(10, dtype=pl.Int64).alias("step"))
    with pytest.raises(ResultsError, match="is one of several of step 10 among the checkpoints of one training"):
        select(doubled, LAST)
    unknown = grid().with_columns(pl.lit(None, dtype=pl.Int64).alias("step"))
    with pytest.raises(ResultsError, match="has no step among the checkpoints of one training"):
        select(unknown, LAST)


@pytest.mark.parametrize("text", ["own", "last", "target", "oracle", "average:3"])
def test_a_rule_is_what_was_written(text: str) -> None:
    rule = Rule.from_text(text)
    assert f"{rule.name}{'' if rule.k is None else f':{rule.k}'}" == text


@pytest.mark.parametrize(
    "text", ["", "best", "average", "average:", "average:x", "average:0", "last:2", "own:", "target:sw"]
)
def test_another_rule_is_refused(text: str) -> None:
    with pytest.raises(ResultsError, match=r"rule"):
        Rule.from_text(text)
