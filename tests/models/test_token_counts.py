from pathlib import Path

import pytest

from tests.toy import tiny_tokenizer
from xfer_bench.errors import CheckpointError
from xfer_bench.models.token_counts import TokenCounts

TEXTS = ["the cat sat", "on the mat", ""]


def test_counts_are_the_tokenizer_s_without_specials(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(TEXTS)
    tokenizer.save_pretrained(tmp_path)
    counts = TokenCounts.of(tmp_path, name="tiny")
    assert counts.count(TEXTS) == [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    assert counts.pair == 4
    assert not counts.bytewise


@pytest.mark.parametrize("written", [None, "not json", '{"version": "1.0"}', "[]", '{"model": {"type": "Unigram"}}'])
def test_a_folder_without_a_usable_tokenizer_is_refused(tmp_path: Path, written: str | None) -> None:
    if written is not None:
        (tmp_path / "tokenizer.json").write_text(written)
    with pytest.raises(CheckpointError, match=r"no usable tokenizer\.json"):
        TokenCounts.of(tmp_path, name="tiny")
