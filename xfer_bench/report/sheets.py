"""A table of a paper as a value, and as Markdown or CSV; `report.latex` writes it as LaTeX.

Markdown and LaTeX round (points to one decimal); CSV gives every number in full, each in a column of its own, and text
that a spreadsheet would take for a formula is marked as text.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from io import StringIO
from typing import TypeAlias

from xfer_bench.report.tables import Settings, escaped, footnotes

ABSENT = "–"
# What makes a spreadsheet take a text for a formula, at its very start or after blanks; full-width signs do as well.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|\t")
_BREAKS = re.compile(r"[\r\n\v\f\x85\u2028\u2029]+")
_MARKUP = re.compile(r"([$~])")


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number in a cell.

    name: which quantity it is, where a column's head does not say it (`gain`). low, high: of its interval, or the least
    and the most. error: its standard error. signed: shown with its sign. marks: characters that a caption explains.
    best: shown in bold. more: further quantities of the same cell, by name, which only the CSV has.
    """

    value: float
    name: str = ""
    decimals: int = 1
    signed: bool = False
    low: float | None = None
    high: float | None = None
    error: float | None = None
    marks: str = ""
    best: bool = False
    more: tuple[tuple[str, float | None], ...] = ()

    @property
    def text(self) -> str:
        """The number alone, rounded."""
        return rounded(self.value, self)

    @property
    def interval(self) -> str:
        """`[-0.3, +2.1]`, or nothing."""
        if self.low is None or self.high is None:
            return ""
        return f"[{rounded(self.low, self)}, {rounded(self.high, self)}]"

    @property
    def spread(self) -> str:
        """The standard error, rounded, or nothing."""
        return "" if self.error is None else f"{self.error:,.{self.decimals}f}"


# None is a number that does not exist, and is shown as a dash; an empty text is a cell with nothing to say.
Cell: TypeAlias = str | Number | None


@dataclass(frozen=True)
class Column:
    """head: what stands above it; group: what stands above it and its neighbours of the same group."""

    head: str
    _: KW_ONLY
    group: str = ""
    text: bool = False

    @property
    def name(self) -> str:
        """Group and head in one line."""
        return f"{self.group} {self.head}".strip()


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows that belong together, under a line of their own where there is a title."""

    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table. name: unique in a paper, of letters, digits and hyphens. caption: its sentences, the title's after it.

    settings: what makes the numbers reproducible, at the caption's end; None where nothing was drawn. The first columns
    are texts, and name the rows.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    caption: tuple[str, ...]
    settings: Settings | None = None

    @property
    def keys(self) -> int:
        """How many columns name the rows."""
        return next((place for place, column in enumerate(self.columns) if not column.text), len(self.columns))

    @property
    def rows(self) -> tuple[tuple[Cell, ...], ...]:
        """Those of all blocks."""
        return tuple(row for block in self.blocks for row in block.rows)


def rounded(value: float, like: Number) -> str:
    """With the sign and decimals of another number; what is nought when rounded has no minus."""
    near = round(value, like.decimals) + 0.0
    return f"{near:+,.{like.decimals}f}" if like.signed else f"{near:,.{like.decimals}f}"


def slug(*parts: str) -> str:
    """A name for a label: letters, digits and single hyphens."""
    return "-".join(word for part in parts for word in re.findall(r"[a-z0-9]+", part.lower())) or "table"


def as_markdown(sheets: Sequence[Sheet]) -> str:
    """The tables one after the other, each under its title and above its caption; ends without a line break."""
    return "\n\n".join(_markdown(sheet) for sheet in sheets)


def _markdown(sheet: Sheet) -> str:
    heads = [plain(column.name) for column in sheet.columns]
    ruler = ["---" if column.text else "---:" for column in sheet.columns]
    lines = [_line(heads), _line(ruler)]
    for block in sheet.blocks:
        if block.title:
            lines.append(_line([f"*{plain(block.title)}*", *[""] * (len(heads) - 1)]))
        lines += [_line([_shown(cell) for cell in row]) for row in block.rows]
    notes = [plain(sentence) for sentence in sheet.caption]
    below = "  \n".join(notes) if sheet.settings is None else _with_signature(notes, sheet.settings)
    return "\n\n".join([f"**{plain(sheet.title)}**", "\n".join(lines), below])


def _with_signature(notes: Sequence[str], settings: Settings) -> str:
    return "  \n".join([*notes, footnotes([], settings, "markdown")])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _shown(cell: Cell) -> str:
    if cell is None:
        return ABSENT
    if isinstance(cell, str):
        return plain(cell)
    main = f"**{plain(cell.text)}**" if cell.best else plain(cell.text)
    error = f"±{cell.spread}" if cell.spread else ""
    marks = f"<sup>{plain(cell.marks)}</sup>" if cell.marks else ""
    return " ".join(part for part in (main + marks, error, plain(cell.interval)) if part)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line: also no formula and nothing struck out."""
    return _MARKUP.sub(r"\\\1", escaped(" ".join(text.split())))


def as_csv(sheets: Sequence[Sheet]) -> str:
    """One table with a row for each row of these, and with several of them a column that names the table.

    Ends without a line break. A cell without a number is empty. Texts, heads among them, that would be formulas begin
    with an apostrophe; numbers are written in full and stay numbers, negative ones as well.
    """
    several = len(sheets) > 1
    rows = [
        {**({"table": safe(sheet.title)} if several else {}), **dict(_flat(sheet, block, row))}
        for sheet in sheets
        for block in sheet.blocks
        for row in block.rows
    ]
    page = StringIO()
    writer = csv.DictWriter(page, _ordered(rows), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return page.getvalue().rstrip("\n")


def _ordered(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The columns of all rows: a row's that others lack stand after those that stand before them in it."""
    names: list[str] = []
    for row in rows:
        after = 0
        for name in row:
            if name in names:
                after = names.index(name) + 1
            else:
                names.insert(after, name)
                after += 1
    return names


def _flat(sheet: Sheet, block: Block, row: Sequence[Cell]) -> Iterator[tuple[str, str | float]]:
    if any(one.title for one in sheet.blocks):
        yield "block", safe(block.title)
    for column, cell in zip(sheet.columns, row, strict=True):
        if isinstance(cell, Number):
            # A quantity that the head names already is not named again.
            name = column.name if cell.name == column.head else f"{column.name} {cell.name}".strip()
            extra = (("low", cell.low), ("high", cell.high), ("standard error", cell.error))
            several = {name: cell.value} | {f"{column.name} {part}": value for part, value in cell.more}
            several |= {f"{name} {part}": value for part, value in extra if value is not None}
            yield from ((safe(head), _full(value)) for head, value in several.items())
            if cell.marks:
                yield safe(f"{column.name} marks"), safe(cell.marks)
            if cell.best:
                yield safe(f"{column.name} best"), "yes"
        elif cell:
            yield safe(column.name), safe(cell)


def _full(value: float | None) -> str | float:
    if value is None:
        return ""
    # An amount is no decimal fraction, and a nought has no sign.
    return int(value) if float(value).is_integer() else value


def safe(text: str) -> str:
    """Text on one line that a spreadsheet takes for text: an apostrophe stands before what would begin a formula."""
    line = _BREAKS.sub(" ", text)
    return f"'{line}" if _FORMULA.match(line) else line
