"""Comparisons and scores as text: a table for a terminal or a log, Markdown, CSV and JSON.

The table and Markdown round: one decimal for points, three for p. JSON and CSV give every number in full.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from itertools import groupby
from typing import Any, Literal, TypeAlias

import polars as pl

from xfer_bench import __version__
from xfer_bench.stats.comparisons import comparison_frame
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_UNSEEN, Comparison, Score

Format: TypeAlias = Literal["table", "json", "csv", "markdown"]
Settings: TypeAlias = Mapping[str, str | int | float | None]

WIDTH = 100
_MARK = "*"
_COMPARISON_HEADS = ("arm", "seeds", "language", "baseline", "accuracy", "gain", "interval", "p")
_SCORE_HEADS = ("arm", "run", "language", "items", "accuracy", "interval")
_NUMBERS = frozenset({"seeds", "baseline", "accuracy", "gain", "interval", "p", "items"})


def bootstrap_settings(*, baseline: str | None = None, resamples: int, seed: int, level: float = 0.95) -> Settings:
    """What someone else needs to get the same numbers: the `settings` of a table."""
    named: dict[str, str | int | float | None] = {} if baseline is None else {"baseline": baseline}
    return named | {
        "interval": "pct",
        "resamples": resamples,
        "over": "items",
        "clusters": "joint",
        "seed": seed,
        "level": level,
        "version": __version__,
    }


def signature(settings: Settings) -> str:
    """The settings as one short line, as in `boot:pct|B:10000|over:items|clusters:joint|seed:0|v0.1.0`."""
    names = {"interval": "boot:", "resamples": "B:", "over": "over:", "clusters": "clusters:", "seed": "seed:"}
    parts = [f"{short}{settings[name]}" for name, short in names.items() if name in settings]
    return "|".join([*parts, f"v{settings.get('version', __version__)}"])


def render(comparisons: Sequence[Comparison], *, format: Format, settings: Settings) -> str:
    """Comparisons as text, in their order; the table is at most 100 columns wide, and ends without a line break."""
    if format == "json":
        return _json("comparisons", [asdict(one) for one in comparisons], settings)
    if format == "csv":
        return comparison_frame(comparisons).write_csv().rstrip("\n")
    blocks = []
    for title, group in groupby(comparisons, key=_comparison_title):
        some = list(group)
        rows = [*_baseline_rows(some), *(_comparison_row(one) for one in some)]
        blocks.append(_block(title, [*_COMPARISON_HEADS[:6], f"{100 * some[0].level:g} % interval", "p"], rows, format))
    notes = ["gain: accuracy points over the baseline with the same target seed, mean of seeds"]
    named = {one.language for one in comparisons}
    if AVG_UNSEEN in named:
        notes.append(f"{_MARK} headline: mean over languages that no compared arm's intermediate data contain")
    if AVG in named:
        notes.append("avg: mean over all languages but English; (seen): in the arm's intermediate data")
    return "\n\n".join([*blocks, _footnotes(notes, settings, format)])


def render_scores(scores: Sequence[Score], *, format: Format = "table", settings: Settings) -> str:
    """Accuracies with their intervals as text, in their order."""
    if format in {"json", "csv"}:
        flat = [{**asdict(one), **asdict(one.estimate)} for one in scores]
        rows = [{name: value for name, value in row.items() if name not in {"estimate", "p_value"}} for row in flat]
        if format == "json":
            return _json("scores", rows, settings)
        return pl.DataFrame(rows, infer_schema_length=None).write_csv().rstrip("\n")
    blocks = []
    for title, group in groupby(scores, key=_score_title):
        some = list(group)
        heads = [*_SCORE_HEADS[:-1], f"{100 * some[0].estimate.level:g} % interval"]
        blocks.append(_block(title, heads, [_score_row(one) for one in some], format))
    notes = ["intervals draw clusters of items; avg: mean over all languages but English"]
    return "\n\n".join([*blocks, _footnotes(notes, settings, format)])


def _comparison_title(one: Comparison) -> str:
    variant = "" if one.variant == "published" else f" ({one.variant})"
    after = "" if one.target == one.task else f" after {one.target}"
    return (
        f"{one.task}{variant} {one.split}{after}, setting {one.setting}: {one.n_items:,} items in "
        f"{one.n_clusters:,} clusters, baseline {one.baseline}"
    )


def _baseline_rows(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """The baseline's own accuracies, one row for each average; more where arms share different seeds with it."""
    means = [(one.language, f"{one.baseline_accuracy:.1f}") for one in comparisons if one.language in AVERAGES]
    name = comparisons[0].baseline
    return [[name, "", _language(language), mean, "", "", "", ""] for language, mean in sorted(set(means), key=_rank)]


