from io import BytesIO
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.predictions import make_predictions, make_stages
from xfer_bench.plotting.figures import (
    heatmap_figure,
    heatmap_numbers,
    languages_figure,
    languages_numbers,
    scatter_figure,
    scatter_numbers,
)
from xfer_bench.plotting.style import paper_style
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.correlation import relate
from xfer_bench.stats.method import Method

PREDICTIONS = pl.concat([make_predictions(), make_predictions(task="xnli", items_per_cluster=3)]).with_columns(
    run=pl.col("run") + pl.col("task")
)
COMPARISONS = compare(PREDICTIONS, method=Method(resamples=49))
RELATIONS = relate(PREDICTIONS, make_stages(PREDICTIONS), resamples=49)


def texts(figure: Figure) -> list[Text]:
    """All text that is drawn. Ticks beyond the ends of an axis exist, but are not."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in figure.axes:
        found += [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= float(tick.get_loc()) <= high:
                    found += [tick.label1, tick.label2]
    return [
        text for text in found if text.get_text() and text.get_visible() and (not text.axes or text.axes.get_visible())
    ]


def drawn_points(ax: Axes, marker: str) -> set[tuple[float, float]]:
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return {(x, y) for line in lines for x, y in np.asarray(line.get_xydata()).tolist()}


def assert_no_text_overlaps(figure: Figure) -> None:
    figure.savefig(BytesIO())
    page = figure.bbox
    boxes = [(one.get_text(), one.get_window_extent()) for one in texts(figure)]
    for text, box in boxes:
        assert page.x0 <= box.x0, text
        assert page.y0 <= box.y0, text
        assert box.x1 <= page.x1, text
        assert box.y1 <= page.y1, text
    for (one, first), (two, second) in combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= 1 or high <= 1, f"{one!r} overlaps {two!r}"


def test_heatmap_shows_the_numbers_of_its_table() -> None:
    numbers = heatmap_numbers(COMPARISONS)
    assert len(numbers) == 2 * 2 * 2
    with paper_style():
        figure = heatmap_figure(numbers)
    axes = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in axes] == ["mean over unseen languages", "mean over all languages but English"]
    for ax, average in zip(axes, ("avg_unseen", "avg"), strict=True):
        drawn = ax.images[0].get_array()
        assert drawn is not None
        assert drawn.shape == (3, 2)
        assert drawn[0].tolist() == [0, 0]
        for row, arm in enumerate(("english", "mixed"), start=1):
            for column, task in enumerate(("xcopa", "xnli")):
                cell = numbers.filter(language=average, arm=arm, task=task)
                assert drawn[row, column] == cell["gain"].item()
                assert f"{cell['gain'].item():+.1f}".replace("-", "−") in ax.texts[2 * row + column].get_text()


def test_an_empty_cell_is_empty() -> None:
    numbers = heatmap_numbers(COMPARISONS).filter((pl.col("arm") != "mixed") | (pl.col("task") != "xnli"))
    with paper_style():
        drawn = heatmap_figure(numbers).axes[0].images[0].get_array()
    assert drawn is not None
    assert np.ma.getmaskarray(drawn).tolist() == [[False, False], [False, False], [False, True]]


def test_forest_plot_shows_the_numbers_of_its_table() -> None:
    numbers = languages_numbers(COMPARISONS)
    assert len(numbers) == sum(one.language != "avg_published" for one in COMPARISONS)
    with paper_style():
        figure = languages_figure(numbers)
    for ax, task in zip(figure.axes, ("xcopa", "xnli"), strict=True):
        rows = numbers.filter(task=task)
        bars = {
            tuple(map(tuple, np.asarray(line.get_xydata()).tolist()))
            for line in ax.lines
            if line.get_marker() == "None"
        }
        seen = pl.col("seen").fill_null(value=False)
        assert drawn_points(ax, "s") == set(rows.filter(seen).select("gain", "height").rows())
        assert drawn_points(ax, "o") == set(rows.filter(~seen).select("gain", "height").rows())
        for low, high, height in rows.select("ci_low", "ci_high", "height").iter_rows():
            assert ((low, height), (high, height)) in bars


def test_averages_stand_above_the_languages() -> None:
    numbers = languages_numbers(COMPARISONS)
    averages = numbers.filter(pl.col("language").is_in(["avg", "avg_unseen"]))["height"]
    others = numbers.filter(~pl.col("language").is_in(["avg", "avg_unseen"]))["height"]
    assert min(averages) > max(others) + 0.5
    assert numbers.select("task", "height").is_unique().all()


def test_scatter_shows_the_numbers_of_its_table() -> None:
    numbers = scatter_numbers(RELATIONS)
    assert len(numbers) == 8
    with paper_style():
        figure = scatter_figure(numbers)
    for ax, relation in zip(figure.axes, RELATIONS, strict=True):
        assert drawn_points(ax, "o") == {(point.intermediate, point.gain) for point in relation.points}
        assert relation.correlation.r is not None
        assert f"r = {relation.correlation.r:.2f}".replace("-", "−") in ax.get_title()
        assert "4 runs, 2 tasks, 2 seeds" in ax.get_title()


def test_without_a_correlation_the_title_says_why() -> None:
    predictions = make_predictions(effects={"none": 0, "english": 0.5})
    relations = relate(predictions, make_stages(predictions), resamples=9)
    with paper_style():
        figure = scatter_figure(scatter_numbers(relations))
    assert "no r (2 points are too few" in figure.axes[0].get_title()


@pytest.mark.parametrize("number_of_targets", [1, 2, 3, 5])
@pytest.mark.parametrize("number_of_arms", [1, 4])
def test_no_text_overlaps_another_or_leaves_the_page(number_of_targets: int, number_of_arms: int) -> None:
    languages = ("en", "et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")
    arms = ["english", "xnli_dev_one_language_per_item", "siqa", "multilingual"][:number_of_arms]
    predictions = pl.concat(
        [
            make_predictions(
                task=task,
                n_items=30,
                languages=languages,
                effects={"none": 0, **{arm: 2.0 * place for place, arm in enumerate(arms)}},
                seen={arm: languages[: 2 * place] for place, arm in enumerate(arms)},
            ).with_columns(run=pl.col("run") + task)
            for task in ("xcopa", "xnli", "belebele", "exams", "xwinograd")[:number_of_targets]
        ]
    )
    comparisons = compare(predictions, method=Method(resamples=49))
    relations = relate(predictions, make_stages(predictions), resamples=9)
    with paper_style():
        assert_no_text_overlaps(heatmap_figure(heatmap_numbers(comparisons)))
        assert_no_text_overlaps(languages_figure(languages_numbers(comparisons)))
        assert_no_text_overlaps(scatter_figure(scatter_numbers(relations)))


def test_every_figure_says_what_it_rests_on() -> None:
    with paper_style():
        figures = [
            heatmap_figure(heatmap_numbers(COMPARISONS)),
            languages_figure(languages_numbers(COMPARISONS)),
            scatter_figure(scatter_numbers(RELATIONS)),
        ]
    for figure in figures:
        words = " ".join(one.get_text() for one in texts(figure)).replace("\n", " ")
        for needed in ("xcopa", "CO, test", "60 items", "2 seeds", "95 % percentile interval"):
            assert needed in words
