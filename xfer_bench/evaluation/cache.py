"""The prediction store: BLOCKs as immutable Parquet files named by their key, and a memo of file digests.

    store/
      blocks/ab/abcd….parquet   written to a temporary name, flushed, renamed
      memo/                     diskcache: digests of files by path, size, times and inode; may be deleted at any time

Nothing in it is ever unpickled.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import diskcache
import polars as pl
from diskcache.core import MODE_RAW

from xfer_bench.durable import write_bytes
from xfer_bench.errors import CacheError, ResultsError
from xfer_bench.frames import BLOCK, conform
from xfer_bench.models.starter import cache_folder

_NO_LIMIT = 1 << 50


class PlainDisk(diskcache.Disk):  # type: ignore[misc]
    """A Disk that stores strings in the database itself and refuses everything else, also when it reads."""

    def put(self, key: Any) -> Any:
        """Only strings are keys."""
        if type(key) is not str:
            raise CacheError(f"a key of type {type(key).__name__}; only str is stored")
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        """A key as it was stored."""
        if not raw:
            raise CacheError("the memo holds a pickled key and was not written by this program; delete it")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> Any:  # noqa: ARG002
        """Only strings are values."""
        if type(value) is not str:
            raise CacheError(f"a value of type {type(value).__name__}; only str is stored")
        return 0, MODE_RAW, None, value

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> Any:  # noqa: ARG002
        """A value as it was stored; a pickle, or a value kept in another file, is refused."""
        if filename is not None or mode != MODE_RAW or type(value) is not str:
            raise CacheError("the memo holds a row that this program does not write; delete it")
        return value


class PredictionStore:
    """Predictions by key, in a folder of this machine that only its owner can enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _failing_as_one_line(folder):
            for part in (folder, folder / "blocks"):
                part.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._memo = diskcache.Cache(
                str(folder / "memo"), disk=PlainDisk, eviction_policy="none", size_limit=_NO_LIMIT, statistics=False
            )
            (folder / "memo").chmod(0o700)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memo.close()

    def has(self, key: str) -> bool:
        """Whether a block is stored under this key."""
        return self._path(key).is_file()

    def fetch(self, key: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The block stored under `key`, or the one that `compute` gives, stored. A damaged block is computed anew."""
        path = self._path(key)
        if path.is_file():
            try:
                return conform(pl.read_parquet(path, glob=False), BLOCK)
            except (pl.exceptions.PolarsError, OSError, ResultsError):
                path.unlink(missing_ok=True)
        block = conform(compute(), BLOCK)
        with _failing_as_one_line(self.folder):
            buffer = BytesIO()
            block.write_parquet(buffer)
            write_bytes(path, buffer.getvalue())
        return block

    def remembered(self, folder: Path, name: str, compute: Callable[[Path], str]) -> str:
        """`compute(folder)`, remembered for as long as no file of the folder changes (size, times, inode)."""
        stamps = [
            [file.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
            for file in sorted(folder.iterdir())
            if file.is_file() and file.name != "lineage.json"
            for found in (file.stat(),)
        ]
        key = f"{name}:{folder.resolve()}:{stamps}"
        with _failing_as_one_line(self.folder):
            known = self._memo.get(key)
            if known is None:
                known = compute(folder)
                self._memo.set(key, known)
        return str(known)

    def _path(self, key: str) -> Path:
        return self.folder / "blocks" / key[:2] / f"{key}.parquet"


def default_store() -> Path:
    """The prediction store of this user: XFER_BENCH_STORE, or a folder of the cache folder (XFER_BENCH_CACHE)."""
    named = os.environ.get("XFER_BENCH_STORE")
    return Path(named).expanduser() if named else cache_folder() / "predictions"


@contextmanager
def _failing_as_one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, diskcache.Timeout, pl.exceptions.ComputeError) as error:
        raise CacheError(f"the prediction store {folder} cannot be used: {error}") from None
