"""Which arm to pick: the rank of each with the ranks that it may have, and groups that cannot be told apart."""

from __future__ import annotations

from dataclasses import asdict
from math import ceil
from typing import TYPE_CHECKING, Any

import polars as pl

from xfer_bench.plotting.captions import AVERAGE_NAMES, UNSEEN_MEANS, caption, items_text, minus, percent, variant_text
from xfer_bench.plotting.marks import Interval, draw_group, draw_intervals
from xfer_bench.plotting.panels import looks_of, new_figure, part_of, targets_of, title_of
from xfer_bench.plotting.style import Page, wrapped
from xfer_bench.plotting.subject import TARGET, Subject
from xfer_bench.stats.cautions import uncertain_ranks
from xfer_bench.stats.estimates import AVG_UNSEEN
from xfer_bench.stats.ranking import rank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Ranks of arms"
_USUAL = Page()
_SIDE_BY_SIDE = 2
_BEST = "best in\nresamples"
_NAMED = ("task", "variant", "split", "setting", "target", "language", "baseline", "n_items", "n_clusters", "level")


def ranking_numbers(subject: Subject) -> pl.DataFrame:
    """A row an arm and target, best first; height: where it is drawn, equal ranks one under the other."""
    rankings = rank(
        subject.predictions,
        baseline=subject.baseline,
        resamples=subject.resamples,
        seed=subject.seed,
        level=subject.level,
    )
    seeds = {(*row[:-2], row[-2]): row[-1] for row in subject.gains.select(*TARGET, "arm", "n_seeds").iter_rows()}
    rows: list[dict[str, Any]] = []
    for ranking in rankings:
        names = {name: getattr(ranking, name) for name in _NAMED}
        target = tuple(names[name] for name in TARGET)
        rows += [
            {
                **names,
                **asdict(one),
                "height": -float(place),
                "n_arms": len(ranking.ranks),
                "n_seeds": seeds.get((*target, one.arm)),
                "resamples": subject.resamples,
            }
            for place, one in enumerate(ranking.ranks)
        ]
    found = pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"n_seeds": pl.Int64})
    return subject.headline_variants(subject.with_facts(found))


def ranking_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """One panel a target: a row an arm, its rank on the line of the ranks that it may have; groups are bracketed."""
    targets = targets_of(numbers)
    columns = 1 if page.columns == 1 else min(_SIDE_BY_SIDE, len(targets))
    lines = ceil(len(targets) / columns)
    letters = 26 if columns == 1 else 22
    labels = {arm: wrapped(arm, letters) for arm in numbers["arm"].unique()}
    row = page.line * max(1.35, *(0.5 + len(label.splitlines()) for label in labels.values()))
    most = max(part_of(numbers, target).height for target in targets)
    width = page.width if page.columns == 1 or columns > 1 else 0.68 * page.width
    # What stands upright on the right is as long as this.
    rows = max(most * row, page.wide(_BEST))
    figure = new_figure(page, width=width, height=lines * (rows + 5 * page.line))
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for ax, target in zip(grid, targets, strict=False):
        part = part_of(numbers, target).sort("height", descending=True)
        _draw(ax, part, labels)
        title = wrapped(title_of(target, numbers), page.letters(width / columns - 4 * page.em))
        ax.set_title(title, fontweight="bold")
    for ax in grid[len(targets) :]:
        ax.set_visible(False)
    return figure


def ranking_caption(numbers: pl.DataFrame) -> str:
    """What the ranks are of, what their lines mean, and what they rest on."""
    first = numbers.row(0, named=True)
    unseen = first["language"] == AVG_UNSEEN
    arms = numbers.filter(pl.col("n_seeds").is_not_null())
    counts = sorted(arms["n_seeds"].unique())
    seeds = "–".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    return caption(
        f"Arms ranked by gain over {first['baseline']} on the {AVERAGE_NAMES.get(first['language'], first['language'])}"
        f"{f' ({UNSEEN_MEANS})' if unseen else ''}, which is one of the arms with a gain of nought; 1 is best. Beside "
        "each name its gain (points), right of the panel the share of resamples in which the arm is best",
        f"{items_text(numbers)}; {seeds} {'seed' if seeds == '1' else 'seeds'} an arm",
        f"Lines: the ranks that each arm may have, for all arms together with {percent(first['level'])} confidence, "
        f"from simultaneous intervals of all pairwise differences ({first['resamples']:,} resamples of clusters of "
        "items, for these seeds)",
        "Bars: tie groups; arms of one group cannot be told from the best of it",
        "; ".join(filter(None, map(uncertain_ranks, sorted(numbers["n_clusters"].unique())))),
        variant_text(numbers),
    )


def _draw(ax: Axes, part: pl.DataFrame, labels: dict[str, str]) -> None:
    looks = looks_of(part)
    for one in part.iter_rows(named=True):
        mark = Interval(height=one["height"], value=one["rank"], low=one["rank_low"], high=one["rank_high"])
        look = looks[one["arm"]]
        draw_intervals(ax, [mark], colour=look.colour, marker=look.marker, label=one["arm"])
    most = part["n_arms"][0]
    for (group,), some in part.partition_by("group", as_dict=True, maintain_order=True).items():
        edge = 0.45 if group % 2 else 0.25
        draw_group(ax, edge, low=min(some["height"]) - 0.3, high=max(some["height"]) + 0.3)
    gains = [
        "(baseline)" if one["arm"] == one["baseline"] else minus(f"{one['gain']:+.1f}") for one in part.rows(named=True)
    ]
    names = [f"{labels[arm]} {gain}" for arm, gain in zip(part["arm"], gains, strict=True)]
    ax.set_yticks(part["height"].to_list(), names)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(min(part["height"]) - 0.6, 0.6)
    ax.set_xlim(0.1, most + 0.4)
    ax.set_xticks(range(1, most + 1))
    ax.set_xlabel("rank")
    ax.spines["left"].set_visible(False)
    right = ax.secondary_yaxis("right")
    right.set_yticks(part["height"].to_list(), [_share(one) for one in part["p_best"]])
    right.tick_params(axis="y", length=0)
    right.spines["right"].set_visible(False)
    right.set_ylabel(_BEST)


def _share(p: float) -> str:
    return "<1 %" if 0 < p < 0.005 else f"{100 * p:.0f} %"
