"""Predictions are computed once, survive what happens to files, and nothing in the store is ever unpickled."""

import os
import pickle
import sqlite3
import stat
from pathlib import Path

import polars as pl
import pytest

from xfer_bench.errors import CacheError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.frames import BLOCK, conform

KEY = "ab" * 32


def a_block() -> pl.DataFrame:
    row = {
        "weights": "w", "task": "t", "variant": "published", "language": "sw", "split": "test", "item": "0",
        "cluster": "0", "label": 1, "prediction": 0, "scores": [0.25, -1.0],
    }  # fmt: skip
    return conform(pl.DataFrame([row]), BLOCK)


def never() -> pl.DataFrame:
    raise AssertionError("what is stored was computed again")


def test_a_stored_block_is_not_computed_again(tmp_path: Path) -> None:
    with PredictionStore(tmp_path) as store:
        assert not store.has(KEY)
        first = store.fetch(KEY, a_block)
    with PredictionStore(tmp_path) as store:
        assert store.has(KEY)
        assert store.fetch(KEY, never).equals(first)


@pytest.mark.parametrize("keep", [0, 10, -5])
def test_a_damaged_block_is_computed_again(tmp_path: Path, keep: int) -> None:
    with PredictionStore(tmp_path) as store:
        block = store.fetch(KEY, a_block)
        (file,) = (tmp_path / "blocks").rglob("*.parquet")
        file.write_bytes(file.read_bytes()[:keep])
        assert store.fetch(KEY, a_block).equals(block)
        assert store.fetch(KEY, never).equals(block)


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    file = folder / "model.safetensors"
    file.write_text("first")
    asked: list[Path] = []

    def count(place: Path) -> str:
        asked.append(place)
        return file.read_text()

    with PredictionStore(tmp_path / "store") as store:
        assert store.remembered(folder, "weights", count) == "first"
        assert store.remembered(folder, "weights", count) == "first"
        assert len(asked) == 1
        # The same size and the same times: only the change time and the inode tell.
        stamp = file.stat()
        replacement = folder / "new"
        replacement.write_text("other")
        replacement.replace(file)
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert store.remembered(folder, "weights", count) == "other"


def test_the_memo_can_be_deleted(tmp_path: Path) -> None:
    with PredictionStore(tmp_path) as store:
        store.fetch(KEY, a_block)
    for file in (tmp_path / "memo").iterdir():
        file.unlink()
    with PredictionStore(tmp_path) as store:
        assert store.fetch(KEY, never).equals(a_block())


class Planted:
    """Would write a file if it were ever unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.witness), os.O_CREAT)


def test_a_planted_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    witness = tmp_path / "executed"
    with PredictionStore(tmp_path / "store") as store:
        store.remembered(folder, "weights", str)
    planted = pickle.dumps(Planted(witness))
    with sqlite3.connect(tmp_path / "store" / "memo" / "cache.db") as database:
        database.execute("UPDATE Cache SET value = ?, mode = 4", (planted,))
    database.close()
    with PredictionStore(tmp_path / "store") as store, pytest.raises(CacheError, match="does not write; delete it"):
        store.remembered(folder, "weights", str)
    assert not witness.exists()


def test_only_the_owner_enters(tmp_path: Path) -> None:
    with PredictionStore(tmp_path / "store"):
        for folder in ("", "blocks", "memo"):
            assert stat.S_IMODE((tmp_path / "store" / folder).stat().st_mode) == 0o700


def test_nothing_is_ever_evicted(tmp_path: Path) -> None:
    with PredictionStore(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "memo" / "cache.db") as database:
        settings = dict(database.execute("SELECT key, value FROM Settings"))
    database.close()
    assert settings["eviction_policy"] == "none"
    assert settings["size_limit"] >= 1 << 40


def test_a_store_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="cannot be used"):
        PredictionStore(tmp_path / "file" / "store")


def test_a_whole_file_that_holds_something_else_is_computed_again(tmp_path: Path) -> None:
    with PredictionStore(tmp_path) as store:
        block = store.fetch(KEY, a_block)
        (file,) = (tmp_path / "blocks").rglob("*.parquet")
        block.drop("scores").write_parquet(file)
        assert store.fetch(KEY, a_block).equals(block)
        assert store.fetch(KEY, never).equals(block)


def test_a_folder_s_name_is_no_pattern(tmp_path: Path) -> None:
    with PredictionStore(tmp_path / "store[1]*") as store:
        block = store.fetch(KEY, a_block)
        assert store.fetch(KEY, never).equals(block)


def test_a_planted_path_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    with PredictionStore(tmp_path / "store") as store:
        store.remembered(folder, "weights", str)
    with sqlite3.connect(tmp_path / "store" / "memo" / "cache.db") as database:
        database.execute("UPDATE Cache SET value = NULL, mode = 3, filename = '../../secret'")
    database.close()
    with PredictionStore(tmp_path / "store") as store, pytest.raises(CacheError, match="does not write; delete it"):
        store.remembered(folder, "weights", str)
