"""Texts that are nearly equal: an exact join of two lists of texts on the similarity of their character n-grams.

The (Jaccard) similarity of two texts is |A ∩ B| / |A ∪ B| of their sets of overlapping n-grams, with a space on
either side. No pair at or above the threshold is missed: candidates come from an inverted index with prefix filtering
(Chaudhuri, Ganti and Kaushik 2006, ICDE; Bayardo, Ma and Srikant 2007, WWW): in one common order of all n-grams, from
rare to frequent, two sets with similarity t or more share one of the first |A| - ⌈t |A|⌉ + 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xfer_bench.errors import SourceError

LENGTH = 4

_Integers: TypeAlias = NDArray[np.int64]
_Words: TypeAlias = NDArray[np.uint64]

# Of a 64-bit key: 17 bits for the row, 15 for how frequent the n-gram is, 32 for its hash.
_ROW_BITS, _HASH_BITS = 17, 32
_FREQUENCY_BITS = 64 - _ROW_BITS - _HASH_BITS
_TABLE_BITS = 22
_SIGNATURE_BITS = 512
_CHARACTERS = 2_000_000  # of one piece of the left side
_PAIRS = 2_000_000  # of one piece of candidates
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)


@dataclass(frozen=True, kw_only=True)
class NearPairs:
    """Pairs of positions whose texts are similar, by left position, then right. Aligned, of one length.

    similarity: in [0, 1].
    """

    left: _Integers
    right: _Integers
    similarity: NDArray[np.float64]


def similarity(left: str, right: str) -> float:
    """The Jaccard similarity of two texts' n-grams; 1 for equal texts."""
    first, second = _spelled(left), _spelled(right)
    return len(first & second) / len(first | second)


def near_pairs(left: pl.Series, right: pl.Series, *, least: float) -> NearPairs:
    """Every pair of a text of `left` and one of `right` with a similarity of `least` or more, equal texts included.

    Deterministic; memory is bounded by the right side and by the pairs found. Raises SourceError for a threshold
    outside (0, 1].
    """
    if not 0 < least <= 1:
        raise SourceError(f"the least similarity is {least}; it must be above 0 and at most 1")
    found = [*_searched(left, right, least=least)] if len(left) and len(right) else []
    if not found:
        nothing = np.empty(0, np.int64)
        return NearPairs(left=nothing, right=nothing, similarity=np.empty(0))
    first, second, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((second, first))
    return NearPairs(left=first[order], right=second[order], similarity=values[order])


def _searched(
    left: pl.Series, right: pl.Series, *, least: float
) -> Iterator[tuple[_Integers, _Integers, NDArray[np.float64]]]:
    for right_start, right_piece in _pieces(right):
        grams = _hashes(right_piece)
        counts = np.bincount(_table(grams[1]), minlength=1 << _TABLE_BITS)
        frequency = counts.clip(max=(1 << _FREQUENCY_BITS) - 1).astype(np.uint64)
        index = _Sets.of(grams, len(right_piece), frequency)
        for start, piece in _pieces(left):
            sets = _Sets.of(_hashes(piece), len(piece), frequency)
            for rows, others in _candidates(sets, index, least=least):
                kept, values = _verified(sets, index, rows, others, least=least)
                yield rows[kept] + start, others[kept] + right_start, values


@dataclass(frozen=True, kw_only=True)
class _Sets:
    """Every text's set of n-grams, as one run of hashes a text, from rare to frequent.

    sizes, starts: (texts,). hashes, present: (n-grams,); present: whether the n-gram occurs in the indexed side.
    signatures: (texts, words) bits, one for each residue of a hash.
    """

    sizes: _Integers
    starts: _Integers
    hashes: _Words
    present: NDArray[np.bool_]
    signatures: _Words

    @classmethod
    def of(cls, grams: tuple[_Words, _Words], texts: int, frequency: _Words) -> "_Sets":
        rows, hashes = grams
        keys = (rows << np.uint64(64 - _ROW_BITS)) | (frequency[_table(hashes)] << np.uint64(_HASH_BITS)) | hashes
        keys.sort()
        keys = keys[_differs(keys)]
        rows = (keys >> np.uint64(64 - _ROW_BITS)).astype(np.int64)
        hashes = keys & np.uint64((1 << _HASH_BITS) - 1)
        sizes = np.bincount(rows, minlength=texts)
        bits = np.zeros((texts, _SIGNATURE_BITS), bool)
        bits[rows, (hashes % np.uint64(_SIGNATURE_BITS)).astype(np.int64)] = True
        return cls(
            sizes=sizes,
            starts=np.cumsum(sizes) - sizes,
            hashes=hashes,
            present=((keys >> np.uint64(_HASH_BITS)) & np.uint64((1 << _FREQUENCY_BITS) - 1)) > 0,
            signatures=np.packbits(bits, axis=1).view(np.uint64),
        )

    def prefixes(self, least: float) -> tuple[_Integers, _Words]:
        """Rows and hashes of the n-grams of which two similar sets share one."""
        lengths: _Integers = self.sizes - _at_least(least * self.sizes) + 1
        rows = np.repeat(np.arange(len(self.sizes)), self.sizes)
        place = np.arange(len(rows)) - self.starts[rows]
        kept = (place < lengths[rows]) & self.present
        return rows[kept], self.hashes[kept]


