from dataclasses import replace
from pathlib import Path

import pytest

from tests.sources.small_mirror import nli_task, pairs, write
from xfer_bench.errors import SourceError, TaskError
from xfer_bench.sources.source import Sources, resolve_data_root
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Task

UPSTREAM = "https://github.com/someone/pairs @ 0123"


def _upstream_task() -> Task:
    task = nli_task(splits=("test",))
    return replace(task, parts=tuple(replace(part, upstream=UPSTREAM) for part in task.parts))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def test_rows_carry_their_source_and_fingerprint(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(6)})
    rows = Sources(data_root=tmp_path).rows(nli_task(splits=("test",)), language="en", split="test")
    assert (rows.repository, rows.split, rows.frame.height, rows.dropped) == ("some/pairs", "test", 6, 0)
    assert len(rows.fingerprint) == 64


def test_a_changed_file_changes_rows_and_fingerprint(tmp_path: Path) -> None:
    task, sources = nli_task(splits=("test",)), Sources(data_root=tmp_path)
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(6)})
    before = sources.rows(task, language="en", split="test")
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(6, language="xx")})
    after = sources.rows(task, language="en", split="test")
    assert before.fingerprint != after.fingerprint
    assert after.frame["text"][0] == "xx premise 0"


def test_the_upstream_split_is_read_under_its_own_name(tmp_path: Path) -> None:
    task = nli_task(splits=("train", "validation"))
    parts = tuple(replace(part, upstream_split=f"{part.split}_matched") for part in task.parts)
    write(tmp_path, "some/pairs", {"en/train_matched.parquet": pairs(6), "en/validation_matched.parquet": pairs(3)})
    rows = Sources(data_root=tmp_path).rows(replace(task, parts=parts), language="en", split="validation")
    assert rows.frame.height == 3


def test_a_repository_in_the_mirror_is_taken_from_there_alone(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(6)})
    sources, task = Sources(data_root=tmp_path), nli_task(splits=("train", "validation", "test"))
    assert sources.availability(task, "test") == "mirror"
    assert sources.availability(task, "train").startswith(f"unavailable: some/pairs (en) in {tmp_path}: no Parquet")
    with pytest.raises(SourceError, match="of split 'train'"):
        sources.rows(task, language="en", split="train")


def test_what_has_no_twin_on_the_hub_is_unavailable_with_its_upstream(tmp_path: Path) -> None:
    task = _upstream_task()
    answer = Sources(data_root=None).availability(task, "test")
    assert answer.startswith("unavailable: some/pairs has no loadable twin on the Hub")
    assert UPSTREAM in answer
    assert "--data-root" in answer
    with pytest.raises(SourceError, match="XFER_BENCH_DATA"):
        Sources(data_root=tmp_path).rows(task, language="en", split="test")


@pytest.mark.usefixtures("offline")
def test_offline_and_absent_is_one_line_that_says_how_to_fetch(tmp_path: Path) -> None:
    sources, task = Sources(data_root=tmp_path), nli_task(splits=("test",))
    assert sources.availability(task, "test").startswith("unavailable: some/pairs is not here and the network")
    with pytest.raises(SourceError) as caught:
        sources.rows(task, language="en", split="test")
    message = str(caught.value)
    assert "hf download --repo-type dataset some/pairs --local-dir DIR/some/pairs" in message
    assert "\n" not in message


def test_a_folder_of_the_working_directory_is_never_taken_for_a_hub_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(6)})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="hides it; pass --data-root"):
        Sources(data_root=None).rows(nli_task(splits=("test",)), language="en", split="test")


def test_an_unknown_language_or_split_names_those_there_are() -> None:
    sources = Sources(data_root=None)
    with pytest.raises(TaskError, match=r"^xnli has no language 'et'; it has ar, bg, .*$"):
        sources.rows(TASKS["xnli"], language="et", split="test")
    with pytest.raises(TaskError, match=r"^xnli has no split 'train' in 'sw'; it has validation, test$"):
        sources.rows(TASKS["xnli"], language="sw", split="train")
    assert sources.availability(TASKS["xnli"], "train").startswith("unavailable: xnli has no split 'train'")


def test_availability_can_be_asked_of_one_language() -> None:
    sources = Sources(data_root=None)
    assert sources.availability(TASKS["xcopa"], "test", language="en").startswith("unavailable: extra/copa_test_gold")
    assert sources.availability(TASKS["xcopa"], "test", language="xx").startswith("unavailable: xcopa has no language")


def test_the_option_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("XFER_BENCH_DATA", str(tmp_path / "b"))
    assert resolve_data_root(tmp_path / "a") == tmp_path / "a"
    assert resolve_data_root(None) == tmp_path / "b"
    monkeypatch.setenv("XFER_BENCH_DATA", "")
    assert resolve_data_root(None) is None


def test_a_data_root_is_absolute_and_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_data_root(Path("a")) == tmp_path / "a"
    with pytest.raises(SourceError, match=r"no folder .*nowhere \(--data-root\)"):
        resolve_data_root(Path("nowhere"))
    monkeypatch.setenv("XFER_BENCH_DATA", "nowhere")
    with pytest.raises(SourceError, match=r"no folder .*nowhere \(XFER_BENCH_DATA\)"):
        resolve_data_root(None)
