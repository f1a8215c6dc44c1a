"""Claim examined: the wrong questions in XCOPA as published cost checkpoints accuracy in Thai, Turkish and Swahili.

    python analyses/xcopa_question_defect.py [RESULTS]

Takes every checkpoint that was scored on both variants of XCOPA's test items, as `xfer-bench eval` does, and draws
repaired minus published accuracy.
"""

from pathlib import Path

from pages import drawn, tell

from xfer_bench import Results
from xfer_bench.languages import language
from xfer_bench.plotting.marks import Interval, draw_intervals, draw_nought
from xfer_bench.plotting.style import COLOURS
from xfer_bench.stats import own_results
from xfer_bench.stats.defect import Defect, defect_frame, defects

NAMED = ("th", "tr", "sw", "avg")


def main(folder: Path) -> str:
    """Draw the changes by language; the sentence with those of the languages that have most wrong questions."""
    results = Results(folder)
    found = defects(own_results(results.predictions(), results.stages()))
    # Nowhere else is anything different.
    names = list(dict.fromkeys(one.language for one in found if one.wrong or one.language == "avg"))
    with drawn("xcopa_question_defect", height=0.8 + 0.25 * len(names), numbers=defect_frame(found)) as figure:
        axes = figure.add_subplot()
        for wrong, label in enumerate(("all items", "items with a wrong question")):
            intervals = [
                Interval(height=names.index(one.language) + 0.3 * wrong, value=one.change, low=one.low, high=one.high)
                for one in found
                if one.wrong == bool(wrong) and one.language in names
            ]
            draw_intervals(axes, intervals, colour=COLOURS[wrong], label=label)
        draw_nought(axes, upright=True)
        axes.set_yticks(range(len(names)), list(map(name_of, names)))
        axes.invert_yaxis()
        axes.set_xlabel("repaired minus published accuracy, points")
        figure.legend(loc="outside lower center", ncols=2)
    said = [f"{name_of(one.language)} {points(one)}" for one in found if one.language in NAMED]
    return (
        f"On {found[0].checkpoints} checkpoints, XCOPA (test) with the right questions differs from XCOPA as published "
        f"by, in points with 95 % intervals over items: {'; '.join(said)}."
    )


def points(one: Defect) -> str:
    """The change with its interval, the accuracies, and of which items."""
    said = f"{one.change:+.1f} [{one.low:+.1f}, {one.high:+.1f}] ({one.published:.1f} to {one.repaired:.1f})"
    if not one.wrong:
        return said
    return f"{said} on its {one.n_items} wrong items, of which {one.turned:.1f} % of answers turn"


def name_of(code: str) -> str:
    """In English."""
    known = language(code)
    return "average" if known is None else known.name


if __name__ == "__main__":
    tell(main)
