"""What figures of several panels share: a legend that fits, panels of languages by arms, and hatched languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from xfer_bench.plotting.captions import target_name
from xfer_bench.plotting.marks import HATCH, SIGNIFICANT, draw_hatched_row, draw_nought
from xfer_bench.plotting.style import BASELINE, GREY, LIGHT_GREY, Look, Page, look_of, shortened, wrapped
from xfer_bench.plotting.subject import TARGET
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_UNSEEN

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORT_AVERAGES = {AVG_UNSEEN: "unseen", AVG: "not en"}
_LONG_AVERAGES = {AVG_UNSEEN: "mean, unseen", AVG: "mean, all but English"}
_GAP = 0.6
_NARROWEST = 6.4
_LONGEST_ARM = 44
_MANY, _SMALL = 4, 1.25
_FEW_LINES = 2


@dataclass(frozen=True, kw_only=True)
class Row:
    """A language's or an average's row: at which height, upwards, and its name."""

    language: str
    height: float
    name: str
    hatched: bool


def new_figure(page: Page, *, height: float, width: float | None = None) -> Figure:
    """An empty figure with a layout that keeps its parts apart."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width or page.width, height), layout="constrained")


def targets_of(numbers: pl.DataFrame) -> list[dict[str, Any]]:
    """The targets of a table in its order."""
    return numbers.select(TARGET).unique(maintain_order=True).rows(named=True)


def looks_of(numbers: pl.DataFrame) -> dict[str, Look]:
    """By arm how it is drawn, the baseline first and then in the order of arms."""
    arms = numbers.select("arm", "arm_place").drop_nulls("arm").unique().sort("arm_place", nulls_last=False)
    return {arm: look_of(place) for arm, place in arms.iter_rows()}


def title_of(target: Mapping[str, object], numbers: pl.DataFrame) -> str:
    """A panel's title: the target and its number of items."""
    items = part_of(numbers, target)["n_items"][0]
    return f"{target_name(dict(target))}, {items:,} items"


def heading(ax: Axes, text: str) -> None:
    """A title over several panels, in axes of its own."""
    ax.set_axis_off()
    shown = ax.text(0.5, 0.5, text, ha="center", va="center", fontweight="bold", transform=ax.transAxes)
    shown.set_in_layout(False)


def rows_of(numbers: pl.DataFrame, *, short: bool = False) -> list[Row]:
    """The rows of one target, from the top: averages, a gap, then languages, with a smaller gap between groups."""
    columns = ("language", "place", "group", "language_name", "in_pretraining")
    known = numbers.select(columns).unique().sort("place").rows(named=True)
    rows, height, before = [], 0.0, None
    averages = SHORT_AVERAGES if short else _LONG_AVERAGES
    for one in known:
        is_average = one["language"] in AVERAGES
        group = AVG if is_average else one["group"]
        if before is not None and group != before:
            height -= _GAP if before == AVG else 0.25
        before = group
        name = averages.get(one["language"]) or (one["language"] if short else one["language_name"])
        rows.append(Row(language=one["language"], height=height, name=name, hatched=one["in_pretraining"] is False))
        height -= 1
    return rows


def label_rows(ax: Axes, rows: Sequence[Row]) -> None:
    """The rows' names at the axis, hatched bands, and a line under the averages."""
    ax.set_yticks([row.height for row in rows], [row.name for row in rows])
    ax.tick_params(axis="y", length=0)
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.language == AVG_UNSEEN else "normal")
    averages = [row.height for row in rows if row.language in AVERAGES]
    if averages and len(averages) < len(rows):
        ax.axhline(min(averages) - 0.5 - _GAP / 2, color=LIGHT_GREY)
    for row in rows:
        if row.hatched:
            draw_hatched_row(ax, row.height - 0.5, row.height + 0.5)
    ax.set_ylim(min(row.height for row in rows) - 0.6, max(row.height for row in rows) + 0.6)


def _name_groups(ax: Axes, part: pl.DataFrame, rows: Sequence[Row]) -> None:
    """Families or scripts, small and grey at the right end of their rows."""
    group_of = dict(part.select("language", "group").unique().iter_rows())
    heights: dict[str, list[float]] = {}
    for row in rows:
        heights.setdefault(group_of.get(row.language, ""), []).append(row.height)
    for group, some in heights.items():
        middle = (min(some) + max(some)) / 2
        ax.text(1.03, middle, group, transform=ax.get_yaxis_transform(), va="center", fontsize="small", color=GREY)


def part_of(numbers: pl.DataFrame, target: Mapping[str, object]) -> pl.DataFrame:
    """The rows of one target."""
    return numbers.filter(pl.all_horizontal(pl.col(name).eq_missing(target[name]) for name in TARGET))


def legend(
    figure: Figure, handles: Sequence[Artist], page: Page, *, width: float | None = None, below: bool = False
) -> None:
    """A legend above all panels, or below them, in as many columns as fit."""
    if handles:
        figure.legend(
            handles=list(handles),
            loc="outside lower center" if below else "outside upper center",
            ncols=_columns_of(handles, width or page.width, page),
        )


def legend_height(handles: Sequence[Artist], page: Page, *, width: float | None = None) -> float:
    """How high the legend of these will be, with some space."""
    if not handles:
        return 0.5 * page.line
    return page.line * (1 + 1.15 * ceil(len(handles) / _columns_of(handles, width or page.width, page)))


def _columns_of(handles: Sequence[Artist], width: float, page: Page) -> int:
    longest = max(page.wide(str(handle.get_label())) for handle in handles) + 4.2 * page.em
    return max(1, min(len(handles), int(width / longest)))


