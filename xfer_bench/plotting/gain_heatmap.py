"""Arm by target: what each arm gains on average over unseen languages, the papers' main table as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Any

import polars as pl

from xfer_bench.plotting.captions import (
    average_text,
    caption,
    cautions_text,
    interval_text,
    items_text,
    minus,
    seeds_text,
    significance_text,
    variant_text,
)
from xfer_bench.plotting.cells import Cell, draw_divider, draw_heatmap
from xfer_bench.plotting.marks import SIGNIFICANT
from xfer_bench.plotting.panels import new_figure, part_of, targets_of
from xfer_bench.plotting.style import Page, wrapped
from xfer_bench.plotting.subject import PUBLISHED, Subject
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_UNSEEN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Gains by arm and target"
_USUAL = Page()
_WIDEST, _WITH_INTERVAL = 11.0, 7.4
_BAR = 5.5
_LONGEST_ROW = 24
_AVERAGES = {AVG_UNSEEN: "unseen languages", AVG: "all languages but English"}
# Paler than the scale goes, so that the text in the strongest cells is easy to read.
_HEADROOM = 1.2


def gain_heatmap_numbers(subject: Subject) -> pl.DataFrame:
    """The averages of each arm on each target, then those of the study's own contrasts; `row` names the pair."""
    averages = pl.col("language").is_in(AVERAGES)
    gains = subject.gains.filter(averages).with_columns(row=pl.col("arm"))
    parts = [gains]
    if len(subject.primary):
        contrast = pl.format("{} − {}", "arm", "baseline")
        # Against the baseline it is a row already.
        asked = subject.primary.filter(averages, pl.col("baseline") != subject.baseline).with_columns(row=contrast)
        parts.append(subject.with_facts(asked))
    return subject.headline_variants(pl.concat(parts, how="diagonal"))


def gain_heatmap_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """Gains by arm and target: a panel for the mean over unseen languages, one for that over all but English."""
    targets = targets_of(numbers)
    rows = numbers["row"].unique(maintain_order=True).to_list()
    baseline = numbers.filter(~pl.col("primary"))["baseline"][0]
    names = [f"{baseline} (baseline)", *rows]
    letters = _LONGEST_ROW if page.columns == 2 else _LONGEST_ROW // 2
    labels = [wrapped(name, letters) for name in names]
    averages = [name for name in AVERAGES if name in numbers["language"].to_list()]
    room = page.width - page.wide("\n".join(labels)) - (_BAR + 2) * page.em
    beside = room / len(targets) / len(averages) >= _WITH_INTERVAL * page.em
    if not beside and page.columns == 1:
        averages = averages[:1]
    across = len(targets) * (len(averages) if beside else 1)
    cell = min(_WIDEST * page.em, room / across)
    letters = page.letters(cell - 0.3 * page.em)
    heads = ["\n".join(wrapped(line, letters) for line in _head(target, numbers)) for target in targets]
    head = page.line * max(len(text.splitlines()) for text in heads)
    with_interval = cell >= _WITH_INTERVAL * page.em
    row_height = page.line * max(2.8 if with_interval else 1.5, *(0.4 + len(label.splitlines()) for label in labels))
    lines = 1 if beside else len(averages)
    figure = new_figure(
        page,
        width=page.width - room + across * cell,
        height=lines * (row_height * len(labels) + head + 2.2 * page.line) + 0.5 * page.line,
    )
    grid = figure.subplots(lines, len(averages) // lines, squeeze=False, sharey=True).flatten()
    limit = max(1.0, _HEADROOM * numbers.select(pl.col("gain").abs().max()).item())
    image = None
    for place, (ax, average) in enumerate(zip(grid, averages, strict=True)):
        cells = _cells(numbers.filter(language=average), targets, rows, with_interval=with_interval)
        size = "medium" if with_interval else min(1.0, cell / page.em / 3.6) * page.em * 72
        image = draw_heatmap(ax, cells, rows=labels, columns=heads, limit=limit, text_size=size)
        contrasts = numbers.filter(pl.col("primary"))["row"].n_unique()
        if contrasts:
            draw_divider(ax, len(labels) - contrasts - 0.5, upright=False)
        ax.tick_params(axis="y", labelleft=not beside or place == 0)
        ax.set_title(wrapped(_AVERAGES[average], page.letters(cell * len(targets) + page.em)), fontweight="bold")
    bar = figure.colorbar(image, ax=list(grid), fraction=0.09, aspect=18, pad=0.02)  # type: ignore[arg-type]
    bar.set_label("gain (points)")
    bar.outline.set_visible(False)
    return figure


def gain_heatmap_caption(numbers: pl.DataFrame) -> str:
    """What the cells are, and what they rest on."""
    gains = numbers.filter(~pl.col("primary"))
    asked = numbers.filter(pl.col("primary"))
    lacking = "" if {*gains["language"]} == {*asked["language"]} else "; of other averages it asks nothing"
    return caption(
        f"Gain in accuracy (points) over {gains['baseline'][0]} with the same target seed, mean over languages and "
        "seeds; interval in brackets where there is room; first row: the accuracy of the baseline",
        f"Rows with a minus are the study's own question: one arm's accuracy minus the other's{lacking}"
        if len(asked)
        else "",
        average_text(gains),
        f"{items_text(numbers)}; {seeds_text(numbers)}",
        interval_text(numbers),
        significance_text(numbers),
        variant_text(numbers),
        cautions_text(numbers),
    )


def _head(target: dict[str, Any], numbers: pl.DataFrame) -> tuple[str, ...]:
    items = part_of(numbers, target)["n_items"][0]
    trained = "" if target["target"] == target["task"] else f" after {target['target']}"
    variant = "" if target["variant"] == PUBLISHED else f" {target['variant']}"
    return f"{target['task']}{trained}{variant}", f"{target['setting']}, {target['split']}", f"n = {items:,}"


def _cells(
    numbers: pl.DataFrame, targets: Sequence[dict[str, Any]], rows: Sequence[str], *, with_interval: bool
) -> list[list[Cell]]:
    by_target = [part_of(numbers, target) for target in targets]
    before = [Cell(value=0.0 if len(part) else nan, text=_baseline_text(part)) for part in by_target]
    found = [[part.filter(row=row).rows(named=True) for part in by_target] for row in rows]
    return [
        before,
        *(
            [
                Cell(value=one[0]["gain"], text=gain_text(one[0], with_interval=with_interval))
                if one
                else Cell(value=nan)
                for one in line
            ]
            for line in found
        ),
    ]


def gain_text(row: dict[str, Any], *, with_interval: bool) -> str:
    """A gain with its star, and its interval under it."""
    star = SIGNIFICANT if row["significant"] else ""
    interval = f"\n[{row['ci_low']:+.1f}, {row['ci_high']:+.1f}]" if with_interval else ""
    return minus(f"{row['gain']:+.1f}{star}{interval}")


def _baseline_text(part: pl.DataFrame) -> str:
    """The accuracy of the baseline; a range where arms share different seeds with it."""
    shown = sorted({f"{value:.1f}" for value in part.filter(~pl.col("primary"))["baseline_accuracy"]}, key=float)
    return "–".join(dict.fromkeys((shown[0], shown[-1]))) if shown else ""
