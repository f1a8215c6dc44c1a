"""Who trains a stage: a lock that the system lets go of when the process ends, however it ends. No torch."""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

# Whoever only looks holds the lock for a moment; what is still held after that is held.
_LOOKS = 3
_MOMENT = 0.03
# Disks that know no locks: there two programs at one stage are not kept apart.
_UNKNOWN = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that holds a lock; without a number where that is not known."""

    process: int | None
    host: str

    def __str__(self) -> str:
        if self.process is None:
            return "another process"
        return f"process {self.process}" + ("" if self.host == socket.gethostname() else f" on {self.host}")


def lock_of(work: Path) -> Path:
    """The lock of the stage that is made in this folder; beside it, since the folder goes when the stage is done."""
    return work.with_name(f"{work.name}.lock")


@contextmanager
def held(path: Path) -> Iterator[Holder | None]:
    """Hold a lock while the block runs, without waiting for it: gives None, or who holds it instead.

    The file goes with the lock. Raises OSError when the disk refuses it.
    """
    file = _locked(path)
    if file is None:
        yield holder_of(path) or Holder(process=None, host="")
        return
    try:
        file.truncate(0)
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode())
        yield None
    finally:
        # First the name, so that nobody locks a file that has none.
        path.unlink(missing_ok=True)
        file.close()


@contextmanager
def awaited(path: Path) -> Iterator[None]:
    """Hold a lock while the block runs, as soon as nobody else does: for what takes but a moment."""
    while True:
        with held(path) as other:
            if other is None:
                yield
                return
        time.sleep(_MOMENT)


def holder_of(path: Path) -> Holder | None:
    """Who holds this lock now; None when nobody does."""
    try:
        with path.open("rb") as file:
            if _shared(file.fileno()):
                return None
            return _named(file.read())
    except OSError:
        return None


def _locked(path: Path) -> FileIO | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for look in range(_LOOKS):
        if look:
            time.sleep(_MOMENT)
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        except OSError as error:
            if error.errno not in _UNKNOWN:
                file.close()
                raise
        # Who held it before has removed the name, and somebody else may have made it anew.
        if _is_named(file, path):
            return file
        file.close()
    return None


def _is_named(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _shared(descriptor: int) -> bool:
    """Whether the lock is free, or the disk knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _named(content: bytes) -> Holder:
    try:
        known = json.loads(content)
        return Holder(process=int(known["process"]), host=str(known["host"]))
    except (ValueError, KeyError, TypeError):  # it was just taken
        return Holder(process=None, host="")
