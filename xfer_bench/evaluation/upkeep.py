"""Upkeep of the prediction store: what is in it, whether it is whole, and what nobody can ask for any more."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from xfer_bench.evaluation.blocks import Block
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.digests import scoring_source
from xfer_bench.evaluation.identity import name_key

# Older ones were left by a process that was killed.
_DRAFT_SECONDS = 3600.0
_TOKENS_SECONDS = 30 * 86400.0


@dataclass(frozen=True, kw_only=True)
class Removable:
    """A file that can go, and why."""

    path: Path
    bytes: int
    reason: str


def contents(store: PredictionStore) -> pl.DataFrame:
    """Predictions by checkpoint and task: checkpoint, weights, task, variant, split, languages, items, blocks, bytes.

    checkpoint: what the weights were called last; empty when nobody remembers. A block's bytes are divided among its
    tasks by their rows.
    """
    pieces = [_contents(blocks) for scorer in store.blocks.scorers() if (blocks := store.blocks.load(scorer))]
    if not pieces:
        return pl.DataFrame()
    return (
        pl.concat(pieces)
        .group_by("weights", "task", "variant", "split")
        .agg(
            pl.col("languages").explode().n_unique(),
            pl.col("items", "blocks").sum(),
            pl.col("bytes").sum().round().cast(pl.Int64),
        )
        .with_columns(
            pl.col("weights")
            .map_elements(lambda one: store.index.get(name_key(one)) or "", pl.String)
            .alias("checkpoint")
        )
        .sort("checkpoint", "weights", "task", "variant", "split")
    )


def damaged(store: PredictionStore) -> Iterator[Path]:
    """The block files that do not hold what their names say. Nothing is removed."""
    for scorer in store.blocks.scorers():
        for path in store.blocks.files(scorer):
            # Another process may have put it into a larger one meanwhile.
            with suppress(FileNotFoundError):
                if not store.blocks.whole(path):
                    yield path


def removable(store: PredictionStore) -> Iterator[Removable]:
    """What nobody can ask for: predictions of other code, pieces that a larger block holds too, tokens that were not
    used for a month, drafts that killed processes left.
    """
    code = scoring_source()
    for scorer in store.blocks.scorers():
        blocks = store.blocks.load(scorer)
        kept = [block for block in blocks if block.code == code]
        yield from (_removable(block.path, "scored by other code") for block in blocks if block.code != code)
        yield from (_removable(block.path, "held by another block too") for block in _superseded(kept))
    for path in sorted(store.blocks.folder.glob("??/*.parquet")):
        yield _removable(path, "written by version 0.1")
    now = time.time()
    for path in sorted(store.tokens.glob("*.arrow")):
        if now - path.stat().st_mtime > _TOKENS_SECONDS:
            yield _removable(path, "tokens that were not used for a month")
    for path in sorted(store.folder.rglob(".*.tmp")):
        if now - path.stat().st_mtime > _DRAFT_SECONDS:
            yield _removable(path, "left by a process that was killed")


def clear(store: PredictionStore) -> None:
    """Remove all predictions, tokens and the index. The store is closed then. Raises CacheError."""
    with store.failing_as_one_line():
        store.index.close()
        for folder in (store.blocks.folder, store.tokens, store.index.folder):
            if folder.is_dir():
                shutil.rmtree(folder)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, while others may come and go."""
    size = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    return size


def _contents(blocks: list[Block]) -> pl.DataFrame:
    """One scorer's predictions by weights, task, variant and split; a row in several blocks counts once."""
    rows = [
        block.frame()
        .select("row", "weights", "task", "variant", "split", "language")
        .with_columns(path=pl.lit(str(block.path)), bytes=len(block.payload) / pl.len())
        for block in blocks
    ]
    return (
        pl.concat(rows)
        .group_by("weights", "task", "variant", "split")
        .agg(
            pl.col("language").unique().alias("languages"),
            pl.col("row").n_unique().alias("items"),
            pl.col("path").n_unique().alias("blocks"),
            pl.col("bytes").sum(),
        )
    )


def _superseded(blocks: list[Block]) -> Iterator[Block]:
    """Blocks without whole columns of their own, all of whose rows are in some block with whole columns."""
    whole = [block.frame()["row"] for block in blocks if block.sealed]
    held = pl.concat(whole) if whole else pl.Series("row", [], pl.Binary)
    yield from (block for block in blocks if not block.sealed and block.frame()["row"].is_in(held.implode()).all())


def _removable(path: Path, reason: str) -> Removable:
    return Removable(path=path, bytes=path.stat().st_size, reason=reason)
