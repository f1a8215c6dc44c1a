"""Trajectories: accuracy by language over the checkpoints of a training, with what each selection rule chooses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import TYPE_CHECKING

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import INTERMEDIATE, accuracy
from xfer_bench.plotting.captions import caption, items_text, order_text, pretraining_text, seen_text, variant_text
from xfer_bench.plotting.marks import draw_chance, draw_choice, draw_hatched_panel, draw_trajectory
from xfer_bench.plotting.panels import (
    arm_handles,
    chance_handles,
    hatch_handles,
    heading,
    legend,
    legend_height,
    looks_of,
    mark_handle,
    new_figure,
    part_of,
    seen_handles,
    targets_of,
    title_of,
)
from xfer_bench.plotting.style import Look, Page, shortened
from xfer_bench.plotting.subject import TARGET, Subject, in_order
from xfer_bench.stats.controls import control_runs, without_controls
from xfer_bench.stats.estimates import AVG, AVG_UNSEEN, ENGLISH
from xfer_bench.stats.rules import Rule
from xfer_bench.stats.selection import chosen
from xfer_bench.stats.standing import TEST

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Trajectories"
STEP, CHOICE = "step", "choice"
_AVERAGES = {AVG_UNSEEN: "unseen", AVG: "all but English"}
ALONG = "along the intermediate stage"
_USUAL = Page()
# By rule its ring and how many times a mark it is wide: rings around one checkpoint stay apart.
_RULES: Mapping[Rule, tuple[str, float]] = {
    Rule(name="own"): ("o", 1.7),
    Rule(name="last"): ("s", 2.2),
    Rule(name="target"): ("^", 3.0),
    Rule(name="oracle"): ("D", 2.7),
}
_NOTHING = pl.DataFrame(schema={"rule": pl.String, "left_out": pl.String})
_RUN = ("arm", "run", "intermediate_seed", "target_seed")
_ACROSS = {1: 2, 2: 5}
_PANEL = 9.5


def trajectories_numbers(subject: Subject) -> pl.DataFrame:
    """Rows of kind `step`: accuracy (points) of an arm at a step, mean, low and high over its seeds; of kind `choice`:
    what a selection rule gives, with the mean of the steps that it chose. Of trainings with several kept steps.

    `avg_unseen` is the mean over languages that no arm of the target has seen. left_out: rules that could not choose,
    and why. Checkpoints of an intermediate stage alone have the setting `along the intermediate stage`.
    """
    rows = _kept(subject)
    if rows.is_empty():
        return pl.DataFrame()
    parts = [
        pl.concat([_NOTHING, *_of_target(part)], how="diagonal_relaxed")
        for part in rows.partition_by(*TARGET[:2], *TARGET[3:], maintain_order=True)
    ]
    found = pl.concat(parts, how="diagonal_relaxed")
    gains = subject.gains.group_by("task", "language").agg(pl.col("gain").mean())
    by_gain = found.join(gains, on=["task", "language"], how="left").with_columns(pl.col("gain").fill_null(0.0))
    placed = in_order(by_gain, subject.order)
    chances = {task: subject.chance(task) for task in placed["task"].unique()}
    others = sorted({*placed["arm"]} - {*subject.arms, subject.baseline})
    more = {arm: len(subject.arms) + place for place, arm in enumerate(others)}
    facts = subject.with_facts(placed).with_columns(
        pl.col("task").replace_strict(chances, default=None, return_dtype=pl.Float64).alias("chance"),
        pl.coalesce("arm_place", pl.col("arm").replace_strict(more, default=None, return_dtype=pl.Int64)),
    )
    return subject.headline_variants(facts).drop("gain").sort(*TARGET, "place", "arm", "kind", "step")


def trajectories_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """A small panel a language, in it a line an arm; rings are what the selection rules choose."""
    targets = targets_of(numbers)
    looks = looks_of(numbers)
    across = _ACROSS[page.columns]
    parts = [part_of(numbers, target) for target in targets]
    languages = [part.select("place", "language").unique().sort("place")["language"].to_list() for part in parts]
    lines = [ceil(len(some) / across) for some in languages]
    handles = [
        *arm_handles(looks),
        *chance_handles(numbers),
        *_choice_handles(numbers),
        *seen_handles(numbers),
        *hatch_handles(numbers),
    ]
    head, panel = 1.4 * page.line, (_PANEL + 1.8) * page.em
    figure = new_figure(
        page, height=page.line + legend_height(handles, page)
        + sum(head + count * (panel + 1.5 * page.line) for count in lines) + 1.5 * page.line,
    )  # fmt: skip
    grid = figure.add_gridspec(
        sum(lines) + len(lines), across, height_ratios=[ratio for count in lines for ratio in (head, *[panel] * count)]
    )
    top = 0
    for target, part, some, count in zip(targets, parts, languages, lines, strict=True):
        heading(figure.add_subplot(grid[top, :]), title_of(target, numbers))
        first: Axes | None = None
        for place, language in enumerate(some):
            line, column = divmod(place, across)
            ax = figure.add_subplot(grid[top + 1 + line, column], sharex=first, sharey=first)
            first = first or ax
            _draw(ax, part.filter(language=language), looks)
            below = place + across >= len(some)
            ax.tick_params(axis="x", labelbottom=below)
            ax.tick_params(axis="y", labelleft=column == 0)
            ax.locator_params(axis="x", nbins=3)
        top += count + 1
    figure.supxlabel("optimiser steps", fontsize="medium")
    figure.supylabel("accuracy (points)", fontsize="medium")
    legend(figure, handles, page)
    return figure


def trajectories_caption(numbers: pl.DataFrame) -> str:
    """What the lines and rings are, and what they rest on."""
    steps = numbers.filter(kind=STEP)
    seeds = steps["n_seeds"]
    several = "" if seeds.max() == 1 else "; shaded: from the lowest to the highest seed"
    rules = numbers.filter(kind=CHOICE)["rule"].drop_nulls().unique(maintain_order=True).sort().to_list()
    left_out = numbers["left_out"].drop_nulls().unique(maintain_order=True).to_list()
    return caption(
        "Accuracy (points) by language at the checkpoints that were kept along a training; "
        f"lines: mean over seeds{several}",
        f"{items_text(steps)}; seeds: {', '.join(_seeds(steps))}",
        "No interval and no test: these are the scores of single checkpoints",
        f"Rings: what selection rules choose, mean over seeds of steps and of accuracies ({'; '.join(rules)})"
        if rules
        else "",
        f"Not drawn: {'; '.join(left_out)}" if left_out else "",
        "unseen: the mean over languages that no arm here has in its intermediate data; beside it that over all "
        "languages but English",
        "Dotted: chance" if len(numbers["chance"].drop_nulls()) else "",
        seen_text(numbers),
        order_text(numbers),
        pretraining_text(numbers),
        variant_text(numbers),
    )


def _kept(subject: Subject) -> pl.DataFrame:
    """Rows of trainings with several steps, every split, with a setting of its own for intermediate stages alone."""
    rows = without_controls(subject.every, control_runs(subject.stages)).filter(pl.col("step").is_not_null())
    training = [*TARGET[:2], *TARGET[3:], *_RUN]
    several = rows.select(*training, "step").unique().group_by(training).len().filter(pl.col("len") > 1)
    kept = rows.join(several.select(training), on=training, how="semi", nulls_equal=True)
    along = pl.when(pl.col("setting") == INTERMEDIATE).then(pl.lit(ALONG)).otherwise("setting")
    return kept.with_columns(along.alias("setting"))


def _of_target(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """One target's steps and choices on its test split, or on the others where it has none."""
    splits = rows["split"].unique().to_list()
    scored = [TEST] if TEST in splits else splits
    seen = rows.group_by("arm", "language").agg(pl.col("seen_in_intermediate").any(ignore_nulls=True).alias("seen"))
    hidden = set(seen.filter("seen")["language"])
    scores = accuracy(rows.filter(pl.col("split").is_in(scored)))
    yield (
        _over_seeds(_with_averages(scores, hidden), by="step")
        .join(seen, on=["arm", "language"], how="left")
        .with_columns(kind=pl.lit(STEP))
    )
    for part in rows.partition_by("arm", maintain_order=True):
        for rule in _RULES:
            try:
                picked = chosen(part, rule).filter(pl.col("split").is_in(scored))
            except ResultsError as error:
                names = scores.select(TARGET).unique(maintain_order=True).with_columns(arm=pl.lit(part["arm"][0]))
                yield names.select(
                    *TARGET,
                    "arm",
                    kind=pl.lit(CHOICE),
                    language=pl.lit(ENGLISH),
                    left_out=pl.lit(f"{rule.label} of {part['arm'][0]}: {error}"),
                )
                continue
            found = _with_averages(picked.drop("rule", "steps"), hidden).with_columns(rule=pl.lit(rule.label))
            yield _over_seeds(found, by="rule").with_columns(kind=pl.lit(CHOICE))


