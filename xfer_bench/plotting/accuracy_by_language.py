"""Accuracy by language: every arm and the baseline with intervals, over chance, beside what others published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.plotting.captions import (
    caption,
    interval_text,
    items_text,
    order_text,
    pretraining_text,
    seeds_text,
    seen_text,
    variant_text,
)
from xfer_bench.plotting.marks import Interval, draw_chance, draw_intervals, draw_reference
from xfer_bench.plotting.panels import (
    Row,
    arm_handles,
    chance_handles,
    hatch_handles,
    label_rows,
    legend,
    legend_height,
    looks_of,
    mark_handle,
    new_figure,
    part_of,
    present,
    rows_of,
    seen_handles,
    targets_of,
    title_of,
)
from xfer_bench.plotting.style import Page, wrapped
from xfer_bench.plotting.subject import PUBLISHED, TARGET, Subject
from xfer_bench.published import ACCURACY, references
from xfer_bench.stats.bootstrap import cluster_sums
from xfer_bench.stats.estimates import AVG_PUBLISHED
from xfer_bench.stats.method import Method
from xfer_bench.stats.outcomes import Pairing, pairings
from xfer_bench.stats.paired import over_clusters

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Accuracy by language"
ARM, REFERENCE = "arm", "reference"
_USUAL = Page()
_MARKERS = ("x", "+", "1", "2")
# Not what a fine-tuned encoder does zero-shot: people, and machine translation of the test set.
_OTHER_SETTINGS = "human|translate"
_SIDE_BY_SIDE = 2


def accuracy_by_language_numbers(subject: Subject) -> pl.DataFrame:
    """Accuracy in points of each arm and the baseline, mean over seeds, and published references of the same task.

    kind: `arm`, or `reference` with `arm` the published model; references only beside the published variant.
    """
    found = [_accuracies(pairing, subject) for pairing in pairings(subject.predictions, baseline=subject.baseline)]
    rows = pl.DataFrame([row for some in found for row in some], infer_schema_length=None)
    keys = [*(name for name in TARGET if name != "variant"), "arm", "language"]
    seen = subject.gains.select(*keys, "seen").unique(keys)
    ours = rows.join(seen, on=keys, how="left", nulls_equal=True).with_columns(
        kind=pl.lit(ARM), source=pl.lit(None, dtype=pl.String), baseline=pl.lit(subject.baseline)
    )
    return subject.placed(pl.concat([ours, _references(ours)], how="diagonal_relaxed"))


def accuracy_by_language_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """One panel a target: a row a language, in it the arms one above the other, and references as crosses."""
    ours = numbers.filter(kind=ARM)
    looks, targets = looks_of(ours), targets_of(ours)
    columns = 1 if page.columns == 1 else min(_SIDE_BY_SIDE, len(targets))
    lines = ceil(len(targets) / columns)
    rows = [rows_of(part_of(ours, target), short=page.columns == 1) for target in targets]
    models = _models(numbers)
    row_height = page.em * max(1.5, 0.46 * (len(looks) + bool(models)) + 0.5)
    tallest = row_height * max(some[0].height - some[-1].height + 1.2 for some in rows)
    handles = [
        *arm_handles(looks),
        *_reference_handles(models),
        *chance_handles(ours),
        *seen_handles(ours),
        *hatch_handles(ours),
    ]
    figure = new_figure(page, height=legend_height(handles, page) + lines * (tallest + 4.5 * page.line))
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax, target, some in zip(grid, targets, rows, strict=False):
        part = part_of(numbers, target)
        _draw(ax, part, some, list(looks), models)
        # As wide as the axes, in the middle of which it stands.
        letters = page.letters(page.width / columns - page.wide("\n".join(row.name for row in some)))
        ax.set_title(wrapped(title_of(target, ours), letters), fontweight="bold")
        ax.set_xlabel("accuracy (points)")
    for ax in grid[len(targets) :]:
        ax.set_visible(False)
    legend(figure, handles, page)
    return figure


def accuracy_by_language_caption(numbers: pl.DataFrame) -> str:
    """What the marks are, and what they rest on."""
    ours = numbers.filter(kind=ARM)
    theirs = numbers.filter(kind=REFERENCE)
    chances = ours.select("task", "chance").unique(maintain_order=True).drop_nulls().rows()
    sources = ", ".join(dict.fromkeys(theirs["source"].drop_nulls().to_list()))
    return caption(
        "Accuracy (points) by language, mean over seeds",
        f"{items_text(ours)}; {seeds_text(ours)}",
        interval_text(ours.with_columns(test=pl.lit("bootstrap"), over=pl.lit("items"))),
        "No test: differences between arms are tested in the figure of gains",
        f"Dotted: chance ({', '.join(f'{task} {chance:.1f}' for task, chance in chances)})" if chances else "",
        f"Crosses: published accuracies on the published variant, which may be of other settings ({sources})"
        if sources
        else "",
        seen_text(ours),
        order_text(ours),
        pretraining_text(ours),
        variant_text(ours),
    )


def _accuracies(pairing: Pairing, subject: Subject) -> Iterator[dict[str, Any]]:
    counts, sizes = cluster_sums(pairing.right.reshape(len(pairing.clusters), -1), pairing.clusters)
    right = counts.reshape(len(sizes), *pairing.right.shape[1:])
    runs = {pairing.baseline: sorted({pair.before for pair in pairing.pairs})}
    runs |= {arm: [pair.after for pair in pairing.pairs_of(arm)] for arm in pairing.arms}
    names = {name: codes for name, codes in pairing.averages.items() if name != AVG_PUBLISHED}
    cells = [(arm, name) for arm in runs for name in names]
    sums = [right[:, runs[arm]][:, :, pairing.places(names[name])].sum(axis=(1, 2)) for arm, name in cells]
    drawn = over_clusters(
        np.stack(sums, axis=-1),
        sizes,
        divisors=np.array([len(runs[arm]) * len(names[name]) for arm, name in cells]),
        method=Method(resamples=subject.resamples, seed=subject.seed, level=subject.level),
    )
    for place, (arm, name) in enumerate(cells):
        yield {
            **{key: getattr(pairing, key) for key in TARGET},
            "arm": arm,
            "language": name,
            "languages": " ".join(names[name]),
            "accuracy": float(100 * drawn.value[place]),
            "low": float(100 * drawn.low[place]),
            "high": float(100 * drawn.high[place]),
            "n_seeds": len(runs[arm]),
            "n_items": len(pairing.clusters),
            "n_clusters": len(sizes),
            "chance": subject.chance(pairing.task),
            "level": subject.level,
            "resamples": subject.resamples,
        }


def _references(ours: pl.DataFrame) -> pl.DataFrame:
    """Published accuracies in the languages of the targets' published variants; printed values before digitised."""
    parts = []
    for target in ours.filter(variant=PUBLISHED).select(TARGET).unique(maintain_order=True).rows(named=True):
        try:
            found = references(target["task"], metric=ACCURACY)
        except ResultsError:
            continue  # Nothing is published here of this task.
        languages = part_of(ours, target)["language"].unique()
        kept = (
            found.filter(
                pl.col("language").is_in(languages.implode()),
                pl.col("split") == target["split"],
                pl.col("reading") != "entered",
                ~pl.col("setting").str.contains(_OTHER_SETTINGS),
                pl.col("language") != "avg",
            )
            .sort(pl.col("reading") != "printed", maintain_order=True)
            .unique(["model", "language"], keep="first", maintain_order=True)
        )
        models = kept.group_by("model", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
        kept = kept.filter(pl.col("model").is_in(models["model"].head(len(_MARKERS)).implode()))
        names = [pl.lit(target[name], dtype=pl.String).alias(name) for name in TARGET if name != "split"]
        parts.append(
            kept.select(
                *names,
                "split",
                "language",
                "source",
                pl.col("model").alias("arm"),
                pl.col("value").alias("accuracy"),
                pl.lit(REFERENCE).alias("kind"),
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame()


def _models(numbers: pl.DataFrame) -> dict[str, str]:
    """By published model its marker."""
    names = numbers.filter(kind=REFERENCE)["arm"].unique().sort().to_list()
    return dict(zip(names, _MARKERS, strict=False))


def _draw(ax: Axes, part: pl.DataFrame, rows: list[Row], arms: Sequence[str], models: dict[str, str]) -> None:
    looks = looks_of(part.filter(kind=ARM))
    chance = part["chance"].drop_nulls()
    if len(chance):
        draw_chance(ax, chance[0], upright=True)
    # References have the lowest lane of a row.
    lanes = len(arms) + bool(models)
    below = 0.84 * (0.5 / lanes - 0.5)
    for place, arm in enumerate(arms):
        if arm not in looks:
            continue
        shift = 0.84 * (0.5 - (place + 0.5) / lanes)
        found = present(rows, part.filter(kind=ARM, arm=arm))
        intervals = [
            Interval(
                height=row.height + shift,
                value=one["accuracy"],
                low=one["low"],
                high=one["high"],
                seen=bool(one["seen"]),
            )
            for row, one in found
        ]
        draw_intervals(ax, intervals, colour=looks[arm].colour, marker=looks[arm].marker, label=arm)
    for model, marker in models.items():
        found = present(rows, part.filter(kind=REFERENCE, arm=model))
        draw_reference(
            ax,
            [one["accuracy"] for _, one in found],
            [row.height + below for row, _ in found],
            marker=marker,
            label=model,
        )
    label_rows(ax, rows)


def _reference_handles(models: dict[str, str]) -> list[Artist]:
    return [mark_handle(marker, f"{model} (published)") for model, marker in models.items()]
