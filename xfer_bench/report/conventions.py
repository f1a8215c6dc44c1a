"""Where the conventions of published numbers differ from ours, and what that does to an average."""

from collections.abc import Sequence

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.published import PRINTED_AVERAGE, references
from xfer_bench.report.published import Besides, Column, mean_over
from xfer_bench.sources.pins import pins
from xfer_bench.stats.estimates import ENGLISH, Comparison
from xfer_bench.tasks import TASKS, Task

# Rows whose question differs from the other languages', counted in the published files.
_WRONG = "question_not_consensus"


def beside_notes(targets: Sequence[Besides]) -> list[str]:
    """A line for each convention, for below the tables."""
    return [note for known in targets for note in _notes(known)]


def _notes(known: Besides) -> list[str]:
    one, task = known.one, TASKS[known.one.task]
    notes = [f"[{place}] {_convention(column)}" for place, column in known.placed]
    if known.common:
        notes.append(f"avg of {len(known.common)}: the languages that all columns measured: {' '.join(known.common)}")
    missing = [code for code in task.languages_of("test") if code not in known.averaged]
    if not task.averages_english:
        missing = [code for code in missing if code != ENGLISH]
    if missing:
        notes.append(f"our avg is over {len(known.averaged)} languages, without {' '.join(missing)}")
    notes.append(
        f"avg: English {'counts' if task.averages_english else 'does not count'} on either side; a mean over languages "
        f"(macro){_micro(known)}"
    )
    notes += [
        f"caution: ours is on {one.split}; [{place}]: {column.split or 'the source does not say'}"
        for place, column in known.placed
        if column.split != one.split
    ]
    return [*notes, *_fewer(known, task), *_defects(one)]


def _fewer(known: Besides, task: Task) -> list[str]:
    """A caution where ours is a part of the benchmark's items."""
    split = known.one.split
    whole = {code: _rows(task, split, code) for code in known.items}
    part = [code for code, count in known.items.items() if count < (whole[code] or 0)]
    if not part:
        return []
    first, where = part[0], " ".join(part) if len(part) < len(whole) else "every language"
    return [f"caution: ours is on {known.items[first]:,} of the {whole[first]:,} items of {split} in {where}"]


def _rows(task: Task, split: str, code: str) -> int | None:
    """How many rows the benchmark has there, as pinned."""
    for part in task.parts:
        if part.split == split and code in part.languages:
            place = (part.repository, part.config.replace("{language}", code), part.upstream_split or part.split)
            pin = pins().get(place)
            return None if pin is None else pin.rows
    return None


def _convention(column: Column) -> str:
    said = "; ".join(filter(None, (column.source, column.setting, column.split and f"on {column.split}")))
    note = f"{column.head}: {said}"
    if not column.entered:
        return note
    codes = sorted(column.entered)
    printed = column.values.get(PRINTED_AVERAGE)
    counted = "" if printed is None else f", and counts in its average of {printed:g}"
    measured = list(column.measured)
    return (
        f"{note}; [{column.values[codes[0]]:.1f}] was entered there for {' and '.join(codes)} in place of a "
        f"measurement{counted}; the mean of the other {len(measured)} is {mean_over(column.values, measured):.2f}"
    )


def _micro(known: Besides) -> str:
    counts = {known.items[code] for code in known.averaged if code in known.items}
    if not counts:
        return ""
    if len(counts) == 1:
        return f", the same as over items (micro) as each has {counts.pop():,}"
    return f", not over items (micro), of which the languages have {min(counts):,} to {max(counts):,}"


def _defects(one: Comparison) -> list[str]:
    """What is known to be wrong in the data as published, which both sides were scored on."""
    try:
        counted = references(one.task, metric=_WRONG).filter((pl.col("split") == one.split) & (pl.col("value") > 0))
    except ResultsError:
        return []
    if counted.is_empty():
        return []
    rows = counted.sort("value", descending=True).select("language", "value").iter_rows()
    wrong = ", ".join(f"{value:g} in {code}" for code, value in rows)
    return [f"both sides are on the data as published, where the question is wrong in so many rows: {wrong}"]
