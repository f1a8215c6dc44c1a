"""Rows are tokenised once a tokenizer, and what is mapped is what was written, or is made again."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.small_checkpoints import MIXED, rows
from xfer_bench.errors import CacheError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column, column
from xfer_bench.evaluation.tokens import Encoded, Tokens, tokens_of
from xfer_bench.sources.source import Sources

PLAIN = Encoded(items=[0, 0, 1, 1], ids=[[5, 6, 7], [8], [5, 6, 7], [9, 10]], types=None, truncated=1)
TYPED = Encoded(items=[0, 0], ids=[[5, 6], [5, 6]], types=[[0, 1], [0, 0]], truncated=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def mixed(tmp_path: Path, store: PredictionStore) -> Column:
    sources = rows(tmp_path / "mirror")
    return of(sources, store, "en")


def of(sources: Sources, store: PredictionStore, language: str) -> Column:
    return column(MIXED, language=language, split="test", limit=None, sources=sources, remember=store.remember)


def never(one: Column) -> Encoded:
    raise AssertionError("what is stored was encoded again")


def made(mixed: Column, store: PredictionStore, encoded: Encoded, identity: object = "a tokenizer") -> Tokens:
    return tokens_of(mixed, identity=identity, store=store, encode=lambda _: encoded)


def sequences(tokens: Tokens) -> list[list[int]]:
    return [tokens.values[a:b].tolist() for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]


@pytest.mark.parametrize("encoded", [PLAIN, TYPED])
def test_what_was_encoded_comes_back(mixed: Column, store: PredictionStore, encoded: Encoded) -> None:
    first = made(mixed, store, encoded)
    again = tokens_of(mixed, identity="a tokenizer", store=store, encode=never)
    for tokens in (first, again):
        assert sequences(tokens) == encoded.ids
        assert tokens.item.tolist() == encoded.items
        assert tokens.lengths.tolist() == [len(ids) for ids in encoded.ids]
        assert tokens.truncated == encoded.truncated
        if encoded.types is None:
            assert tokens.types is None
        else:
            assert tokens.types is not None
            assert tokens.types.tolist() == list(chain.from_iterable(encoded.types))
    assert store.warnings == []


def test_they_are_mapped_and_not_copied(mixed: Column, store: PredictionStore) -> None:
    tokens = made(mixed, store, PLAIN)
    for array in (tokens.values, tokens.offsets, tokens.item, tokens.digests):
        assert not array.flags.owndata
        assert not array.flags.writeable


def test_equal_sequences_have_equal_digests(mixed: Column, store: PredictionStore) -> None:
    plain = made(mixed, store, PLAIN).digests
    assert plain[0] == plain[2]
    assert len(np.unique(plain.view("S16"))) == 3
    typed = made(mixed, store, TYPED, "another").digests
    # The same ids with other types are another input.
    assert typed[0] != typed[1]


def test_another_tokenizer_or_other_rows_have_their_own(mixed: Column, store: PredictionStore, tmp_path: Path) -> None:
    made(mixed, store, PLAIN)
    assert sequences(made(mixed, store, TYPED, "another tokenizer")) == TYPED.ids
    swahili = of(mixed.sources, store, "sw")
    assert sequences(made(swahili, store, TYPED)) == TYPED.ids
    assert len(list(store.tokens.iterdir())) == 3
    assert sequences(tokens_of(mixed, identity="a tokenizer", store=store, encode=never)) == PLAIN.ids


def test_every_flipped_bit_is_noticed(mixed: Column, store: PredictionStore) -> None:
    made(mixed, store, PLAIN)
    (file,) = store.tokens.iterdir()
    whole = file.read_bytes()
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        assert sequences(made(mixed, store, PLAIN)) == PLAIN.ids
        assert store.warnings.pop() == f"{file} is damaged; removed, and its rows are tokenised again"
        assert file.read_bytes() == whole


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_what_is_cut_off_is_made_again(mixed: Column, store: PredictionStore, keep: int) -> None:
    made(mixed, store, PLAIN)
    (file,) = store.tokens.iterdir()
    file.write_bytes(file.read_bytes()[:keep])
    assert sequences(made(mixed, store, PLAIN)) == PLAIN.ids
    assert len(store.warnings) == 1


def test_use_keeps_them_fresh(mixed: Column, store: PredictionStore) -> None:
    made(mixed, store, PLAIN)
    (file,) = store.tokens.iterdir()
    os.utime(file, (0, 0))
    tokens_of(mixed, identity="a tokenizer", store=store, encode=never)
    assert file.stat().st_mtime > 1e9


def test_a_folder_that_takes_nothing_is_one_line(mixed: Column, store: PredictionStore) -> None:
    store.tokens.rmdir()
    store.tokens.write_text("a file in the way")
    with pytest.raises(CacheError, match="cannot be used") as caught:
        made(mixed, store, PLAIN)
    assert "\n" not in str(caught.value)