def _with_averages(scores: pl.DataFrame, hidden: set[str]) -> pl.DataFrame:
    """SCORES with the means over languages of each run and step; chosen steps may differ by language."""
    run = [*TARGET, *_RUN, "n_items", "n_clusters", *(["rule"] if "rule" in scores.columns else [])]
    columns = [*run, "language", "step", "accuracy"]
    others = scores.filter(pl.col("language") != ENGLISH)
    parts = [scores.select(columns)]
    by_step = scores.select(*run, "language").is_duplicated().any()
    for name, some in ((AVG_UNSEEN, others.filter(~pl.col("language").is_in(sorted(hidden)))), (AVG, others)):
        means = some.group_by(*run, *(["step"] if by_step else []), maintain_order=True).agg(
            pl.col("accuracy").mean(), *([] if by_step else [pl.col("step").mean()])
        )
        parts.append(means.with_columns(language=pl.lit(name)).select(columns))
    return pl.concat(parts, how="vertical_relaxed")


def _over_seeds(scores: pl.DataFrame, *, by: str) -> pl.DataFrame:
    keys = [*TARGET, "arm", "n_items", "n_clusters", "language", by]
    return scores.group_by(keys, maintain_order=True).agg(
        pl.col("accuracy").min().alias("low"),
        pl.col("accuracy").max().alias("high"),
        pl.len().alias("n_seeds"),
        pl.col("accuracy").mean(),
        *([] if by == "step" else [pl.col("step").mean()]),
    )


