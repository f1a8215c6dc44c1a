"""The prediction store: what was scored, and an index of what is cheap to find out again.

    store/                        only its owner can enter
      blocks/                     predictions, the store proper: see `xfer_bench.evaluation.blocks`
      tokens/                     tokenised rows, memory-mapped; may be deleted at any time
      index/                      diskcache: digests of files and rows by their stamps, measured rates and batch sizes;
                                  may be deleted at any time

Nothing in it is ever unpickled. SQLite locks do not hold on network file systems, so for a store on one of them the
index lies in local temporary storage instead.
"""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR
from types import TracebackType
from typing import Any, Self, TypeAlias

import diskcache
import polars as pl
from diskcache.core import MODE_RAW

from xfer_bench.digest import value_digest
from xfer_bench.errors import CacheError
from xfer_bench.evaluation.blocks import Blocks
from xfer_bench.evaluation.mounts import on_network
from xfer_bench.models.starter import cache_folder

_NO_LIMIT = 1 << 50
_SECONDS = 10.0
_LAYOUT_KEY = "layout"
_LAYOUT = "2"

# A name, a stamp and a function to a value: see `PredictionStore.remember`.
Remember: TypeAlias = Callable[[str, Any, Callable[[], Any]], Any]

# What SQLite says when the file is sound and only now is not the time: the index is then done without.
_PASSING = ("locked", "busy", "full", "readonly", "disk I/O", "unable to open")


class PlainDisk(diskcache.Disk):  # type: ignore[misc]
    """A Disk that stores strings in the database itself and refuses everything else, also when it reads."""

    def put(self, key: Any) -> Any:
        """Only strings are keys; another one is a mistake of the program's, not of the file's."""
        if type(key) is not str:
            raise TypeError(f"a key of type {type(key).__name__}; only str is stored")
        return key, True

    def get(self, key: Any, raw: bool) -> Any:
        """A key as it was stored."""
        if not raw:
            raise CacheError("it holds a pickled key, which this program does not write")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> Any:  # noqa: ARG002
        """Only strings are values."""
        if type(value) is not str:
            raise TypeError(f"a value of type {type(value).__name__}; only str is stored")
        return 0, MODE_RAW, None, value

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> Any:  # noqa: ARG002
        """A value as it was stored; a pickle, or a value kept in another file, is refused."""
        if filename is not None or mode != MODE_RAW or type(value) is not str:
            raise CacheError("it holds a row that this program does not write")
        return value


