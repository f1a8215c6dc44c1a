"""Claim examined: multilingual intermediate data help zero-shot transfer more than English data of the same amount.

    python analyses/english_vs_multilingual.py [RESULTS]

Compares the two arms of each contrast that the study named as its question, and draws the first one's differences.
"""

from pathlib import Path

from pages import by_target, drawn, tell

from xfer_bench import Results, compare
from xfer_bench.errors import ResultsError
from xfer_bench.plotting.marks import Interval, draw_intervals, draw_nought
from xfer_bench.plotting.style import COLOURS
from xfer_bench.report.sentences import sentence
from xfer_bench.stats import own_results
from xfer_bench.stats.collapse import collapsed, lame_arms
from xfer_bench.stats.estimates import Comparison


def draw(differences: list[Comparison]) -> None:
    """A panel a target, a row a language; averages come first."""
    panels = by_target(differences)
    with drawn("english_vs_multilingual", width=3.3 * len(panels), height=3.3) as figure:
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            intervals = [
                Interval(height=-place, value=one.gain, low=one.ci_low, high=one.ci_high, seen=bool(one.seen))
                for place, one in enumerate(panel)
            ]
            draw_nought(axes, upright=True)
            draw_intervals(axes, intervals, colour=COLOURS[0], label=panel[0].arm)
            axes.set_yticks([-place for place in range(len(panel))], [one.language for one in panel])
            axes.set_title(f"{panel[0].task} ({panel[0].variant})")
            axes.set_xlabel(f"{panel[0].arm} minus {panel[0].baseline}, points")


def main(folder: Path) -> str:
    """Draw, and say what the evidence supports for each contrast and target."""
    results = Results(folder)
    predictions = own_results(results.predictions(), results.stages())
    contrasts = [(str(arm), str(against)) for arm, against in results.contrasts().rows()]
    if not contrasts:
        raise ResultsError(f"{folder}: its study named no contrast as its question ([[primary]])")
    found = [compare(predictions, contrast=contrast) for contrast in contrasts]
    draw(found[0])
    lame = lame_arms(collapsed(results.stages()))
    return "\n".join(sentence(panel[0], collapsed=lame) for differences in found for panel in by_target(differences))


if __name__ == "__main__":
    tell(main)
