"""Checkpoints are found by what their folders hold, and what cannot be read is said, not passed over."""

import json
import shutil
from pathlib import Path

import pytest

from tests.evaluation.places import checkpoint
from tests.toy import tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import discover


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("made") / "choosing", "multiple_choice")


def test_a_checkpoint_is_called_as_the_user_called_it(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.parent)
    (found,) = discover(["choosing/"])
    assert found.name == "choosing/"
    assert found.path.resolve() == made.resolve()
    assert (found.head, found.reason, found.lineage, found.covers) == ("multiple_choice", "", None, None)


def test_a_tree_is_searched_and_hidden_folders_are_not_entered(made: Path, tmp_path: Path) -> None:
    for name in ("b/second", "a/first", ".work/unfinished", "a/.hidden/draft"):
        shutil.copytree(made, tmp_path / name)
    # What a trainer keeps below a finished checkpoint belongs to it.
    shutil.copytree(made, tmp_path / "a" / "first" / "checkpoint-5")
    (tmp_path / "logs").mkdir()
    assert [one.name for one in discover([str(tmp_path)])] == [str(tmp_path / "a/first"), str(tmp_path / "b/second")]


def test_each_checkpoint_is_found_once(made: Path, tmp_path: Path) -> None:
    inside = shutil.copytree(made, tmp_path / "tree" / "one")
    (tmp_path / "tree" / "up").symlink_to(tmp_path / "tree")
    (tmp_path / "tree" / "same").symlink_to(inside)
    found = discover([str(inside), str(tmp_path / "tree"), str(inside)])
    assert [one.name for one in found] == [str(inside)]


def test_a_head_is_read_from_the_architecture(made: Path, tmp_path: Path) -> None:
    labels = {0: "contradiction", 1: "entailment", 2: "neutral"}
    classes = checkpoint(tmp_path / "classes", "sequence_classification", id2label=labels)
    encoder = tiny_checkpoint(tmp_path / "encoder", ["abc"])
    choosing, classifying, bare = discover([str(made), str(classes), str(encoder)])
    assert (choosing.head, classifying.head, bare.head) == ("multiple_choice", "sequence_classification", None)
    assert classifying.id2label == labels
    assert bare.reason == "its architecture BertModel has no head that a task here is scored with"


def test_files_of_ours_are_read_and_those_of_others_are_not(made: Path, tmp_path: Path) -> None:
    ours, others = shutil.copytree(made, tmp_path / "ours"), shutil.copytree(made, tmp_path / "others")
    (ours / "lineage.json").write_text(json.dumps({"key": "k", "runs": []}))
    (ours / "vocabulary.json").write_text(json.dumps({"covers": ["a", "b"]}))
    (others / "lineage.json").write_text('{"ancestors": []}')
    (others / "vocabulary.json").write_text('["a", "b"]')
    first, second = discover([str(ours), str(others)])
    assert first.lineage == {"key": "k", "runs": []}
    assert first.covers == frozenset({"a", "b"})
    assert second.lineage is None
    assert second.covers is None


def test_weights_that_are_pickled_are_refused_also_within_a_tree(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "good")
    pickled = shutil.copytree(made, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    for place in (pickled, tmp_path):
        with pytest.raises(CheckpointError, match=r"pickled holds only pickled weights \(pytorch_model\.bin\)"):
            discover([str(place)])


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("absent/", r"no such directory: .*absent"),
        ("empty", r"empty: no checkpoint here or below \(a folder with config\.json and safetensors\)"),
        ("weightless", r"weightless holds no weights"),
        ("unconfigured", r"unconfigured: no checkpoint here or below"),
        ("damaged", r"damaged: damaged configuration"),
        ("strange", r"strange: damaged configuration"),
        ("damaged/config.json", r"config\.json is a file; give the checkpoint's directory"),
    ],
)
def test_what_is_no_checkpoint_is_refused_on_one_line(made: Path, tmp_path: Path, place: str, says: str) -> None:
    for name in ("empty", "weightless", "unconfigured", "damaged", "strange"):
        shutil.copytree(made, tmp_path / name)
    shutil.rmtree(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    (tmp_path / "weightless" / "model.safetensors").unlink()
    (tmp_path / "unconfigured" / "config.json").unlink()
    (tmp_path / "damaged" / "config.json").write_text('{"architectures": [')
    (tmp_path / "strange" / "config.json").write_text("[1, 2]")
    with pytest.raises(CheckpointError, match=says) as caught:
        discover([f"{tmp_path}/{place}"])
    assert "\n" not in str(caught.value)


def test_a_user_that_does_not_exist_is_no_place() -> None:
    with pytest.raises(CheckpointError, match="no such directory: ~nobody-of-this-name/model"):
        discover(["~nobody-of-this-name/model"])
