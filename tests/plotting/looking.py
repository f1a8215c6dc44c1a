"""What is seen in a figure: its texts, where they lie, and the points that are drawn."""

from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

# Pixels at 100 dots an inch that boxes of text may share: their corners are empty.
_TOUCHING = 1.0


def texts(figure: Figure) -> list[Text]:
    """All text that is drawn. Ticks beyond the ends of an axis exist, but are not."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in (*figure.axes, *(child for one in figure.axes for child in one.child_axes)):
        if not ax.get_visible():
            continue
        found += [ax.title, *ax.texts]
        if not ax.axison:
            continue
        found += [ax.xaxis.label, ax.yaxis.label]
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= float(tick.get_loc()) <= high]
            found += [label for tick in ticks for label in (tick.label1, tick.label2)]
    return list({id(text): text for text in found if text.get_text().strip() and text.get_visible()}.values())


def assert_legible(figure: Figure) -> None:
    """No text leaves the page, and none overlaps another, a legend's box included."""
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = [(one.get_text(), one.get_window_extent()) for one in texts(figure)]
    for text, box in boxes:
        assert page.x0 - 1 <= box.x0, f"{text!r} leaves the page on the left"
        assert page.y0 - 1 <= box.y0, f"{text!r} leaves the page below"
        assert box.x1 <= page.x1 + 1, f"{text!r} leaves the page on the right"
        assert box.y1 <= page.y1 + 1, f"{text!r} leaves the page above"
    for (one, first), (two, second) in combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= _TOUCHING or high <= _TOUCHING, f"{one!r} overlaps {two!r}"


def drawn_points(ax: Axes, *markers: str) -> set[tuple[float, float]]:
    """Where there are marks of these shapes."""
    lines = [line for line in ax.lines if line.get_marker() in markers]
    return {(x, y) for line in lines for x, y in np.asarray(line.get_xydata(), dtype=np.float64).tolist()}


def drawn_lines(ax: Axes) -> set[tuple[tuple[float, float], ...]]:
    """Lines without marks."""
    return {
        tuple((x, y) for x, y in np.asarray(line.get_xydata(), dtype=np.float64).tolist())
        for line in ax.lines
        if line.get_marker() in {"None", ""}
    }


def words(figure: Figure) -> str:
    """All its text in one line."""
    return " ".join(one.get_text() for one in texts(figure)).replace("\n", " ")
