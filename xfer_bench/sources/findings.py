"""What is known about the rows, committed with the code: the published counts, and training items that were found to
be evaluation items in another language, for a study to leave out.

A finding is a file `data/findings/TASK.toml` with item ids and similarities, never a text.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.sources import embedded
from xfer_bench.sources.items import fingerprint

_PUBLISHED = "published_rows"


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """Training items of one task that somebody looked at and found to be items of a target, translated or retold.

    items: of the split and language, to be left out before `target`. rows, fingerprint: of all usable rows of that
    split and language when they were reviewed; the ids mean these rows and no others.
    """

    task: str
    language: str
    split: str
    target: str
    reason: str
    rows: int
    fingerprint: str
    items: frozenset[str]


def published_rows() -> Mapping[tuple[str, str, str], int]:
    """(repository, configuration or `*`, split as called there) to the published number of rows."""
    entries = _read(_folder() / f"{_PUBLISHED}.toml").get("published", [])
    return {
        (entry["repository"], entry["config"], split): rows
        for entry in entries
        for split, rows in entry["rows"].items()
    }


def reviewed(task: str, *, target: str | None = None) -> tuple[Reviewed, ...]:
    """What was found about this training set before this target, or any; empty when nothing was reviewed."""
    path = _folder() / f"{task}.toml"
    if not path.is_file():
        return ()
    return tuple(one for one in _reviewed(path) if target in (None, one.target))


def without_reviewed(items: pl.DataFrame, findings: tuple[Reviewed, ...]) -> pl.DataFrame:
    """The ITEMS of a whole training split in one language without those that were found.

    Raises SourceError when the rows are not the ones that were reviewed: their ids may mean others.
    """
    for one in findings:
        if not (items["language"] == one.language).any():
            continue
        ours = items.filter(pl.col("language") == one.language)
        if fingerprint(ours) != one.fingerprint:
            raise SourceError(
                f"{one.task} ({one.language}, {one.split}): the items to leave out before {one.target} were found in "
                f"{one.rows:,} rows of fingerprint {one.fingerprint[:12]}, and these {ours.height:,} rows have "
                f"{fingerprint(ours)[:12]}; run `xfer-bench data audit {one.task} --neighbours` and review them again"
            )
        items = items.filter((pl.col("language") != one.language) | ~pl.col("item").is_in(list(one.items)))
    return items


@lru_cache(maxsize=8)
def _reviewed(path: Path) -> tuple[Reviewed, ...]:
    try:
        return tuple(
            Reviewed(
                **{name: entry[name] for name in ("language", "split", "target", "reason", "rows", "fingerprint")},
                task=path.stem,
                items=frozenset(str(item) for item, *_ in entry["items"]),
            )
            for entry in _read(path)["reviewed"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{path}: not a list of reviewed items ({error!r}); install again") from None


def _folder() -> Path:
    return embedded.root().parent / "findings"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {' '.join(str(error).split())}; install again") from None
