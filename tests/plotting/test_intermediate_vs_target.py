import polars as pl
import pytest

from tests.plotting.invented import invent, small, subject
from tests.plotting.looking import drawn_points, words
from tests.predictions import make_predictions, make_stages
from xfer_bench.plotting.intermediate_vs_target import (
    FIT,
    POINT,
    intermediate_vs_target_caption,
    intermediate_vs_target_figure,
    intermediate_vs_target_numbers,
)
from xfer_bench.plotting.style import figure_style
from xfer_bench.stats.association import associate
from xfer_bench.stats.correlation import relate

SIX = {"none": 0.0, **{f"task-{place}": 0.2 * place for place in range(6)}}
MANY = subject(invent({"xcopa": ("en", "et", "sw")}, effects=SIX, seen={}))


def test_points_are_those_of_the_correlation_with_intervals_around_their_gains() -> None:
    about = small()
    numbers = intermediate_vs_target_numbers(about)
    relations = relate(about.predictions, about.stages, resamples=499)
    with figure_style():
        figure = intermediate_vs_target_figure(numbers)
    for ax, relation in zip(figure.axes, relations, strict=True):
        expected = {(point.intermediate, point.gain) for point in relation.points}
        assert drawn_points(ax, "o", "^") == expected
        assert relation.correlation.r is not None
        assert f"r = {relation.correlation.r:.2f}".replace("-", "−") in ax.get_title()
        assert "4 points, 2 tasks" in ax.get_title().replace("\n", " ")
    points = numbers.filter(kind=POINT)
    assert (points["gain_low"] <= points["gain_high"]).all()


def test_the_line_is_that_of_r_and_the_shade_holds_every_line_without_a_task() -> None:
    numbers = intermediate_vs_target_numbers(MANY)
    points, fit = numbers.filter(kind=POINT), numbers.filter(kind=FIT).sort("intermediate")
    x, y = points["intermediate"].to_numpy(), points["gain"].to_numpy()
    r = float(associate(x, y)[0])
    assert points["r"][0] == pytest.approx(r)
    slope = (fit["gain"][-1] - fit["gain"][0]) / (fit["intermediate"][-1] - fit["intermediate"][0])
    assert slope == pytest.approx(r * y.std() / x.std())
    assert (fit["gain_low"] <= fit["gain"]).all()
    assert (fit["gain"] <= fit["gain_high"]).all()
    for task in points["intermediate_task"].unique():
        rest = points.filter(pl.col("intermediate_task") != task)
        without = float(associate(rest["intermediate"].to_numpy(), rest["gain"].to_numpy())[0])
        assert points["r_without_low"][0] - 1e-9 <= without <= points["r_without_high"][0] + 1e-9
    with figure_style():
        figure = intermediate_vs_target_figure(numbers)
    assert len(figure.axes[0].collections) >= 1
    assert "without a task" in words(figure)


def test_without_a_correlation_the_title_says_why() -> None:
    predictions = make_predictions(effects={"none": 0, "english": 0.5})
    numbers = intermediate_vs_target_numbers(subject(predictions))
    with figure_style():
        assert "no r (2 points are too few" in words(intermediate_vs_target_figure(numbers))
    assert "No line" in intermediate_vs_target_caption(numbers)


def test_without_development_accuracies_there_is_nothing() -> None:
    predictions = make_predictions()
    unknown = make_stages(predictions).with_columns(development_accuracy=pl.lit(None, dtype=pl.Float64))
    assert intermediate_vs_target_numbers(subject(predictions, stages=unknown)).is_empty()


def test_the_caption_says_what_it_rests_on() -> None:
    said = intermediate_vs_target_caption(intermediate_vs_target_numbers(small()))
    for needed in ("xcopa: 4 points of 4 runs, 2 intermediate tasks, 2 seeds", "n = 60 items", "r: Pearson",
                   "No p: with fewer than six intermediate tasks"):  # fmt: skip
        assert needed in said
    assert "p: of permuting" in intermediate_vs_target_caption(intermediate_vs_target_numbers(MANY))
