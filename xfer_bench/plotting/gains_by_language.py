"""Gains by language: a forest plot, each arm a panel, each language a row, the joint average a diamond on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from xfer_bench.plotting.captions import (
    average_text,
    caption,
    cautions_text,
    interval_text,
    items_text,
    order_text,
    pretraining_text,
    seeds_text,
    seen_text,
    significance_text,
    variant_text,
)
from xfer_bench.plotting.marks import Interval, draw_average, draw_intervals
from xfer_bench.plotting.panels import Row, arm_panels, hatch_handles, present, seen_handles, star_handles
from xfer_bench.plotting.style import Look, Page
from xfer_bench.plotting.subject import Subject
from xfer_bench.stats.estimates import AVERAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Gains by language"
_USUAL = Page()


def gains_by_language_numbers(subject: Subject) -> pl.DataFrame:
    """Every comparison with the baseline: each target's averages, then its languages in order."""
    return subject.headline_variants(subject.gains)


def gains_by_language_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """Gains with intervals, a panel for each arm: averages as diamonds, seen languages as open marks."""
    return arm_panels(
        numbers,
        page,
        handles=[*seen_handles(numbers), *hatch_handles(numbers), *star_handles(numbers)],
        label=f"gain over {numbers['baseline'][0]} (points)",
        draw=_draw,
    )


def gains_by_language_caption(numbers: pl.DataFrame) -> str:
    """What the forest plot shows, and what it rests on."""
    return caption(
        f"Gain in accuracy (points) over {numbers['baseline'][0]} with the same target seed, by arm and language, mean "
        "over seeds; diamonds: averages over languages, from end to end of their interval",
        average_text(numbers),
        f"{items_text(numbers)}; {seeds_text(numbers)}",
        interval_text(numbers),
        significance_text(numbers),
        seen_text(numbers),
        order_text(numbers),
        pretraining_text(numbers),
        variant_text(numbers),
        cautions_text(numbers),
    )


def _draw(ax: Axes, part: pl.DataFrame, rows: list[Row], look: Look) -> None:
    intervals = []
    for row, one in present(rows, part):
        interval = Interval(
            height=row.height,
            value=one["gain"],
            low=one["ci_low"],
            high=one["ci_high"],
            seen=bool(one["seen"]),
            significant=bool(one["significant"]),
        )
        if one["language"] in AVERAGES:
            draw_average(ax, interval, colour=look.colour)
        else:
            intervals.append(interval)
    draw_intervals(ax, intervals, colour=look.colour, marker=look.marker, label=part["arm"][0] if len(part) else "")
