import polars as pl
import pytest

from tests.plotting.invented import LANGUAGES, STEPS, along, invent, kept, small, subject
from tests.plotting.looking import drawn_points, words
from tests.predictions import make_stages
from xfer_bench.metrics import accuracy
from xfer_bench.plotting.style import figure_style, look_of
from xfer_bench.plotting.trajectories import (
    ALONG,
    CHOICE,
    STEP,
    trajectories_caption,
    trajectories_figure,
    trajectories_numbers,
)
from xfer_bench.stats.rules import Rule
from xfer_bench.stats.selection import chosen

NUMBERS = trajectories_numbers(kept())
ORACLE, LAST = Rule(name="oracle").label, "last"


def test_lines_are_the_mean_accuracies_at_every_kept_step() -> None:
    scores = accuracy(kept().every.filter(split="test"))
    means = scores.group_by("arm", "language", "step").agg(
        pl.col("accuracy").mean().alias("mean"), pl.col("accuracy").min().alias("low")
    )
    steps = NUMBERS.filter(kind=STEP, arm="mixed", language="sw").sort("step")
    expected = means.filter(arm="mixed", language="sw").sort("step")
    assert steps["step"].to_list() == [*STEPS]
    assert steps["accuracy"].to_list() == pytest.approx(expected["mean"].to_list())
    assert steps["low"].to_list() == pytest.approx(expected["low"].to_list())
    unseen = NUMBERS.filter(kind=STEP, arm="mixed", language="avg_unseen", step=30)["accuracy"].item()
    hidden = means.filter(pl.col("language").is_in(["et", "ht", "qu", "sw"]), arm="mixed", step=30)
    assert unseen == pytest.approx(hidden["mean"].mean())


@pytest.mark.parametrize("rule", ["own", "last", "target", "oracle"])
def test_rings_are_what_the_rules_of_selection_choose(rule: str) -> None:
    asked = Rule.from_text(rule)
    found = NUMBERS.filter(kind=CHOICE, rule=asked.label, arm="english", language="sw")
    picked = chosen(kept().every.filter(arm="english"), asked).filter(split="test", language="sw")
    assert found["accuracy"].item() == pytest.approx(picked["accuracy"].mean())
    assert found["step"].item() == pytest.approx(picked["step"].mean())


def test_every_language_has_its_panel_with_a_line_an_arm() -> None:
    with figure_style():
        figure = trajectories_figure(NUMBERS)
    panels = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in panels[:4]] == ["unseen", "all but English", "English", "Swahili"]
    assert len(panels) == len(LANGUAGES) + 2
    mixed = NUMBERS.filter(kind=STEP, arm="mixed", language="sw")
    rings = NUMBERS.filter(kind=CHOICE, arm="mixed", language="sw", rule=ORACLE)
    drawn = drawn_points(panels[3], look_of(1).marker)
    assert set(mixed.select("step", "accuracy").rows()) <= drawn
    assert set(rings.select("step", "accuracy").rows()) <= drawn_points(panels[3], "D")
    for name in ("own development", "last", "target validation", "oracle", "chance"):
        assert name in words(figure)


def test_a_rule_that_cannot_choose_is_left_out_and_the_caption_says_why() -> None:
    tested = kept().every.filter(split="test")
    numbers = trajectories_numbers(subject(tested, stages=kept().stages))
    assert set(numbers["rule"].drop_nulls()) == {ORACLE, LAST}
    assert "no predictions of validation in 'en' at step 10" in trajectories_caption(numbers)


def test_checkpoints_of_an_intermediate_stage_alone_are_drawn_too() -> None:
    predictions = invent({"xcopa": LANGUAGES})
    stage = along(predictions.filter(run="english-0.xcopa")).with_columns(
        setting=pl.lit("intermediate"), arm=pl.lit("siqa"), run=pl.lit("siqa.0123abcd"), target_seed=None
    )
    about = subject(predictions, stages=make_stages(predictions))
    numbers = trajectories_numbers(
        type(about)(**{**vars(about), "every": pl.concat([predictions, stage], how="vertical_relaxed")})
    )
    assert numbers["setting"].unique().to_list() == [ALONG]
    assert numbers.filter(kind=STEP, language="sw")["step"].to_list() == [*STEPS]
    # An arm that no comparison knows looks like none of them, nor like the baseline.
    assert numbers["arm_place"].unique().to_list() == [2]


def test_without_several_steps_there_is_nothing() -> None:
    assert trajectories_numbers(small()).is_empty()


def test_the_caption_says_what_it_rests_on() -> None:
    said = trajectories_caption(NUMBERS)
    for needed in (
        "xcopa (CO, test): n = 60 items",
        "english 2",
        "No interval and no test",
        "lowest to the highest seed",
        "oracle (not zero-shot)",
        "own development (en validation)",
        "Languages by family",
        "Hatched",
    ):
        assert needed in said
