"""Cells that are wrong in rows as they were published, and what stands there when they are put right.

A repair is a file `data/repairs/NAME.toml`: the rule, where it comes from, and for each split and language the items
with the right value of one column; never a text. It sets values, so that rows which their authors have mended in the
meantime stay as they are, and it can be taken back, since the column has two values.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.digest import file_digest
from xfer_bench.errors import SourceError
from xfer_bench.sources import embedded
from xfer_bench.tasks.cells import TEXT, CellError, check_kinds, holding
from xfer_bench.tasks.task import PUBLISHED, Task


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What is put right in one column of a repository.

    rule, source: in words, what is right and who says so. key: the column with the items' numbers. values: the two
    that `column` may have. items: by split and language, the right value of each item that was published with the
    other one. digest: of the file.
    """

    repository: str
    column: str
    key: str
    values: tuple[str, str]
    rule: str
    source: str
    items: Mapping[tuple[str, str], Mapping[int, str]]
    digest: str

    def languages(self, split: str) -> tuple[str, ...]:
        """The languages in which something is put right, as the file names them."""
        return tuple(language for where, language in self.items if where == split)

    def repaired(self, raw: pl.DataFrame, *, split: str, language: str) -> pl.DataFrame:
        """The repository's rows with the right values; all other cells are as they were."""
        return self._set(raw, self.items.get((split, language), {}))

    def published(self, raw: pl.DataFrame, *, split: str, language: str) -> pl.DataFrame:
        """The repository's rows as they were published, whether they were put right since or not."""
        first, second = self.values
        right = self.items.get((split, language), {})
        return self._set(raw, {item: second if value == first else first for item, value in right.items()})

    def _set(self, raw: pl.DataFrame, values: Mapping[int, str]) -> pl.DataFrame:
        if not values:
            return raw
        known = pl.col(self.key).cast(pl.Int64).replace_strict(values, default=None, return_dtype=pl.String)
        return raw.with_columns(pl.coalesce(known, self.column).alias(self.column))


def repair_of(task: Task) -> Repair | None:
    """What is known to be wrong in the task's rows as published; None for nothing. Raises SourceError."""
    return _read(embedded.root().parent / "repairs" / f"{task.repair}.toml") if task.repair else None


def in_variant(raw: pl.DataFrame, task: Task, *, repository: str, split: str, language: str) -> pl.DataFrame:
    """A repository's rows as the task's variant has them.

    split: as it is called in the repository. Raises SourceError for rows whose column has other values than the
    repair knows, or no numbers to find its items by.
    """
    repair = None if task.variant == PUBLISHED else repair_of(task)
    if repair is None or repair.repository != repository:
        return raw
    where = f"{repository} ({language}, {split})"
    column = raw[repair.column]
    try:
        check_kinds(raw, {repair.column: TEXT})
    except CellError as error:
        raise SourceError(f"{where}: {error}") from None
    other = (~column.is_in(repair.values)).arg_true()
    if len(other):
        knows = f"the repair of {task.name} knows {' and '.join(repair.values)}"
        raise SourceError(f"{where}: {holding(column, int(other[0]))}; {knows}")
    try:
        return repair.repaired(raw, split=split, language=language)
    except pl.exceptions.PolarsError:
        kind = raw.schema[repair.key]
        raise SourceError(f"{where}: the column {repair.key!r} is {kind}; the repair of {task.name} needs whole "
                          "numbers") from None  # fmt: skip


@lru_cache(maxsize=8)
def _read(path: Path) -> Repair:
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        first, second = content["values"]
        return Repair(
            **{name: content[name] for name in ("repository", "column", "key", "rule", "source")},
            values=(first, second),
            items={
                (split, language): {item: value for value in (first, second) for item in right.get(value, ())}
                for split, languages in content["items"].items()
                for language, right in languages.items()
            },
            digest=file_digest(path),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path}: not a list of repaired items ({reason}); install again") from None
