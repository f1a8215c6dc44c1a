"""Sequences are those of the tokenizer, item by item, and tensors are filled up on the right."""

import polars as pl
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.toy import tiny_tokenizer
from xfer_bench.frames import ITEMS
from xfer_bench.models.encoding import encode, model_inputs, padded

WORDS = "the man lost his balance on a ladder he fell climbed up why did it happen"


def items(*rows: tuple[str, list[str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"item": str(n), "cluster": str(n), "language": "en", "text": text, "candidates": candidates, "label": 0}
            for n, (text, candidates) in enumerate(rows)
        ],
        schema=ITEMS,
    )


ROWS = items(
    ("the man lost his balance", ["he fell", "he climbed up a ladder", "why"]),
    ("why did it happen", ["on a ladder"]),
    ("he climbed", ["up", "on the ladder it fell why did he"]),
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    made = tiny_tokenizer([WORDS])
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return made


def test_each_candidate_is_a_pair_by_the_tokenizer_s_own_template(tokenizer: PreTrainedTokenizerFast) -> None:
    sequences = encode(ROWS, tokenizer, max_length=128)
    assert sequences.counts == [3, 1, 2]
    assert sequences.truncated == 0
    pairs = [(text, one) for text, candidates in ROWS.select("text", "candidates").rows() for one in candidates]
    assert sequences.input_ids == [tokenizer(text, one)["input_ids"] for text, one in pairs]
    assert sequences.type_ids == [tokenizer(text, one)["token_type_ids"] for text, one in pairs]
    assert sequences.lengths == [len(ids) for ids in sequences.input_ids]
    text, one = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in pairs[1])
    assert sequences.input_ids[1] == [0, *text, 2, 2, *one, 2]


def test_a_model_without_segments_gets_none(tokenizer: PreTrainedTokenizerFast) -> None:
    sequences = encode(ROWS, tiny_tokenizer([WORDS]), max_length=128)
    assert sequences.type_ids is None
    assert sequences.input_ids == encode(ROWS, tokenizer, max_length=128).input_ids
    assert model_inputs([0], sequences, pad_id=1).keys() == {"input_ids", "attention_mask"}


def test_a_long_pair_loses_tokens_from_the_end_of_its_longer_side(tokenizer: PreTrainedTokenizerFast) -> None:
    long = "the man " * 40
    sequences = encode(items((long, ["he fell", "why"]), ("why", [long])), tokenizer, max_length=20)
    assert sequences.truncated == 3
    assert sequences.lengths == [20, 20, 20]
    text, short = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (long, "he fell"))
    room = 20 - 4 - len(short)
    assert sequences.input_ids[0] == [0, *text[:room], 2, 2, *short, 2]
    assert sequences.input_ids[2][-1] == 2


def test_the_limit_of_one_call_does_not_stay_with_the_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    before = encode(ROWS, tokenizer, max_length=128).input_ids
    assert encode(ROWS, tokenizer, max_length=8).lengths != [len(ids) for ids in before]
    assert encode(ROWS, tokenizer, max_length=128).input_ids == before


def test_padding_fills_up_on_the_right() -> None:
    assert padded([[1, 2], [3], []], value=9).tolist() == [[1, 2], [3, 9], [9, 9]]
    assert padded([[1, 2], [3]], value=0).dtype == torch.int64


def test_the_mask_marks_the_tokens_of_the_chosen_sequences(tokenizer: PreTrainedTokenizerFast) -> None:
    sequences = encode(ROWS, tokenizer, max_length=128)
    inputs = model_inputs([5, 0, 3], sequences, pad_id=1)
    longest = max(sequences.lengths[index] for index in (5, 0, 3))
    assert {tuple(tensor.shape) for tensor in inputs.values()} == {(3, longest)}
    for row, index in enumerate((5, 0, 3)):
        length = sequences.lengths[index]
        assert inputs["input_ids"][row, :length].tolist() == sequences.input_ids[index]
        assert set(inputs["input_ids"][row, length:].tolist()) <= {1}
        assert inputs["attention_mask"][row].tolist() == [1] * length + [0] * (longest - length)
        assert set(inputs["token_type_ids"][row, length:].tolist()) <= {0}
