"""Folders and the store are looked at, and left as they are."""

import os
from pathlib import Path

import pytest

from xfer_bench.doctor.facts import Fact
from xfer_bench.doctor.folders import folders, store, told_of
from xfer_bench.evaluation.cache import PredictionStore

LOCAL = [("/", "ext4")]


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XFER_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("XFER_BENCH_STORE", raising=False)


def named(found: list[Fact], name: str) -> Fact:
    (fact,) = [one for one in found if one.name == name]
    return fact


def test_each_folder_has_its_file_system_and_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XFER_BENCH_STORE", str(tmp_path / "elsewhere" / "store"))
    found = list(folders())
    assert [fact.name for fact in found] == ["cache", "store", "hub cache", "temporary"]
    for fact in found:
        assert " free)" in fact.value
    assert named(found, "hub cache").value.startswith(str(tmp_path / "hub" / "hub"))
    # A folder that is not there yet is not made.
    assert not (tmp_path / "hub").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_network_file_system_is_a_warning_that_names_the_variable(tmp_path: Path) -> None:
    fact = told_of("cache", tmp_path / "cache", [*LOCAL, (str(tmp_path), "nfs4")])
    assert fact.state == "warning"
    assert "(nfs4, a network; " in fact.value
    assert fact.reason.endswith("(nfs4), which is slow; set XFER_BENCH_CACHE to a folder on a local disk")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    fact = told_of("store", tmp_path / "closed" / "store", LOCAL)
    assert (fact.state, "cannot be written; set XFER_BENCH_STORE" in fact.reason) == ("broken", True)


def test_a_cache_that_cannot_be_made_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XFER_BENCH_CACHE", str(tmp_path / "file" / "cache"))
    (fact,) = folders()
    assert fact.state == "broken"
    assert fact.reason.startswith("cannot make the cache folder")
    assert list(store()) == []


class TestStore:
    def test_there_may_be_none(self, tmp_path: Path) -> None:
        assert [fact.value for fact in store()] == ["none yet"]
        assert not (tmp_path / "cache" / "predictions").exists()

    def test_a_sound_one(self, tmp_path: Path) -> None:
        with PredictionStore(tmp_path / "cache" / "predictions") as opened:
            opened.index.set("a", "b")
        found = list(store())
        assert named(found, "predictions").value == "0 blocks, 0.0 MB; tokens 0.0 MB"
        assert named(found, "index").value.startswith("sound, 2 entries, ")

    @pytest.mark.parametrize("damage", ["text", "cut", "foreign"])
    def test_a_damaged_index_is_a_warning_and_left_alone(self, tmp_path: Path, damage: str) -> None:
        with PredictionStore(tmp_path / "cache" / "predictions") as opened:
            for number in range(200):
                opened.index.set(str(number), "x" * 500)
        path = tmp_path / "cache" / "predictions" / "index" / "cache.db"
        if damage == "text":
            path.write_text("not a database, but some text that is long enough to be looked at " * 9)
        elif damage == "cut":
            path.write_bytes(path.read_bytes()[:8192])
        else:
            path.unlink()
            path.write_bytes(b"")
        before = path.read_bytes()
        fact = named(list(store()), "index")
        assert path.read_bytes() == before
        if damage == "foreign":
            assert fact.value.startswith("cannot be looked into now")
        else:
            assert (fact.value, fact.state) == ("damaged", "warning")
            assert "built again by itself" in fact.reason
