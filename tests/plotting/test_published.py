"""The figure of published accuracies: a bar each, hatched where the model never saw the language."""

from itertools import pairwise

import polars as pl
import pytest
from matplotlib.patches import Rectangle

from xfer_bench.errors import ResultsError
from xfer_bench.plotting.published import published_caption, published_figure, published_numbers
from xfer_bench.plotting.style import paper_style
from xfer_bench.published import references

CHART = references("xcopa").filter(pl.col("reading") == "digitised")
NUMBERS = published_numbers(CHART)


def test_every_value_is_a_bar_from_the_level_of_chance() -> None:
    with paper_style():
        axes = published_figure(NUMBERS).axes[0]
    bars = [bar for container in axes.containers for bar in container if isinstance(bar, Rectangle)]
    assert sorted(round(bar.get_y() + bar.get_height(), 6) for bar in bars) == sorted(NUMBERS["accuracy"])
    assert {bar.get_y() for bar in bars} == {50.0}
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == [
        "en", "et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"
    ]  # fmt: skip


def test_hatched_is_what_a_model_never_saw() -> None:
    unseen = NUMBERS.filter(~pl.col("in_pretraining")).group_by("model").agg(pl.col("language").sort())
    assert {model: set(codes) for model, codes in unseen.iter_rows()} == {
        "XLM-R-base": {"ht", "qu"},
        "XLM-R-large": {"ht", "qu"},
        "mBERT": {"qu"},
        "MultiUSE": {"et", "ht", "id", "qu", "sw", "ta", "vi"},
    }
    with paper_style():
        axes = published_figure(NUMBERS).axes[0]
    hatched = [bar for container in axes.containers for bar in container if bar.get_hatch()]
    assert len(hatched) == 12


def test_labels_do_not_touch() -> None:
    with paper_style():
        figure = published_figure(NUMBERS)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
        legend = axes.get_legend()
        assert legend is not None
        box, whole = legend.get_window_extent(), figure.bbox
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1


def test_the_caption_says_that_values_were_measured_in_pixels() -> None:
    caption = published_caption(NUMBERS)
    assert "cambridgeltl/xcopa baselines.png @e2e9d7f" in caption
    assert "measured in the pixels" in caption
    assert "Not known" not in caption
    printed = published_numbers(references("xcopa").filter(table="leaderboard"))
    assert "Not known for Human, MAD-X-base, RoBERTa-large." in published_caption(printed)


def test_one_figure_is_of_one_table() -> None:
    with pytest.raises(ResultsError, match="xcopa, figure baselines; xcopa, leaderboard"):
        published_numbers(references("xcopa"))
    with pytest.raises(ResultsError, match="no published accuracies of single languages"):
        published_numbers(references("xnli"))
