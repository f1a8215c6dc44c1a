"""Marks on given axes. They receive numbers and draw them; nothing is computed or drawn at random here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xfer_bench.plotting.style import DIVERGING, GREY, LIGHT_GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_DARK = 0.62
_MARKER_SIZE = 3.6
_TEXT_SIZE = 7.5
_TEXT_SIZE_TIMES_COLUMNS = 45  # six columns of intervals fit across a page at full size


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One estimate to draw at a height: points, and whether it is drawn with the open square of a seen language."""

    height: float
    value: float
    low: float
    high: float
    seen: bool = False


def draw_heatmap(
    ax: Axes,
    values: Sequence[Sequence[float]],
    *,
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    limit: float,
) -> AxesImage:
    """A matrix of gains in points, coloured around nought from -limit to limit, NaN in grey, each with its text."""
    import matplotlib as mpl

    numbers = np.asarray(values, dtype=np.float64)
    colours = mpl.colormaps[DIVERGING].with_extremes(bad=LIGHT_GREY)
    image = ax.imshow(np.ma.masked_invalid(numbers), cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    for edge in range(1, len(rows)):
        ax.axhline(edge - 0.5, color="white", linewidth=1.5)
    for edge in range(1, len(columns)):
        ax.axvline(edge - 0.5, color="white", linewidth=1.5)
    size = min(_TEXT_SIZE, _TEXT_SIZE_TIMES_COLUMNS / len(columns))
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            strong = abs(numbers[row, column]) > _DARK * limit
            colour = "white" if strong else "black"
            ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=size, linespacing=1.25)
    return image


def draw_intervals(ax: Axes, intervals: Sequence[Interval], *, colour: str, label: str) -> None:
    """Estimates with their intervals, lying: a dot, or an open square where the language was seen."""
    for one in intervals:
        ax.plot([one.low, one.high], [one.height, one.height], color=colour, linewidth=1.1, solid_capstyle="butt")
    for seen, marker, face in ((False, "o", colour), (True, "s", "white")):
        chosen = [one for one in intervals if one.seen == seen]
        ax.plot(
            [one.value for one in chosen],
            [one.height for one in chosen],
            linestyle="none",
            marker=marker,
            markersize=_MARKER_SIZE,
            markerfacecolor=face,
            markeredgecolor=colour,
            markeredgewidth=1.0,
            label=f"{label} (seen)" if seen else label,
        )


def draw_scatter(ax: Axes, x: Sequence[float], y: Sequence[float], *, colour: str, label: str) -> None:
    """Points of one arm."""
    ax.plot(
        x,
        y,
        linestyle="none",
        marker="o",
        markersize=4.5,
        markerfacecolor=colour,
        markeredgecolor="white",
        markeredgewidth=0.5,
        label=label,
    )


def draw_nought(ax: Axes, *, upright: bool) -> None:
    """The line of no gain."""
    line = ax.axvline if upright else ax.axhline
    line(0, color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), zorder=0)
