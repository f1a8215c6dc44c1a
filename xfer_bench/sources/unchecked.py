"""Every row of a split as it lies there, unusable ones too, for whoever looks for what is wrong with them."""

from dataclasses import dataclass

import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.sources import items
from xfer_bench.sources.source import Sources
from xfer_bench.tasks.task import Part, Task


@dataclass(frozen=True, kw_only=True)
class EveryRow:
    """The rows of one split in one language, unchecked.

    items: the columns of ITEMS, `row` (its number in the repository) and `usable` (whether a study would use it, were
    its label in range). columns: what the repository's rows hold, aligned with `items`.
    total: rows of the split in the repository, in whatever language. raw: these rows. revision: their commit on the
    Hub; empty where it is not known.
    """

    items: pl.DataFrame
    columns: pl.DataFrame
    total: int
    raw: pl.DataFrame
    revision: str


def every_row(sources: Sources, task: Task, *, part: Part, language: str) -> EveryRow:
    """The rows of this part of the task. Raises SourceError when they cannot be had or read."""
    raw, revision = sources.raw(part, language)
    where = f"{part.repository} ({part.config.format(language=language)}, {part.upstream_split or part.split})"
    read = items.read(raw, part=part, language=language, where=where).with_columns(usable=items.is_usable(task))
    if read.height != raw.height:
        raise SourceError(f"{where}: the reader gave {read.height} rows for {raw.height}; it must keep every row")
    ours = read["language"] == language
    return EveryRow(items=read.filter(ours), columns=raw.filter(ours), total=raw.height, raw=raw, revision=revision)
