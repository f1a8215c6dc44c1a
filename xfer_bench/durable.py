"""Files and folders that are there whole or not at all, also after a crash: draft, flush, rename."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it. Makes the folder.

    A link stays one, and what it points to is written; what is no file, as a pipe, is written to as it is.
    Raises OSError; the old file is still there then, and no draft is.
    """
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
