"""The store is private, and its index a memo of strings that can be lost: nothing in it is ever unpickled."""

import os
import pickle
import sqlite3
import stat
from pathlib import Path
from typing import Any

import diskcache
import pytest

from xfer_bench.errors import CacheError
from xfer_bench.evaluation.cache import Index, PlainDisk, PredictionStore, default_store, stamp_of


def opened(folder: Path) -> tuple[Index, list[str]]:
    warnings: list[str] = []
    return Index(folder, warnings.append), warnings


def found(folder: Path, key: str) -> tuple[str | None, list[str]]:
    """What an index says to a process that comes later, and its warnings."""
    index, warnings = opened(folder)
    value = index.get(key)
    index.close()
    return value, warnings


def filled(folder: Path) -> Path:
    """An index with one value."""
    index, _ = opened(folder)
    index.set("key", "value")
    index.close()
    return folder


def tampered(folder: Path, statement: str, values: tuple[Any, ...] = ()) -> None:
    database = sqlite3.connect(folder / "cache.db")
    with database:
        database.execute(statement, values)
    database.close()


class Counting:
    """A value, and how often it was computed."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.times = 0

    def __call__(self) -> Any:
        self.times += 1
        return self.value


class TestStore:
    def test_only_the_owner_enters(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            with PredictionStore(tmp_path / "above" / "store") as store:
                for folder in (store.folder, store.blocks.folder, store.tokens, store.index.folder):
                    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        finally:
            os.umask(before)

    def test_what_it_holds_is_private_in_a_folder_that_is_not(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        with PredictionStore(tmp_path) as store:
            for folder in (store.blocks.folder, store.tokens, store.index.folder):
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_a_value_is_remembered_as_long_as_its_stamp_is_the_same(self, tmp_path: Path) -> None:
        value = Counting(["a", 1, None])
        for _ in range(2):
            with PredictionStore(tmp_path) as store:
                assert store.remember("name", [1, ["x"]], value) == ["a", 1, None]
        assert value.times == 1
        with PredictionStore(tmp_path) as store:
            store.remember("name", [2, ["x"]], value)
            store.remember("other", [2, ["x"]], value)
            assert value.times == 3

    def test_to_verify_is_to_compute_again(self, tmp_path: Path) -> None:
        with PredictionStore(tmp_path) as store:
            store.remember("name", 1, lambda: "old")
            assert store.remember("name", 1, lambda: "new", verify=True) == "new"
            assert store.remember("name", 1, lambda: "never") == "new"

    @pytest.mark.parametrize("kept", ["", "{", "[]", "null", '{"stamp": 1}', '"text"'])
    def test_what_is_remembered_in_another_form_is_computed_again(self, tmp_path: Path, kept: str) -> None:
        with PredictionStore(tmp_path) as store:
            store.index.set("name", kept)
            assert store.remember("name", 1, lambda: "new") == "new"
            assert store.warnings == []

    def test_a_store_that_cannot_be_made_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CacheError, match="cannot be used: Not a directory") as caught:
            PredictionStore(tmp_path / "file" / "store")
        assert "\n" not in str(caught.value)

    def test_the_user_s_store_is_named_by_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XFER_BENCH_STORE", str(tmp_path / "mine"))
        assert default_store() == tmp_path / "mine"
        monkeypatch.delenv("XFER_BENCH_STORE")
        monkeypatch.setenv("XFER_BENCH_CACHE", str(tmp_path / "all"))
        assert default_store() == tmp_path / "all" / "predictions"


class TestStamp:
    def test_any_rewriting_of_a_file_changes_its_stamp(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("first")
        before = stamp_of([file])
        assert stamp_of([file]) == before
        # The same size and the same times: only the change time and the inode tell.
        found = file.stat()
        (tmp_path / "new").write_text("other")
        (tmp_path / "new").replace(file)
        os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
        after = stamp_of([file])
        assert after[0][:3] == before[0][:3]
        assert after != before

    def test_reading_does_not(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("first")
        before = stamp_of([file])
        assert file.read_text() == "first"
        assert stamp_of([file]) == before


class Planted:
    """Would make a file if it were ever unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.witness), os.O_CREAT)


