from dataclasses import asdict

import polars as pl

from tests.plotting.invented import large, small
from tests.plotting.looking import drawn_lines, drawn_points, words
from xfer_bench.plotting.ranking import ranking_caption, ranking_figure, ranking_numbers
from xfer_bench.plotting.style import figure_style, look_of
from xfer_bench.stats.ranking import rank


def test_ranks_are_those_of_the_statistics_on_the_line_of_those_that_may_be() -> None:
    about = small()
    numbers = ranking_numbers(about)
    rankings = rank(about.predictions, resamples=499)
    with figure_style():
        figure = ranking_figure(numbers)
    for ax, ranking in zip(figure.axes, rankings, strict=True):
        rows = numbers.filter(task=ranking.task)
        for one, row in zip(ranking.ranks, rows.iter_rows(named=True), strict=True):
            assert asdict(one).items() <= row.items()
            assert (one.rank, row["height"]) in drawn_points(ax, look_of(row["arm_place"]).marker)
            assert ((one.rank_low, row["height"]), (one.rank_high, row["height"])) in drawn_lines(ax)


def test_every_tie_group_has_its_bar() -> None:
    numbers = ranking_numbers(large())
    with figure_style():
        figure = ranking_figure(numbers)
    for ax, task in zip(figure.axes, ("xnli",), strict=True):
        upright = [line for line in drawn_lines(ax) if line[0][0] == line[1][0] and line[0][1] != line[1][1]]
        assert len(upright) == numbers.filter(task=task)["group"].n_unique()


def test_gains_and_the_chance_to_be_best_stand_beside() -> None:
    numbers = ranking_numbers(small())
    with figure_style():
        said = words(ranking_figure(numbers))
    for gain in numbers.filter(arm="mixed")["gain"]:
        assert f"mixed {gain:+.1f}".replace("-", "−") in said
    assert "none (baseline)" in said
    assert "%" in said


def test_the_caption_says_what_it_rests_on() -> None:
    said = ranking_caption(ranking_numbers(small()))
    for needed in ("by gain over none", "mean over unseen languages", "n = 60 items", "2 seeds an arm", "simultaneous",
                   "tie groups", "499 resamples"):  # fmt: skip
        assert needed in said


def test_ranks_over_a_handful_of_clusters_are_called_uncertain() -> None:
    numbers = ranking_numbers(small())
    assert "too few" not in ranking_caption(numbers)
    assert "3 clusters are too few" in ranking_caption(numbers.with_columns(n_clusters=pl.lit(3)))
