"""Columns: one task in one language, as rows to score. What identifies them is remembered; they need not be read."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench import sources, tasks
from xfer_bench.digest import source_digest, value_digest
from xfer_bench.errors import SourceError
from xfer_bench.evaluation.cache import Remember
from xfer_bench.sources.items import fingerprint
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import PUBLISHED, Split, Task


@dataclass(frozen=True, kw_only=True)
class Column:
    """The rows of one task in one language that a request asks for. Nothing is read before `rows` is used.

    fingerprint: of these rows; whole: of all rows, whatever the limit. items, sequences: how many there are.
    """

    task: Task
    language: str
    split: Split
    limit: int | None
    sources: Sources
    fingerprint: str
    whole: str
    items: int
    sequences: int

    @property
    def name(self) -> str:
        """For people: task, variant where there are several, language."""
        return f"{self.task.title} {self.language}"

    @cached_property
    def rows(self) -> pl.DataFrame:
        """ITEMS. Raises SourceError when they are no longer those that were identified."""
        read = self.sources.rows(self.task, language=self.language, split=self.split)
        rows = limited(read.frame, self.limit)
        if fingerprint(rows) != self.fingerprint:
            raise SourceError(f"{self.name} {self.split}: its rows changed while they were read; run again")
        return rows

    @cached_property
    def digests(self) -> pl.Series:
        """A digest of each row: what it asks, what is right, and which item of which task it is. Binary.

        A row that a variant has as it was published is the same row: nobody scores it again.
        """
        place = (self.task.name, PUBLISHED, self.split)
        names = ("language", "item", "cluster", "text", "candidates", "label")
        return pl.Series("row", [_digest([*place, *row]) for row in self.rows.select(names).iter_rows()], pl.Binary)


def column(
    task: Task, *, language: str, split: Split, limit: int | None, sources: Sources, remember: Remember
) -> Column:
    """A column, identified from memory where its files are as they were. Raises SourceError.

    remember: as that of the prediction store.
    """
    asked: dict[str, Any] = {"task": task, "language": language, "split": split, "sources": sources}
    files = sources.stamp(task, language=language, split=split)

    def read() -> list[Any]:
        found = sources.rows(task, language=language, split=split)
        rows = limited(found.frame, limit)
        return [fingerprint(rows), found.fingerprint, rows.height, int(rows["candidates"].list.len().sum())]

    # A task from elsewhere may be read by code that no digest here covers.
    if files is None or TASKS.get(task.name) != replace(task, variant=PUBLISHED):
        known = read()
    else:
        name = f"rows:{task.name}:{task.variant}:{split}:{language}:{limit}:{sources.data_root}"
        known = remember(name, [files, reading_source()], read)
    mark, whole, items, sequences = known
    return Column(**asked, limit=limit, fingerprint=mark, whole=whole, items=items, sequences=sequences)


def limited(items: pl.DataFrame, limit: int | None) -> pl.DataFrame:
    """The first `limit` items, and the rest of the cluster that the last of them belongs to."""
    if limit is None:
        return items
    # Polars takes no number above 64 bits.
    clusters = items.head(min(limit, items.height))["cluster"].unique()
    return items.filter(pl.col("cluster").is_in(clusters.implode()))


@cache  # The code that runs does not change under it.
def reading_source() -> str:
    """Digest of the code that makes rows of files."""
    rooms = [source_digest(*sorted(Path(str(room.__file__)).parent.glob("*.py"))) for room in (sources, tasks)]
    return value_digest([*rooms, source_digest(Path(__file__))])


def _digest(values: list[Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
