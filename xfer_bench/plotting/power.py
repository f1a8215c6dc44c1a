"""Power: by language the smallest gain that the study could have found, against the gain that it saw."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import polars as pl

from xfer_bench.plotting.captions import (
    average_text,
    caption,
    items_text,
    order_text,
    percent,
    pretraining_text,
    seeds_text,
    seen_text,
    significance_text,
    variant_text,
)
from xfer_bench.plotting.marks import draw_points, draw_reach, draw_star
from xfer_bench.plotting.panels import Row, arm_panels, hatch_handles, present, seen_handles, star_handles
from xfer_bench.plotting.style import REACH, WIDE_REACH, Look, Page
from xfer_bench.plotting.subject import TARGET, Subject
from xfer_bench.stats.observed_power import observe

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Smallest detectable gains"
_USUAL = Page()
_TAKEN = ("n_items", "n_clusters", "languages", "seen", "gain", "significant", "family", "family_size", "test",
          "adjusted", "p_value", "p_adjusted", "over", "resamples", "level")  # fmt: skip


def power_numbers(subject: Subject) -> pl.DataFrame:
    """By arm, target and language the smallest detectable gain beside the gain seen; empty where nothing differs.

    smallest: over items, for these seeds; smallest_both: over items and seeds, from three seeds on. n_seeds: pairs of
    runs that share nothing.
    """
    observed = observe(subject.predictions, baseline=subject.baseline)
    rows = [
        {name: asdict(one)[name] for name in (*TARGET, "arm", "baseline", "language", "n_seeds", "discordance",
         "correlation", "standard_error", "seed_variance", "smallest", "smallest_both", "power")}
        for one in observed
    ]  # fmt: skip
    floats = ("correlation", "standard_error", "seed_variance", "smallest", "smallest_both")
    found = pl.DataFrame(rows, infer_schema_length=None, schema_overrides=dict.fromkeys(floats, pl.Float64))
    keys = [*TARGET, "arm", "language"]
    gains = subject.gains.select(*keys, *_TAKEN)
    both = found.join(gains, on=keys, how="inner", nulls_equal=True).filter(pl.col("smallest").is_not_null())
    return subject.headline_variants(subject.placed(both))


def power_figure(numbers: pl.DataFrame, page: Page = _USUAL) -> Figure:
    """Bars reach to the smallest detectable gain on both sides of nought; marks are the gains seen."""
    return arm_panels(
        numbers,
        page,
        handles=[*_reaches(numbers), *seen_handles(numbers), *hatch_handles(numbers), *star_handles(numbers)],
        label=f"gain over {numbers['baseline'][0]} (points)",
        draw=_draw,
    )


def power_caption(numbers: pl.DataFrame) -> str:
    """What the bars and marks are, and what they rest on."""
    power = percent(numbers["power"][0])
    both = (
        "; light bars: over items and seeds" if numbers["smallest_both"].is_not_null().any() else
        "; for other seeds there are too few seeds (3 are needed)"
    )  # fmt: skip
    cells = numbers.group_by(TARGET).agg(lacking=pl.col("arm").n_unique() * pl.col("language").n_unique() > pl.len())
    return caption(
        f"Bars: gains over {numbers['baseline'][0]} too small to be found with {power} power by a two-sided test at "
        f"{1 - numbers['level'][0]:.2g}, from the standard errors observed over clusters of items, for these "
        f"seeds{both}. Marks: the gains observed, mean over seeds; one inside its bar is a gain that such a study "
        "misses more often than that",
        average_text(numbers),
        f"{items_text(numbers)}; {seeds_text(numbers)}",
        "Neither bar nor mark: the answers differ from the baseline's in no cluster, or in all by the same"
        if cells["lacking"].any()
        else "",
        significance_text(numbers),
        seen_text(numbers),
        order_text(numbers),
        pretraining_text(numbers),
        variant_text(numbers),
    )


def _reaches(numbers: pl.DataFrame) -> list[Artist]:
    from matplotlib.patches import Patch

    power = percent(numbers["power"][0])
    both = numbers["smallest_both"].is_not_null().any()
    handles: list[Artist] = [Patch(facecolor=REACH, label=f"below {power} power{' (items)' if both else ''}")]
    if both:
        handles.append(Patch(facecolor=WIDE_REACH, label="(items and seeds)"))
    return handles


def _draw(ax: Axes, part: pl.DataFrame, rows: list[Row], look: Look) -> None:
    for row, one in present(rows, part):
        if one["smallest_both"] is not None:
            draw_reach(ax, row.height, one["smallest_both"], colour=WIDE_REACH)
        draw_reach(ax, row.height, one["smallest"], colour=REACH)
        seen = bool(one["seen"])
        draw_points(ax, [one["gain"]], [row.height], colour=look.colour, marker=look.marker, label="", seen=seen)
        if one["significant"]:
            draw_star(ax, one["gain"], row.height, colour=look.colour)
