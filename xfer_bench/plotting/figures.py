"""The standard figures: each is a table of the numbers in it and the drawing of that table.

`heatmap_numbers` and `heatmap_figure`, and so on: the drawing sees the table alone, so the CSV beside a figure holds
exactly what is drawn.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from math import ceil, nan
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from xfer_bench.plotting.marks import Interval, draw_heatmap, draw_intervals, draw_nought, draw_scatter
from xfer_bench.plotting.style import COLOURS, GREY, LIGHT_GREY, TWO_COLUMNS
from xfer_bench.stats.comparisons import comparison_frame
from xfer_bench.stats.correlation import Relation
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_PUBLISHED, AVG_UNSEEN, Comparison
from xfer_bench.stats.points import GAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]

_TARGET = ["task", "variant", "split", "setting", "target"]
# A benchmark's own average says nearly what `avg` says; it stays with the tables.
_AVERAGE_NAMES = {AVG_UNSEEN: "mean over unseen languages", AVG: "mean over all languages but English"}
_CAPTION_COLUMNS = 132
_LEGEND_COLUMNS = 100
_SIDE_BY_SIDE = 2


def heatmap_numbers(comparisons: Sequence[Comparison]) -> pl.DataFrame:
    """The averages of each arm on each target."""
    return comparison_frame(comparisons).filter(pl.col("language").is_in(_AVERAGE_NAMES))


def heatmap_figure(numbers: pl.DataFrame) -> Figure:
    """Arm x target gains: the mean over unseen languages, and with it the mean over all but English."""
    targets = numbers.select(_TARGET).unique(maintain_order=True).rows(named=True)
    arms = numbers["arm"].unique(maintain_order=True).to_list()
    averages = [name for name in AVERAGES if name in numbers["language"].to_list()]
    panels = (len(averages), 1) if len(targets) > _SIDE_BY_SIDE else (1, len(averages))
    figure = _figure(height=0.55 + panels[0] * (0.9 + 0.36 * (len(arms) + 1)))
    grid = figure.subplots(*panels, squeeze=False, sharex=panels[1] == 1, sharey=True).flatten()
    # Paler than the scale goes, so that the text in the strongest cells is easy to read.
    limit = max(1.0, 1.2 * numbers.select(pl.col("gain").abs().max()).item())
    for ax, average in zip(grid, averages, strict=True):
        cells = numbers.filter(language=average)
        found = [[cells.filter(arm=arm, **target).rows(named=True) for target in targets] for arm in arms]
        before = [_baseline_text(cells.filter(**target)) for target in targets]
        gains = [[cell[0]["gain"] if cell else nan for cell in row] for row in found]
        image = draw_heatmap(
            ax,
            [[0.0 if text else nan for text in before], *gains],
            texts=[before, *([_gain_text(cell[0]) if cell else "" for cell in row] for row in found)],
            rows=[f"{numbers['baseline'][0]}\n(baseline)", *(f"{arm}\n{_seeds(numbers, arm)}" for arm in arms)],
            columns=[_target_name(target, numbers) for target in targets],
            limit=limit,
        )
        ax.set_title(_AVERAGE_NAMES[average], pad=8)
    bar = figure.colorbar(image, ax=list(grid), shrink=0.85, aspect=12 * panels[0], pad=0.02)
    bar.set_label("gain (points)")
    bar.outline.set_visible(False)
    _caption(
        figure,
        f"Gain in accuracy points over {numbers['baseline'][0]} with the same target seed, mean of seeds; first row: "
        f"its accuracy. {_interval_text(numbers)}",
    )
    return figure


def languages_numbers(comparisons: Sequence[Comparison]) -> pl.DataFrame:
    """All comparisons with the height at which each is drawn."""
    frame = comparison_frame(comparisons).filter(pl.col("language") != AVG_PUBLISHED)
    heights = {}
    for target in frame.select(_TARGET).unique(maintain_order=True).rows(named=True):
        rows = frame.filter(**target)
        arms = rows["arm"].unique(maintain_order=True).to_list()
        languages = rows["language"].unique().to_list()
        order = [name for name in AVERAGES if name in languages]
        gap = 0.6 if order else 0.0
        order += sorted(language for language in languages if language not in AVERAGES)
        for place, language in enumerate(order):
            for rank, arm in enumerate(arms):
                height = -place - (0.0 if language in AVERAGES else gap) - 0.8 * ((rank + 0.5) / len(arms) - 0.5)
                heights[*target.values(), arm, language] = height
    keys = frame.select(*_TARGET, "arm", "language").rows()
    return frame.with_columns(pl.Series("height", [heights[key] for key in keys], dtype=pl.Float64))


def languages_figure(numbers: pl.DataFrame) -> Figure:
    """Gains by language with intervals, one panel per target; averages above, seen languages as open squares."""
    targets = numbers.select(_TARGET).unique(maintain_order=True).rows(named=True)
    arms = numbers["arm"].unique(maintain_order=True).to_list()
    columns = min(2, len(targets))
    lines = ceil(len(targets) / columns)
    languages = max(numbers.filter(**target)["language"].n_unique() for target in targets)
    figure = _figure(height=1.1 + lines * (0.55 + languages * max(0.16, 0.05 + 0.075 * len(arms))))
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax, target in zip(grid, targets, strict=False):
        _draw_languages(ax, numbers.filter(**target), arms=arms)
        ax.set_title(_panel_title(target, numbers))
    for ax in grid[len(targets) :]:
        ax.set_visible(False)
    _legend(figure, arms, line="-", seen=bool(numbers["seen"].any()))
    _caption(
        figure,
        f"Gain over {numbers['baseline'][0]} with the same target seed, mean of "
        f"{'; '.join(f'{arm}: {_seeds(numbers, arm)}' for arm in arms)}. {_interval_text(numbers)} "
        "Open squares: the arm's intermediate data contain the language; avg_unseen: languages that no arm's contain.",
    )
    return figure


def scatter_numbers(relations: Sequence[Relation]) -> pl.DataFrame:
    """One row per point, an intermediate stage; the correlation of its target stands in each of its rows."""
    named = (*_TARGET, "language", "n_items", "n_clusters", "n_runs", "measure")
    rows = [
        {
            **{name: getattr(relation, name) for name in named},
            **asdict(point),
            "runs": " ".join(point.runs),
            "target_seeds": " ".join(map(str, point.target_seeds)),
            "n_seeds": len({seed for one in relation.points for seed in one.target_seeds}),
            **asdict(relation.correlation),
        }
        for relation in relations
        for point in relation.points
    ]
    # Columns that may be empty throughout have no type of their own.
    floats = dict.fromkeys(("r", "low", "high", "p_value", "r_tasks"), pl.Float64)
    perhaps = floats | {"intermediate_seed": pl.Int64, "p_exact": pl.Boolean}
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=perhaps)


def scatter_figure(numbers: pl.DataFrame) -> Figure:
    """How well the intermediate task was learnt against the gain on the target, one panel per target."""
    targets = numbers.select(_TARGET).unique(maintain_order=True).rows(named=True)
    arms = numbers["arm"].unique(maintain_order=True).to_list()
    columns = min(2, len(targets))
    lines = ceil(len(targets) / columns)
    figure = _figure(height=0.95 + 2.5 * lines)
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax, target in zip(grid, targets, strict=False):
        rows = numbers.filter(**target)
        draw_nought(ax, upright=False)
        for arm, colour in zip(arms, _colours(arms), strict=True):
            mine = rows.filter(arm=arm)
            draw_scatter(ax, mine["intermediate"].to_list(), mine["gain"].to_list(), colour=colour, label=arm)
        ax.margins(0.12)
        ax.set_title(f"{_panel_title(target, numbers)}\n{_correlation_text(rows)}")
        ax.set_xlabel(_measure_text(rows["measure"][0]))
        ax.set_ylabel(f"target gain, {rows['language'][0]} (points)")
    for ax in grid[len(targets) :]:
        ax.set_visible(False)
    _legend(figure, arms, line="none")
    first = numbers.row(0, named=True)
    _caption(
        figure,
        "One point per intermediate stage (arm and seed), mean of its runs; accuracy on that task's own development "
        f"data. r: {first['method'].title()}, {_percent(first['level'])} percentile interval over the target's "
        f"{first['over'].replace('+', ' and ')}, drawn jointly over languages and runs"
        f"{'' if 'tasks' in first['over'] else ', for these tasks'}.",
    )
    return figure


def _draw_languages(ax: Axes, rows: pl.DataFrame, *, arms: Sequence[str]) -> None:
    draw_nought(ax, upright=True)
    for arm, colour in zip(arms, _colours(arms), strict=True):
        intervals = [
            Interval(
                height=row["height"], value=row["gain"], low=row["ci_low"], high=row["ci_high"], seen=bool(row["seen"])
            )
            for row in rows.filter(arm=arm).iter_rows(named=True)
        ]
        draw_intervals(ax, intervals, colour=colour, label=arm)
    middles = rows.group_by("language").agg(pl.col("height").mean()).sort("height", descending=True)
    ax.set_yticks(middles["height"].to_list(), middles["language"].to_list())
    ax.tick_params(axis="y", length=0)
    averages = middles.filter(pl.col("language").is_in(AVERAGES))["height"].to_list()
    for label, language in zip(ax.get_yticklabels(), middles["language"], strict=True):
        label.set_fontweight("bold" if language == AVG_UNSEEN else "normal")
    if averages:
        ax.axhline(min(averages) - 0.8, color=LIGHT_GREY, linewidth=0.8)
    ax.set_ylim(min(middles["height"]) - 0.6, max(middles["height"]) + 0.6)
    ax.set_xlabel("gain (points)")


def _figure(*, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(TWO_COLUMNS, height), layout="constrained")


def _colours(arms: Sequence[str]) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(arms))]


def _legend(figure: Figure, arms: Sequence[str], *, line: Literal["-", "none"], seen: bool = False) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker="o", markersize=3.6, linestyle=line, linewidth=1.1, label=arm)
        for arm, colour in zip(arms, _colours(arms), strict=True)
    ]
    if seen:
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="s",
                markersize=3.6,
                color=GREY,
                markerfacecolor="white",
                label="seen language",
            )
        )
    columns = max(1, _LEGEND_COLUMNS // (max(map(len, arms)) + 6))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), columns))


def _caption(figure: Figure, text: str) -> None:
    figure.supxlabel(
        textwrap.fill(text, _CAPTION_COLUMNS), x=0.01, horizontalalignment="left", fontsize=6.5, color=GREY
    )


def _target_name(target: Row, numbers: pl.DataFrame) -> str:
    """Three short lines: what was evaluated, how it was trained, and on how many items."""
    items = numbers.filter(**target)["n_items"][0]
    trained = "" if target["target"] == target["task"] else f" after {target['target']}"
    variant = "" if target["variant"] == "published" else f", {target['variant']}"
    return f"{target['task']}{trained}{variant}\n{target['setting']}, {target['split']}\n{items:,} items"


def _panel_title(target: Row, numbers: pl.DataFrame) -> str:
    name, *more = _target_name(target, numbers).splitlines()
    return f"{name}\n{', '.join(more)}"


def _seeds(numbers: pl.DataFrame, arm: str) -> str:
    counts = sorted(numbers.filter(arm=arm)["n_seeds"].unique())
    return f"{'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} {'seed' if counts == [1] else 'seeds'}"


def _gain_text(cell: Row) -> str:
    return _minus(f"{cell['gain']:+.1f}\n[{cell['ci_low']:+.1f}, {cell['ci_high']:+.1f}]")


def _baseline_text(cells: pl.DataFrame) -> str:
    """The accuracy of the baseline; a range where arms share different seeds with it."""
    shown = sorted({f"{value:.1f}" for value in cells["baseline_accuracy"]}, key=float)
    return "–".join(dict.fromkeys((shown[0], shown[-1]))) if shown else ""


def _interval_text(numbers: pl.DataFrame) -> str:
    sizes = numbers.select("task", "split", "n_clusters").unique(maintain_order=True).rows()
    counts = [f"{count:,}" if len(sizes) == 1 else f"{count:,} ({task} {split})" for task, split, count in sizes]
    return (
        f"{_percent(numbers['level'][0])} percentile intervals, {numbers['resamples'][0]:,} resamples of "
        f"{', '.join(counts)} clusters of items, drawn jointly over languages and systems."
    )


def _measure_text(measure: str) -> str:
    if measure == GAIN:
        return "intermediate gain, scaled by chance\n(0: as the frozen initial encoder)"
    return "intermediate accuracy above chance\n(0: chance, 100: all right)"


def _correlation_text(rows: pl.DataFrame) -> str:
    row = rows.row(0, named=True)
    points = "" if row["n_points"] == row["n_runs"] else f"{row['n_points']} points, "
    runs = f"{points}{row['n_runs']} runs, {row['n_tasks']} tasks, {row['n_seeds']} seeds"
    if row["r"] is None:
        return f"no r ({row['reason']})\n{runs}"
    p = "" if row["p_value"] is None else f", p = {row['p_value']:.3f}"
    return _minus(f"r = {row['r']:.2f} [{row['low']:.2f}, {row['high']:.2f}]{p}, {runs}")


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _percent(level: float) -> str:
    return f"{100 * level:g} %"
