import polars as pl
import pytest

from tests.plotting.invented import LANGUAGES, contrast, invent, small, subject
from tests.plotting.looking import drawn_lines, drawn_points, words
from xfer_bench.metrics import accuracy
from xfer_bench.plotting.accuracy_by_language import (
    ARM,
    REFERENCE,
    accuracy_by_language_caption,
    accuracy_by_language_figure,
    accuracy_by_language_numbers,
)
from xfer_bench.plotting.style import figure_style, look_of
from xfer_bench.published import references

NUMBERS = accuracy_by_language_numbers(small())


def test_accuracies_are_the_means_over_runs_and_those_that_compare_has() -> None:
    ours = NUMBERS.filter(kind=ARM)
    means = accuracy(small().predictions).group_by("task", "arm", "language").agg(pl.col("accuracy").mean())
    for task, arm, language, mean in means.iter_rows():
        assert ours.filter(task=task, arm=arm, language=language)["accuracy"].item() == pytest.approx(mean)
    for one in contrast(small().predictions):
        for arm, value in ((one.arm, one.accuracy), (one.baseline, one.baseline_accuracy)):
            found = ours.filter(task=one.task, arm=arm, language=one.language)["accuracy"]
            assert one.language == "avg_published" or found.item() == pytest.approx(value)
    assert ((ours["low"] <= ours["accuracy"]) & (ours["accuracy"] <= ours["high"])).all()


def test_every_arm_and_the_baseline_is_drawn_in_every_language_over_chance() -> None:
    with figure_style():
        figure = accuracy_by_language_figure(NUMBERS)
    assert len(figure.axes) == 2
    for ax, task, chance in zip(figure.axes, ("xcopa", "xnli"), (50, 100 / 3), strict=True):
        rows = NUMBERS.filter(kind=ARM, task=task)
        for arm in ("none", "english", "mixed"):
            mine = rows.filter(arm=arm)
            assert {x for x, _ in drawn_points(ax, look_of(mine["arm_place"][0]).marker)} == set(mine["accuracy"])
        heights = {y for arm in range(3) for _, y in drawn_points(ax, look_of([None, 0, 1][arm]).marker)}
        assert len(heights) == 3 * 9
        assert any(one[0][0] == pytest.approx(chance) for one in drawn_lines(ax))


def test_published_accuracies_stand_beside_the_published_variant_alone() -> None:
    published = invent({"xcopa": LANGUAGES})
    repaired = published.with_columns(variant=pl.lit("repaired"))
    numbers = accuracy_by_language_numbers(subject(pl.concat([published, repaired])))
    theirs = numbers.filter(kind=REFERENCE)
    assert theirs["variant"].unique().to_list() == ["published"]
    known = references("xcopa", metric="acc")
    for arm, language, value in theirs.select("arm", "language", "accuracy").iter_rows():
        assert value in known.filter(model=arm, language=language)["value"]
    assert "Human" not in theirs["arm"]
    assert theirs.select("arm", "language").is_unique().all()
    with figure_style():
        figure = accuracy_by_language_figure(numbers)
    beside, alone = figure.axes
    assert "repaired" in alone.get_title()
    assert {x for x, _ in drawn_points(beside, "x", "+", "1", "2")} == set(theirs["accuracy"])
    assert drawn_points(alone, "x", "+", "1", "2") == set()
    assert "XLM-R-large (published)" in words(figure)


def test_the_caption_says_what_it_rests_on() -> None:
    said = accuracy_by_language_caption(NUMBERS)
    for needed in (
        "xcopa (CO, test): n = 60 items",
        "95 % bootstrap intervals",
        "No test",
        "chance (xcopa 50.0, xnli 33.3)",
        "cambridgeltl/xcopa",
    ):
        assert needed in said
