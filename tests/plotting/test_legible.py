"""Every figure of the gallery at every width: its texts neither overlap nor leave the page."""

from functools import cache

import polars as pl
import pytest
from matplotlib.figure import Figure

from tests.plotting.invented import LANGUAGES, kept, large, small, subject
from tests.plotting.looking import assert_legible
from tests.predictions import make_predictions
from xfer_bench.plotting.gallery import KINDS
from xfer_bench.plotting.style import PNG_DPI, Page, figure_style
from xfer_bench.plotting.subject import Subject

WHOLE, HALF = Page(), Page(columns=1)


@cache
def numbers(name: str, about: Subject) -> pl.DataFrame:
    return KINDS[name].numbers(about)


@cache
def selected() -> Subject:
    """One arm, with a setting as `--select` names it."""
    predictions = make_predictions(effects={"none": 0, "english": 1}, languages=LANGUAGES, n_items=100)
    chosen = "CO-TLV, selected on target-language validation (not zero-shot)"
    return subject(predictions.with_columns(setting=pl.lit(chosen), variant=pl.lit("repaired")))


def draw(name: str, about: Subject, page: Page) -> Figure:
    with figure_style(page.style):
        figure = KINDS[name].figure(numbers(name, about), page)
        assert_legible(figure)
        # As the gallery makes its PNGs: text is somewhat wider there.
        figure.set_layout_engine("none")
        figure.set_dpi(PNG_DPI)
        assert_legible(figure)
    assert figure.get_figwidth() <= page.width + 1e-9
    return figure


@pytest.mark.parametrize("page", [WHOLE, HALF], ids=["two columns", "one column"])
@pytest.mark.parametrize("name", KINDS)
def test_seven_arms_with_long_names_in_fifteen_languages(name: str, page: Page) -> None:
    # Many small panels take long, and in one column they are the narrowest.
    if (name, page) != ("trajectories", WHOLE):
        draw(name, large(), page)


@pytest.mark.parametrize("page", [WHOLE, Page(style="slides")], ids=["paper", "slides"])
@pytest.mark.parametrize("name", KINDS)
def test_two_targets_with_two_arms(name: str, page: Page) -> None:
    draw(name, kept() if name == "trajectories" else small(), page)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "trajectories"])
def test_a_long_setting_of_one_arm(name: str) -> None:
    draw(name, selected(), WHOLE)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "trajectories"])
def test_one_arm_with_one_seed_in_one_language(name: str) -> None:
    predictions = make_predictions(effects={"none": 0, "english": 1}, languages=("sw",), seeds=(0,))
    draw(name, subject(predictions), HALF)
