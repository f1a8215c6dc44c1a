"""Variance components as text: how much of what is seen comes from items, seeds and languages."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from xfer_bench import __version__
from xfer_bench.report.tables import Format, Settings, as_json, block, footnotes
from xfer_bench.stats.components import ArmComponents

_NOTES = (
    "squared points; sd: their root, in points; estimates below nought are shown as they come out, and mean: none seen",
    "cluster: items drawn as one; cluster x seed and so on: what two factors make only together",
    "residual: also the chance of single answers",
)


def render_components(
    by_target: Mapping[str, Sequence[ArmComponents]], *, baseline: str, format: Format, notes: Sequence[str] = ()
) -> str:
    """One table a target, at most 100 columns wide; JSON and CSV give every number in full.

    by_target: a target's title to its arms' components. notes: lines of the caller's own for below the tables.
    """
    settings: Settings = {"baseline": baseline, "method": "anova:mean-squares", "version": __version__}
    if format in {"json", "csv"}:
        rows = [row for title, arms in by_target.items() for one in arms for row in _rows(title, one)]
        if format == "json":
            return as_json("components", rows, settings)
        return pl.DataFrame(rows, infer_schema_length=None).write_csv().rstrip("\n")
    heads = ["arm", "of its", "component", "estimate", "sd", "share", "df"]
    blocks = [
        block(title, heads, [_shown(row) for one in arms for row in _rows(title, one)], format)
        for title, arms in by_target.items()
    ]
    return "\n\n".join([*blocks, footnotes([*_NOTES, *notes], settings, format)])


def _rows(title: str, one: ArmComponents) -> list[dict[str, Any]]:
    found = asdict(one.components)
    columns = ("names", "estimates", "shares", "df", "mean_squares")
    return [
        {
            "target": title,
            "arm": one.arm,
            "quantity": one.quantity,
            **dict(zip(("component", "estimate", "share", "df", "mean_square"), values, strict=True)),
        }
        for values in zip(*(found[name] for name in columns), strict=True)
    ]


def _shown(row: Mapping[str, Any]) -> list[str]:
    share = "" if row["share"] is None else f"{100 * row['share']:.1f} %"
    sd = f"{row['estimate'] ** 0.5:.1f}" if row["estimate"] >= 0 else ""
    return [row["arm"], row["quantity"], row["component"], f"{row['estimate']:.1f}", sd, share, f"{row['df']:,}"]
