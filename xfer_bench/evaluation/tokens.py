"""Tokenised columns in the prediction store: once a tokenizer, shared by every checkpoint."""

from collections.abc import Callable

from xfer_bench.digest import value_digest
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column
from xfer_bench.models.tokens import Encoded, Tokens, kept_tokens

__all__ = ["Encoded", "Tokens", "tokens_of"]


def tokens_of(
    column: Column, *, identity: object, store: PredictionStore, encode: Callable[[Column], Encoded]
) -> Tokens:
    """The column's tokens, from the store or encoded now and stored.

    identity: whatever else decides the tokens (tokenizer files, maximum length, encoding code, versions), JSON-able.
    encode: called when they are not stored. Raises CacheError when the disk refuses.
    """
    name = value_digest([column.fingerprint, identity])
    with store.failing_as_one_line():
        return kept_tokens(store.tokens, name, lambda: encode(column), warn=store.warnings.append)
