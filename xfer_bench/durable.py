"""Files and folders that are there whole or not at all, also after a crash: draft, flush, rename."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_STANDARD = frozenset({Path("/dev/stdout"), Path("/dev/stderr")})
_DESCRIPTORS = frozenset({Path("/dev/fd"), Path("/proc/self/fd")})


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it. Makes the folder.

    A link stays one, and what it points to is written; what is no file, as a pipe, is written to as it is, and so is
    what this process has open, as /dev/stdout. Raises OSError; the old file is still there then, and no draft is.
    """
    if _is_open(path):
        with path.open("ab") as file:
            file.write(payload)
        return
    path = path.resolve()
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(payload)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:  # an interrupt too
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write all of these files or none: drafts first, which get their names once each is there.

    Only a crash between two renames, which take no time, leaves some. Raises OSError with the file's name.
    """
    drafts: dict[Path, Path] = {}
    try:
        for path, payload in files.items():
            with _naming(path):
                target = path.resolve()
                if target.exists() and not target.is_file():
                    raise OSError(errno.EINVAL, "it is no file")
                drafts[path] = target.with_name(f".{path.name}.{os.getpid()}.new")
                write_bytes(drafts[path], payload)
        check_writable(*files)
        for path, draft in drafts.items():
            with _naming(path):
                draft.replace(path.resolve())
    finally:
        for draft in drafts.values():
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def check_writable(*paths: Path) -> None:
    """Refuse files that cannot be written, before the work for them is done; leaves nothing behind.

    What is there already has to be a file that may be changed, or what `write_bytes` writes to as it is. Folders that
    are missing are not made, as others may be making them. Raises OSError with the file's name.
    """
    probed: set[Path] = set()
    for path in paths:
        if _is_open(path):
            continue
        with _naming(path):
            target = path.resolve()
            if target.is_dir():
                raise OSError(errno.EISDIR, "it is a folder")
            if target.exists() and not os.access(target, os.W_OK):
                raise OSError(errno.EACCES, "it may not be changed")
            if target.is_file() or not target.exists():
                above = next(one for one in target.parents if one.exists())
                if above not in probed:
                    tempfile.NamedTemporaryFile(dir=above, prefix=".").close()
                    probed.add(above)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON. Raises OSError."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `target` when the block ends without an error.

    Files may be nested. Nothing stays behind after an error; what a killed process leaves is a folder beside the
    target whose name begins with `leftover_prefix(target)`. When someone else finished `target` in the meantime
    theirs is kept, so use it only where the name decides the content. Raises OSError when the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=leftover_prefix(target), dir=target.parent))
    try:
        yield draft
        publish(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def publish(draft: Path, target: Path) -> None:
    """Bring a folder to the disk and rename it to `target`, unless that is there already. Raises OSError."""
    for file in draft.rglob("*"):
        _sync(file)
    _sync(draft)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    _sync(target.parent)


def leftover_prefix(target: Path) -> str:
    """How the names of unfinished drafts of this target begin."""
    return f".{target.name}."


def _is_open(path: Path) -> bool:
    """Whether the name is that of a file this process has open, rather than of the file that it is."""
    path = path.absolute()
    return path in _STANDARD or path.parent in _DESCRIPTORS


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors name the file that was asked for, not a draft of it or a folder above it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from None
    except RuntimeError as error:  # a loop of links, before Python 3.13
        raise OSError(errno.ELOOP, str(error), str(path)) from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
