"""One look for all figures: sizes, fonts embedded as text, and what tells arms apart, in colour and in grey.

Marks take their sizes from the style that is in force, so a notebook may use its own.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Style: TypeAlias = Literal["paper", "slides"]
Columns: TypeAlias = Literal[1, 2]

ONE_COLUMN, TWO_COLUMNS = 3.03, 6.3
"""Widths in inches of a figure in one column and across both: those of the ACL's template (7.7 and 16 cm)."""

PNG_DPI = 200

# Okabe and Ito, Color Universal Design (2008), so ordered that neighbours differ in grey too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#000000", "#CC79A7")
MARKERS = ("o", "^", "D", "v", "P", "X", "h", "<")
BASELINE = "#444444"
GREY = "#666666"
LIGHT_GREY = "#D9D9D9"
PALE = "#F0F0F0"
REACH, WIDE_REACH = "#C4C4C4", "#E4E4E4"
DIVERGING = "PuOr_r"
FONT = "DejaVu Sans"

_SLIDE = {1: 6.0, 2: 12.0}
_POINTS: dict[Style, float] = {"paper": 7.5, "slides": 17.0}


@dataclass(frozen=True, kw_only=True)
class Page:
    """Where a figure goes: a paper's column or both, or half a slide or a whole one. Lengths are inches."""

    columns: Columns = 2
    style: Style = "paper"

    @property
    def width(self) -> float:
        """The widest that a figure may be."""
        paper = TWO_COLUMNS if self.columns == 2 else ONE_COLUMN
        return paper if self.style == "paper" else _SLIDE[self.columns]

    @property
    def em(self) -> float:
        """The size of the text: other lengths are measured in it."""
        return _POINTS[self.style] / 72

    @property
    def line(self) -> float:
        """From one line of text to the next."""
        return 1.25 * self.em

    def wide(self, text: str) -> float:
        """About how wide a text is; of several lines the longest."""
        return 0.6 * self.em * max(map(len, text.splitlines()), default=0)

    def letters(self, width: float) -> int:
        """About how many letters go into a width."""
        return max(1, int(width / (0.6 * self.em)))


@dataclass(frozen=True, kw_only=True)
class Look:
    """How an arm is drawn: the colour and, for those who do not see it, the marker."""

    colour: str
    marker: str


def look_of(place: int | None) -> Look:
    """The look of the arm at this place among all arms of a study, the same in every figure; None: the baseline's."""
    if place is None:
        return Look(colour=BASELINE, marker="s")
    return Look(colour=COLOURS[place % len(COLOURS)], marker=MARKERS[place % len(MARKERS)])


def wrapped(name: str, letters: int) -> str:
    """A name in lines of so many letters at most: broken after a separator where there is one, else anywhere."""
    line, lines = "", list[str]()
    for piece in _pieces(name):
        if line and len(line) + len(piece) > letters:
            lines, line = [*lines, line], ""
        line += piece
        while len(line) > letters:
            lines, line = [*lines, line[:letters]], line[letters:]
    return "\n".join(one.strip() for one in [*lines, line] if one.strip())


def shortened(name: str, letters: int) -> str:
    """A name of so many letters at most; the middle of a longer one is left out, as names differ at their ends."""
    if len(name) <= letters:
        return name
    kept = max(2, letters - 1)
    return f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"


def _pieces(name: str) -> Sequence[str]:
    pieces = [""]
    for letter in name:
        pieces[-1] += letter
        if letter in " _-+./,":
            pieces.append("")
    return pieces


def _parameters(style: Style) -> dict[Any, Any]:
    size = _POINTS[style]
    line = size / 10
    return {
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
        "svg.fonttype": "none",
        "font.family": [FONT],
        "font.size": size,
        "axes.titlesize": size,
        "axes.labelsize": size,
        "xtick.labelsize": 0.92 * size,
        "ytick.labelsize": 0.92 * size,
        "legend.fontsize": 0.92 * size,
        "figure.titlesize": 1.1 * size,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.75 * line,
        "axes.titlepad": 0.7 * size,
        "axes.labelpad": 0.4 * size,
        "xtick.major.width": 0.75 * line,
        "ytick.major.width": 0.75 * line,
        "xtick.major.size": 0.35 * size,
        "ytick.major.size": 0.35 * size,
        "xtick.major.pad": 0.35 * size,
        "ytick.major.pad": 0.35 * size,
        "lines.linewidth": 1.4 * line,
        "lines.markersize": 0.52 * size,
        "lines.markeredgewidth": 1.1 * line,
        "hatch.linewidth": 0.55 * line,
        "hatch.color": "#9A9A9A",
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.columnspacing": 1.4,
        # Names of arms and tasks are the user's: a dollar sign in them is no formula.
        "text.parse_math": False,
        "text.usetex": False,
        "figure.constrained_layout.w_pad": 0.04,
        "figure.constrained_layout.h_pad": 0.04,
        "savefig.bbox": None,
    }


@contextmanager
def figure_style(style: Style = "paper") -> Iterator[None]:
    """The style for all that is made and saved inside; it starts from matplotlib's defaults, not the user's."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        with mpl.rc_context(_parameters(style)):
            yield


@contextmanager
def paper_style() -> Iterator[None]:
    """`figure_style("paper")`."""
    with figure_style("paper"):
        yield
