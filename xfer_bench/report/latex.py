"""Sheets as LaTeX, ready to be read with \\input: booktabs' rules, siunitx' alignment, floats that fit a page.

`report.layout` says what fits where; what does not is set as panels, or continued in further floats under one number.
"""

from collections.abc import Sequence
from itertools import groupby

from xfer_bench import __version__
from xfer_bench.report.layout import AFTER, COLUMN, GAP, Panel, Set, lines_of, pages_of
from xfer_bench.report.letters import FALLBACK, escape, width
from xfer_bench.report.sheets import Cell, Number, Sheet
from xfer_bench.report.tables import signature

_SETUP = (
    r"\sisetup{mode=text, detect-weight=true, retain-explicit-plus=true, table-number-alignment=center, "
    r"group-digits=integer, group-minimum-digits=4, group-separator={,}}"
)
_BAR = r"\textbar{}\hspace{0pt plus 1em}"


def as_latex(sheets: Sequence[Sheet]) -> str:
    """The tables as floats with captions and labels (`tab:NAME`), ends without a line break.

    The page that reads them needs booktabs and siunitx (version 3), and nothing else.
    """
    body = "\n\n".join(_floats(sheet) for sheet in sheets)
    head = [f"% xfer-bench {__version__}; needs \\usepackage{{booktabs,siunitx}}"]
    if "\\xferchar" in body:
        head.append(FALLBACK)
    return "\n".join([*head, "", body])


def _floats(sheet: Sheet) -> str:
    return "\n\n".join(_float(sheet, page, first=not number) for number, page in enumerate(pages_of(sheet)))


def _float(sheet: Sheet, panels: Sequence[Panel], *, first: bool) -> str:
    wide = max(panel.width for panel in panels) > COLUMN
    environment = "table*" if wide else "table"
    title = escape(sheet.title)
    if first:
        caption = " ".join([f"{title}.", *map(escape, sheet.caption), *_signature(sheet)])
        below = [rf"\caption[{title}]{{{caption}}}", rf"\label{{tab:{sheet.name}}}"]
    else:
        below = [r"\addtocounter{table}{-1}", rf"\caption[]{{{title} (continued).}}"]
    bodies = "\n\n\\medskip\n".join(_tabular(panel) for panel in panels)
    return "\n".join(
        [
            rf"\begin{{{environment}}}[t]",
            r"\centering\small",
            rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
            _SETUP,
            bodies,
            *below,
            rf"\end{{{environment}}}",
        ]
    )


def _signature(sheet: Sheet) -> list[str]:
    if sheet.settings is None:
        return []
    # A line may end after each setting, and be stretched there.
    parts = _BAR.join(escape(part) for part in signature(sheet.settings).split("|"))
    return [rf"{{\footnotesize\texttt{{{parts}}}}}"]


def _tabular(panel: Panel) -> str:
    lines = [rf"\begin{{tabular}}{{@{{}}{''.join(one.specification for one in panel.sets)}@{{}}}}", r"\toprule"]
    lines += _heads(panel.sets)
    for block in panel.blocks:
        lines.append(r"\midrule")
        if block.title:
            lines += [_across(block.title, panel), r"\addlinespace[2pt]"]
        for row in block.rows:
            lines += _row(row, panel.sets)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _across(title: str, panel: Panel) -> str:
    columns = sum(one.span for one in panel.sets)
    kind = "l" if width(title) < panel.width else rf">{{\raggedright\arraybackslash}}p{{{panel.width - GAP:.0f}pt}}"
    return rf"\multicolumn{{{columns}}}{{@{{}}{kind}}}{{\emph{{{escape(title)}}}}} \\"


def _heads(sets: Sequence[Set]) -> list[str]:
    lines = []
    if any(one.column.group for one in sets):
        cells, rules, place = [], [], 1
        for group, members in groupby(sets, key=lambda one: one.column.group):
            some = list(members)
            span = sum(one.span for one in some)
            cells.append(_group_head(group, some, span) if group else " & ".join([""] * span))
            if group:
                rules.append(rf"\cmidrule(lr){{{place}-{place + span - 1}}}")
            place += span
        lines += [" & ".join(cells) + r" \\", "".join(rules)]
    return [*lines, " & ".join(_head(one) for one in sets) + r" \\"]


def _group_head(group: str, some: Sequence[Set], span: int) -> str:
    room = sum(one.width for one in some) - GAP
    kind = "c" if width(group) <= room else rf">{{\centering\arraybackslash}}p{{{room:.0f}pt}}"
    return rf"\multicolumn{{{span}}}{{{kind}}}{{{escape(group)}}}"


def _head(one: Set) -> str:
    text = escape(one.column.head)
    if one.column.text:
        return text
    return rf"\multicolumn{{2}}{{c}}{{{text}}}" if one.error else f"{{{text}}}"


def _row(row: Sequence[Cell], sets: Sequence[Set]) -> list[str]:
    cells = [row[one.place] for one in sets]
    two = any(isinstance(cell, Number) and cell.interval for cell in cells)
    lines = [" & ".join(_cell(cell, one, two=two) for cell, one in zip(cells, sets, strict=True)) + r" \\"]
    if two:
        second = " & ".join(_second(cell, one) for cell, one in zip(cells, sets, strict=True))
        lines = [lines[0] + "[-1pt]", second + r" \\", rf"\addlinespace[{AFTER:g}pt]"]
    return lines


def _cell(cell: Cell, one: Set, *, two: bool) -> str:
    empty = " &" if one.error else ""
    if two and isinstance(cell, str) and lines_of(cell, one) == 2:
        # The second line of a name stands beside the intervals.
        return rf"\smash{{\parbox[t]{{{one.text:.0f}pt}}{{\raggedright {escape(cell)}}}}}"
    if cell is None:
        return "{--}" + empty
    if isinstance(cell, str):
        return escape(cell) if one.column.text else (f"{{{escape(cell)}}}" if cell else "") + empty
    marks = rf"\textsuperscript{{{escape(cell.marks)}}}" if cell.marks else ""
    # Siunitx groups the digits itself.
    number = (r"\bfseries " if cell.best else "") + cell.text.replace(",", "")
    if not one.error:
        # Marks take no room, so that numbers with and without stand below each other.
        return number + (rf"{{\rlap{{{marks}}}}}" if marks else "")
    spread = rf"{{\scriptsize\textpm{cell.spread}}}" if cell.spread else ""
    return f"{number} & {spread}{marks}"


def _second(cell: Cell, one: Set) -> str:
    interval = cell.interval if isinstance(cell, Number) else ""
    text = rf"{{\scriptsize {_minus(interval)}}}" if interval else ""
    if not one.error:
        return text
    return rf"\multicolumn{{2}}{{c}}{{{text}}}" if text else "&"


def _minus(interval: str) -> str:
    return f"{{[}}{interval[1:-1]}{{]}}".replace("-", r"\textminus{}")