def _rank(row: tuple[str, str]) -> tuple[int, float]:
    return AVERAGES.index(row[0]), float(row[1])


def _comparison_row(one: Comparison) -> list[str]:
    return [
        one.arm,
        str(one.n_seeds),
        _language(one.language) + (" (seen)" if one.seen else ""),
        f"{one.baseline_accuracy:.1f}",
        f"{one.accuracy:.1f}",
        f"{one.gain:+.1f}",
        f"[{one.ci_low:+.1f}, {one.ci_high:+.1f}]",
        _p(one.p_value, resamples=one.resamples),
    ]


def _p(value: float, *, resamples: int) -> str:
    """Three decimals; a bound where the resamples allow no smaller p, or where three decimals show none."""
    if value < 0.001:
        return "<.001"
    text = f"{value:.3f}"
    short = text if text.startswith("1") else text[1:]
    return f"<={short}" if value <= 1 / (resamples + 1) else short


def _language(language: str) -> str:
    return f"{language} {_MARK}" if language == AVG_UNSEEN else language


def _score_title(one: Score) -> str:
    variant = "" if one.variant == "published" else f" ({one.variant})"
    return f"{one.task}{variant} {one.split}"


def _score_row(one: Score) -> list[str]:
    known = one.estimate
    clusters = "" if known.n_clusters == known.n_items else f" in {known.n_clusters:,}"
    return [
        one.arm,
        one.run if one.step is None else f"{one.run} @{one.step}",
        one.language,
        f"{known.n_items:,}{clusters}",
        f"{known.value:.1f}",
        f"[{known.low:.1f}, {known.high:.1f}]",
    ]


def _block(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], format: Format) -> str:
    if format == "markdown":
        ruler = ["---:" if _is_number(head) else "---" for head in heads]
        lines = ["| " + " | ".join(map(_escaped, line)) + " |" for line in (heads, *rows)]
        return "\n".join([f"**{_escaped(title)}**", "", lines[0], "| " + " | ".join(ruler) + " |", *lines[1:]])
    return _plain(title, heads, rows)


def _footnotes(notes: Sequence[str], settings: Settings, format: Format) -> str:
    if format == "markdown":
        return "  \n".join([*map(_escaped, notes), f"`{signature(settings)}`"])
    return "\n".join([*notes, signature(settings)])


def _plain(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A user's own names go in as Text: in rich's markup a `[name]` would vanish.
    table = Table(box=box.ASCII2, show_edge=False, pad_edge=False)
    for head in heads:
        number = _is_number(head)
        table.add_column(Text(head), justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row, following in zip(rows, [*rows[1:], rows[-1]], strict=True):
        # A name is said once, and a line is drawn before the next one.
        table.add_row(*map(Text, row), end_section=row[0] != following[0])
    page = StringIO()
    console = Console(file=page, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(Text(title))
    console.print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def _is_number(head: str) -> bool:
    return head in _NUMBERS or head.endswith("interval")


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: no cell, emphasis, link or HTML begins in it."""
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return re.sub(r"([\\|*_`\[\]])", r"\\\1", shown)


def _json(name: str, rows: list[dict[str, Any]], settings: Settings) -> str:
    return json.dumps({name: rows, "settings": dict(settings)}, indent=2, ensure_ascii=False, allow_nan=False)