class Index:
    """Strings by key, on disk. Losing it costs time only: a damaged one is thrown away, with a warning.

    When the disk refuses it, what is set is kept in memory for as long as the process lives.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._warn = warn
        self._memory: dict[str, str] = {}
        self._begun_anew = False
        self._disk = self._opened()
        # First whether it is empty: two processes may open a new one at once, and each writes this key before others.
        held = self._tried(len)
        if held == 0:
            self.set(_LAYOUT_KEY, _LAYOUT)
        elif held and self.get(_LAYOUT_KEY) != _LAYOUT and not self._begun_anew:
            self._begin_anew("it is of another version")

    def get(self, key: str) -> str | None:
        """The value, or None."""
        if key in self._memory:
            return self._memory[key]
        found = self._tried(lambda disk: disk.get(key))
        return None if found is None else str(found)

    def set(self, key: str, value: str) -> None:
        """Keep a value."""
        if not self._tried(lambda disk: disk.set(key, value)):
            self._memory[key] = value

    def close(self) -> None:
        """Let go of the file."""
        if self._disk is not None:
            self._disk.close()

    def _tried(self, ask: Callable[[Any], Any]) -> Any:
        if self._disk is None:
            return None
        try:
            return ask(self._disk)
        except diskcache.Timeout:
            return None
        except (CacheError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in _PASSING):
                return None
            self._begin_anew(str(error))
            return None

    def _begin_anew(self, reason: str) -> None:
        self.close()
        self._disk = None
        if self._begun_anew:
            self._warn(f"the index {self.folder} cannot be used ({reason}); this run does without")
            return
        self._throw_away(reason)
        self._disk = self._opened()
        self.set(_LAYOUT_KEY, _LAYOUT)

    def _throw_away(self, reason: str) -> None:
        self._begun_anew = True
        self._warn(f"the index {self.folder} was thrown away and is built again: {reason}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _opened(self) -> Any:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return diskcache.Cache(
                str(self.folder),
                disk=PlainDisk,
                eviction_policy="none",
                size_limit=_NO_LIMIT,
                statistics=False,
                timeout=_SECONDS,
            )
        # Settings that somebody else wrote into it become attributes and arguments, with errors of any of these kinds.
        except (OSError, sqlite3.Error, diskcache.Timeout, CacheError, TypeError, ValueError, AttributeError) as error:
            passing = isinstance(error, OSError | diskcache.Timeout) or any(word in str(error) for word in _PASSING)
            if not self._begun_anew and not passing:
                self._throw_away(str(error))
                return self._opened()
            self._warn(f"the index {self.folder} cannot be used ({error}); this run does without")
            return None


class PredictionStore:
    """Predictions, tokens and the index in a folder that only its owner can enter.

    warnings: what went wrong and was mended, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        with self.failing_as_one_line():
            for part in (folder, folder / "blocks", folder / "tokens"):
                part.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.blocks = Blocks(folder / "blocks", self.warnings.append)
        self.tokens = folder / "tokens"
        with self.failing_as_one_line():
            place = _index_folder(folder, self.warnings.append)
        self.index = Index(place, self.warnings.append)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.index.close()

    def remember(self, name: str, stamp: Any, compute: Callable[[], Any], *, verify: bool = False) -> Any:
        """`compute()`, a JSON-able value, remembered under `name` for as long as the stamp is the same.

        verify: compute it whatever is remembered.
        """
        known = None if verify else self.index.get(name)
        if known is not None:
            with suppress(ValueError, TypeError, KeyError):
                kept = json.loads(known)
                if kept["stamp"] == stamp:
                    return kept["value"]
        value = compute()
        self.index.set(name, json.dumps({"stamp": stamp, "value": value}))
        return value

    @contextmanager
    def failing_as_one_line(self) -> Iterator[None]:
        """What the disk refuses becomes one line of CacheError."""
        try:
            yield
        except (OSError, pl.exceptions.ComputeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CacheError(
                f"the prediction store {self.folder} cannot be used: {reason}; what it holds stays valid, and the "
                "same command goes on from there"
            ) from None


def stamp_of(files: Sequence[Path]) -> list[list[Any]]:
    """What changes when a file does: path, size, times of modification and change, inode. Raises OSError."""
    return [
        [str(file), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        for file in files
        for found in (file.stat(),)
    ]


def default_store() -> Path:
    """The prediction store of this user: XFER_BENCH_STORE, or a folder of the cache folder (XFER_BENCH_CACHE)."""
    named = os.environ.get("XFER_BENCH_STORE")
    return Path(named).expanduser() if named else cache_folder() / "predictions"


def _index_folder(store: Path, warn: Callable[[str], None]) -> Path:
    if not on_network(store):
        return store / "index"
    owner = getattr(os, "getuid", lambda: 0)()
    local = Path(tempfile.gettempdir()) / f"xfer-bench-{owner}-{value_digest(str(store.resolve()))[:16]}"
    with suppress(FileExistsError):
        local.mkdir(mode=0o700)
    found = local.lstat()
    # Somebody else's folder, a link or a file, by the name that ours would have.
    if not S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        place = Path(tempfile.mkdtemp(prefix="xfer-bench-"))
        warn(f"{local} is not a private folder of yours, so the index lies in {place}, and is not found again")
        return place / "index"
    return local / "index"
