import polars as pl
import pytest

from tests.plotting.invented import LANGUAGES, invent, small, subject
from tests.plotting.looking import drawn_points
from tests.predictions import make_predictions
from xfer_bench.plotting.panels import rows_of
from xfer_bench.plotting.power import power_caption, power_figure, power_numbers
from xfer_bench.plotting.style import figure_style, look_of
from xfer_bench.stats.observed_power import observe

NUMBERS = power_numbers(small())


def test_smallest_gains_are_those_of_the_statistics() -> None:
    known = {(one.task, one.arm, one.language): one for one in observe(small().predictions)}
    for row in NUMBERS.iter_rows(named=True):
        one = known[row["task"], row["arm"], row["language"]]
        assert (row["smallest"], row["smallest_both"], row["gain"]) == (one.smallest, None, pytest.approx(one.gain))


def test_bars_reach_as_far_as_nothing_is_found_and_marks_are_the_gains() -> None:
    with figure_style():
        figure = power_figure(NUMBERS)
    ax = next(ax for ax in figure.axes if ax.axison)
    part = NUMBERS.filter(task="xcopa", arm="english")
    heights = {row.language: row.height for row in rows_of(part)}
    assert drawn_points(ax, look_of(0).marker) == {
        (one["gain"], heights[one["language"]]) for one in part.iter_rows(named=True)
    }
    widths = sorted(bar.get_width() for container in ax.containers for bar in container)
    assert widths == pytest.approx(sorted(2 * part["smallest"]))


def test_the_axes_go_on_beyond_the_longest_bar_on_both_sides() -> None:
    with figure_style():
        axes = [ax for ax in power_figure(NUMBERS).axes if ax.axison]
    for ax in axes:
        low, high = ax.get_xlim()
        reach = max(bar.get_width() for container in ax.containers for bar in container) / 2
        assert low < -1.02 * reach
        assert high > 1.02 * reach


def test_cells_without_a_bar_are_explained_where_there_are_any() -> None:
    assert "Neither bar nor mark" not in power_caption(NUMBERS)
    fewer = NUMBERS.filter((pl.col("arm") != "mixed") | (pl.col("language") != "sw"))
    assert "Neither bar nor mark: the answers differ from the baseline's in no cluster" in power_caption(fewer)


def test_from_three_seeds_on_there_are_bars_for_other_seeds_too() -> None:
    numbers = power_numbers(subject(invent({"xcopa": LANGUAGES}, seeds=(0, 1, 2))))
    assert numbers["smallest_both"].is_not_null().all()
    with figure_style():
        ax = next(ax for ax in power_figure(numbers).axes if ax.axison)
    assert len(ax.containers) == 2 * 9
    assert "light bars: over items and seeds" in power_caption(numbers)
    assert "too few seeds" in power_caption(NUMBERS)


def test_where_nothing_differs_there_is_nothing() -> None:
    one = make_predictions(effects={"none": 0})
    same = pl.concat([one, one.with_columns(arm=pl.lit("same"), run=pl.col("run").str.replace("none", "same"))])
    assert power_numbers(subject(same.with_columns(
        intermediate_seed=pl.when(pl.col("arm") == "same").then("target_seed"))
    )).is_empty()  # fmt: skip


def test_the_caption_says_what_it_rests_on() -> None:
    said = power_caption(NUMBERS)
    for needed in ("too small to be found with 80 % power", "n = 60 items", "2 seeds", "p < 0.05", "Open marks"):
        assert needed in said
