"""A checkpoint's files may not lead out of its folder, to pickles, or to code."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForMultipleChoice, AutoTokenizer

from tests.toy import tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import discover
from xfer_bench.models.heads import with_fresh_head, with_its_head
from xfer_bench.models.safety import check_files, weight_files
from xfer_bench.tasks.nli import NLI

INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same checkpoint in one file and in several."""
    root = tmp_path_factory.mktemp("made")
    whole = tiny_checkpoint(root / "whole", ["some words"], head="multiple_choice")
    AutoModelForMultipleChoice.from_pretrained(whole).save_pretrained(root / "sharded", max_shard_size="20KB")
    AutoTokenizer.from_pretrained(whole).save_pretrained(root / "sharded")
    assert len(list((root / "sharded").glob("model-*.safetensors"))) > 2
    return root


def changed(folder: Path, name: str, **changes: Any) -> Path:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **changes}))
    return folder


def refused(folder: Path, says: str) -> None:
    """Whoever opens the folder says so, on one line."""
    for opening in (
        lambda: discover([str(folder)]),
        lambda: with_its_head(folder, "multiple_choice"),
        lambda: with_fresh_head(folder, NLI, seed=0),
    ):
        with pytest.raises(CheckpointError, match=says) as caught:
            opening()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shard", "says"),
    [
        ("/etc/model.safetensors", "only plain names of files in the same folder are read"),
        ("../whole/model.safetensors", "only plain names of files in the same folder are read"),
        ("..", "only plain names"),
        ("inside/../../whole/model.safetensors", "only plain names"),
        ("inside/model.safetensors", "only plain names"),
        ("..\\model.safetensors", "only plain names"),
        ("a\0.safetensors", "only plain names"),
        ("", "only plain names"),
        ("pytorch_model.bin", "only safetensors are read"),
        ("model-9.safetensors", "which is absent; copy or download the whole checkpoint"),
    ],
)
def test_shards_are_files_of_the_folder(made: Path, tmp_path: Path, shard: str, says: str) -> None:
    shutil.copytree(made / "whole", tmp_path / "whole")
    folder = shutil.copytree(made / "sharded", tmp_path / "sharded")
    shutil.copytree(made / "whole", folder / "inside")
    (folder / "pytorch_model.bin").write_bytes(b"")
    names = json.loads((folder / INDEX).read_text())["weight_map"]
    changed(folder, INDEX, weight_map={**names, min(names): shard})
    refused(folder, rf"model\.safetensors\.index\.json names the shard .*{says}")


@pytest.mark.parametrize("weight_map", [None, {}, [], "model.safetensors", {"a": 1}, {"a": None}])
def test_an_index_that_is_none_is_damaged(made: Path, tmp_path: Path, weight_map: Any) -> None:
    folder = shutil.copytree(made / "sharded", tmp_path / "sharded")
    refused(changed(folder, INDEX, weight_map=weight_map), "damaged .its weight_map names no files")


def test_an_index_beside_the_single_file_is_not_read(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "whole", tmp_path / "whole")
    (folder / INDEX).write_text('{"weight_map": {"a": "/etc/passwd"}}')
    assert weight_files(folder) == (folder / "model.safetensors",)
    assert with_its_head(folder, "multiple_choice").fresh == frozenset()


def test_shards_give_the_same_model_also_through_links(made: Path, tmp_path: Path) -> None:
    # As the Hub's cache keeps them: plain names that lead to content elsewhere.
    for file in (made / "sharded").iterdir():
        (tmp_path / file.name).symlink_to(file)
    whole = with_its_head(made / "whole", "multiple_choice").model.state_dict()
    linked = with_its_head(tmp_path, "multiple_choice").model.state_dict()
    assert all(tensor.equal(linked[name]) for name, tensor in whole.items())
    assert discover([str(tmp_path)])[0].head == "multiple_choice"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        # transformers would read this pickle instead of the weights.
        ({"transformers_weights": "adapter_model.bin"}, "sets transformers_weights, which replaces parts of the model"),
        ({"fusion_config": {"a": True}}, "sets fusion_config, which replaces parts of the model"),
        ({"attn_implementation": "some/kernel"}, r"sets attn_implementation to code from the Hub \(some/kernel\)"),
        ({"_attn_implementation": "some/kernel@main"}, "sets _attn_implementation to code from the Hub"),
    ],
)
def test_a_configuration_does_not_choose_files_or_code(
    made: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    refused(changed(shutil.copytree(made / "whole", tmp_path / "whole"), "config.json", **changes), says)


def test_an_adapter_beside_whole_weights_is_neither(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "whole", tmp_path / "whole")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "some/base"}')
    with pytest.raises(CheckpointError, match="it is not clear which model is meant"):
        check_files(folder)
    with pytest.raises(CheckpointError, match="it is not clear which model is meant"):
        with_its_head(folder, "multiple_choice")
    (one,) = discover([str(folder)])
    assert (one.head, one.reason) == (
        None,
        "it holds weights and adapter_config.json; move the adapter to a folder of its own",
    )


def test_code_that_a_checkpoint_brings_is_not_run(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "whole", tmp_path / "whole")
    ran = tmp_path / "ran"
    (folder / "mine.py").write_text(f"open({str(ran)!r}, 'w')\n")
    mine = {"AutoConfig": "mine.Config", "AutoModelForMultipleChoice": "mine.Model", "AutoTokenizer": ["mine.T", None]}
    changed(folder, "tokenizer_config.json", auto_map=mine)
    # The stock architecture is there, and is taken.
    assert discover([str(changed(folder, "config.json", auto_map=mine))])[0].head == "multiple_choice"
    assert type(with_its_head(folder, "multiple_choice").model).__module__.startswith("transformers.")
    # One that only the code has is not.
    changed(folder, "config.json", architectures=["MineForMultipleChoice"], model_type="mine")
    (one,) = discover([str(folder)])
    assert one.head is None
    assert one.reason == (
        "its architecture MineForMultipleChoice is code of the checkpoint's own (auto_map), which is never run"
    )
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        with_its_head(folder, "multiple_choice")
    assert not ran.exists()


def test_a_configuration_that_is_nested_too_deeply_is_damaged(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made / "whole", tmp_path / "whole")
    (folder / "config.json").write_text("[" * 100_000)
    refused(folder, "damaged")
