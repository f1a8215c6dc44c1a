"""Published accuracies by language and model, with the languages that a model's pretraining lacked hatched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.languages import in_pretraining, language
from xfer_bench.plotting.marks import HATCH, draw_chance
from xfer_bench.plotting.style import COLOURS, TWO_COLUMNS
from xfer_bench.published import ACCURACY, PRINTED_AVERAGE
from xfer_bench.stats.estimates import ENGLISH
from xfer_bench.tasks import find

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 2.6
_SHARE = 0.82  # of the room of a language that bars take
_MARGIN = 3.0
_DENSE = 2 * HATCH  # a bar is narrow
_NUMBERS = ("task", "split", "table", "model", "language", "name", "accuracy", "in_pretraining", "reading", "source")


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One accuracy in points. unseen: the language is not in the model's pretraining data."""

    value: float
    unseen: bool = False


def draw_bars(
    ax: Axes, bars: Sequence[Bar | None], *, offset: float, width: float, start: float, colour: str, label: str
) -> None:
    """One model's bars, standing at 0, 1, 2, … plus the offset, from `start` to their values; None leaves a gap.

    A bar of an unseen language is hatched. A value equal to `start` shows as a line.
    """
    for unseen in (False, True):
        chosen = [(place, bar) for place, bar in enumerate(bars) if bar is not None and bar.unseen == unseen]
        if not chosen:
            continue
        drawn = ax.bar(
            [place + offset for place, _ in chosen],
            [bar.value - start for _, bar in chosen],
            width,
            bottom=start,
            facecolor="white" if unseen else colour,
            edgecolor=colour,
            label=f"{label}, unseen" if unseen else label,
            zorder=2,
        )
        if unseen:
            for one in drawn:
                one.set_hatch(_DENSE)
                one.set_hatchcolor(colour)


def published_numbers(references: pl.DataFrame) -> pl.DataFrame:
    """What the figure draws, of REFERENCES of one task in one table: a row a model and language.

    accuracy: points. in_pretraining: null where that is not known. Raises ResultsError when there are no accuracies
    of single languages, or of several tasks or tables, whose bars would stand for different things.
    """
    single = references.filter((pl.col("metric") == ACCURACY) & (pl.col("language") != PRINTED_AVERAGE))
    if single.is_empty():
        raise ResultsError("no published accuracies of single languages to draw; leave filters out")
    kinds = single.select("task", "table").unique().sort("task", "table").rows()
    if len(kinds) > 1:
        raise ResultsError(f"a figure is of one table, and these are several: {'; '.join(map(', '.join, kinds))}")
    pairs = single.select("model", "language").rows()
    names = [found.name if (found := language(code)) else code for _, code in pairs]
    seen = [in_pretraining(model, code) for model, code in pairs]
    return (
        single.rename({"value": "accuracy"})
        .with_columns(pl.Series("name", names), pl.Series("in_pretraining", seen, dtype=pl.Boolean))
        .select(_NUMBERS)
    )


def published_figure(numbers: pl.DataFrame) -> Figure:
    """Grouped bars from the level of chance: languages along the axis, English first, and a bar a model."""
    from matplotlib.figure import Figure

    codes = sorted(numbers["language"].unique(), key=lambda code: (code != ENGLISH, code))
    models = _ordered(numbers)
    names = dict(numbers.select("language", "name").iter_rows())
    figure = Figure(figsize=(TWO_COLUMNS, _HEIGHT), layout="constrained")
    axes = figure.add_subplot()
    chance = 100 * find(numbers["task"][0]).chance
    width = _SHARE / len(models)
    for place, model in enumerate(models):
        own = {row["language"]: row for row in numbers.filter(pl.col("model") == model).iter_rows(named=True)}
        bars = [
            Bar(value=own[code]["accuracy"], unseen=own[code]["in_pretraining"] is False) if code in own else None
            for code in codes
        ]
        offset = (place - (len(models) - 1) / 2) * width
        colour = COLOURS[place % len(COLOURS)]
        draw_bars(axes, bars, offset=offset, width=0.9 * width, start=chance, colour=colour, label=model)
    draw_chance(axes, chance, upright=False)
    axes.set_xticks(range(len(codes)), ["\n".join([code, *names[code].split()]) for code in codes])
    axes.tick_params(axis="x", length=0, labelsize="small")
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(-0.5, len(codes) - 0.5)
    axes.set_ylim(min([chance, *numbers["accuracy"]]) - _MARGIN, None)
    axes.set_ylabel(f"accuracy on {numbers['task'][0]}, points")
    _add_legend(axes, models)
    return figure


def published_caption(numbers: pl.DataFrame) -> str:
    """What a reader has to know below the figure."""
    digitised = (numbers["reading"] == "digitised").all()
    unknown = numbers.filter(pl.col("in_pretraining").is_null())
    parts = [
        f"Accuracy on {numbers['task'][0]} by language and model, as published: {numbers['table'][0]} of "
        f"{'; '.join(numbers['source'].unique(maintain_order=True))}.",
        "The values were measured in the pixels of the figure." if digitised else "",
        "Bars start at the accuracy of guessing.",
        "Hatched: the language is not in the model's documented pretraining data.",
        f"Not known for {', '.join(sorted(unknown['model'].unique()))}." if not unknown.is_empty() else "",
        "English first, then by ISO code.",
    ]
    return " ".join(filter(None, parts))


def _ordered(numbers: pl.DataFrame) -> list[str]:
    """Models by their mean, the best first, so that colours and bars fall in the same order everywhere."""
    means = numbers.group_by("model").agg(pl.col("accuracy").mean()).sort("accuracy", "model", descending=[True, False])
    return means["model"].to_list()


def _add_legend(axes: Axes, models: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        *(Patch(facecolor=COLOURS[place % len(COLOURS)], label=model) for place, model in enumerate(models)),
        Patch(facecolor="white", edgecolor="black", hatch=_DENSE, label="not in pretraining data"),
    ]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(handles))
