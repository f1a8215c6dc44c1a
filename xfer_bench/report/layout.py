"""Where a sheet goes on a page: how wide its columns are, which of them stand side by side, and where it is continued.

Widths are those of a page of two columns, as in the ACL's style: 16 cm of text, 11 points. What is wider is set as
panels one below the other, what is higher than a page as several floats.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from xfer_bench.report.letters import lines, width
from xfer_bench.report.sheets import Block, Cell, Column, Number, Sheet

# In points: both columns of a page and one of them, and the height that a float's rows may have beside its caption.
PAGE = 455.0
COLUMN = 219.0
_HEIGHT = 540.0
GAP = 8.0
_SMALL = 0.86
_LINE, _SECOND, AFTER = 12.0, 9.5, 2.0
# Texts are broken into lines where they are longer than the first; the widths that are tried, the best first.
_SHORT_TEXT = 60.0
_TEXTS = tuple(range(240, 60, -5))


@dataclass(frozen=True, kw_only=True)
class Set:
    """How a column is set. text: width of a column of text that is broken into lines, 0 where it is not.

    integers: digits before the point. error: it has standard errors, in a column of their own.
    """

    column: Column
    place: int
    width: float
    text: float = 0.0
    integers: int = 1
    decimals: int = 0
    signed: bool = False
    error: bool = False

    @property
    def span(self) -> int:
        """How many columns of the tabular it takes."""
        return 2 if self.error else 1

    @property
    def specification(self) -> str:
        """How LaTeX is told of it."""
        if self.column.text:
            return rf">{{\raggedright\arraybackslash}}p{{{self.text:.0f}pt}}" if self.text else "l"
        sign = "+" if self.signed else ""
        return f"S[table-format={sign}{self.integers}.{self.decimals}]" + (r"@{\,}l" if self.error else "")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Some columns and rows, set as one tabular."""

    sets: tuple[Set, ...]
    blocks: tuple[Block, ...]

    @property
    def width(self) -> float:
        """In points."""
        return sum(one.width for one in self.sets)

    @property
    def height(self) -> float:
        """In points, with its head."""
        return 3 * _LINE + sum(_block_height(block, self.sets) for block in self.blocks)


def pages_of(sheet: Sheet) -> list[list[Panel]]:
    """The floats of a table, and the panels of each."""
    sets = _fitted([_set(column, place, sheet.rows) for place, column in enumerate(sheet.columns)], sheet.keys)
    panels = [
        Panel(sets=some, blocks=blocks) for some in _panels(sets, sheet.keys) for blocks in _chunks(sheet.blocks, some)
    ]
    pages: list[list[Panel]] = [[]]
    for panel in panels:
        if pages[-1] and sum(one.height for one in [*pages[-1], panel]) > _HEIGHT:
            pages.append([])
        pages[-1].append(panel)
    return pages


def _set(column: Column, place: int, rows: Sequence[Sequence[Cell]]) -> Set:
    cells = [row[place] for row in rows]
    if column.text:
        widest = max([width(column.head), *(width(cell) for cell in cells if isinstance(cell, str))])
        # A text of several lines needs some more room than its share of one line.
        text = min(max(_SHORT_TEXT, 1.1 * widest), _TEXTS[0]) if widest > _SHORT_TEXT else 0.0
        return Set(column=column, place=place, width=(text or widest) + GAP, text=text)
    numbers = [cell for cell in cells if isinstance(cell, Number)]
    signed = any(one.signed or one.value < 0 for one in numbers)
    integers = max([len(re.sub(r"\D", "", one.text.partition(".")[0])) for one in numbers], default=1)
    decimals = max([one.decimals for one in numbers], default=0)
    error = any(one.spread for one in numbers)
    number = width(f"{'+' if signed else ''}{'0' * integers}{',' * ((integers - 1) // 3)}.{'0' * decimals}")
    beside = max(
        [_SMALL * width(f"{'+' if one.spread else ''}{one.spread}{one.marks}") for one in numbers], default=0.0
    )
    room = max(
        [
            width(column.head),
            # Marks alone stand in the gap beside the number, as far as it goes.
            number + (beside + 2 if error else max(0.0, beside - GAP / 2)),
            *(_SMALL * width(one.interval) for one in numbers),
            *(width(cell) for cell in cells if isinstance(cell, str)),
        ]
    )
    return Set(
        column=column,
        place=place,
        width=room + GAP,
        integers=integers,
        decimals=decimals,
        signed=signed,
        error=error,
    )


def _fitted(sets: Sequence[Set], keys: int) -> list[Set]:
    """Columns of long texts as wide as they can be without a further panel."""
    long = [one for one in sets if one.text]
    if not long:
        return list(sets)
    widest = max(one.text for one in long)
    tried = [
        [replace(one, text=text, width=text + GAP) if (text := min(one.text, each)) else one for one in sets]
        for each in (widest, *(each for each in _TEXTS if each < widest))
    ]
    return min(tried, key=lambda some: (len(list(_panels(some, keys))), _too_wide(some, keys)))


def _too_wide(sets: Sequence[Set], keys: int) -> float:
    return max(0.0, *(sum(one.width for one in some) - PAGE for some in _panels(sets, keys)))


def _panels(sets: Sequence[Set], keys: int) -> Iterator[tuple[Set, ...]]:
    """Columns that fit the page together, each time after those that name the rows; groups stay whole if they can."""
    names = tuple(sets[:keys])
    room = PAGE - sum(one.width for one in names)
    units: list[list[Set]] = []
    for group, members in groupby(sets[keys:], key=lambda one: one.column.group):
        some = list(members)
        whole = group and sum(one.width for one in some) <= room
        units += [some] if whole else [[one] for one in some]
    found: list[list[Set]] = [[]]
    for unit in units:
        if found[-1] and sum(one.width for one in [*found[-1], *unit]) > room:
            found.append([])
        found[-1] += unit
    for some in found:
        yield (*names, *some)


def _chunks(blocks: Sequence[Block], sets: Sequence[Set]) -> Iterator[tuple[Block, ...]]:
    """Blocks that fit a float; one that is too high is continued."""
    page: list[Block] = []
    left = _HEIGHT - 3 * _LINE
    for block in blocks:
        rows: list[tuple[Cell, ...]] = []
        left -= _LINE
        for row in block.rows:
            needed = _row_height(row, sets)
            if needed > left and (rows or page):
                yield (*page, *([replace(block, rows=tuple(rows))] if rows else []))
                page, rows, left = [], [], _HEIGHT - 4 * _LINE
            rows.append(row)
            left -= needed
        page.append(replace(block, rows=tuple(rows)))
    yield tuple(page)


def _block_height(block: Block, sets: Sequence[Set]) -> float:
    return _LINE + sum(_row_height(row, sets) for row in block.rows)


def _row_height(row: Sequence[Cell], sets: Sequence[Set]) -> float:
    cells = [(row[one.place], one) for one in sets]
    second = any(isinstance(cell, Number) and cell.interval for cell, _ in cells)
    high = max(lines_of(cell, one) for cell, one in cells)
    return high * _LINE + (_SECOND + AFTER if second else 0.0)


def lines_of(cell: Cell, one: Set) -> int:
    """How many lines a cell takes."""
    return lines(cell, one.text) if one.text and isinstance(cell, str) else 1
