import polars as pl
from matplotlib.patches import Polygon

from tests.plotting.invented import large, small
from tests.plotting.looking import drawn_lines, drawn_points, words
from xfer_bench.plotting.gains_by_language import (
    gains_by_language_caption,
    gains_by_language_figure,
    gains_by_language_numbers,
)
from xfer_bench.plotting.panels import rows_of
from xfer_bench.plotting.style import Page, figure_style, look_of
from xfer_bench.stats.estimates import AVERAGES

NUMBERS = gains_by_language_numbers(small())


def test_every_gain_has_its_mark_and_interval_filled_or_open() -> None:
    with figure_style():
        figure = gains_by_language_figure(NUMBERS)
    panels = [ax for ax in figure.axes if ax.axison]
    parts = [NUMBERS.filter(task=task, arm=arm) for task in ("xcopa", "xnli") for arm in ("english", "mixed")]
    assert len(panels) == len(parts)
    for ax, part in zip(panels, parts, strict=True):
        heights = {row.language: row.height for row in rows_of(NUMBERS.filter(task=part["task"][0]))}
        single = part.filter(~pl.col("language").is_in(AVERAGES))
        marker = look_of(part["arm_place"][0]).marker
        expected = {(one["gain"], heights[one["language"]]) for one in single.iter_rows(named=True)}
        assert drawn_points(ax, marker) == expected
        faces = {
            (x, y): line.get_markerfacecolor() == "white"
            for line in ax.lines
            if line.get_marker() == marker
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)  # type: ignore[arg-type]
        }
        for one in single.iter_rows(named=True):
            height = heights[one["language"]]
            assert faces[one["gain"], height] == bool(one["seen"])
            assert ((one["ci_low"], height), (one["ci_high"], height)) in drawn_lines(ax)


def test_averages_are_diamonds_from_end_to_end_of_their_intervals() -> None:
    with figure_style():
        ax = next(ax for ax in gains_by_language_figure(NUMBERS).axes if ax.axison)
    diamonds = [patch.get_xy() for patch in ax.patches if isinstance(patch, Polygon) and len(patch.get_xy()) == 5]
    drawn = {(min(corner[0] for corner in one), max(corner[0] for corner in one)) for one in diamonds}
    averages = NUMBERS.filter(pl.col("language").is_in(AVERAGES), task="xcopa", arm="english")
    assert drawn == set(averages.select("ci_low", "ci_high").iter_rows())


def test_a_star_for_every_adjusted_test_that_says_so_and_for_no_other() -> None:
    numbers = gains_by_language_numbers(large())
    with figure_style():
        figure = gains_by_language_figure(numbers)
    stars = sum(text.get_text() == "*" for ax in figure.axes for text in ax.texts)
    assert 0 < stars == numbers.filter(pl.col("p_adjusted") < 0.05).height < numbers.height


def test_languages_outside_the_pretraining_data_are_hatched() -> None:
    with figure_style():
        figure = gains_by_language_figure(NUMBERS)
    for ax in figure.axes:
        if ax.axison:
            assert sum(patch.get_hatch() is not None for patch in ax.patches) == 2
    assert "not in pretraining" in words(figure)


def test_one_column_has_codes_and_two_have_names() -> None:
    with figure_style():
        assert "Haitian Creole" in words(gains_by_language_figure(NUMBERS))
        assert "Haitian Creole" not in words(gains_by_language_figure(NUMBERS, Page(columns=1)))


def test_the_average_without_english_says_so() -> None:
    with figure_style():
        assert "mean, all but English" in words(gains_by_language_figure(NUMBERS))
        assert "not en" in words(gains_by_language_figure(NUMBERS, Page(columns=1)))


def test_the_caption_says_what_it_rests_on() -> None:
    said = gains_by_language_caption(NUMBERS)
    for needed in (
        "over none with the same target seed",
        "xcopa (CO, test): n = 60 items",
        "xnli (CO, test): n = 60 items in 20 clusters",
        "2 seeds for every arm",
        "95 % bootstrap intervals, 499 resamples of clusters of items",
        "* p < 0.05, paired bootstrap, Holm-adjusted within families of",
        "Open marks: the arm's intermediate data contain the language",
        "over unseen languages, which no arm's intermediate data contain (et ht qu sw)",
        "Languages by family",
        "Hatched: not in the pretraining data of xlm-roberta-base (ht, qu)",
        "20 clusters are few for a bootstrap",
    ):
        assert needed in said
