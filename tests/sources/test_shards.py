from pathlib import Path

import pytest

from xfer_bench.errors import SourceError
from xfer_bench.sources.shards import check_complete


def _check(*names: str) -> None:
    check_complete([Path("en") / name for name in names], where="some/pairs (en, test)")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["test-00000-of-00002.parquet"], "no en/test-00001-of-00002, and 1 of its 2 files are there; fetch the"),
        (["test-00001-of-00002.parquet"], "no en/test-00000-of-00002, and 1 of its 2 files"),
        (["test-0-of-3.parquet", "test-2-of-3.parquet"], "no en/test-1-of-3, and 2 of its 3 files"),
        (["t-00000-of-00001.jsonl", "t-00000-of-00002.jsonl", "t-00001-of-00002.jsonl"], "are of two sets; keep one"),
        (["t-00000-of-00001-0abc.parquet", "t-00000-of-00001-1def.parquet"], "are the same piece; keep one of them"),
    ],
)
def test_a_piece_that_is_missing_or_there_twice_is_named(names: list[str], says: str) -> None:
    with pytest.raises(SourceError) as caught:
        _check(*names)
    assert str(caught.value).startswith("some/pairs (en, test): ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["test.parquet", "0000.parquet", "0002.parquet"],
        ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"],
        ["test-1-of-2.parquet", "test-2-of-2.parquet"],  # numbered by hand
        ["test-00000-of-00001.parquet", "test-more-00000-of-00001.parquet"],
        ["test-00000-of-00001-0123456789abcdef.parquet"],
    ],
)
def test_whole_sets_and_files_that_do_not_say_pass(names: list[str]) -> None:
    _check(*names)