def _seeds(steps: pl.DataFrame) -> list[str]:
    counts = steps.group_by("arm", maintain_order=True).agg(pl.col("n_seeds").max())
    return [f"{arm} {count}" for arm, count in counts.iter_rows()]


def _draw(ax: Axes, part: pl.DataFrame, looks: Mapping[str, Look]) -> None:
    first = part.row(0, named=True)
    for arm, look in looks.items():
        mine = part.filter(arm=arm)
        steps = mine.filter(kind=STEP).sort("step")
        if steps.is_empty():
            continue
        x, y = steps["step"].to_list(), steps["accuracy"].to_list()
        draw_trajectory(
            ax, x, y, low=steps["low"].to_list(), high=steps["high"].to_list(), look=look, seen=bool(steps["seen"][0])
        )
        for rule, (marker, size) in _RULES.items():
            choice = mine.filter(kind=CHOICE, rule=rule.label)
            draw_choice(
                ax, choice["step"].to_list(), choice["accuracy"].to_list(), colour=look.colour, marker=marker, size=size
            )
    chance = part["chance"].drop_nulls()
    if len(chance):
        draw_chance(ax, chance[0], upright=False)
    name = _AVERAGES.get(first["language"], first["language_name"])
    ax.set_title(shortened(name, 16), fontweight="bold" if first["language"] == AVG_UNSEEN else "normal")
    if first["in_pretraining"] is False:
        draw_hatched_panel(ax)
    ax.margins(x=0.12)


def _choice_handles(numbers: pl.DataFrame) -> list[Artist]:
    there = numbers.filter(kind=CHOICE)["rule"].drop_nulls().unique().to_list()
    return [
        mark_handle(marker, _short(rule), face="none", size=0.8 * min(wide, 2.2))
        for rule, (marker, wide) in _RULES.items()
        if rule.label in there
    ]


def _short(rule: Rule) -> str:
    return {"own": "own development", "last": "last", "target": "target validation", "oracle": "oracle"}[rule.name]
