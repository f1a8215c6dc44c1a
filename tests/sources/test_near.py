from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import SourceError
from xfer_bench.sources import near
from xfer_bench.sources.near import near_pairs, similarity

WORDS = ("cat", "dog", "sat", "on", "the", "mat", "แมว", "นั่ง", "我们", "ha")
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=12)


def found(left: list[str], right: list[str], least: float) -> dict[tuple[int, int], float]:
    pairs = near_pairs(pl.Series(left, dtype=pl.String), pl.Series(right, dtype=pl.String), least=least)
    return dict(zip(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True), pairs.similarity, strict=True))


def by_brute_force(left: list[str], right: list[str], least: float) -> dict[tuple[int, int], float]:
    values = {
        (row, other): similarity(left[row], right[other]) for row, other in product(range(len(left)), range(len(right)))
    }
    return {pair: value for pair, value in values.items() if value >= least - 1e-12}


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from((0.3, 0.5, 0.8, 1.0)))
def test_no_pair_is_missed_and_none_is_added(left: list[str], right: list[str], least: float) -> None:
    expected = by_brute_force(left, right, least)
    assert found(left, right, least) == pytest.approx(expected)


def test_so_are_pairs_among_many_random_texts() -> None:
    rng = np.random.default_rng(0)
    left = [" ".join(rng.choice(WORDS, size=rng.integers(1, 15))) for _ in range(150)]
    right = [f"{text} on" if row % 2 else text for row, text in enumerate(left[:80])]
    assert found(left, right, 0.7) == pytest.approx(by_brute_force(left, right, 0.7))


def test_pieces_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(WORDS, size=6)) for _ in range(120)]
    whole = found(texts, texts, 0.6)
    monkeypatch.setattr(near, "_CHARACTERS", 200)
    monkeypatch.setattr(near, "_PAIRS", 7)
    assert found(texts, texts, 0.6) == whole
    assert len(whole) > 120


def test_the_similarity_is_the_share_of_common_character_sequences() -> None:
    # " abcd " has the 4-grams " abc", "abcd", "bcd "; " abce " shares the first of them: 1 of 5.
    assert similarity("abcd", "abce") == pytest.approx(1 / 5)
    assert similarity("abcd", "abcd") == 1
    assert similarity("ab", "cd") == 0


@pytest.mark.parametrize("text", ["", "a", "我", "\U0001f600"])
def test_short_texts_are_equal_to_themselves_only(text: str) -> None:
    assert found([text, "b"], [text], 0.5) == {(0, 0): 1.0}


def test_pairs_come_by_left_then_right() -> None:
    pairs = near_pairs(pl.Series(["b c d e"] * 3), pl.Series(["b c d e"] * 2), least=1)
    assert pairs.left.tolist() == [0, 0, 1, 1, 2, 2]
    assert pairs.right.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("sides", [([], ["a"]), (["a"], []), ([], [])])
def test_nothing_is_near_nothing(sides: tuple[list[str], list[str]]) -> None:
    assert found(*sides, 0.5) == {}


@pytest.mark.parametrize("least", [0, -1, 1.01, float("nan")])
def test_a_threshold_outside_its_range_is_refused(least: float) -> None:
    with pytest.raises(SourceError, match=r"least similarity is .*; it must be above 0 and at most 1"):
        found(["a"], ["a"], least)
