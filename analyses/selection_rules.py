"""Claim examined: it matters by which rule a checkpoint is chosen.

    python analyses/selection_rules.py [RESULTS]

Needs results of several steps of a training (a recipe's `keep`) on test and on validation items.
"""

from pathlib import Path

import polars as pl
from pages import RESULTS, drawn, tell

from xfer_bench import Results
from xfer_bench.errors import ResultsError
from xfer_bench.plotting.marks import draw_points
from xfer_bench.plotting.style import look_of
from xfer_bench.stats.estimates import ENGLISH
from xfer_bench.stats.rules import Rule
from xfer_bench.stats.selection import chosen, steps_of_trainings
from xfer_bench.stats.variants import narrow

RULES = tuple(Rule(name=name) for name in ("own", "last", "target", "oracle"))


def averages(folder: Path) -> pl.DataFrame:
    """A row a rule and arm: `accuracy`, the mean over test items, languages but English, and seeds, in points."""
    predictions = narrow(Results(folder).predictions()).predictions
    if max(steps_of_trainings(predictions)) < 2:
        raise ResultsError(f"{folder}: no run has predictions of several steps; train with `keep`, and evaluate them")
    picked = chosen(predictions, *RULES).filter(pl.col("language") != ENGLISH, split="test")
    return picked.group_by("rule", "arm", maintain_order=True).agg(pl.col("accuracy").mean())


def main(folder: Path) -> str:
    """Draw, and tell the averages by rule."""
    found = averages(folder)
    arms, rules = (found[name].unique(maintain_order=True).to_list() for name in ("arm", "rule"))
    with drawn("selection_rules", height=2.0) as figure:
        axes = figure.add_subplot()
        for place, arm in enumerate(arms):
            mine = found.filter(arm=arm)
            look = look_of(place)
            heights = [-rules.index(rule) - 0.15 * place for rule in mine["rule"]]
            draw_points(axes, mine["accuracy"].to_list(), heights, colour=look.colour, marker=look.marker, label=arm)
        axes.set_yticks([-place for place in range(len(rules))], rules)
        axes.set_xlabel("accuracy, all languages but English, points")
        figure.legend(loc="outside upper center", ncols=3)
    means = found.group_by("rule", maintain_order=True).agg(pl.col("accuracy").mean()).rows()
    return "Mean over arms and languages but English: " + "; ".join(f"{rule} {mean:.1f}" for rule, mean in means) + "."


if __name__ == "__main__":
    tell(main, committed=RESULTS / "xcopa-steps-starter")
