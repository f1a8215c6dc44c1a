"""One look for all figures: sizes for a paper, fonts embedded as text, colours that colour-blind readers can tell."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TWO_COLUMNS = 6.8
"""Width in inches of a figure across both columns of a conference paper."""

PNG_DPI = 200

# Okabe and Ito, Color Universal Design (2008), from the darkest on, so that neighbours also differ in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
GREY = "#666666"
LIGHT_GREY = "#D9D9D9"
DIVERGING = "PuOr_r"

_PARAMETERS: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "legend.frameon": False,
    # Names of arms and tasks are the user's: a dollar sign in them is no formula.
    "text.parse_math": False,
    "text.usetex": False,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.06,
    "savefig.bbox": None,
}


@contextmanager
def paper_style() -> Iterator[None]:
    """The style for all that is made and saved inside; it starts from matplotlib's defaults, not the user's."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        with mpl.rc_context(_PARAMETERS):
            yield
