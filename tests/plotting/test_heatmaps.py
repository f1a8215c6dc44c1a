"""The two heatmaps: arm by target, and arm by language."""

import numpy as np
import polars as pl
import pytest
from matplotlib.patches import Rectangle

from tests.plotting.invented import large, small
from tests.plotting.looking import words
from xfer_bench.plotting.gain_heatmap import gain_heatmap_caption, gain_heatmap_figure, gain_heatmap_numbers
from xfer_bench.plotting.gains_by_arm_and_language import (
    gains_by_arm_and_language_caption,
    gains_by_arm_and_language_figure,
    gains_by_arm_and_language_numbers,
)
from xfer_bench.plotting.style import Page, figure_style

TARGETS = gain_heatmap_numbers(small())
LANGUAGES = gains_by_arm_and_language_numbers(small())


def signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def test_arm_by_target_shows_the_numbers_of_its_table() -> None:
    with figure_style():
        figure = gain_heatmap_figure(TARGETS)
    axes = [ax for ax in figure.axes if ax.images and ax.get_title()]
    assert [ax.get_title() for ax in axes] == ["unseen languages", "all languages but English"]
    for ax, average in zip(axes, ("avg_unseen", "avg"), strict=True):
        drawn = ax.images[0].get_array()
        assert drawn is not None
        assert drawn[0].tolist() == [0, 0]
        for row, name in enumerate(("english", "mixed", "mixed − english"), start=1):
            for column, task in enumerate(("xcopa", "xnli")):
                cell = TARGETS.filter(language=average, row=name, task=task)
                if cell.is_empty():
                    assert np.ma.getmaskarray(drawn)[row, column]
                else:
                    assert drawn[row, column] == cell["gain"].item()
                    assert signed(cell["gain"].item()) in words(figure)


def test_the_studys_own_question_is_a_row_of_its_own() -> None:
    asked = TARGETS.filter(pl.col("primary"))
    assert asked.select("row", "task", "language").rows() == [
        ("mixed − english", "xcopa", "avg_unseen"),
        ("mixed − english", "xnli", "avg_unseen"),
    ]
    assert "Rows with a minus are the study's own question" in gain_heatmap_caption(TARGETS)


def test_the_caption_says_why_the_question_has_empty_cells() -> None:
    assert "minus the other's; of other averages it asks nothing." in gain_heatmap_caption(TARGETS)
    headline = gain_heatmap_caption(TARGETS.filter(language="avg_unseen"))
    assert "minus the other's." in headline


def test_an_empty_cell_is_empty() -> None:
    numbers = TARGETS.filter((pl.col("row") != "mixed") | (pl.col("task") != "xnli"))
    with figure_style():
        drawn = gain_heatmap_figure(numbers).axes[0].images[0].get_array()
    assert drawn is not None
    assert np.ma.getmaskarray(drawn)[2].tolist() == [False, True]


def test_where_there_is_no_room_the_intervals_are_left_to_the_csv() -> None:
    with figure_style():
        assert "[" in words(gain_heatmap_figure(TARGETS))
        four = pl.concat([TARGETS, TARGETS.with_columns(split=pl.lit("validation"))])
        narrow = gain_heatmap_figure(four, Page(columns=1))
    assert "[" not in words(narrow)


@pytest.mark.parametrize("columns", [1, 2])
def test_arm_by_language_shows_the_numbers_of_its_table(columns: int) -> None:
    with figure_style():
        figure = gains_by_arm_and_language_figure(LANGUAGES, Page(columns=1 if columns == 1 else 2))
    panels = [ax for ax in figure.axes if ax.images and ax.get_title()]
    assert len(panels) == 2
    for ax, task in zip(panels, ("xcopa", "xnli"), strict=True):
        rows = LANGUAGES.filter(task=task)
        drawn = ax.images[0].get_array()
        assert drawn is not None
        # In one column languages are the rows.
        drawn = drawn if columns == 2 else drawn.T
        for place, arm in enumerate(("english", "mixed"), start=1):
            assert drawn[place].tolist() == rows.filter(arm=arm).sort("place")["gain"].to_list()
        gains = {signed(gain) + ("*" if star else "") for gain, star in rows.select("gain", "significant").iter_rows()}
        assert gains <= {text.get_text() for text in ax.texts}


def test_seen_cells_are_framed_and_languages_outside_the_pretraining_data_hatched() -> None:
    with figure_style():
        figure = gains_by_arm_and_language_figure(LANGUAGES)
    ax = figure.axes[0]
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    framed = {
        (round(box.get_x() + box.get_width() / 2), round(box.get_y() + box.get_height() / 2))
        for box in boxes
        if not box.get_fill()
    }
    order = LANGUAGES.filter(task="xcopa").select("language", "place").unique().sort("place")["language"].to_list()
    assert framed == {(order.index("en"), 1), *((order.index(code), 2) for code in ("en", "th", "zh"))}
    assert {round(box.get_x() + box.get_width() / 2) for box in boxes if box.get_hatch()} == {
        order.index("ht"),
        order.index("qu"),
    }


def test_the_average_without_english_says_so_between_unseen_and_english() -> None:
    with figure_style():
        ax = gains_by_arm_and_language_figure(LANGUAGES).axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()][:3] == ["unseen", "not\nen", "en"]


def test_a_low_matrix_has_a_scale_with_a_short_name() -> None:
    with figure_style():
        high = gains_by_arm_and_language_figure(LANGUAGES)
        low = gains_by_arm_and_language_figure(LANGUAGES.filter(task="xcopa", arm="english"))
    assert "gain (points)" in words(high)
    assert "gain (points)" not in words(low)
    assert words(low).endswith("points") or " points" in words(low)


def test_in_one_column_many_languages_stand_one_under_the_other() -> None:
    with figure_style():
        ax = gains_by_arm_and_language_figure(gains_by_arm_and_language_numbers(large()), Page(columns=1)).axes[0]
    assert len(ax.get_yticks()) == 17
    assert len(ax.get_xticks()) == 8


@pytest.mark.parametrize(
    "said", [gain_heatmap_caption(TARGETS), gains_by_arm_and_language_caption(LANGUAGES)], ids=["target", "language"]
)
def test_captions_say_what_they_rest_on(said: str) -> None:
    for needed in ("over none with the same target seed", "n = 60 items", "2 seeds for every arm", "p < 0.05", "Holm"):
        assert needed in said