def arm_handles(looks: Mapping[str, Look], *, line: Literal["-", "none"] = "-") -> list[Artist]:
    """A handle for each arm."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle=line, label=shortened(arm, _LONGEST_ARM))
        for arm, look in looks.items()
    ]


def mark_handle(marker: str, label: str, *, colour: str = GREY, face: str | None = None, size: float = 1.0) -> Artist:
    """A handle for a mark; face: another colour inside. size: times the style's."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D

    wide = size * mpl.rcParams["lines.markersize"]
    inside = colour if face is None else face
    return Line2D(
        [], [], color=colour, marker=marker, markerfacecolor=inside, markersize=wide, linestyle="none", label=label
    )


def seen_handles(numbers: pl.DataFrame) -> list[Artist]:
    """What open marks mean, where there are any."""
    if not numbers["seen"].fill_null(value=False).any():
        return []
    return [mark_handle("o", "unseen"), mark_handle("o", "seen in intermediate data", face="white")]


def chance_handles(numbers: pl.DataFrame) -> list[Artist]:
    """What the dotted line means, where there is one."""
    from matplotlib.lines import Line2D

    if not len(numbers["chance"].drop_nulls()):
        return []
    return [Line2D([], [], color=BASELINE, linestyle=":", label="chance")]


def hatch_handles(numbers: pl.DataFrame) -> list[Artist]:
    """What hatches mean, where there are any."""
    from matplotlib.patches import Patch

    if not (~numbers["in_pretraining"]).any():
        return []
    return [Patch(facecolor="none", edgecolor=GREY, hatch=HATCH, linewidth=0, label="not in pretraining")]


def star_handles(numbers: pl.DataFrame) -> list[Artist]:
    """What a star means, where there is one."""
    from matplotlib.patches import Patch

    if not numbers["significant"].fill_null(value=False).any():
        return []
    level = 1 - numbers["level"][0]
    adjusted = ", adjusted" if numbers["adjusted"][0] else ""
    return [Patch(facecolor="none", edgecolor="none", label=f"{SIGNIFICANT} p < {level:.2g}{adjusted}")]


def arm_panels(
    numbers: pl.DataFrame,
    page: Page,
    *,
    handles: Sequence[Artist],
    label: str,
    draw: Callable[[Axes, pl.DataFrame, list[Row], Look], None],
) -> Figure:
    """For each target a line of panels, one an arm, with languages as rows; all panels of a target share their axes.

    draw: gets the axes, the rows of the table for this target and arm, the rows and the arm's look.
    """
    looks, targets = looks_of(numbers), targets_of(numbers)
    short = page.columns == 1
    parts = [part_of(numbers, target) for target in targets]
    rows = [rows_of(part, short=short) for part in parts]
    names = page.wide("\n".join(row.name for some in rows for row in some)) + page.em
    groups = "" if short else "\n".join(numbers["group"].unique())
    room = page.width - names
    per_line = max(1, min(len(looks), int(room / (_NARROWEST * page.em))))
    with_groups = len(looks) == per_line and (room - page.wide(groups)) / per_line >= 1.4 * _NARROWEST * page.em
    room -= page.wide(groups) if with_groups else 0
    lines = ceil(len(looks) / per_line)
    # Small titles from five arms on: names then break at their separators, and seldom inside a word.
    size, letters = "medium", page.letters(room / per_line - 0.6 * page.em)
    if len(looks) > _MANY:
        size, letters = "small", int(letters * _SMALL)
    titles = {arm: wrapped(arm, letters) for arm in looks}
    heads = page.line * (max(len(title.splitlines()) for title in titles.values()) + 0.5)
    row_height = page.em * (1.5 if lines * len(targets) <= _FEW_LINES else 1.2)
    heights = [row_height * (some[0].height - some[-1].height + 1.2) for some in rows]
    figure = new_figure(
        page,
        height=page.line * (1 + ceil(len(handles) / 3)) + sum(
            1.6 * page.line + lines * (height + heads + 1.6 * page.line) for height in heights
        ) + 1.5 * page.line,
    )  # fmt: skip
    grid = figure.add_gridspec(
        len(targets) * (lines + 1),
        per_line,
        height_ratios=[ratio for height in heights for ratio in (1.2 * page.line, *[height] * lines)],
    )
    for number, (target, part, some) in enumerate(zip(targets, parts, rows, strict=True)):
        heading(figure.add_subplot(grid[number * (lines + 1), :]), title_of(target, numbers))
        first: Axes | None = None
        for place, (arm, look) in enumerate(looks.items()):
            line, column = divmod(place, per_line)
            ax = figure.add_subplot(grid[number * (lines + 1) + 1 + line, column], sharex=first, sharey=first)
            first = first or ax
            draw_nought(ax, upright=True)
            draw(ax, part.filter(arm=arm), some, look)
            label_rows(ax, some)
            ax.tick_params(axis="y", labelleft=column == 0)
            ax.spines["left"].set_visible(column == 0)
            ax.set_title(titles[arm], fontsize=size)
            # Room for the stars, which are no data.
            ax.margins(x=0.12)
            ax.locator_params(axis="x", nbins=max(2, int(room / per_line / (3.6 * page.em))))
            if with_groups and column == per_line - 1:
                _name_groups(ax, part, some)
    figure.supxlabel(label, fontsize="medium")
    legend(figure, handles, page)
    return figure


def present(rows: Iterable[Row], part: pl.DataFrame) -> list[tuple[Row, dict[str, Any]]]:
    """Each row with what the table has for it; rows that it has nothing for are left out."""
    known = {one["language"]: one for one in part.iter_rows(named=True)}
    return [(row, known[row.language]) for row in rows if row.language in known]
