import polars as pl
import pytest

from tests.plotting.invented import LANGUAGES, invent, small, subject
from tests.plotting.looking import drawn_points, words
from tests.predictions import make_predictions, make_stages
from xfer_bench.plotting.seeds import COMPONENT, RUN, seeds_caption, seeds_figure, seeds_numbers
from xfer_bench.plotting.style import figure_style, look_of
from xfer_bench.stats.components import pairing_components
from xfer_bench.stats.outcomes import pairings

NUMBERS = seeds_numbers(small())


def test_every_run_is_a_dot_at_its_headline_accuracy() -> None:
    runs = NUMBERS.filter(kind=RUN)
    assert runs.height == 2 * 3 * 2
    assert set(runs["language"]) == {"avg_unseen"}
    means = runs.group_by("task", "arm").agg(pl.col("accuracy").mean())
    for one in small().gains.filter(language="avg_unseen").iter_rows(named=True):
        found = means.filter(task=one["task"], arm=one["arm"])["accuracy"].item()
        assert found == pytest.approx(one["accuracy"])
    with figure_style():
        figure = seeds_figure(NUMBERS)
    ax = figure.axes[0]
    drawn = {round(x, 9) for place in (None, 0, 1) for x, _ in drawn_points(ax, look_of(place).marker)}
    assert drawn == {round(x, 9) for x in runs.filter(task="xcopa")["accuracy"]}


def test_components_are_those_of_the_statistics() -> None:
    about = small()
    pairing = next(pairings(about.predictions, baseline="none"))
    for one in pairing_components(pairing):
        if one.quantity == "accuracy":
            mine = NUMBERS.filter(kind=COMPONENT, task="xcopa", arm=one.arm)
            names = [name.replace("cluster", "item").replace(" x ", " × ") for name in one.components.names]
            assert mine["component"].to_list() == [name.replace("target seed", "seed") for name in names]
            assert tuple(mine["estimate"]) == one.components.estimates
            assert (mine["sd"] >= 0).all()


def test_a_collapsed_run_is_a_cross_and_the_caption_says_why() -> None:
    predictions = invent({"xcopa": LANGUAGES})
    lame = (pl.col("run") == "mixed-1.xcopa") & (pl.col("role") == "target")
    stages = make_stages(predictions).with_columns(
        development_majority=pl.when(lame).then(99.0).otherwise(60.0),
    )
    numbers = seeds_numbers(subject(predictions, stages=stages))
    collapsed = numbers.filter(pl.col("collapsed") != "")
    assert collapsed["run"].to_list() == ["mixed-1.xcopa"]
    with figure_style():
        figure = seeds_figure(numbers)
    assert {x for x, _ in drawn_points(figure.axes[0], "X")} == set(collapsed["accuracy"])
    assert "collapsed run" in words(figure)
    assert "mixed-1.xcopa: 99 % of its development answers are one and the same" in seeds_caption(numbers)
    assert "No run collapsed" in seeds_caption(NUMBERS)


def test_an_arm_without_components_says_why() -> None:
    numbers = seeds_numbers(subject(make_predictions(languages=("sw",), seeds=(0,))))
    with figure_style():
        assert "no variance components: variance components need" in words(seeds_figure(numbers))
