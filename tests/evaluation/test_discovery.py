"""Checkpoints are found by what their folders hold, and what cannot be read is said, not passed over."""

import json
import shutil
from pathlib import Path

import pytest
from peft import LoraConfig

from tests.evaluation.places import checkpoint
from tests.evaluation.small_checkpoints import adapted
from tests.toy import tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import KEPT, discover
from xfer_bench.training.keeping import STEPS


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


def test_what_a_stage_kept_along_its_way_is_found_beside_its_result(made: Path, tmp_path: Path) -> None:
    assert KEPT == STEPS
    result = shutil.copytree(made, tmp_path / "result")
    for step in ("5", "10"):
        shutil.copytree(made, result / STEPS / step)
    places = [result, result / STEPS / "10", result / STEPS / "5"]
    assert [one.name for one in discover([str(tmp_path)])] == [*map(str, places)]
    # The checkpoint alone is just that, as the study's own evaluation asks for it.
    assert [one.name for one in discover([str(result)])] == [str(result)]


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
    assert bare.reason == (
        "its architecture BertModel has no head to score with; fine-tune it on a task first "
        "(…ForSequenceClassification or …ForMultipleChoice)"
    )


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
        ("empty", r"empty: no checkpoint here or below \(a folder with config\.json or adapter_config"),
        ("weightless", r"weightless holds no weights"),
        ("unconfigured", r"unconfigured: no checkpoint here or below"),
        ("damaged", r"damaged: damaged configuration"),
        ("odd", r"odd: damaged configuration \(its id2label"),
        ("strange", r"strange: damaged configuration"),
        ("trimmed", r"trimmed: damaged configuration \(vocabulary\.json: `covers` has to be a list"),
        ("damaged/config.json", r"config\.json is a file; give the checkpoint's directory"),
    ],
)
def test_what_is_no_checkpoint_is_refused_on_one_line(made: Path, tmp_path: Path, place: str, says: str) -> None:
    for name in ("empty", "weightless", "unconfigured", "damaged", "strange", "odd", "trimmed"):
        shutil.copytree(made, tmp_path / name)
    shutil.rmtree(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    (tmp_path / "weightless" / "model.safetensors").unlink()
    (tmp_path / "unconfigured" / "config.json").unlink()
    (tmp_path / "damaged" / "config.json").write_text('{"architectures": [')
    (tmp_path / "strange" / "config.json").write_text("[1, 2]")
    (tmp_path / "trimmed" / "vocabulary.json").write_text('{"covers": 3}')
    (tmp_path / "odd" / "config.json").write_text('{"id2label": ["a"]}')
    with pytest.raises(CheckpointError, match=says) as caught:
        discover([f"{tmp_path}/{place}"])
    assert "\n" not in str(caught.value)


def test_a_user_that_does_not_exist_is_no_place() -> None:
    with pytest.raises(CheckpointError, match="no such directory: ~nobody-of-this-name/model"):
        discover(["~nobody-of-this-name/model"])


def test_an_adapter_is_a_checkpoint_of_the_tree_and_its_base_model_another(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "base")
    (tmp_path / "base" / "vocabulary.json").write_text(json.dumps({"covers": ["a"]}))
    lora = LoraConfig(r=2, target_modules=["query"])
    adapted(tmp_path / "runs" / "first", tmp_path / "base", lora)
    adapted(tmp_path / "runs" / "second" / "checkpoint-5", tmp_path / "base", lora)
    # Trainers and other tools leave the base model's configuration beside the adapter.
    shutil.copy(made / "config.json", tmp_path / "runs" / "first")
    base, first, second = discover([str(tmp_path)])
    assert [one.head for one in (base, first, second)] == ["multiple_choice"] * 3
    assert [one.base for one in (base, first, second)] == [None, tmp_path / "base", tmp_path / "base"]
    assert second.name == str(tmp_path / "runs" / "second" / "checkpoint-5")
    # What the vocabulary was trimmed to binds the adapter too.
    assert [one.covers for one in (base, first, second)] == [frozenset({"a"})] * 3
    assert [one.tokenizer for one in (base, first, second)] == [tmp_path / "base"] * 3
    assert [one.name for one in discover([str(tmp_path / "runs" / "first")])] == [str(tmp_path / "runs" / "first")]


def test_a_pickled_adapter_is_refused_also_within_a_tree(made: Path, tmp_path: Path) -> None:
    folder, _ = adapted(tmp_path / "pickled", made, LoraConfig(r=2, target_modules=["query"]))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    for place in (folder, tmp_path):
        with pytest.raises(CheckpointError, match=r"pickled holds only pickled weights \(adapter_model\.bin\)"):
            discover([str(place)])


def test_an_adapter_without_its_base_model_does_not_keep_others_from_being_found(made: Path, tmp_path: Path) -> None:
    base = shutil.copytree(made, tmp_path / "a")
    adapted(tmp_path / "b", base, LoraConfig(r=2, target_modules=["query"]))
    moved = base.rename(tmp_path / "c")
    alone, whole = discover([str(tmp_path)])
    assert (whole.path, whole.head) == (moved, "multiple_choice")
    assert (alone.head, alone.base) == (None, None)
    assert alone.reason.startswith(f"its base model '{base}' cannot be had (no such directory: {base}; give a")
    assert alone.reason.endswith("base_model_name_or_path in adapter_config.json says where")


def test_a_hundred_adapters_look_for_their_base_model_once(made: Path, tmp_path: Path) -> None:
    first, _ = adapted(tmp_path / "0", made, LoraConfig(r=2, target_modules=["query"]))
    for number in range(1, 100):
        shutil.copytree(first, tmp_path / str(number))
    found = discover([str(tmp_path)])
    assert len(found) == 100
    assert len({id(one.base) for one in found}) == 1
