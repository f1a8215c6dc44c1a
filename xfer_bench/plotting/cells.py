"""Marks of heatmaps on given axes: cells with their texts, frames, dividers and hatches. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xfer_bench.plotting.marks import HATCH
from xfer_bench.plotting.style import DIVERGING, GREY, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_DARK = 0.62


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a heatmap: its value in points, NaN for none, and its text. seen: gets a frame."""

    value: float
    text: str = ""
    seen: bool = False


def draw_heatmap(
    ax: Axes,
    cells: Sequence[Sequence[Cell]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    limit: float,
    text_size: float | str = "medium",
) -> AxesImage:
    """A matrix of gains in points, coloured around nought from -limit to limit, none in grey, each with its text."""
    import matplotlib as mpl

    numbers = np.array([[cell.value for cell in line] for line in cells], dtype=np.float64)
    colours = mpl.colormaps[DIVERGING].with_extremes(bad=PALE)
    image = ax.imshow(np.ma.masked_invalid(numbers), cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    gap = mpl.rcParams["lines.linewidth"]
    for edge in range(1, len(rows)):
        ax.axhline(edge - 0.5, color="white", linewidth=gap)
    for edge in range(1, len(columns)):
        ax.axvline(edge - 0.5, color="white", linewidth=gap)
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            strong = abs(cell.value) > _DARK * limit
            if cell.text:
                colour = "white" if strong else "black"
                ax.text(column, row, cell.text, ha="center", va="center", color=colour, fontsize=text_size)
            if cell.seen:
                draw_frame(ax, column, row)
    return image


def draw_shades(
    ax: Axes,
    values: Sequence[Sequence[float]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    text_size: float | str = "medium",
) -> None:
    """A matrix of numbers from nought on, each written and shaded by size; none is blank. Columns' names stand up."""
    import matplotlib as mpl

    numbers = np.ma.masked_invalid(np.asarray(values, dtype=np.float64))
    # Light shades only, so that black text is easy to read on all.
    highest = 2.2 * max(1e-9, float(numbers.max()) if numbers.count() else 1.0)
    ax.imshow(numbers, cmap=mpl.colormaps["Greys"], vmin=0, vmax=highest, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, rotation=90)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for row, line in enumerate(numbers.filled(np.nan)):
        for column, value in enumerate(line):
            if not np.isnan(value):
                ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=text_size)


def draw_divider(ax: Axes, place: float, *, upright: bool, faint: bool = False) -> None:
    """A white gap between two groups of a heatmap's columns or rows; faint: a narrow one."""
    import matplotlib as mpl

    line = ax.axvline if upright else ax.axhline
    line(place, color="white", linewidth=(2 if faint else 4) * mpl.rcParams["lines.linewidth"], zorder=1)


def draw_frame(ax: Axes, column: float, row: float) -> None:
    """A frame inside a heatmap's cell: the language was seen. White around black, to show on any colour."""
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    width = mpl.rcParams["lines.linewidth"]
    for colour, line in (("white", 1.5 * width), ("black", 0.6 * width)):
        box = Rectangle((column - 0.42, row - 0.42), 0.84, 0.84, fill=False, edgecolor=colour, linewidth=line, zorder=2)
        ax.add_patch(box)


def draw_hatched_cell(ax: Axes, left: float, bottom: float, width: float, height: float) -> None:
    """Hatch a box of the axes' own coordinates: the language is not in the pretraining data."""
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle(
            (left, bottom),
            width,
            height,
            facecolor="white",
            edgecolor=GREY,
            hatch=2 * HATCH,
            linewidth=0,
            clip_on=False,
        )
    )
