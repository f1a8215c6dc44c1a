"""Arm by language: every gain as a cell, seen languages framed, languages outside the pretraining data hatched."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import TYPE_CHECKING, Any

import polars as pl

from xfer_bench.plotting.captions import (
    average_text,
    caption,
    cautions_text,
    items_text,
    minus,
    order_text,
    pretraining_text,
    seeds_text,
    seen_text,
    significance_text,
    variant_text,
)
from xfer_bench.plotting.cells import Cell, draw_divider, draw_hatched_cell, draw_heatmap
from xfer_bench.plotting.gain_heatmap import gain_text
from xfer_bench.plotting.panels import (
    SHORT_AVERAGES,
    hatch_handles,
    legend,
    legend_height,
    looks_of,
    new_figure,
    part_of,
    star_handles,
    targets_of,
    title_of,
)
from xfer_bench.plotting.style import Page, shortened, wrapped
from xfer_bench.plotting.subject import Subject
from xfer_bench.stats.estimates import AVERAGES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Gains by arm and language"
_USUAL = Page()
_BAR = 5.0
_SCALE = "gain (points)"
_LONGEST_ROW = 21
_SHORTEST, _LONGEST = 12, 30
_HEADROOM = 1.2
# In ems: a cell that "+12.3*" still fits in, and the widest that looks like one.
_NARROWEST, _WIDEST = 2.4, 6.0
_LETTERS = 7.4
_NARROW = 3.6
_STRIP = 0.32


def gains_by_arm_and_language_numbers(subject: Subject) -> pl.DataFrame:
    """Every comparison with the baseline, as in the forest plot."""
    return subject.headline_variants(subject.gains)


def gains_by_arm_and_language_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """A panel a target: arms are rows and languages columns, or, where these do not fit, the other way round."""
    targets, arms = targets_of(numbers), list(looks_of(numbers))
    parts = [part_of(numbers, target) for target in targets]
    languages = [_languages(part) for part in parts]
    labels = [wrapped(name, _LONGEST_ROW) for name in _rows(numbers, arms)]
    most = max(map(len, languages))
    room = page.width - page.wide("\n".join(labels)) - (_BAR + 1) * page.em
    lying = room / most >= _NARROWEST * page.em
    if lying:
        cell = min(_WIDEST * page.em, room / most)
        across, row = most, page.line * max(1.5, *(0.4 + len(label.splitlines()) for label in labels))
        matrices = row * len(labels) * len(targets)
        heights = [row * len(labels) + page.line * 4.4 for _ in targets]
    else:
        across = len(labels)
        room = page.width - page.wide("\n".join(name for some in languages for name in some)) - (_BAR + 2) * page.em
        cell = min(_WIDEST * page.em, room / across)
        # As many lines as a column is wide.
        most_lines = max(1, int(cell / page.line))
        labels = [_upright(name, most_lines) for name in _rows(numbers, arms)]
        heads = page.wide("\n".join(labels)) + page.em
        matrices = 1.35 * page.line * sum(map(len, languages))
        heights = [1.35 * page.line * len(some) + heads + 2.2 * page.line for some in languages]
    handles = _handles(numbers)
    width = page.width - room + across * cell
    figure = new_figure(page, width=width, height=sum(heights) + legend_height(handles, page, width=width))
    grid = figure.subplots(len(targets), 1, squeeze=False, height_ratios=heights).flatten()
    limit = max(1.0, _HEADROOM * numbers.select(pl.col("gain").abs().max()).item())
    size = min(0.86, cell / page.em / (_LETTERS * 0.6)) * page.em * 72
    image = None
    for ax, target, part, some in zip(grid, targets, parts, languages, strict=True):
        cells = _cells(part, arms, list(some))
        if lying:
            codes = [name.replace(" ", "\n") for name in some.values()]
            image = draw_heatmap(ax, cells, rows=labels, columns=codes, limit=limit, text_size=size)
            ax.tick_params(axis="x", labelsize="small" if cell < _NARROW * page.em else "medium")
        else:
            turned = [list(line) for line in zip(*cells, strict=True)]
            image = draw_heatmap(ax, turned, rows=list(some.values()), columns=labels, limit=limit, text_size=size)
            ax.tick_params(axis="x", rotation=90)
        _mark(ax, part, list(some), lying=lying, across=len(cells))
        letters = page.letters(across * cell + 2 * page.em)
        ax.set_title(wrapped(title_of(target, numbers), letters), fontweight="bold")
    bar = figure.colorbar(image, ax=list(grid), fraction=0.05, aspect=18, pad=0.015)  # type: ignore[arg-type]
    bar.set_label(_SCALE if page.wide(_SCALE) <= matrices else "points")
    bar.outline.set_visible(False)
    legend(figure, handles, page, width=figure.get_figwidth(), below=True)
    return figure


def gains_by_arm_and_language_caption(numbers: pl.DataFrame) -> str:
    """What the cells are, and what they rest on."""
    return caption(
        f"Gain in accuracy (points) over {numbers['baseline'][0]} with the same target seed, by arm and language, mean "
        "over seeds; baseline: its accuracy. Intervals are in the figure of gains by language and in the CSV",
        average_text(numbers),
        f"{items_text(numbers)}; {seeds_text(numbers)}",
        significance_text(numbers),
        seen_text(numbers, mark="Framed"),
        order_text(numbers),
        pretraining_text(numbers),
        variant_text(numbers),
        cautions_text(numbers),
    )


def _rows(numbers: pl.DataFrame, arms: Sequence[str]) -> list[str]:
    return [f"{numbers['baseline'][0]} (baseline)", *arms]


def _upright(name: str, most_lines: int) -> str:
    for letters in range(_SHORTEST, _LONGEST):
        text = wrapped(name, letters)
        if len(text.splitlines()) <= most_lines:
            return text
    return shortened(name, _LONGEST)


def _languages(part: pl.DataFrame) -> dict[str, str]:
    """By language its name in a narrow column."""
    codes = part.select("language", "place").unique().sort("place")["language"].to_list()
    return {code: SHORT_AVERAGES.get(code, code) for code in codes}


def _cells(part: pl.DataFrame, arms: Sequence[str], languages: Sequence[str]) -> list[list[Cell]]:
    known = {(one["arm"], one["language"]): one for one in part.iter_rows(named=True)}
    before = []
    for language in languages:
        shown = sorted(part.filter(language=language)["baseline_accuracy"].round(1).unique())
        # Arms that share different seeds with the baseline are measured against different ones.
        text = f"{shown[0]:.1f}" if len(shown) == 1 else f"{shown[0]:.0f}–{shown[-1]:.0f}"
        before.append(Cell(value=0.0, text=text))
    return [before, *([_cell(known.get((arm, language))) for language in languages] for arm in arms)]


def _cell(one: dict[str, Any] | None) -> Cell:
    if one is None:
        return Cell(value=nan)
    return Cell(value=one["gain"], text=minus(gain_text(one, with_interval=False)), seen=bool(one["seen"]))


def _mark(ax: Axes, part: pl.DataFrame, languages: Sequence[str], *, lying: bool, across: int) -> None:
    """A line after the averages, and a hatched strip at the foot of languages outside the pretraining data."""
    averages = sum(language in AVERAGES for language in languages)
    if 0 < averages < len(languages):
        draw_divider(ax, averages - 0.5, upright=lying)
    groups = dict(part.select("language", "group").unique().iter_rows())
    for place in range(averages + 1, len(languages)):
        if groups[languages[place]] != groups[languages[place - 1]]:
            draw_divider(ax, place - 0.5, upright=lying, faint=True)
    absent = set(part.filter(~pl.col("in_pretraining"))["language"])
    for place, language in enumerate(languages):
        if language in absent and lying:
            draw_hatched_cell(ax, place - 0.46, across - 0.5, 0.92, _STRIP)
        elif language in absent:
            draw_hatched_cell(ax, across - 0.5, place - 0.44, _STRIP, 0.88)
    if absent:
        # The strip is outside the matrix.
        low, high = ax.get_ylim() if lying else ax.get_xlim()
        end = across - 0.5 + _STRIP
        (ax.set_ylim if lying else ax.set_xlim)(max(low, end) if lying else low, high if lying else end)


def _handles(numbers: pl.DataFrame) -> list[Artist]:
    from matplotlib.patches import Patch

    seen = numbers["seen"].fill_null(value=False).any()
    framed: list[Artist] = [Patch(facecolor="white", edgecolor="black", label="seen in intermediate data")]
    return [*(framed if seen else []), *hatch_handles(numbers), *star_handles(numbers)]
