"""Batches of tokens for a scorer, without a store."""

from pathlib import Path

import numpy as np
import polars as pl

from xfer_bench.evaluation.discovery import Scorable, discover
from xfer_bench.evaluation.evaluator import Piece
from xfer_bench.models.encoding import encode
from xfer_bench.models.loading import tokenizer_of


def found(folder: Path) -> Scorable:
    """The checkpoint in a folder."""
    (one,) = discover([str(folder)])
    return one


def pieces_of(folder: Path, items: pl.DataFrame, *, each: int) -> list[Piece]:
    """All sequences of ITEMS in their order, `each` of them in a batch."""
    encoded = encode(items, tokenizer_of(folder), max_length=128)
    batches = []
    for start in range(0, len(encoded.input_ids), each):
        ids = encoded.input_ids[start : start + each]
        types = encoded.type_ids[start : start + each] if encoded.type_ids is not None else None
        batches.append(
            Piece(
                ids=np.concatenate([np.array(one, dtype=np.int32) for one in ids]),
                lengths=np.array([len(one) for one in ids], dtype=np.int64),
                types=None if types is None else np.concatenate([np.array(one, dtype=np.uint8) for one in types]),
            )
        )
    return batches


def made_up(sequences: int, *, tokens: int, seed: int = 0) -> Piece:
    """Sequences of equal length and random content, for models of the toy vocabulary."""
    rng = np.random.default_rng(seed)
    return Piece(
        ids=rng.integers(5, 60, sequences * tokens).astype(np.int32),
        lengths=np.full(sequences, tokens, dtype=np.int64),
        types=np.zeros(sequences * tokens, dtype=np.uint8),
    )
