"""Claim examined: seeds decide less than arms do.

    python analyses/seed_spread.py [RESULTS]

The mean accuracy over all languages but English of every run, a dot each.
"""

from pathlib import Path

import polars as pl
from pages import drawn, tell

from xfer_bench import Results, accuracy
from xfer_bench.plotting.marks import draw_points
from xfer_bench.plotting.style import look_of
from xfer_bench.stats import own_results
from xfer_bench.stats.estimates import ENGLISH
from xfer_bench.stats.variants import narrow

TARGET = ["task", "variant", "split", "setting", "target"]


def runs_of(folder: Path) -> pl.DataFrame:
    """A row a run: its target, arm and `accuracy`, the mean over languages, in points."""
    results = Results(folder)
    rows = narrow(own_results(results.predictions(), results.stages())).predictions
    scores = accuracy(rows).filter(pl.col("language") != ENGLISH)
    return scores.group_by(*TARGET, "arm", "run").agg(pl.col("accuracy").mean()).sort(*TARGET, "arm", "run")


def said(runs: pl.DataFrame) -> str:
    """How far arms are from one another, beside how far the runs of one arm are."""
    arms = runs.group_by("arm").agg(mean=pl.col("accuracy").mean(), sd=pl.col("accuracy").std())
    task, variant, split, setting = map(str, runs.select(TARGET[:4]).row(0))
    within, between = (arms["sd"].drop_nulls() ** 2).mean(), arms["mean"].std()
    if not isinstance(within, float) or not isinstance(between, float):
        return f"On {task} ({variant}, {split}, {setting}) every arm has one run: nothing is known of seeds."
    return (
        f"On {task} ({variant}, {split}, {setting}; all languages but English) the means of {arms.height} arms have a "
        f"standard deviation of {between:.1f} points; runs of one arm that differ in their seeds alone have "
        f"{within**0.5:.1f} ({runs.height} runs in all)."
    )


def main(folder: Path) -> str:
    """Draw, and tell both spreads for each target."""
    targets = runs_of(folder).partition_by(TARGET, maintain_order=True)
    with drawn("seed_spread", width=3.3 * len(targets), height=2.4) as figure:
        for axes, runs in zip(figure.subplots(1, len(targets), squeeze=False)[0], targets, strict=True):
            arms = runs["arm"].unique().sort().to_list()
            for place, arm in enumerate(arms):
                mine = runs.filter(arm=arm)["accuracy"].to_list()
                look = look_of(place)
                draw_points(axes, mine, [-place] * len(mine), colour=look.colour, marker=look.marker, label=arm)
            axes.set_yticks([-place for place in range(len(arms))], arms)
            axes.set_title(f"{runs['task'][0]} ({runs['variant'][0]})")
            axes.set_xlabel("accuracy of a run, points")
    return "\n".join(map(said, targets))


if __name__ == "__main__":
    tell(main)
