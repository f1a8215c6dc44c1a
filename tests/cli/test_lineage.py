"""A checkpoint's ancestry is told from its record, and its files are compared with it."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.small_study import small_study
from xfer_bench.cli.lineage import lineage
from xfer_bench.errors import CheckpointError
from xfer_bench.pipeline import train_study
from xfer_bench.training.ancestry import ancestry
from xfer_bench.training.checkpoints import LINEAGE, read_lineage


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, and in it a checkpoint after an intermediate stage."""
    prepared, place = small_study(tmp_path_factory.mktemp("lineage"))
    checkpoints = train_study(prepared, place)
    return next(one.path for run, one in checkpoints.items() if run.startswith("siqa."))


@pytest.fixture
def child(trained: Path, tmp_path: Path) -> Path:
    """The checkpoint in a store of its own, which a test may damage."""
    shutil.copytree(trained.parent, tmp_path / "store")
    return tmp_path / "store" / trained.name


def asked(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(lineage)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def parent_of(child: Path) -> Path:
    return child.parent / str(read_lineage(child)["parents"][0]["key"])[:16]


def test_the_tree_tells_every_stage(child: Path) -> None:
    answer = asked(child)
    assert answer.exit_code == 0
    text = answer.stdout
    lines = text.splitlines()
    own, before = read_lineage(child), read_lineage(parent_of(child))
    assert lines[0].endswith(f"model (content {own['origin']['identity'].removeprefix('sha256-')[:8]})")
    assert lines[1] == f"└─ {before['key'][:8]}  intermediate: siqa in en"
    assert f"   └─ {own['key'][:8]}  target: copa in en" in lines
    assert "   │  saw 40 examples, 5 steps, " in text
    for one in (own, before):
        accuracy = f"{one['development_accuracy']:.1f} on {one['development_items']} items (chance {one['chance']:.1f})"
        assert f"development accuracy {accuracy}" in text
        assert f"torch {one['versions']['torch']}" in text
        assert f"files: {len(one['files'])} ok" in text
    assert f"run {own['runs'][0]['run']}" in text
    assert "seeds: initialisation 0, data order 0" in text
    assert all(len(line) <= 120 for line in lines[1:])


def test_a_changed_file_and_a_missing_one_are_named_and_end_with_an_error(child: Path) -> None:
    weights = child / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (parent_of(child) / "tokenizer.json").unlink()
    (child / "notes.txt").write_text("mine")
    answer = asked(child)
    assert answer.exit_code == 1
    assert isinstance(answer.exception, CheckpointError)
    assert "2 of " in str(answer.exception)
    assert "model.safetensors changed, notes.txt not recorded" in answer.stdout
    assert "tokenizer.json missing" in answer.stdout
    value = json.loads(asked(child, "--format", "json").stdout)
    assert value["ok"] is False
    assert value["stages"][1]["files"]["model.safetensors"] == "changed"
    assert value["stages"][0]["files"]["tokenizer.json"] == "missing"
    assert value["stages"][1]["unrecorded"] == ["notes.txt"]


def test_a_parent_that_is_elsewhere_is_named_and_not_verified(child: Path) -> None:
    key = read_lineage(child)["parents"][0]["key"]
    shutil.rmtree(parent_of(child))
    answer = asked(child)
    assert answer.exit_code == 0
    assert f"└─ {key[:8]}  siqa: not in this store, so neither known nor verified" in answer.stdout
    first, itself = ancestry(child)
    assert (first.path, first.files, itself.path) == (None, {}, child)


def test_a_checkpoint_along_a_stage_has_the_same_parents(child: Path) -> None:
    along = child / "steps" / "3"
    along.mkdir(parents=True)
    for file in child.iterdir():
        if file.is_file():
            shutil.copy2(file, along)
    assert [one.path for one in ancestry(along)] == [parent_of(child), along]


def test_json_holds_what_was_recorded(child: Path) -> None:
    value = json.loads(asked(child, "--format", "json").stdout)
    assert value["ok"] is True
    assert [stage["task"] for stage in value["stages"]] == ["siqa", "copa"]
    recorded = read_lineage(child)
    assert value["stages"][1]["lineage"]["recipe"] == recorded["recipe"]
    assert value["origin"] == recorded["origin"]


def test_a_foreign_checkpoint_is_one_line(child: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    shutil.copytree(child, foreign, ignore=shutil.ignore_patterns(LINEAGE))
    for place, says in (
        (foreign, f"{foreign}: no lineage.json, so it was not trained here, and nothing is known of its ancestry"),
        (child.parent, r"; there are 6 of ours in it, such as "),
        (tmp_path / "nothing", "nothing: no such folder; give a checkpoint"),
    ):
        answer = asked(place)
        assert answer.exit_code == 1
        assert isinstance(answer.exception, CheckpointError)
        assert says in str(answer.exception)
        assert "\n" not in str(answer.exception)
        assert answer.stdout == ""


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": "a"}', '{"key": 1, "files": {}}'])
def test_a_damaged_record_is_one_line(child: Path, content: str) -> None:
    (child / LINEAGE).write_text(content)
    with pytest.raises(CheckpointError, match=LINEAGE) as caught:
        ancestry(child)
    assert "\n" not in str(caught.value)


def test_a_parent_that_is_another_stage_is_refused(child: Path) -> None:
    parent = parent_of(child)
    record = read_lineage(parent)
    (parent / LINEAGE).write_text(json.dumps({**record, "key": "0" * 64}))
    with pytest.raises(CheckpointError, match="holds stage 0000"):
        ancestry(child)
