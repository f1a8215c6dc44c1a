"""Seeds: every run as a dot, collapsed ones as crosses, and beside them where the variance comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan, sqrt
from typing import TYPE_CHECKING, Any

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy, targets_only
from xfer_bench.plotting.captions import AVERAGE_NAMES, UNSEEN_MEANS, caption, items_text, variant_text
from xfer_bench.plotting.cells import draw_shades
from xfer_bench.plotting.marks import draw_chance, draw_collapsed, draw_group, draw_points
from xfer_bench.plotting.panels import (
    chance_handles,
    legend,
    legend_height,
    looks_of,
    mark_handle,
    new_figure,
    part_of,
    targets_of,
    title_of,
)
from xfer_bench.plotting.style import BASELINE, Look, Page, wrapped
from xfer_bench.plotting.subject import TARGET, Subject
from xfer_bench.stats.components import CLUSTER, INTERMEDIATE, RESIDUAL, SEED, arm_components
from xfer_bench.stats.components import TARGET as TARGET_SEED
from xfer_bench.stats.estimates import AVG_UNSEEN
from xfer_bench.stats.outcomes import pairings

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Runs and seeds"
RUN, COMPONENT = "run", "component"
_USUAL = Page()
_LONGEST = 22
_SPREAD = 0.5


def seeds_numbers(subject: Subject) -> pl.DataFrame:
    """Rows of kind `run`: a run's headline accuracy in points; of kind `component`: of an arm's accuracies, a factor's
    variance in squared points, its root (sd, in points) and its share. collapsed, reason: why, else empty.
    """
    runs = _runs(subject)
    types = {**dict.fromkeys((*TARGET, "kind", "arm", "component", "reason"), pl.String), "df": pl.Int64}
    floats = dict.fromkeys(("estimate", "sd", "share"), pl.Float64)
    components = pl.DataFrame([*_components(subject)], schema={**types, **floats})
    chances = {task: subject.chance(task) for task in runs["task"].unique()}
    found = pl.concat([runs, components], how="diagonal").with_columns(
        pl.col("task").replace_strict(chances, default=None, return_dtype=pl.Float64).alias("chance")
    )
    return subject.headline_variants(subject.with_facts(found)).sort(
        *TARGET, pl.col("kind") != RUN, maintain_order=True
    )


def seeds_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """A line a target: runs by arm on the left, on the right the sd of each component; below it in one column."""
    targets, looks = targets_of(numbers), looks_of(numbers)
    lying = page.columns == 1
    labels = {arm: wrapped(arm, _LONGEST) for arm in looks}
    row = page.line * max(1.5, *(0.4 + len(label.splitlines()) for label in labels.values()))
    names = [_component_names(part_of(numbers, target)) for target in targets]
    heads = page.wide("\n".join(wrapped(name, _LONGEST) for some in names for name in some)) + 0.5 * page.line
    block = row * len(looks) + 5.6 * page.line
    per = 2 if lying else 1
    with_table = [bool(some) for some in names]
    height = sum(
        block + heads + page.line + (block - page.line + heads if lying and table else 0) for table in with_table
    )
    handles = [*_handles(numbers), *chance_handles(numbers)]
    figure = new_figure(page, height=height + legend_height(handles, page) + page.line)
    grid = figure.add_gridspec(len(targets) * per, 1 if lying else 2, width_ratios=[1] if lying else [1.15, 1])
    for place, target in enumerate(targets):
        part = part_of(numbers, target)
        ax = figure.add_subplot(grid[place * per, 0])
        _draw_runs(ax, part, labels, looks)
        letters = page.letters(page.width / (1 if lying else 2) - 3 * page.em)
        ax.set_title(wrapped(title_of(target, numbers), letters), fontweight="bold")
        beside = figure.add_subplot(grid[place * per + 1, 0] if lying else grid[place, 1])
        if with_table[place]:
            size = min(0.86, page.width / (1.7 if lying else 2.6) / len(names[place]) / page.em / 2.6) * page.em * 72
            _draw_components(beside, part, labels, looks, text_size=size)
            beside.tick_params(axis="y", labelleft=lying)
        else:
            beside.set_axis_off()
            reason = wrapped(f"no variance components: {_reason(part)}", letters)
            beside.text(0.5, 0.5, reason, ha="center", va="center", transform=beside.transAxes)
    legend(figure, handles, page)
    return figure


def seeds_caption(numbers: pl.DataFrame) -> str:
    """What the dots and the components are, and what they rest on."""
    runs = numbers.filter(kind=RUN)
    first = runs.row(0, named=True)
    name = AVERAGE_NAMES.get(first["language"], first["language"])
    unseen = f" ({UNSEEN_MEANS})" if first["language"] == AVG_UNSEEN else ""
    counts = runs.group_by("arm", maintain_order=True).agg(pl.col("run").n_unique()).rows()
    lame = runs.filter(pl.col("collapsed") != "")
    reasons = dict.fromkeys(f"{row['run']}: {row['collapsed']}" for row in lame.iter_rows(named=True))
    return caption(
        f"Each dot a run: its accuracy (points), {name}{unseen}; the bar is the arm's mean",
        f"{items_text(runs)}; runs: {', '.join(f'{arm} {count}' for arm, count in counts)}",
        f"Crosses: collapsed runs ({'; '.join(reasons)})"
        if reasons
        else "No run collapsed, judged on development data",
        "Shaded: variance components of each arm's accuracies over all languages, as standard deviations (points) of "
        "single answers, by equating mean squares; 0: the estimate is not above nought. No intervals and no test",
        f"No components of some arms ({_reason(numbers)})" if _reason(numbers) else "",
        variant_text(numbers),
    )


def _runs(subject: Subject) -> pl.DataFrame:
    """The mean accuracy over the headline's languages of every run of a compared target."""
    first = subject.gains.sort("place").unique(list(TARGET), keep="first", maintain_order=True)
    headline = first.select(*TARGET, pl.col("language").alias("headline"), pl.col("languages").str.split(" "))
    scores = accuracy(targets_only(subject.predictions)).join(headline, on=TARGET, how="inner", nulls_equal=True)
    return (
        scores.filter(pl.col("language").is_in(pl.col("languages")))
        .group_by(*TARGET, "arm", "run", "intermediate_seed", "target_seed", maintain_order=True)
        .agg(
            pl.col("headline").first().alias("language"),
            pl.col("n_items").first(),
            pl.col("n_clusters").first(),
            pl.col("accuracy").mean(),
        )
        .with_columns(
            kind=pl.lit(RUN),
            collapsed=pl.col("run").replace_strict(dict(subject.collapsed), default="", return_dtype=pl.String),
        )
    )


