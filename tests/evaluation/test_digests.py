"""A digest changes with what decides the scores, and with nothing else."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.evaluation.places import checkpoint, resaved
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.digests import function_digest, weights_digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("digests") / "c", "multiple_choice")


def test_path_times_order_and_shards_do_not_matter(folder: Path, tmp_path: Path) -> None:
    same = shutil.copytree(folder, tmp_path / "elsewhere")
    os.utime(same / "model.safetensors", (0, 0))
    assert weights_digest(same) == weights_digest(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(dict(reversed(weights.items())), same / "model.safetensors", metadata={"other": "remark"})
    assert weights_digest(same) == weights_digest(folder)
    sharded = resaved(folder, tmp_path / "sharded", "multiple_choice", max_shard_size="20KB")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    assert weights_digest(sharded) == weights_digest(folder)


@pytest.mark.parametrize("change", ["value", "name", "shape", "type"])
def test_any_change_of_a_tensor_matters(folder: Path, tmp_path: Path, change: str) -> None:
    other = shutil.copytree(folder, tmp_path / change)
    weights = load_file(folder / "model.safetensors")
    bias = weights.pop("classifier.bias")
    changed = {"value": bias + 1, "name": bias, "shape": bias[None], "type": bias.to(torch.float64)}[change]
    weights["another" if change == "name" else "classifier.bias"] = changed
    save_file(weights, other / "model.safetensors")
    assert weights_digest(other) != weights_digest(folder)


def test_a_truncated_file_is_one_line(folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    file = broken / "model.safetensors"
    for size in (4, 100, file.stat().st_size - 3):
        file.write_bytes((folder / "model.safetensors").read_bytes()[:size])
        with pytest.raises(CheckpointError, match="damaged safetensors"):
            weights_digest(broken)


def test_configuration_counts_where_it_changes_the_function(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")

    def with_field(name: str, value: object) -> str:
        config = json.loads((folder / "config.json").read_text())
        (other / "config.json").write_text(json.dumps({**config, name: value}))
        return function_digest(other)

    assert with_field("transformers_version", "0") == function_digest(folder)
    assert with_field("_name_or_path", "elsewhere") == function_digest(folder)
    assert with_field("num_attention_heads", 4) != function_digest(folder)
    assert with_field("layer_norm_eps", 0.5) != function_digest(folder)


def test_the_tokenizer_counts(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    file = other / "tokenizer.json"
    file.write_text(file.read_text() + " ")
    assert function_digest(other) != function_digest(folder)


def test_only_the_files_that_a_model_is_loaded_from_count(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    # A second copy of the weights beside the first, as averages of earlier steps are kept.
    shutil.copy(folder / "model.safetensors", other / "model_ema.safetensors")
    assert weights_digest(other) == weights_digest(folder)
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "classifier.bias": weights["classifier.bias"] + 1}, other / "model.safetensors")
    assert weights_digest(other) != weights_digest(folder)
    (other / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        weights_digest(other)


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": {"a": "absent.safetensors"}}'])
def test_a_damaged_index_is_one_line(folder: Path, tmp_path: Path, index: str) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "model.safetensors").unlink()
    (other / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match="damaged") as caught:
        weights_digest(other)
    assert "\n" not in str(caught.value)
