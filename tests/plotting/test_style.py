"""Arms are told apart by colour-blind readers and in grey, and names fit where they are put."""

from itertools import pairwise

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tests.plotting.looking import drawn_lines, drawn_points
from xfer_bench.plotting.marks import Interval, draw_average, draw_chance, draw_intervals, draw_nought
from xfer_bench.plotting.style import COLOURS, MARKERS, Page, figure_style, look_of, shortened, wrapped


def lightness(colour: str) -> float:
    """CIE L* (CIE 15:2004) of an sRGB colour."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
    y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 116 * y ** (1 / 3) - 16 if y > (6 / 29) ** 3 else 903.3 * y


def test_neighbouring_arms_differ_in_grey_and_all_have_a_marker_of_their_own() -> None:
    assert all(abs(lightness(one) - lightness(two)) > 8 for one, two in pairwise(COLOURS))
    looks = [look_of(place) for place in (None, *range(len(MARKERS)))]
    assert len({look.marker for look in looks}) == len(looks)
    assert len({(look.colour, look.marker) for look in map(look_of, range(56))}) == 56


def test_all_colours_are_dark_enough_on_white() -> None:
    # Yellow would not be.
    assert all(lightness(colour) < 75 for colour in COLOURS)


def test_slides_have_larger_text_for_their_width_than_papers() -> None:
    paper, slides = Page(), Page(style="slides")
    assert slides.em / slides.width > 1.15 * paper.em / paper.width
    with figure_style("slides"):
        assert mpl.rcParams["font.size"] / 72 == pytest.approx(slides.em)


def test_long_names_break_after_separators_and_anywhere_at_last() -> None:
    assert wrapped("xnli_dev_one_language", 10) == "xnli_dev_\none_\nlanguage"
    assert wrapped("a" * 12, 5) == "aaaaa\naaaaa\naa"
    assert wrapped("siqa", 10) == "siqa"
    assert wrapped("mean over all", 9) == "mean\nover all"


def test_what_is_shortened_keeps_both_ends() -> None:
    assert shortened("siqa", 10) == "siqa"
    assert shortened("machine-translated-siqa", 11) == "machi…-siqa"
    assert len(shortened("x" * 99, 20)) == 20


def test_marks_compose_on_given_axes_without_the_style() -> None:
    ax = Figure().add_subplot()
    draw_nought(ax, upright=True)
    draw_chance(ax, 50, upright=False)
    draw_intervals(
        ax,
        [
            Interval(height=1, value=2, low=1, high=3),
            Interval(height=0, value=-1, low=-2, high=0, seen=True, significant=True),
        ],
        colour="C0",
        label="arm",
    )
    draw_average(ax, Interval(height=2, value=1, low=0, high=2), colour="C1")
    assert drawn_points(ax, "o") == {(2, 1), (-1, 0)}
    assert {((1, 1), (3, 1)), ((-2, 0), (0, 0))} <= drawn_lines(ax)
    assert [text.get_text() for text in ax.texts] == ["*"]
    assert ax.get_legend_handles_labels()[1] == ["arm", "arm (seen)"]
