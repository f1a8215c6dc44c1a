"""Claim examined: with the same items for as many steps, their language matters for zero-shot XCOPA.

    python analyses/language_of_intermediate.py [RESULTS]

Compares the arm that saw one language per item with the arm that saw the same items in English only, and draws the
differences into runs/analyses/.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from xfer_bench import Results, compare
from xfer_bench.plotting.marks import Interval, draw_intervals, draw_nought
from xfer_bench.plotting.style import paper_style

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "data" / "results" / "xcopa-starter"
DRAWN = ROOT / "runs" / "analyses" / "language_of_intermediate.pdf"
MIXED, ENGLISH = "xnli-15", "xnli-en"


def main(folder: Path) -> str:
    """Draw the differences by language; the sentence with the headline's numbers."""
    differences = compare(Results(folder).predictions(), contrast=(MIXED, ENGLISH))
    with paper_style():
        figure = Figure(figsize=(3.3, 3.3))
        axes = figure.add_subplot()
        intervals = [
            Interval(height=height, value=one.gain, low=one.ci_low, high=one.ci_high, seen=bool(one.seen))
            for height, one in enumerate(differences)
        ]
        draw_intervals(axes, intervals, colour="C0", label=MIXED)
        draw_nought(axes, upright=True)
        axes.set_yticks(range(len(differences)), [one.language for one in differences])
        axes.set_xlabel(f"accuracy of {MIXED} minus {ENGLISH}, points")
        DRAWN.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(DRAWN)
    headline = differences[0]
    return (
        f"On {headline.task} ({headline.split}, {headline.language}: {' '.join(headline.languages)}; "
        f"{headline.n_clusters} items, {headline.n_seeds} seeds), one language per item gave {headline.gain:+.1f} "
        f"points over the same items in English, 95 % interval [{headline.ci_low:+.1f}, {headline.ci_high:+.1f}] "
        f"over items, p = {headline.p_value:.3f}."
    )


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1]) if len(sys.argv) > 1 else COMMITTED) + "\n")
