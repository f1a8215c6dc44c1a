"""Tokenised rows in Arrow files that are mapped into memory: made once, read by everybody who asks for the same.

A file holds sequences in the order of their items and of the items' candidates:

    item    int32                   position of the item
    ids     list of int32           token ids
    types   list of uint8           token types; empty lists where the model has no such input
    digest  16 bytes                of ids and types: equal sequences have equal scores

Its name ends with a checksum of its bytes, which are compared with it before they are used: what Arrow reads is not
checked by itself, and damage can end the process.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xfer_bench.durable import write_bytes

_SCHEMA = pa.schema(
    [
        ("item", pa.int32()),
        ("ids", pa.large_list(pa.int32())),
        ("types", pa.large_list(pa.uint8())),
        ("digest", pa.binary(16)),
    ]
)
DIGEST = np.dtype("V16")


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Sequences as lists, as a tokenizer gives them. items: position of each one's item; types: None without."""

    items: list[int]
    ids: list[list[int]]
    types: list[list[int]] | None
    truncated: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Tokens:
    """Sequences as arrays. item, digests: (sequences,). values, types: flat, sequence s from offsets[s] on.

    truncated: how many sequences lost tokens to the maximum length.
    """

    item: NDArray[np.int32]
    values: NDArray[np.int32]
    types: NDArray[np.uint8] | None
    offsets: NDArray[np.int64]
    digests: NDArray[Any]
    truncated: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(sequences,) tokens of each."""
        return np.diff(self.offsets)


def kept_tokens(folder: Path, name: str, make: Callable[[], Encoded], *, warn: Callable[[str], None]) -> Tokens:
    """The tokens that the folder holds under a name that says all that decides them, or those made now and kept there.

    make: called when they are not there, or damaged; warn is told of the latter. Several processes may ask for the
    same at once: what they write is the same, and each file is there whole or not at all.
    Raises OSError when the disk refuses.
    """
    for path in folder.glob(f"{name}-*.arrow"):
        found = _mapped(path)
        if found is not None:
            with suppress(OSError):
                os.utime(path)  # so that those can be removed which were not used for long
            return found
        warn(f"{path} is damaged; removed, and its rows are tokenised again")
        path.unlink(missing_ok=True)
    payload = _payload(make())
    path = folder / f"{name}-{_checksum(payload)}.arrow"
    write_bytes(path, payload)
    found = _mapped(path)
    if found is None:
        raise OSError(f"{path} does not hold what was just written to it; is the disk sound?")
    return found


def _payload(encoded: Encoded) -> bytes:
    types: list[list[int]] = encoded.types if encoded.types is not None else [[]] * len(encoded.ids)
    digests = [_digest(ids, kinds) for ids, kinds in zip(encoded.ids, types, strict=True)]
    table = pa.table([encoded.items, encoded.ids, types, digests], schema=_SCHEMA)
    table = table.replace_schema_metadata({"truncated": str(encoded.truncated)}).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _mapped(path: Path) -> Tokens | None:
    """What a file holds; None when it is damaged."""
    try:
        content = pa.memory_map(str(path)).read_buffer()
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    if not path.stem.endswith(f"-{_checksum(content)}"):
        return None
    table = pa.ipc.open_file(content).read_all()
    item, ids, types, digests = (column.chunk(0) for column in table.columns)
    offsets = ids.offsets.to_numpy()
    flat = types.values.to_numpy()
    return Tokens(
        item=item.to_numpy(),
        values=ids.values.to_numpy(),
        types=flat if len(flat) else None,
        offsets=offsets,
        digests=np.frombuffer(digests.buffers()[1], dtype=DIGEST)[: len(digests)],
        truncated=int(table.schema.metadata[b"truncated"]),
    )


def _checksum(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _digest(ids: list[int], types: list[int]) -> bytes:
    content = np.array(ids, dtype=np.int32).tobytes() + bytes(types)
    return hashlib.blake2b(content, digest_size=16).digest()
