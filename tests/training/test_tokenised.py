"""A stage's rows are tokenised once for all runs, and what is mapped is what the tokenizer gave."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tests.toy import tiny_tokenizer
from xfer_bench.frames import ITEMS
from xfer_bench.models.encoding import Sequences, encode, model_inputs
from xfer_bench.training.tokenised import Ragged, sequences_of

WORDS = "the man lost his balance on a ladder he fell climbed up why did it happen"


class Counting(PreTrainedTokenizerFast):
    """Knows how often it was asked for tokens."""

    calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        type(self).calls += 1
        return super().__call__(*arguments, **named)


def counting(words: str = WORDS, *, typed: bool = False) -> Counting:
    made = tiny_tokenizer([words])
    kind: Any = Counting
    self: Counting = kind(tokenizer_object=made.backend_tokenizer, pad_token="<pad>", unk_token="<unk>")
    self.model_input_names = ["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"]
    Counting.calls = 0
    return self


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


def plain(sequences: Sequences) -> dict[str, Any]:
    types = sequences.type_ids
    return {
        "ids": [*sequences.input_ids],
        "types": None if types is None else [*types],
        "counts": sequences.counts,
        "lengths": sequences.lengths,
        "truncated": sequences.truncated,
    }


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("max_length", [12, 128])
def test_what_is_kept_is_what_the_tokenizer_gives(tmp_path: Path, *, typed: bool, max_length: int) -> None:
    tokenizer = counting(typed=typed)
    wanted = encode(ROWS, tokenizer, max_length=max_length)
    for _ in range(3):
        assert plain(sequences_of(ROWS, tokenizer, max_length=max_length, folder=tmp_path)) == plain(wanted)
    # Once for what is wanted and once for what is kept.
    assert Counting.calls == 2


def test_batches_are_the_same_tensors(tmp_path: Path) -> None:
    tokenizer = counting(typed=True)
    kept = sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path)
    for chosen in ([5, 0, 3], [2], [1, 1]):
        mine = model_inputs(chosen, kept, pad_id=1)
        theirs = model_inputs(chosen, encode(ROWS, tokenizer, max_length=128), pad_id=1)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) and mine[name].dtype == torch.int64 for name in mine)


def test_whatever_decides_the_tokens_has_its_own_file(tmp_path: Path) -> None:
    tokenizer = counting()
    sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path)
    others = [
        (ROWS.head(2), tokenizer, 128),
        (ROWS, tokenizer, 64),
        (ROWS, counting(typed=True), 128),
        (ROWS, counting(f"{WORDS} {WORDS} balance"), 128),
        (ROWS, tiny_tokenizer([WORDS]), 128),
    ]
    for rows, one, longest in others:
        before = len(list(tmp_path.iterdir()))
        sequences_of(rows, one, max_length=longest, folder=tmp_path)
        assert len(list(tmp_path.iterdir())) == before + 1


def test_the_same_tokenizer_of_another_checkpoint_shares_it(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer([WORDS])
    sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path / "tokens")
    # Saved after a call, whose truncation is saved with it.
    encode(ROWS, tokenizer, max_length=16)
    for name in ("first", "second"):
        tokenizer.save_pretrained(tmp_path / name)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / name)
        sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path / "tokens")
    assert len(list((tmp_path / "tokens").iterdir())) == 1


def test_the_tokenizer_is_left_as_it_was(tmp_path: Path) -> None:
    tokenizer = counting()
    tokenizer.backend_tokenizer.enable_truncation(max_length=9, stride=2, strategy="only_second")
    tokenizer.backend_tokenizer.enable_padding(pad_id=1, pad_token="<pad>", pad_to_multiple_of=8)
    sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path)
    tokenizer.backend_tokenizer.enable_truncation(max_length=9, stride=2, strategy="only_second")
    tokenizer.backend_tokenizer.enable_padding(pad_id=1, pad_token="<pad>", pad_to_multiple_of=8)
    before = tokenizer.backend_tokenizer.to_str()
    Counting.calls = 0
    sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path)
    assert Counting.calls == 0
    assert tokenizer.backend_tokenizer.to_str() == before


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    tokenizer = counting()
    wanted = plain(sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], whole[:200] + b"\x07" + whole[201:]):
        file.write_bytes(damaged)
        warnings: list[str] = []
        found = sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path, warn=warnings.append)
        assert plain(found) == wanted
        assert warnings == [f"{file} is damaged; removed, and its rows are tokenised again"]
        assert file.read_bytes() == whole


def test_a_folder_that_takes_nothing_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tokenizer = counting()
    warnings: list[str] = []
    found = sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path / "file", warn=warnings.append)
    assert plain(found) == plain(encode(ROWS, tokenizer, max_length=128))
    (said,) = warnings
    assert "tokenised every time" in said
    assert "\n" not in said


def test_a_file_that_is_removed_meanwhile_is_still_there_for_who_has_it(tmp_path: Path) -> None:
    tokenizer = counting()
    found = sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    assert plain(found) == plain(encode(ROWS, tokenizer, max_length=128))


def test_use_keeps_it_fresh(tmp_path: Path) -> None:
    tokenizer = counting()
    sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))
    sequences_of(ROWS, tokenizer, max_length=128, folder=tmp_path)
    assert file.stat().st_mtime > 1e9


@pytest.mark.parametrize("writable", [True, False])
def test_renumbered_sequences_have_other_ids_and_nothing_else(tmp_path: Path, *, writable: bool) -> None:
    folder = tmp_path / "tokens"
    if not writable:
        folder.touch()
    found = sequences_of(ROWS, counting(typed=True), max_length=128, folder=folder)
    number = np.random.default_rng(0).permutation(int(found.flat.max()) + 1)
    other = found.renumbered(number)
    assert [*other.input_ids] == [number[ids].tolist() for ids in found.input_ids]
    assert {**plain(other), "ids": None} == {**plain(found), "ids": None}
    assert [*found.input_ids] == encode(ROWS, counting(), max_length=128).input_ids
    assert found.offsets.tolist() == np.cumsum([0, *found.lengths]).tolist()


def test_ragged_lists_are_called_by_position_like_any_other() -> None:
    wanted = [[1, 2, 3], [], [4], [5, 6]]
    flat = torch.tensor([1, 2, 3, 4, 5, 6]).numpy()
    ragged = Ragged(flat, torch.tensor([0, 3, 3, 4, 6]).numpy())
    assert [*ragged] == wanted
    assert [ragged[place] for place in range(-4, 4)] == [*wanted, *wanted]
    assert ragged[1:4:2] == wanted[1:4:2]
    assert len(ragged) == 4
    with pytest.raises(IndexError):
        ragged[4]
