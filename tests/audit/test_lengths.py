from pathlib import Path

import polars as pl

from tests.audit.sheets import Rows, found, only, sheet, texts
from tests.toy import tiny_tokenizer
from xfer_bench.audit.lengths import characters, check_lengths, check_truncation
from xfer_bench.models.encoding import encode
from xfer_bench.models.token_counts import TokenCounts


def test_characters_are_of_the_text_and_the_longest_candidate() -> None:
    rows = sheet(Rows(rows=[("abc", ["d", "efgh"], 0), ("ab", ["c", "d"], 0), ("a", ["b", "c"], 0)]))
    assert characters(rows) == (3, 7, 7)
    assert characters(sheet(Rows(rows=[]))) == (0, 0, 0)


def test_a_row_ten_times_as_long_as_the_others_is_a_note() -> None:
    assert found(check_lengths, texts(*["word " * 20] * 9, "word " * 400)) == [("note", "length", ("9",))]
    assert found(check_lengths, texts("a", "a", "a" * 900)) == []


def test_what_is_cut_is_what_the_encoder_cuts(tmp_path: Path) -> None:
    said = [("the cat sat on the mat " * count, ["it was tired", "no"], 0) for count in range(1, 12)]
    tokenizer = tiny_tokenizer(["the cat sat on the mat it was tired no"])
    tokenizer.save_pretrained(tmp_path)
    counter = TokenCounts.of(tmp_path, name="tiny")
    rows = sheet(Rows(rows=said))
    lengths = encode(rows.usable, tokenizer, max_length=10_000).lengths
    for limit in (12, 20, 33, 50):
        expected = tuple(str(place) for place in range(11) if max(lengths[2 * place : 2 * place + 2]) > limit)
        findings = [*check_truncation(rows, counter, max_length=limit)]
        assert (only(findings).items if findings else ()) == expected
    assert [*check_truncation(rows, counter, max_length=1000)] == []


def test_more_tokens_than_is_said_no_text_has(tmp_path: Path) -> None:
    tiny_tokenizer(["ab c"]).save_pretrained(tmp_path)
    counter = TokenCounts.of(tmp_path, name="tiny")
    said = ["a b c a b", "", "zzzz", "q q q q q", "我们"]
    most = pl.DataFrame({"text": said}).select(counter.most(pl.col("text"))).to_series().to_list()
    assert all(count <= limit for count, limit in zip(counter.count(said), most, strict=True))