class TestIndex:
    def test_what_is_set_is_there_for_the_next_process(self, tmp_path: Path) -> None:
        index, warnings = opened(filled(tmp_path / "index"))
        assert index.get("key") == "value"
        assert index.get("other") is None
        assert warnings == []
        index.close()

    @pytest.mark.parametrize("value", [1, True, None, b"bytes", ["list"], 1.5])
    def test_only_strings_are_stored(self, tmp_path: Path, value: Any) -> None:
        with diskcache.Cache(str(tmp_path), disk=PlainDisk) as cache:
            with pytest.raises(TypeError, match="only str is stored"):
                cache.set("key", value)
            with pytest.raises(TypeError, match="only str is stored"):
                cache.set(value, "value")
            assert len(cache) == 0

    def test_a_mistake_of_the_program_does_not_cost_the_index(self, tmp_path: Path) -> None:
        index, warnings = opened(filled(tmp_path / "index"))
        with pytest.raises(TypeError):
            index.set("number", 1)  # type: ignore[arg-type]
        assert index.get("key") == "value"
        assert warnings == []
        index.close()

    @pytest.mark.parametrize("text", [False, True])
    def test_a_planted_pickle_is_refused_and_never_executed(self, tmp_path: Path, text: bool) -> None:
        folder, witness = filled(tmp_path / "index"), tmp_path / "executed"
        planted = pickle.dumps(Planted(witness), protocol=0)
        tampered(folder, "UPDATE Cache SET value = ?, mode = 4", (planted.decode() if text else planted,))
        index, warnings = opened(folder)
        assert index.get("key") is None
        index.set("key", "again")
        assert index.get("key") == "again"
        index.close()
        assert not witness.exists()
        (warning,) = warnings
        assert warning.startswith(f"the index {folder} was thrown away and is built again")
        # What was built again is kept.
        assert found(folder, "key") == ("again", [])

    def test_a_planted_key_is_never_executed(self, tmp_path: Path) -> None:
        folder, witness = filled(tmp_path / "index"), tmp_path / "executed"
        tampered(folder, "UPDATE Cache SET key = ?, raw = 0 WHERE key = 'key'", (pickle.dumps(Planted(witness)),))
        with diskcache.Cache(str(folder), disk=PlainDisk) as cache, pytest.raises(CacheError, match="pickled key"):
            list(cache)
        assert found(folder, "key") == (None, [])
        assert not witness.exists()

    def test_a_row_that_is_planted_later_costs_one_rebuild(self, tmp_path: Path) -> None:
        folder = filled(tmp_path / "index")
        index, warnings = opened(folder)
        planted = pickle.dumps(Planted(tmp_path / "executed"))
        tampered(folder, "UPDATE Cache SET value = ?, mode = 4 WHERE key = 'key'", (planted,))
        assert index.get("key") is None
        index.set("key", "again")
        index.close()
        assert len(warnings) == 1
        assert not (tmp_path / "executed").exists()
        assert found(folder, "key") == ("again", [])

    def test_a_planted_path_is_not_opened(self, tmp_path: Path) -> None:
        folder = filled(tmp_path / "index")
        (tmp_path / "secret").write_text("secret")
        tampered(folder, "UPDATE Cache SET value = NULL, mode = 3, filename = '../secret' WHERE key = 'key'")
        index, warnings = opened(folder)
        assert index.get("key") is None
        assert len(warnings) == 1
        index.close()
        assert (tmp_path / "secret").read_text() == "secret"

    def test_a_planted_setting_is_refused(self, tmp_path: Path) -> None:
        folder = filled(tmp_path / "index")
        tampered(folder, "INSERT INTO Settings VALUES ('disk_planted', 1)")
        index, warnings = opened(folder)
        assert index.get("key") is None
        index.set("key", "again")
        assert index.get("key") == "again"
        assert len(warnings) == 1
        index.close()

    @pytest.mark.parametrize("layout", ["1", "3", ""])
    def test_another_layout_is_thrown_away(self, tmp_path: Path, layout: str) -> None:
        folder = filled(tmp_path / "index")
        tampered(folder, "UPDATE Cache SET value = ? WHERE key = 'layout'", (layout,))
        index, warnings = opened(folder)
        assert index.get("key") is None
        assert warnings == [f"the index {folder} was thrown away and is built again: it is of another version"]
        index.close()
        assert found(folder, "key") == (None, [])

    @pytest.mark.parametrize("garbage", [b"no database at all, only some text", b"SQLite format 3\0" + b"\xff" * 4096])
    def test_garbage_in_its_place_is_thrown_away(self, tmp_path: Path, garbage: bytes) -> None:
        folder = filled(tmp_path / "index")
        for file in folder.iterdir():
            file.unlink()
        (folder / "cache.db").write_bytes(garbage)
        index, warnings = opened(folder)
        index.set("key", "again")
        assert index.get("key") == "again"
        assert len(warnings) == 1
        assert "was thrown away and is built again" in warnings[0]
        index.close()
        assert (folder / "cache.db").read_bytes() != garbage

    def test_where_the_disk_refuses_it_works_in_memory(self, tmp_path: Path) -> None:
        (tmp_path / "index").write_text("a file in the way")
        index, warnings = opened(tmp_path / "index")
        index.set("key", "value")
        assert index.get("key") == "value"
        assert index.get("other") is None
        index.close()
        (warning,) = warnings
        assert "cannot be used" in warning
        assert warning.endswith("this run does without")
        assert (tmp_path / "index").read_text() == "a file in the way"

    def test_what_a_read_only_database_cannot_take_is_kept_in_memory(self, tmp_path: Path) -> None:
        folder = filled(tmp_path / "index")
        index, warnings = opened(folder)
        # As a file system that was mounted anew; permissions do not stop root.
        index._disk._sql("PRAGMA query_only = 1")
        index.set("new", "value")
        assert (index.get("key"), index.get("new")) == ("value", "value")
        index.close()
        assert warnings == []
        assert found(folder, "new") == (None, [])

    def test_it_can_be_deleted(self, tmp_path: Path) -> None:
        folder = filled(tmp_path / "index")
        for file in folder.iterdir():
            file.unlink()
        assert found(folder, "key") == (None, [])

    def test_nothing_is_ever_evicted(self, tmp_path: Path) -> None:
        filled(tmp_path / "index")
        database = sqlite3.connect(tmp_path / "index" / "cache.db")
        settings = dict(database.execute("SELECT key, value FROM Settings"))
        database.close()
        assert settings["eviction_policy"] == "none"
        assert settings["size_limit"] >= 1 << 40
