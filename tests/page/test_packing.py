"""What is embedded comes out again, exactly or to half a percent, and closes no tag."""

import json
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.page.unpacked import unpacked
from xfer_bench.page.packing import NONE, STEPS, json_script, packed, probabilities

texts = st.text(alphabet=st.characters(codec="utf-8"))


def _scores(*rows: Sequence[float | None] | None) -> pl.Series:
    return pl.Series("scores", rows, dtype=pl.List(pl.Float32))


@given(st.binary(max_size=200))
def test_bytes_come_out_as_they_went_in(content: bytes) -> None:
    assert unpacked(packed(content)) == content
    assert packed(content) == packed(content)


@given(st.dictionaries(texts, texts, max_size=3))
def test_json_in_a_script_is_the_value_and_opens_or_closes_nothing(value: dict[str, str]) -> None:
    text = str(json_script({**value, "x": "</script><!--<script>&amp;\u2028"}))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {**value, "x": "</script><!--<script>&amp;\u2028"}


@given(st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5))
def test_probabilities_are_the_softmax_to_half_a_percent(logits: list[list[float]]) -> None:
    shares = np.exp(np.array(logits, dtype=np.float32).astype(float))
    shares /= shares.sum(axis=1, keepdims=True)
    assert np.abs(probabilities(_scores(*logits)) / STEPS - shares).max() <= 0.5 / STEPS + 1e-9


def test_an_item_with_fewer_choices_has_none_for_the_others() -> None:
    assert probabilities(_scores([0.0, 0.0, 0.0, 0.0], [0.0, 0.0])).tolist() == [[50] * 4, [100, 100, NONE, NONE]]


@pytest.mark.parametrize("broken", [[float("nan"), 0.0], [float("inf"), 0.0], [None, 0.0]])
def test_logits_that_are_no_numbers_have_no_probabilities(broken: list[float | None]) -> None:
    assert probabilities(_scores(broken, [0.0, 0.0])).tolist() == [[NONE, NONE], [100, 100]]


def test_answers_without_logits_have_none() -> None:
    assert probabilities(_scores(None, [])).shape == (2, 0)
