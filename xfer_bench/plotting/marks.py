"""Marks on given axes. They receive numbers and draw them; nothing is computed or drawn at random here.

Sizes are those of the style in force (`lines.markersize`, `lines.linewidth`, `font.size`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xfer_bench.plotting.style import BASELINE, GREY, LIGHT_GREY, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNIFICANT = "*"
HATCH = "////"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One estimate to draw at a height: points, and whether it is drawn with the open mark of a seen language.

    significant: gets a star at its right end.
    """

    height: float
    value: float
    low: float
    high: float
    seen: bool = False
    significant: bool = False


def draw_intervals(ax: Axes, intervals: Sequence[Interval], *, colour: str, label: str, marker: str = "o") -> None:
    """Estimates with their intervals, lying: a filled mark, or an open one where the language was seen."""

    for one in intervals:
        ax.plot([one.low, one.high], [one.height, one.height], color=colour, solid_capstyle="butt", zorder=2)
        if one.significant:
            draw_star(ax, max(one.low, one.high), one.height, colour=colour)
    for seen in (False, True):
        chosen = [one for one in intervals if one.seen == seen]
        if chosen:
            draw_points(
                ax,
                [one.value for one in chosen],
                [one.height for one in chosen],
                colour=colour,
                marker=marker,
                label=f"{label} (seen)" if seen else label,
                seen=seen,
            )


def draw_points(
    ax: Axes, x: Sequence[float], y: Sequence[float], *, colour: str, label: str, marker: str = "o", seen: bool = False
) -> None:
    """Marks without a line, filled, or open where the language was seen."""
    ax.plot(
        x,
        y,
        linestyle="none",
        marker=marker,
        markerfacecolor="white" if seen else colour,
        markeredgecolor=colour,
        label=label,
        zorder=3,
    )


def draw_scatter(
    ax: Axes, x: Sequence[float], y: Sequence[float], *, colour: str, label: str, marker: str = "o"
) -> None:
    """Points of one arm, larger than other marks, with a white edge that keeps them apart."""
    import matplotlib as mpl

    ax.plot(
        x,
        y,
        linestyle="none",
        marker=marker,
        markersize=1.3 * mpl.rcParams["lines.markersize"],
        markerfacecolor=colour,
        markeredgecolor="white",
        markeredgewidth=0.5 * mpl.rcParams["lines.markeredgewidth"],
        label=label,
        zorder=3,
    )


def draw_reference(ax: Axes, x: Sequence[float], y: Sequence[float], *, marker: str, label: str) -> None:
    """What others published, in grey; marker: one that has no face (`x`, `+`, `1`), so that it is no arm's."""
    ax.plot(x, y, linestyle="none", marker=marker, color=GREY, label=label, zorder=2)


def draw_star(ax: Axes, x: float, y: float, *, colour: str = "black") -> None:
    """A star right of a point: the adjusted test says that it is not nought."""
    import matplotlib as mpl

    size = mpl.rcParams["font.size"]
    # The star of most fonts hangs at the top of the line.
    ax.annotate(
        SIGNIFICANT, (x, y), xytext=(0.2 * size, -0.2 * size), textcoords="offset points", va="center", color=colour
    )


def draw_average(ax: Axes, interval: Interval, *, colour: str) -> None:
    """An average as the diamond of meta-analyses, from the low to the high end of its interval."""
    from matplotlib.patches import Polygon

    middle, half = interval.height, 0.3
    low, value, high = interval.low, interval.value, interval.high
    corners = [(low, middle), (value, middle + half), (high, middle), (value, middle - half)]
    ax.add_patch(Polygon(corners, closed=True, facecolor=colour, edgecolor=colour, zorder=2))
    if interval.significant:
        draw_star(ax, max(low, high), middle, colour=colour)


def draw_errors(ax: Axes, x: Sequence[float], *, low: Sequence[float], high: Sequence[float], colour: str) -> None:
    """Upright intervals."""
    import matplotlib as mpl

    ax.vlines(x, low, high, color=colour, linewidth=0.7 * mpl.rcParams["lines.linewidth"], zorder=2)


