"""The rows of a stage as sequences of tokens, kept between runs: seeds, arms and resumed stages tokenise them once.

    .tokens/                          in the folder of the checkpoint store; may be deleted at any time
      <digest>-<checksum>.arrow       as `xfer_bench.models.tokens` writes it; read by mapping it into memory

The digest is of the content that decides the tokens: the rows, the tokenizer, the maximum length, the code that
encodes, and the libraries' versions. Names, paths and times decide nothing.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from xfer_bench.digest import source_digest, value_digest
from xfer_bench.models import encoding, tokens
from xfer_bench.models.encoding import Sequences, encode
from xfer_bench.models.tokens import Encoded, kept_tokens
from xfer_bench.sources.items import fingerprint

__all__ = ["FOLDER", "FlatSequences", "Ragged", "sequences_of"]

# Beside the finished stages of a checkpoint store.
FOLDER = ".tokens"


def _silent(_: str) -> None:
    """Nobody is told."""


class Ragged(Sequence[list[int]]):
    """Lists of different lengths in one flat array: what is asked for becomes a list, the rest stays on the disk."""

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        """List i is values[offsets[i]:offsets[i + 1]]."""
        self._values = values
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...
    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        found: list[int] = self._values[self._offsets[place] : self._offsets[place + 1]].tolist()
        return found

    def __iter__(self) -> Iterator[list[int]]:
        return (self[place] for place in range(len(self)))


@dataclass(frozen=True, kw_only=True, eq=False)
class FlatSequences(Sequences):
    """Sequences in one array, mapped from a file: the token ids of a batch are read when the batch is made.

    flat: the token ids of all sequences; sequence s is flat[offsets[s]:offsets[s + 1]].
    """

    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sequence, without reading any of them."""
        found: list[int] = np.diff(self.offsets).tolist()
        return found

    def renumbered(self, number: NDArray[np.int64]) -> "FlatSequences":
        """The same sequences with number[id] in the place of each id; in memory."""
        flat = number[self.flat].astype(np.int32)
        return replace(self, flat=flat, input_ids=_lists(flat, self.offsets))


def sequences_of(
    frame: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    folder: Path,
    warn: Callable[[str], None] = _silent,
) -> FlatSequences:
    """What `encode` makes of these rows, from the folder or encoded now and kept there.

    frame: ITEMS. folder: of tokens, made when it is absent. warn: is told of a damaged file, which is made anew.
    A folder that cannot be written changes nothing but the time that it takes. The tokenizer is left as it was.
    """
    name = value_digest([fingerprint(frame), _identity(tokenizer), max_length])

    made: list[Sequences] = []

    def make() -> Encoded:
        made.append(encode(frame, tokenizer, max_length=max_length))
        return _listed(made[0])

    try:
        kept = kept_tokens(folder, name, make, warn=warn)
    except OSError as error:
        warn(f"{folder} cannot be used ({error.strerror or error}); its rows are tokenised every time")
        return _flat(made[0] if made else encode(frame, tokenizer, max_length=max_length))
    return FlatSequences(
        input_ids=_lists(kept.values, kept.offsets),
        type_ids=None if kept.types is None else _lists(kept.types, kept.offsets),
        counts=np.bincount(kept.item, minlength=frame.height).tolist(),
        truncated=kept.truncated,
        flat=kept.values,
        offsets=kept.offsets,
    )


def _listed(found: Sequences) -> Encoded:
    items = np.repeat(np.arange(len(found.counts)), found.counts).tolist()
    return Encoded(items=items, ids=found.input_ids, types=found.type_ids, truncated=found.truncated)


def _flat(found: Sequences) -> FlatSequences:
    flat = np.fromiter(chain.from_iterable(found.input_ids), dtype=np.int32)
    offsets = np.cumsum([0, *found.lengths], dtype=np.int64)
    return FlatSequences(
        input_ids=found.input_ids,
        type_ids=found.type_ids,
        counts=found.counts,
        truncated=found.truncated,
        flat=flat,
        offsets=offsets,
    )


def _lists(values: NDArray[Any], offsets: NDArray[np.int64]) -> list[list[int]]:
    # Whoever uses them takes single sequences by their position, which any kind of sequence gives.
    return cast("list[list[int]]", Ragged(values, offsets))


def _identity(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """Whatever of a tokenizer and of the code decides the tokens of a row."""
    return [
        hashlib.sha256(_serialised(tokenizer).encode()).hexdigest(),
        type(tokenizer).__name__,
        list(tokenizer.model_input_names),
        tokenizer.truncation_side,
        getattr(tokenizer, "split_special_tokens", False),
        _source(),
    ]


def _serialised(tokenizer: PreTrainedTokenizerBase) -> str:
    """Its tokenizer.json, without the truncation and padding that the last call left in it."""
    backend = tokenizer.backend_tokenizer
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        written: str = backend.to_str()
    finally:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)
    return written


@cache  # The code that runs does not change under it.
def _source() -> list[str]:
    files = (Path(str(one.__file__)) for one in (encoding, tokens))
    return [source_digest(Path(__file__), *files), version("tokenizers"), version("transformers")]
