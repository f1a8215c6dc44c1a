"""An audit as text: the sizes as a table, the findings under it, gravest first; or all of it as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby

from xfer_bench.audit.audit import Entry
from xfer_bench.audit.findings import GRADES, Finding, Grade, Size

_ITEMS = 8
_HEADS = ("split", "language", "rows", "published", "unusable", "repeated", "answers %", "characters (median/p99/max)")


def render_audit(entries: Sequence[Entry], *, as_json: bool, examples: bool = True, least: Grade = "note") -> str:
    """The audit as text: the table takes findings together that say the same of several languages.

    examples: whether a row's text is shown with each finding; without, no text of a row is. least: findings of this
    grade or a graver one are listed; the last line counts all.
    """
    sizes = [entry for entry in entries if isinstance(entry, Size)]
    findings = ordered(entry for entry in entries if isinstance(entry, Finding))
    listed = [one for one in findings if GRADES.index(one.grade) <= GRADES.index(least)]
    if as_json:
        found = [{**asdict(one), "example": one.example if examples else ""} for one in listed]
        return json.dumps({"sizes": [asdict(one) for one in sizes], "findings": found}, indent=2, ensure_ascii=False)
    blocks = [_sizes(name, list(group)) for name, group in groupby(sizes, key=lambda one: one.task)]
    lines = [_findings(group, examples=examples) for group in _alike(listed)]
    return "\n\n".join([*blocks, "\n".join([*lines, summary(findings)])])


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Gravest first, within a grade in the order they were found."""
    return sorted(findings, key=lambda one: GRADES.index(one.grade))


def summary(findings: Sequence[Finding]) -> str:
    """`3 errors, 1 warning, 20 notes`."""
    counts = Counter(one.grade for one in findings)
    return ", ".join(f"{counts[grade]} {grade}{'' if counts[grade] == 1 else 's'}" for grade in GRADES)


def _sizes(name: str, sizes: Sequence[Size]) -> str:
    counters = list(dict.fromkeys(counter for one in sizes for counter in one.truncated))
    heads = [*_HEADS, *(f"cut % ({counter})" for counter in counters)]
    rows = [_cells(one, counters) for one in sizes]
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    lines = [_line(heads, widths), *(_line(row, widths) for row in rows)]
    return "\n".join([name, *lines])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if place < 2 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"  {'  '.join(padded)}".rstrip()


def _cells(size: Size, counters: Sequence[str]) -> list[str]:
    return [
        size.split,
        size.language,
        f"{size.rows:,}",
        "-" if size.published is None else f"{size.published:,}",
        f"{size.unusable:,}",
        f"{size.repeated:,}",
        "/".join(f"{100 * share:.0f}" for share in size.shares) or "-",
        "/".join(f"{number:,}" for number in size.characters),
        *(f"{100 * size.truncated[counter]:.1f}" if counter in size.truncated else "-" for counter in counters),
    ]


def _alike(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings that differ in their language only, together at the place of the first."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.grade, one.task, one.split, one.check, one.message), []).append(one)
    return list(groups.values())


def _findings(group: Sequence[Finding], *, examples: bool) -> str:
    """A finding, or several that say the same of different languages, with the items of the first."""
    finding = group[0]
    languages = ", ".join(one.language for one in group)
    where = " ".join(part for part in (finding.task, finding.split, languages) if part)
    line = f"{finding.grade}: {where}: {finding.check}: {finding.message}"
    if finding.items:
        more = f", … ({len(finding.items):,} in all)" if len(finding.items) > _ITEMS else ""
        line += f"\n    items {', '.join(finding.items[:_ITEMS])}{more}"
    if examples and finding.example:
        line += f"\n    such as {finding.example}"
    return line
