"""Where this program keeps things: which file system that is, how much room there is, and how the store is."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from xfer_bench.doctor.facts import Fact
from xfer_bench.errors import XferBenchError
from xfer_bench.evaluation.cache import default_store
from xfer_bench.evaluation.mounts import is_network, kind_of
from xfer_bench.evaluation.upkeep import size_of
from xfer_bench.models import starter

_LITTLE = 2e9
_GIGA = 1e9


def folders() -> Iterator[Fact]:
    """The cache, the prediction store, the Hub's cache and temporary storage."""
    try:
        cache, store = starter.cache_folder(), default_store()
    except XferBenchError as error:
        yield Fact(section="folders", name="cache", value="cannot be made", state="broken", reason=str(error))
        return
    mounts = _mounts()
    yield told_of("cache", cache, mounts)
    if not store.absolute().is_relative_to(cache):
        yield told_of("store", store, mounts)
    yield told_of("hub cache", _hub_cache(), mounts)
    yield told_of("temporary", Path(tempfile.gettempdir()), mounts)


def store() -> Iterator[Fact]:
    """What the prediction store holds, and the state of its index. Nothing is opened for writing."""
    try:
        folder = default_store()
    except XferBenchError:
        return  # the folders say why
    if not folder.is_dir():
        yield Fact(section="store", name="predictions", value="none yet")
        return
    blocks = len(list((folder / "blocks").glob("??/*/[!.]*.parquet")))
    yield Fact(
        section="store",
        name="predictions",
        value=f"{blocks:,} blocks, {_size(size_of(folder / 'blocks'))}; tokens {_size(size_of(folder / 'tokens'))}",
    )
    if is_network(kind_of(folder.resolve(), _mounts())):
        yield Fact(section="store", name="index", value="in this machine's temporary storage")
    else:
        yield _index(folder / "index" / "cache.db")


def told_of(name: str, folder: Path, mounts: list[tuple[str, str]]) -> Fact:
    """Where it lies, or would: of a folder that is not there yet, the nearest one above it."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    kind = kind_of(place.resolve(), mounts)
    free = shutil.disk_usage(place).free
    remote = is_network(kind)
    value = f"{folder} ({kind or 'unknown file system'}{', a network' if remote else ''}; {_size(free)} free)"
    if not os.access(place, os.W_OK | os.X_OK):
        why = f"{folder} cannot be written; {_how(name)}"
        return Fact(section="folders", name=name, value=value, state="broken", reason=why)
    if remote:
        why = f"{folder} is on a network file system ({kind}), which is slow; {_how(name)}"
        return Fact(section="folders", name=name, value=value, state="warning", reason=why)
    if free < _LITTLE:
        why = f"only {_size(free)} are free in {folder}; {_how(name)}"
        return Fact(section="folders", name=name, value=value, state="warning", reason=why)
    return Fact(section="folders", name=name, value=value)


def _how(name: str) -> str:
    variable = {"cache": "XFER_BENCH_CACHE", "store": "XFER_BENCH_STORE", "hub cache": "HF_HOME"}.get(name, "TMPDIR")
    return f"set {variable} to a folder on a local disk"


def _index(path: Path) -> Fact:
    if not path.is_file():
        return Fact(section="store", name="index", value="none yet")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
            (count,) = database.execute("SELECT COUNT(*) FROM Cache").fetchone()
    except sqlite3.OperationalError as error:
        return Fact(section="store", name="index", value=f"cannot be looked into now ({error})")
    except sqlite3.DatabaseError as error:
        answer, count = str(error), 0
    if answer != "ok":
        why = f"the index is damaged ({answer}); it is thrown away and built again by itself, which costs time only"
        return Fact(section="store", name="index", value="damaged", state="warning", reason=why)
    return Fact(section="store", name="index", value=f"sound, {count:,} entries, {_size(path.stat().st_size)}")


def _hub_cache() -> Path:
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def _mounts() -> list[tuple[str, str]]:
    import psutil

    return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]


def _size(count: float) -> str:
    return f"{count / _GIGA:.1f} GB" if count >= _GIGA / 10 else f"{count / 1e6:.1f} MB"