def _components(subject: Subject) -> Iterator[dict[str, Any]]:
    for pairing in pairings(subject.predictions, baseline=subject.baseline):
        names = {**{key: getattr(pairing, key) for key in TARGET}, "kind": COMPONENT}
        for arm in (pairing.baseline, *pairing.arms):
            try:
                found = arm_components(pairing, arm, quantity="accuracy").components
            except ResultsError as error:
                yield {**names, "arm": arm, "reason": str(error)}
                continue
            names_of = _plain(found.names)
            for name, estimate, share, df in zip(names_of, found.estimates, found.shares, found.df, strict=True):
                yield {
                    **names,
                    "arm": arm,
                    "component": name,
                    "estimate": estimate,
                    "sd": sqrt(max(estimate, 0.0)),
                    "share": share,
                    "df": df,
                }


def _plain(names: Sequence[str]) -> list[str]:
    """With one factor of seeds it is the seed: a baseline has target seeds where other arms have two in step."""
    single = INTERMEDIATE not in names or TARGET_SEED not in names
    found = [name.replace(INTERMEDIATE, SEED).replace(TARGET_SEED, SEED) if single else name for name in names]
    return [name.replace(CLUSTER, "item").replace(" x ", " × ") for name in found]


def _component_names(part: pl.DataFrame) -> list[str]:
    """Single factors first, the residual last."""
    names = part["component"].drop_nulls().unique(maintain_order=True).to_list()
    return sorted(names, key=lambda name: (name == RESIDUAL, name.count("×")))


def _reason(part: pl.DataFrame) -> str:
    return "; ".join(part["reason"].drop_nulls().unique(maintain_order=True))


def _handles(numbers: pl.DataFrame) -> list[Artist]:
    handles = [mark_handle("o", "a run", colour=BASELINE), mark_handle("|", "mean of runs", colour=BASELINE, size=1.6)]
    if (numbers["collapsed"].fill_null("") != "").any():
        handles.append(mark_handle("X", "collapsed run", colour=BASELINE))
    return handles


def _draw_runs(ax: Axes, part: pl.DataFrame, labels: Mapping[str, str], looks: Mapping[str, Look]) -> None:
    runs = part.filter(kind=RUN).sort("target_seed", "intermediate_seed", nulls_last=False)
    chance = runs["chance"].drop_nulls()
    if len(chance):
        draw_chance(ax, chance[0], upright=True)
    for place, (arm, look) in enumerate(looks.items()):
        mine = runs.filter(arm=arm)
        for at, one in enumerate(mine.iter_rows(named=True)):
            height = -place + _SPREAD * (0.5 - (at + 0.5) / len(mine))
            if one["collapsed"]:
                draw_collapsed(ax, one["accuracy"], height)
            else:
                draw_points(ax, [one["accuracy"]], [height], colour=look.colour, marker=look.marker, label=arm)
        if len(mine):
            draw_group(ax, mine.select(pl.col("accuracy").mean()).item(), low=-place - 0.36, high=-place + 0.36)
    ax.set_yticks([-place for place in range(len(looks))], list(labels.values()))
    ax.set_ylim(-len(looks) + 0.4, 0.6)
    ax.margins(x=0.1)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"accuracy (points),\n{AVERAGE_NAMES.get(runs['language'][0], runs['language'][0])}")


def _draw_components(
    ax: Axes, part: pl.DataFrame, labels: Mapping[str, str], looks: Mapping[str, Look], *, text_size: float
) -> None:
    names = _component_names(part)
    known = {(arm, name): sd for arm, name, sd in part.select("arm", "component", "sd").iter_rows()}
    values = [[known.get((arm, name), nan) for name in names] for arm in looks]
    draw_shades(
        ax,
        values,
        rows=list(labels.values()),
        columns=[wrapped(name, _LONGEST) for name in names],
        text_size=text_size,
    )
    ax.set_title("sd of components (points)", fontweight="bold")
