"""Tables as text: for a terminal or a log, Markdown, CSV and JSON; accuracies with their intervals.

The table and Markdown round: one decimal for points. JSON and CSV give every number in full.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from itertools import groupby
from textwrap import fill
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import polars as pl

from xfer_bench import __version__
from xfer_bench.stats.estimates import Score

Format: TypeAlias = Literal["table", "json", "csv", "markdown"]
Settings: TypeAlias = Mapping[str, str | int | float | None]

WIDTH = 100
_NUMBER = re.compile(r"(<=?)?\[?[+-]?\.?[0-9]")
_LONGEST_NUMBER = 24
_SCORE_HEADS = ("arm", "run", "language", "items", "accuracy")
# Settings that a signature shows, and what stands before their values there.
_SHORT = {
    "interval": "",
    "p": "p:",
    "resamples": "B:",
    "over": "over:",
    "clusters": "clusters:",
    "seed": "seed:",
    "level": "level:",
    "adjust": "",
    "method": "",
    "tasks": "",
    "select": "select:",
}


def bootstrap_settings(*, resamples: int, seed: int, level: float = 0.95) -> Settings:
    """What someone else needs to get the same accuracies: the `settings` of a table."""
    return {
        "interval": "boot:pct",
        "resamples": resamples,
        "over": "items",
        "clusters": "joint",
        "seed": seed,
        "level": level,
        "version": __version__,
    }


def signature(settings: Settings) -> str:
    """The settings as one short line, as in `boot:pct|B:10000|over:items|clusters:joint|seed:0|v0.1.0`.

    A level is named where it is not .95, and what is None is left out.
    """
    parts = [
        f"{_SHORT[name]}{value:g}" if isinstance(value, float) else f"{_SHORT[name]}{value}"
        for name, value in settings.items()
        if name in _SHORT and value is not None and (name, value) != ("level", 0.95)
    ]
    return "|".join([*parts, f"v{settings.get('version', __version__)}"])


def render_scores(scores: Sequence[Score], *, format: Format = "table", settings: Settings) -> str:
    """Accuracies with their intervals as text, in their order."""
    if format in {"json", "csv"}:
        flat = [{**asdict(one), **asdict(one.estimate)} for one in scores]
        rows = [{name: value for name, value in row.items() if name not in {"estimate", "p_value"}} for row in flat]
        if format == "json":
            return as_json("scores", rows, settings)
        return pl.DataFrame(rows, infer_schema_length=None).write_csv().rstrip("\n")
    blocks = []
    for title, group in groupby(scores, key=_score_title):
        some = list(group)
        heads = [*_SCORE_HEADS, interval_head(some[0].estimate.level)]
        blocks.append(block(title, heads, [_score_row(one) for one in some], format))
    notes = ["intervals draw clusters of items; avg: mean over all languages but English"]
    return "\n\n".join([*blocks, footnotes(notes, settings, format)])


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


def block(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], format: Format) -> str:
    """One table under its title, for a terminal or in Markdown; numbers stand on the right, a name is said once."""
    numbers = [_is_number([row[place] for row in rows]) for place in range(len(heads))]
    if format == "markdown":
        ruler = ["---:" if number else "---" for number in numbers]
        lines = ["| " + " | ".join(map(escaped, line)) + " |" for line in (heads, *rows)]
        return "\n".join([f"**{escaped(title)}**", "", lines[0], "| " + " | ".join(ruler) + " |", *lines[1:]])
    return _plain(title, heads, rows, numbers)


def footnotes(notes: Sequence[str], settings: Settings, format: Format) -> str:
    """What a reader needs below a table, and last the line that makes it reproducible."""
    if format == "markdown":
        return "  \n".join([*map(escaped, notes), f"`{signature(settings)}`"])
    return "\n".join([*(fill(note, WIDTH, subsequent_indent="  ") for note in notes), signature(settings)])


def _plain(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A user's own names go in as Text: in rich's markup a `[name]` would vanish.
    table = Table(box=box.ASCII2, show_edge=False, pad_edge=False)
    for head, number in zip(heads, numbers, strict=True):
        table.add_column(Text(head), justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row, following in zip(rows, [*rows[1:], rows[-1]], strict=True):
        # A name is said once, and a line is drawn before the next one.
        table.add_row(*map(Text, row), end_section=row[0] != following[0])
    page = StringIO()
    console = Console(file=page, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(Text(title))
    console.print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def interval_head(level: float) -> str:
    """Heads a column of intervals."""
    return f"{100 * level:g} % interval"


def points(value: float | None) -> str:
    """One decimal, for a column of accuracies; nothing where there is none."""
    return "" if value is None else f"{value:.1f}"


def signed(value: float | None) -> str:
    """One decimal and the sign, for a column of gains; nought has no minus."""
    return "" if value is None else f"{value + 0.0:+.1f}"


def between(low: float | None, high: float | None) -> str:
    """An interval of gains."""
    return "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def p_text(value: float | None, *, least: float = 0.0) -> str:
    """Three decimals; a bound where the method allows no smaller p than `least`, or where three decimals show none."""
    if value is None:
        return ""
    if value < 0.001:
        return "<.001"
    text = f"{value:.3f}"
    short = text if text.startswith("1") else text[1:]
    return f"<={short}" if value <= least else short


def counted(number: int, what: str) -> str:
    """How many there are, in words: `1 item`, `2 items`, `1,000 items`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _is_number(column: Sequence[str]) -> bool:
    """Whether all that is said in a column is short and begins like a number or an interval."""
    said = [cell for cell in column if cell]
    return bool(said) and all(len(cell) < _LONGEST_NUMBER and _NUMBER.match(cell) for cell in said)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no cell, emphasis, link or HTML begins in it."""
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
    return re.sub(r"([\\|*_`\[\]])", r"\\\1", shown)


def as_json(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    settings: Settings,
    *,
    more: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType({}),
) -> str:
    """Rows in full, with the settings that gave them. more: rows of other kinds, by name."""
    page = {name: list(rows), **{other: list(some) for other, some in more.items()}, "settings": dict(settings)}
    return json.dumps(page, indent=2, ensure_ascii=False, allow_nan=False)
