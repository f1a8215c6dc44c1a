"""Is what was learnt better in between gained more from on the target? A point an intermediate stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from xfer_bench.plotting.captions import AVERAGE_NAMES, UNSEEN_MEANS, caption, items_text, minus, percent, variant_text
from xfer_bench.plotting.marks import draw_band, draw_errors, draw_nought, draw_scatter
from xfer_bench.plotting.panels import (
    arm_handles,
    legend,
    legend_height,
    looks_of,
    new_figure,
    part_of,
    targets_of,
    title_of,
)
from xfer_bench.plotting.style import Page, wrapped
from xfer_bench.plotting.subject import TARGET, Subject
from xfer_bench.stats.bootstrap import Floats, percentile_interval
from xfer_bench.stats.correlation import Relation, relate
from xfer_bench.stats.estimates import AVG_UNSEEN
from xfer_bench.stats.evidence import How, evidence
from xfer_bench.stats.points import GAIN
from xfer_bench.stats.points import targets as targets_with_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Intermediate against target gain"
POINT, FIT = "point", "fit"
_USUAL = Page()
_SIDE_BY_SIDE = 2
_STEPS = 25
_MARGIN = 0.08
_SHARED = ("language", "n_items", "n_clusters", "n_runs", "measure")


def intermediate_vs_target_numbers(subject: Subject) -> pl.DataFrame:
    """Rows of kind `point`, an intermediate stage with its gain and that gain's interval over items; of kind `fit` the
    line of the correlation, and in low and high the outermost lines when one task at a time is left out.

    The correlation of a target stands in each of its rows; without: r without each task.
    """
    how = How(level=subject.level)
    common = {"baseline": subject.baseline, "resamples": subject.resamples, "seed": subject.seed}
    relations = relate(subject.every, subject.stages, how=how, **common)  # type: ignore[arg-type]
    known = targets_with_points(subject.every, subject.stages, baseline=subject.baseline)
    rows: list[dict[str, Any]] = []
    for relation, target in zip(relations, known, strict=True):
        draws = evidence([target], how=how, resamples=subject.resamples, seed=subject.seed).draws
        low, high = percentile_interval(draws, level=subject.level)
        facts = _facts(relation, subject)
        rows += [
            {
                **facts,
                **asdict(point),
                "kind": POINT,
                "runs": " ".join(point.runs),
                "target_seeds": " ".join(map(str, point.target_seeds)),
                "gain_low": float(low[at]),
                "gain_high": float(high[at]),
            }
            for at, point in enumerate(relation.points)
        ]
        rows += [{**facts, **line, "kind": FIT} for line in _fit(relation)]
    # Columns that may be empty throughout have no type of their own.
    floats = ("r", "low", "high", "p_value", "r_tasks", "r_without_low", "r_without_high", "chance")
    texts = ("arm", "intermediate_task", "runs", "target_seeds")
    perhaps: dict[str, Any] = {**dict.fromkeys(floats, pl.Float64), **dict.fromkeys(texts, pl.String)}
    perhaps |= {"intermediate_seed": pl.Int64, "p_exact": pl.Boolean}
    found = pl.DataFrame(rows, infer_schema_length=None, schema_overrides=perhaps)
    return subject.headline_variants(subject.with_facts(found)) if rows else found


def intermediate_vs_target_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """One panel a target: points with intervals, the line of r, shaded between the lines without one task."""
    targets, looks = targets_of(numbers), looks_of(numbers.filter(kind=POINT))
    columns = 1 if page.columns == 1 else min(_SIDE_BY_SIDE, len(targets))
    lines = ceil(len(targets) / columns)
    handles = arm_handles(looks, line="none")
    panel = 21 * page.em
    width = page.width if page.columns == 1 or columns > 1 else 0.62 * page.width
    figure = new_figure(
        page,
        width=width,
        height=legend_height(handles, page, width=width) + lines * (panel + 7 * page.line),
    )
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    letters = page.letters(width / columns - 2 * page.em)
    for ax, target in zip(grid, targets, strict=False):
        part = part_of(numbers, target)
        points, fit = part.filter(kind=POINT), part.filter(kind=FIT).sort("intermediate")
        draw_nought(ax, upright=False)
        if len(fit):
            x, y, low, high = (fit[name].to_list() for name in ("intermediate", "gain", "gain_low", "gain_high"))
            draw_band(ax, x, y, low=low, high=high)
        for arm, look in looks.items():
            mine = points.filter(arm=arm)
            x, y = mine["intermediate"].to_list(), mine["gain"].to_list()
            draw_errors(ax, x, low=mine["gain_low"].to_list(), high=mine["gain_high"].to_list(), colour=look.colour)
            draw_scatter(ax, x, y, colour=look.colour, marker=look.marker, label=arm)
        ax.margins(x=0.1)
        said = "\n".join(wrapped(line, letters) for line in (title_of(target, numbers), *_correlation_text(part)))
        ax.set_title(said)
        ax.set_xlabel(_measure_text(part["measure"][0]))
        ax.set_ylabel(f"gain, {AVERAGE_NAMES.get(part['language'][0], part['language'][0])}\n(points)")
    for ax in grid[len(targets) :]:
        ax.set_visible(False)
    legend(figure, handles, page, width=width)
    return figure


def intermediate_vs_target_caption(numbers: pl.DataFrame) -> str:
    """What the points, the line and the shade are, and what they rest on."""
    points = numbers.filter(kind=POINT)
    first = points.row(0, named=True)
    unseen = AVG_UNSEEN in points["language"].to_list()
    counts = "; ".join(
        f"{row['task']}: {row['n_points']} points of {row['n_runs']} runs, {row['n_tasks']} intermediate tasks, "
        f"{row['n_seeds']} seeds" + (f" ({row['reason']})" if row["reason"] else "")
        for row in points.unique(list(TARGET), keep="first", maintain_order=True).iter_rows(named=True)
    )
    tested = points["p_value"].drop_nulls()
    return caption(
        "How well an intermediate task was learnt against the gain on the target; one point an intermediate stage (arm "
        "and seed), the mean of the runs that go on from it",
        f"Gains are over {first['baseline']} with the same target seed, in points"
        f"{f' ({UNSEEN_MEANS}; every language of the average is unseen)' if unseen else ''}",
        f"{items_text(points)}; {counts}",
        f"Upright lines: {percent(first['level'])} bootstrap intervals of gains over {first['resamples']:,} resamples "
        "of clusters of items",
        f"r: {first['method'].title()}, interval over the same resamples, drawn jointly over languages and runs, for "
        "these tasks and seeds",
        "p: of permuting the tasks' averages"
        if len(tested)
        else "No p: with fewer than six intermediate tasks nothing can be inferred about tasks",
        "Line: the one that r implies; shaded: between the outermost such lines when each intermediate task is left out"
        if len(numbers.filter(kind=FIT))
        else "No line: too few tasks are left when one is left out",
        variant_text(points),
    )


def _facts(relation: Relation, subject: Subject) -> dict[str, Any]:
    left = [one.r for one in relation.without if one.r is not None]
    return {
        **{name: getattr(relation, name) for name in (*TARGET, *_SHARED)},
        **asdict(relation.correlation),
        "baseline": subject.baseline,
        "resamples": subject.resamples,
        "n_seeds": len({seed for one in relation.points for seed in one.target_seeds}),
        "without": "; ".join(f"{one.task}: {'none' if one.r is None else f'{one.r:.3f}'}" for one in relation.without),
        "all_without": len(left) == len(relation.without),
        "r_without_low": min(left, default=None),
        "r_without_high": max(left, default=None),
    }


def _fit(relation: Relation) -> Iterator[dict[str, float]]:
    """The line that r implies through the means, y = m_y + r (s_y / s_x)(x - m_x), and those without each task."""
    if relation.correlation.r is None or any(one.r is None for one in relation.without):
        return
    x = np.array([point.intermediate for point in relation.points])
    y = np.array([point.gain for point in relation.points])
    tasks = [point.intermediate_task for point in relation.points]
    margin = _MARGIN * float(np.ptp(x))
    at = np.linspace(x.min() - margin, x.max() + margin, _STEPS)
    everyone = _line(x, y, relation.correlation.r, at)
    lines = []
    for one in relation.without:
        kept = np.array([task != one.task for task in tasks])
        lines.append(_line(x[kept], y[kept], one.r or 0.0, at))
    low, high = np.min([everyone, *lines], axis=0), np.max([everyone, *lines], axis=0)
    for place in range(_STEPS):
        yield {
            "intermediate": float(at[place]),
            "gain": float(everyone[place]),
            "gain_low": float(low[place]),
            "gain_high": float(high[place]),
        }


def _line(x: Floats, y: Floats, r: float, at: Floats) -> Floats:
    return np.asarray(y.mean() + r * y.std() / x.std() * (at - x.mean()))


def _measure_text(measure: str) -> str:
    if measure == GAIN:
        return "intermediate gain, scaled by chance\n(0: as the frozen initial encoder)"
    return "intermediate accuracy above chance\n(0: chance, 100: all right)"


def _correlation_text(part: pl.DataFrame) -> list[str]:
    row = part.row(0, named=True)
    counts = ", ".join(
        f"{row[name]} {word}{'' if row[name] == 1 else 's'}"
        for name, word in (("n_points", "point"), ("n_tasks", "task"), ("n_seeds", "seed"))
    )
    if row["r"] is None:
        return [f"no r ({row['reason']})", counts]
    p = "" if row["p_value"] is None else f", p = {row['p_value']:.3f}"
    lines = [f"r = {row['r']:.2f} [{row['low']:.2f}, {row['high']:.2f}]{p}", counts]
    if row["all_without"]:
        lines.append(f"without a task r = {row['r_without_low']:.2f} to {row['r_without_high']:.2f}")
    return [minus(line) for line in lines]
