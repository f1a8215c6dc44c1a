"""How many tokens a text has under a tokenizer, without the model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from xfer_bench.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class TokenCounts:
    """A fast tokenizer that counts. pair: special tokens of a pair; bytewise: whether a character may be several."""

    name: str
    pair: int
    bytewise: bool
    tokenizer: "Tokenizer" = field(repr=False, compare=False)

    @classmethod
    def of(cls, folder: Path, *, name: str) -> "TokenCounts":
        """The tokenizer of a checkpoint's folder. Raises CheckpointError when it has no usable tokenizer.json."""
        from tokenizers import Tokenizer

        path = folder / FILE
        try:
            written = path.read_text(encoding="utf-8")
            # Looked at before it is handed on: what the library raises on a wrong shape is a bare Exception.
            model = json.loads(written)["model"]
            if not isinstance(model, dict) or "vocab" not in model:
                raise ValueError("it has no vocabulary")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{folder}: no usable {FILE}: {' '.join(str(error).split())}") from None
        tokenizer = Tokenizer.from_str(written)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        bytewise = '"ByteLevel"' in written or '"byte_fallback": true' in written or '"byte_fallback":true' in written
        return cls(name=name, pair=tokenizer.num_special_tokens_to_add(True), bytewise=bytewise, tokenizer=tokenizer)

    def most(self, texts: pl.Expr) -> pl.Expr:
        """More tokens than these a text cannot have: one for each character or byte, and the mark of its beginning."""
        return (texts.str.len_bytes() if self.bytewise else texts.str.len_chars()).cast(pl.Int64) + 1

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special ones."""
        return [len(one) for one in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
