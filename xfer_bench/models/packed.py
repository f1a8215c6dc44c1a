"""The packed file of the starter model, read as data: its sizes, its vocabulary and its 4-bit tensors.

The file begins with `E5S1` and is little endian; all its parts are described where they are read. Nothing here
checks it: the caller has compared its digest with the one file that is known.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Raw: TypeAlias = NDArray[np.uint8]

BLOCK = 32
BLOCK_BYTES = 18
FLOAT32 = 0
ROWS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Where one tensor lies. kind: 0 float32, otherwise 4 bits; begin, end: bytes in the file; elements: how many."""

    kind: int
    elements: int
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The file's content; the tensors stay on the disk until they are asked for.

    hidden, layers, heads, feed_forward, vocabulary, positions, token_types: sizes. epsilon: of the layer norms.
    pieces, scores: the Unigram vocabulary with log probabilities, in the order of ids.
    normalisation: single characters to what they are replaced by.
    """

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    bos: int
    eos: int
    pad: int
    unk: int
    normalisation: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    data: Raw

    def rows(self, name: str, *, columns: int) -> Iterator[Floats]:
        """The tensor's rows in order, a few thousand at a time, as arrays (rows, columns) of float32.

        The chunks keep memory flat: the whole embedding matrix takes 384 MB in float32.
        """
        tensor = self.tensors[name]
        raw = self.data[tensor.begin : tensor.end]
        if tensor.kind == FLOAT32:
            yield raw.view("<f4").reshape(-1, columns)
            return
        by_row = raw.reshape(-1, columns // BLOCK, BLOCK_BYTES)
        for start in range(0, len(by_row), ROWS_AT_ONCE):
            yield unpack_nibbles(by_row[start : start + ROWS_AT_ONCE])


def unpack_nibbles(blocks: Raw) -> Floats:
    """Blocks (rows, blocks, 18 bytes) as weights (rows, 32 × blocks).

    A block is a float16 scale d and 16 bytes, whose low halves are weights 0-15 and whose high halves weights 16-31;
    a weight is (half − 8) · d.
    """
    rows, count, _ = blocks.shape
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    weights = np.empty((rows, count, 2, BLOCK // 2), dtype=np.float32)
    weights[:, :, 0] = blocks[..., 2:] & 0x0F
    weights[:, :, 1] = blocks[..., 2:] >> 4
    weights -= 8.0
    weights *= scales[..., None]
    return weights.reshape(rows, count * BLOCK)


@dataclass
class _Cursor:
    """A place in the bytes that moves on as they are read."""

    data: Raw
    at: int = 0

    def take(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(f"<{layout}", self.block(struct.calcsize(f"<{layout}")).tobytes())

    def block(self, size: int) -> Raw:
        block = self.data[self.at : self.at + size]
        self.at += size
        return block


def read_packed(path: Path) -> Packed:
    """Everything but the weights, which are mapped. The file must be the one whose layout is described here."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    cursor = _Cursor(data, at=8)
    hidden, layers, heads, feed_forward, vocabulary, positions, token_types = cursor.take("7i")
    (epsilon,) = cursor.take("f")
    cursor.take("i")
    count, bos, eos, pad, unk, size = cursor.take("5iQ")
    offsets = cursor.block(4 * (count + 1)).view("<u4").tolist()
    scores = cursor.block(4 * count).view("<f4").astype(np.float64).tolist()
    text = cursor.block(size).tobytes()
    return Packed(
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        positions=positions,
        token_types=token_types,
        # A float32 in the file: six digits give back the number that was meant.
        epsilon=float(f"{epsilon:.6g}"),
        pieces=tuple(text[offsets[i] : offsets[i + 1]].decode() for i in range(count)),
        scores=tuple(scores),
        bos=bos,
        eos=eos,
        pad=pad,
        unk=unk,
        normalisation=_normalisation(cursor),
        tensors=_directory(cursor),
        data=data,
    )


def _normalisation(cursor: _Cursor) -> dict[str, str]:
    """Per entry a code point, a count byte and as many code points."""
    count, _ = cursor.take("iI")
    normalisation = {}
    for _ in range(count):
        code, length = cursor.take("IB")
        normalisation[chr(code)] = "".join(chr(replacement) for replacement in cursor.take(f"{length}I"))
    return normalisation


def _directory(cursor: _Cursor) -> dict[str, Tensor]:
    """Per tensor its name, kind, number of elements, place and bytes."""
    (count,) = cursor.take("i")
    tensors = {}
    for _ in range(count):
        (length,) = cursor.take("H")
        name = cursor.block(length).tobytes().decode()
        kind, elements, begin, size = cursor.take("BIQQ")
        tensors[name] = Tensor(kind=kind, elements=elements, begin=begin, end=begin + size)
    return tensors
