import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.sources.small_mirror import pairs, write
from xfer_bench.cli.data import app
from xfer_bench.errors import TaskError
from xfer_bench.sources.source import VARIABLE
from xfer_bench.tasks import TASKS


@pytest.fixture(autouse=True)
def _without_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["list", *arguments])


def test_every_task_is_listed_with_its_source() -> None:
    found = json.loads(run("--format", "json").output)["sources"]
    assert {one["task"] for one in found} == set(TASKS)
    parts = {(task.name, part.split, part.repository) for task in TASKS.values() for part in task.parts}
    assert {(one["task"], one["split"], one["repository"]) for one in found} == parts


def test_a_line_says_revision_rows_languages_place_citation_and_licence() -> None:
    lines = run("xnli", "mnli").output.splitlines()
    assert lines[0].split()[:3] == ["task", "split", "repository"]
    assert lines[1].split()[:5] == ["xnli", "validation", "facebook/xnli", "b8dd5d7a", "2,490"]
    assert "ar bg de el … (15)" in lines[1]
    assert " hub " in lines[1]
    assert "conneau2018xnli" in lines[1]
    # A task is named once.
    assert lines[2].split()[:4] == ["test", "facebook/xnli", "b8dd5d7a", "5,010"]
    assert lines[3].split()[:5] == ["mnli", "train", "facebook/xnli", "b8dd5d7a", "392,702"]


@pytest.mark.parametrize(("task", "marked"), [("xnli", True), ("ocnli", True), ("c3", True), ("siqa", False)])
def test_what_may_not_be_used_commercially_is_marked(task: str, marked: bool) -> None:
    assert ("[NON-COMMERCIAL]" in run(task).output) == marked
    found = json.loads(run(task, "--format", "json").output)["sources"]
    assert {one["non_commercial"] for one in found} == {marked}


def test_a_place_is_where_the_rows_would_come_from(tmp_path: Path) -> None:
    write(tmp_path, "facebook/xnli", {f"{language}/test.parquet": pairs(3) for language in TASKS["xnli"].languages})
    found = json.loads(run("xnli", "jsick", "quickstart_copa", "--format", "json", "--data-root", str(tmp_path)).output)
    places = {(one["task"], one["split"]): one["place"] for one in found["sources"]}
    assert places["xnli", "test"] == "mirror"
    assert places["xnli", "validation"].startswith("unavailable: facebook/xnli")
    assert places["jsick", "train"].startswith("unavailable: extra/jsick has no loadable twin on the Hub")
    assert places["quickstart_copa", "train"] == "embedded"


def test_the_reason_why_something_is_unavailable_stands_below_the_table() -> None:
    lines = run("jsick").output.splitlines()
    assert "unavailable" in lines[1]
    assert lines[-1].startswith("unavailable: extra/jsick has no loadable twin on the Hub; it comes from https://")


def test_bibtex_of_what_is_named_comes_once_each() -> None:
    said = run("copa", "xcopa", "--bibtex").output
    assert said.count("@inproceedings{roemmele2011copa,") == 1
    assert "@inproceedings{ponti2020xcopa," in said
    assert "conneau2018xnli" not in said
    assert run("--bibtex").output.count("@") >= 24


def test_a_task_of_one_s_own_is_listed_with_what_its_file_says(tmp_path: Path) -> None:
    from tests.tasks.descriptions import PAIRS

    file = tmp_path / "pairs.toml"
    file.write_text(PAIRS.replace('"none"', '"CC BY-NC 4.0 (non-commercial)"'))
    line = run("two_nli", "--tasks", str(file)).output.splitlines()[1]
    assert line.split()[:5] == ["two_nli", "train", "example/pairs", "-", "-"]
    assert line.endswith("CC BY-NC 4.0 (non-commercial) [NON-COMMERCIAL]")


def test_an_unknown_task_is_refused() -> None:
    assert isinstance(run("nothing").exception, TaskError)