def _candidates(sets: _Sets, index: _Sets, *, least: float) -> Iterator[tuple[_Integers, _Integers]]:
    """Pairs of rows that may be similar, each once."""
    others, known = index.prefixes(least)
    order = np.argsort(known, kind="stable")
    others, known = others[order], known[order]
    rows, asked = sets.prefixes(least)
    first, last = np.searchsorted(known, asked, "left"), np.searchsorted(known, asked, "right")
    hits = last - first
    for piece in _row_pieces(rows, hits):
        counts = hits[piece]
        left = np.repeat(rows[piece], counts)
        right = others[_ranges(first[piece], counts)]
        small, large = (
            np.minimum(sets.sizes[left], index.sizes[right]),
            np.maximum(sets.sizes[left], index.sizes[right]),
        )
        fits = small >= _at_least(least * large)
        pairs = np.sort(left[fits] << 32 | right[fits])
        pairs = pairs[_differs(pairs)]
        yield pairs >> 32, pairs & ((1 << 32) - 1)


def _verified(
    sets: _Sets, index: _Sets, rows: _Integers, others: _Integers, *, least: float
) -> tuple[_Integers, NDArray[np.float64]]:
    """Which of the candidates are similar: their positions, and how similar they are."""
    both = sets.sizes[rows] + index.sizes[others]
    needed = _at_least(both * least / (1 + least))
    # A bit that only one has stands for at least one n-gram that only this one has.
    alone = np.bitwise_count(sets.signatures[rows] & ~index.signatures[others]).sum(axis=1, dtype=np.int64)
    kept = np.flatnonzero(sets.sizes[rows] - alone >= needed)
    shared = np.concatenate(
        [np.empty(0, np.int64), *(_shared(sets, index, rows[part], others[part]) for part in _parts(kept))]
    )
    enough = shared >= needed[kept]
    return kept[enough], shared[enough] / (both[kept] - shared)[enough]


def _shared(sets: _Sets, index: _Sets, rows: _Integers, others: _Integers) -> _Integers:
    """How many n-grams each pair has in common."""
    pairs = np.arange(len(rows), dtype=np.uint64)
    keys = []
    for side, chosen in ((sets, rows), (index, others)):
        counts = side.sizes[chosen]
        keys.append((np.repeat(pairs, counts) << np.uint64(32)) | side.hashes[_ranges(side.starts[chosen], counts)])
    merged = np.concatenate(keys)
    merged.sort()
    twice = merged[1:][merged[1:] == merged[:-1]] >> np.uint64(32)
    return np.bincount(twice.astype(np.int64), minlength=len(rows))


def _hashes(texts: pl.Series) -> tuple[_Words, _Words]:
    """The row and the 32-bit hash of every n-gram, repeated ones too. A short text is filled up with U+0000."""
    padded = (" " + texts + " ").str.pad_end(LENGTH, "\0")
    points = np.frombuffer("".join(padded.to_list()).encode("utf-32-le"), np.uint32).astype(np.uint64)
    lengths = padded.str.len_chars().to_numpy().astype(np.int64)
    mixed = np.zeros(max(len(points) - LENGTH + 1, 0), np.uint64)
    for place in range(LENGTH):
        mixed = (mixed ^ points[place : place + len(mixed)]) * _MULTIPLIERS[place]
        mixed ^= mixed >> np.uint64(29)
    # What would begin in one text and end in the next is none of either's.
    within = np.ones(len(mixed), bool)
    for place in range(LENGTH - 1):
        within[np.cumsum(lengths)[:-1] - 1 - place] = False
    rows = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths - LENGTH + 1)
    return rows, mixed[within] >> np.uint64(32)


def _spelled(text: str) -> set[str]:
    padded = f" {text} ".ljust(LENGTH, "\0")
    return {padded[place : place + LENGTH] for place in range(len(padded) - LENGTH + 1)}


def _table(hashes: _Words) -> _Integers:
    return (hashes >> np.uint64(_HASH_BITS - _TABLE_BITS)).astype(np.int64)


def _at_least(value: NDArray[Any]) -> _Integers:
    """Rounded up to a whole number; what arithmetic puts a hair above one is that one."""
    return np.ceil(value - 1e-9).astype(np.int64)


def _differs(ordered: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each number differs from the one before it."""
    changes = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=changes[1:])
    return changes


def _ranges(starts: _Integers, counts: _Integers) -> _Integers:
    """The numbers from each start on, as many as its count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


def _pieces(texts: pl.Series) -> Iterator[tuple[int, pl.Series]]:
    """The texts in pieces of bounded length, and where each piece begins."""
    ends = np.cumsum(texts.str.len_chars().to_numpy().astype(np.int64) + LENGTH)
    start = 0
    while start < len(texts):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + _CHARACTERS, "right"))
        stop = min(max(stop, start + 1), start + (1 << _ROW_BITS))
        yield start, texts[start:stop]
        start = stop


def _row_pieces(rows: _Integers, hits: _Integers) -> Iterator[slice]:
    """Slices of whole rows with a bounded number of hits, so that no pair comes in two of them."""
    ends = np.cumsum(hits)
    start = 0
    while start < len(rows):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + _PAIRS, "right"))
        stop = max(stop, start + 1)
        # To the end of the row that would be cut.
        stop = int(np.searchsorted(rows, rows[stop - 1], "right"))
        yield slice(start, stop)
        start = stop


def _parts(kept: _Integers) -> Iterator[_Integers]:
    size = 1 << 15
    for start in range(0, len(kept), size):
        yield kept[start : start + size]
