"""Claim examined: an intermediate task that is learnt better gives a larger gain on the target.

    python analyses/gain_correlation.py [RESULTS]

Each point is one trained intermediate stage: what it gained on its own development data against what the target gained.
"""

from pathlib import Path

from pages import drawn, tell

from xfer_bench import Results
from xfer_bench.errors import ResultsError
from xfer_bench.plotting.marks import draw_nought, draw_scatter
from xfer_bench.plotting.style import look_of
from xfer_bench.stats import own_results, relate
from xfer_bench.stats.correlation import Relation


def draw(relations: list[Relation]) -> None:
    """A panel a target, a colour an arm."""
    with drawn("gain_correlation", width=3.3 * len(relations), height=2.8) as figure:
        for axes, one in zip(figure.subplots(1, len(relations), squeeze=False)[0], relations, strict=True):
            draw_nought(axes, upright=False)
            for place, arm in enumerate(sorted({point.arm for point in one.points})):
                mine = [point for point in one.points if point.arm == arm]
                look = look_of(place)
                x, y = [point.intermediate for point in mine], [point.gain for point in mine]
                draw_scatter(axes, x, y, colour=look.colour, marker=look.marker, label=arm)
            axes.set_title(f"{one.task} ({one.variant})")
            axes.set_xlabel(f"intermediate: {one.measure}, points")
            axes.set_ylabel(f"gain on the target, {one.language}, points")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)


def said(one: Relation) -> str:
    """The correlation of one target with its interval, or why there is none."""
    found = one.correlation
    where = f"On {one.task} ({one.variant}, {one.split}, {one.setting}; {one.language}; {one.n_items} items)"
    if found.r is None:
        return f"{where} there is no correlation to tell: {found.reason}."
    p = "too few tasks for a test over tasks" if found.p_value is None else f"p = {found.p_value:.3f} over tasks"
    return (
        f"{where} r = {found.r:.2f} [{found.low:.2f}, {found.high:.2f}] over {found.over}, {found.n_points} "
        f"intermediate stages of {found.n_tasks} tasks; {p}."
    )


def main(folder: Path) -> str:
    """Draw, and tell each target's correlation."""
    results = Results(folder)
    relations = relate(own_results(results.predictions(), results.stages()), results.stages())
    if not relations:
        raise ResultsError(f"{folder}: no run with an intermediate stage shares a target seed with the baseline")
    draw(relations)
    return "\n".join(map(said, relations))


if __name__ == "__main__":
    tell(main)
