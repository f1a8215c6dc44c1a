"""Identity by content: SHA-256 of values, files and source code."""

import hashlib
import json
from pathlib import Path
from typing import Any

_CHUNK = 1 << 22


def value_digest(value: Any) -> str:
    """Hexadecimal SHA-256 of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in pieces."""
    running = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            running.update(chunk)
    return running.hexdigest()


def source_digest(*files: Path) -> str:
    """Digest of Python source files, by room, name and content.

    The code itself is the version, so that nobody has to remember to raise a number when it changes.
    """
    return value_digest({f"{path.parent.name}/{path.name}": file_digest(path) for path in files})
