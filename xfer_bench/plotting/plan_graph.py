"""A plan as a picture: every stage once, an edge to each stage that goes on from it, and what the runs end in."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from xfer_bench.plotting.style import PNG_DPI, TWO_COLUMNS, paper_style
from xfer_bench.results import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xfer_bench.plan import Plan, Stage

_BOX = (0.82, 0.74)
_ROW_INCHES = 0.5
_SHARED, _ALONE, _EDGE = "#cfe3f3", "#f2f2f2", "0.45"


def plan_figure(plan: "Plan", *, model: str) -> "Figure":
    """Stages from left to right in the order of training; those that several runs share are filled in blue.

    model: what the first stages start from. As high as the plan has stages in its longest column.
    """
    from matplotlib.figure import Figure

    columns = _columns(plan.stages)
    rows = max(len(column) for column in columns)
    figure = Figure(figsize=(TWO_COLUMNS, 0.5 + _ROW_INCHES * rows))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_axis_off()
    places = {
        stage.key: (column + 1.0, -(number + 0.5) * rows / len(stages))
        for column, stages in enumerate(columns)
        for number, stage in enumerate(stages)
    }
    start = (0.0, -rows / 2)
    for stage in plan.stages:
        here, before = places[stage.key], places[stage.parent.key] if stage.parent else start
        axes.plot([before[0] + _BOX[0] / 2, here[0] - _BOX[0] / 2], [before[1], here[1]], color=_EDGE, lw=0.7, zorder=1)
    _box(axes, start, [model], colour=_ALONE)
    for stage in plan.stages:
        runs = plan.runs_through(stage)
        arms = list(dict.fromkeys(run.arm for run in runs))
        ends = (
            [f"for {', '.join(arms)}"] if stage.role == "intermediate" else [f"{', '.join(arms)} on {runs[0].target}"]
        )
        _box(axes, places[stage.key], [stage.task, _details(stage), *ends], colour=_SHARED if len(runs) > 1 else _ALONE)
    axes.set_xlim(-0.5, len(columns) + 0.5)
    axes.set_ylim(-rows, 0)
    return figure


def save_plan(plan: "Plan", path: Path, *, model: str) -> None:
    """Draw the plan into a file of the kind that its name says. Raises ResultsError when it cannot be written."""
    with paper_style():
        buffer = BytesIO()
        plan_figure(plan, model=model).savefig(buffer, format=path.suffix[1:], dpi=PNG_DPI)
    write_whole(path, buffer.getvalue())


def _columns(stages: Sequence["Stage"]) -> list[list["Stage"]]:
    """By depth; in each, the children of one parent together and in the order of their parents."""
    columns: list[list[Stage]] = []
    left = list(stages)
    parents: list[str | None] = [None]
    while left:
        column = [one for parent in parents for one in left if (one.parent.key if one.parent else None) == parent]
        columns.append(column)
        left = [one for one in left if one not in column]
        parents = [one.key for one in column]
    return columns


def _details(stage: "Stage") -> str:
    languages = stage.languages
    where = languages[0] if len(languages) == 1 else f"{len(languages)} languages"
    return f"{where}, {stage.steps:,} steps, seed {stage.data_seed}"


def _box(axes: "Axes", place: tuple[float, float], lines: Sequence[str], *, colour: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    (x, y), (wide, high) = place, _BOX
    axes.add_patch(
        FancyBboxPatch(
            (x - wide / 2, y - high / 2), wide, high, boxstyle="round,pad=0.02", fc=colour, ec=_EDGE, lw=0.6, zorder=2
        )
    )
    axes.text(x, y, "\n".join(_short(line) for line in lines), ha="center", va="center", fontsize=5.2, zorder=3)


def _short(line: str, longest: int = 46) -> str:
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