def draw_band(ax: Axes, x: Sequence[float], y: Sequence[float], *, low: Sequence[float], high: Sequence[float]) -> None:
    """A line with a shaded band around it."""
    import matplotlib as mpl

    ax.fill_between(x, low, high, color=LIGHT_GREY, linewidth=0, zorder=0)
    ax.plot(x, y, color=GREY, linewidth=0.8 * mpl.rcParams["lines.linewidth"], zorder=1)


def draw_collapsed(ax: Axes, x: float, y: float) -> None:
    """A run that learnt nothing."""
    ax.plot([x], [y], linestyle="none", marker="X", color=BASELINE, zorder=3)


def draw_trajectory(
    ax: Axes,
    x: Sequence[float],
    y: Sequence[float],
    *,
    low: Sequence[float],
    high: Sequence[float],
    look: Look,
    seen: bool = False,
) -> None:
    """A line over steps with its marks, open where the language was seen, and pale from low to high."""
    import matplotlib as mpl

    ax.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0, zorder=1)
    ax.plot(
        x,
        y,
        color=look.colour,
        marker=look.marker,
        markersize=0.7 * mpl.rcParams["lines.markersize"],
        markerfacecolor="white" if seen else look.colour,
        linewidth=0.8 * mpl.rcParams["lines.linewidth"],
        zorder=2,
    )


def draw_choice(
    ax: Axes, x: Sequence[float], y: Sequence[float], *, colour: str, marker: str, size: float = 1.9
) -> None:
    """A thin ring around a checkpoint that a rule chooses; size: how many times as wide as the checkpoint's mark."""
    import matplotlib as mpl

    ax.plot(
        x,
        y,
        linestyle="none",
        marker=marker,
        markersize=0.8 * size * mpl.rcParams["lines.markersize"],
        markeredgewidth=0.7 * mpl.rcParams["lines.markeredgewidth"],
        markerfacecolor="none",
        color=colour,
        zorder=3,
    )


def draw_group(ax: Axes, place: float, *, low: float, high: float) -> None:
    """An upright bar that joins what belongs together."""
    import matplotlib as mpl

    ax.plot([place, place], [low, high], color=BASELINE, linewidth=1.8 * mpl.rcParams["lines.linewidth"])


def draw_reach(ax: Axes, height: float, reach: float, *, colour: str) -> None:
    """A lying bar from -reach to reach."""
    bars = ax.barh(height, 2 * reach, height=0.62, left=-reach, color=colour, linewidth=0, zorder=1)
    for bar in bars:
        # Else the axes would end where the longest begins, as if it were cut off.
        bar.sticky_edges.x.clear()


def draw_nought(ax: Axes, *, upright: bool) -> None:
    """The line of no gain."""
    import matplotlib as mpl

    line = ax.axvline if upright else ax.axhline
    line(0, color=GREY, linewidth=0.6 * mpl.rcParams["lines.linewidth"], linestyle=(0, (4, 2)), zorder=1.5)


def draw_chance(ax: Axes, chance: float, *, upright: bool) -> None:
    """The accuracy of guessing, as a dotted line."""
    import matplotlib as mpl

    line = ax.axvline if upright else ax.axhline
    line(chance, color=BASELINE, linewidth=0.8 * mpl.rcParams["lines.linewidth"], linestyle=":", zorder=1)


def draw_hatched_row(ax: Axes, low: float, high: float) -> None:
    """Hatch a band across the axes: the language is not in the pretraining data."""
    ax.axhspan(low, high, facecolor="none", edgecolor=LIGHT_GREY, hatch=HATCH, linewidth=0, zorder=0)


def draw_hatched_panel(ax: Axes) -> None:
    """Hatch all of the axes: the language is not in the pretraining data."""
    from matplotlib.patches import Rectangle

    ax.add_patch(
        Rectangle(
            (0, 0),
            1,
            1,
            transform=ax.transAxes,
            facecolor="none",
            edgecolor=LIGHT_GREY,
            hatch=HATCH,
            linewidth=0,
            zorder=0,
        )
    )
