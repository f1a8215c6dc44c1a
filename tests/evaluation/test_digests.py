"""A digest changes with what decides the scores, and with nothing else."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import xfer_bench
from tests.evaluation.places import checkpoint, resaved
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.digests import (
    function_digest,
    tokenizing_digest,
    weights_digest,
)

PACKAGE = Path(xfer_bench.__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("digests") / "c", "multiple_choice")


def with_field(folder: Path, target: Path, name: str, value: object, *, file: str = "config.json") -> list[Path]:
    """The checkpoint with one field of a JSON file set otherwise."""
    other = shutil.copytree(folder, target, dirs_exist_ok=True)
    content = json.loads((folder / file).read_text())
    (other / file).write_text(json.dumps({**content, name: value}))
    return [other]


class TestWeights:
    def test_path_times_order_and_shards_do_not_matter(self, folder: Path, tmp_path: Path) -> None:
        same = shutil.copytree(folder, tmp_path / "elsewhere")
        os.utime(same / "model.safetensors", (0, 0))
        assert weights_digest([same]) == weights_digest([folder])
        weights = load_file(folder / "model.safetensors")
        save_file(dict(reversed(weights.items())), same / "model.safetensors", metadata={"other": "remark"})
        assert weights_digest([same]) == weights_digest([folder])
        for size in ("20KB", "60KB"):
            sharded = resaved(folder, tmp_path / size, "multiple_choice", max_shard_size=size)
            assert len(list(sharded.glob("*.safetensors"))) > 1
            assert weights_digest([sharded]) == weights_digest([folder])

    @pytest.mark.parametrize("change", ["value", "name", "shape", "type", "swap"])
    def test_any_change_of_a_tensor_matters(self, folder: Path, tmp_path: Path, change: str) -> None:
        other = shutil.copytree(folder, tmp_path / change)
        weights = load_file(folder / "model.safetensors")
        if change == "swap":
            first, second = (f"bert.encoder.layer.{layer}.output.dense.weight" for layer in (0, 1))
            weights[first], weights[second] = weights[second], weights[first]
        else:
            bias = weights.pop("classifier.bias")
            changed = {"value": bias + 1, "name": bias, "shape": bias[None], "type": bias.to(torch.float64)}[change]
            weights["another" if change == "name" else "classifier.bias"] = changed
        save_file(weights, other / "model.safetensors")
        assert weights_digest([other]) != weights_digest([folder])

    def test_every_byte_counts(self, folder: Path, tmp_path: Path) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        file = other / "model.safetensors"
        content = bytearray(file.read_bytes())
        for place in (-1, -1000, len(content) // 2):
            content[place] ^= 1
            file.write_bytes(content)
            assert weights_digest([other]) != weights_digest([folder])
            content[place] ^= 1

    def test_what_is_stored_in_halves_is_another_model(self, folder: Path, tmp_path: Path) -> None:
        # Rounded: it computes something else, though both are scored in float32.
        other = shutil.copytree(folder, tmp_path / "other")
        weights = load_file(folder / "model.safetensors")
        save_file({name: value.half() for name, value in weights.items()}, other / "model.safetensors")
        assert weights_digest([other]) != weights_digest([folder])

    def test_a_truncated_file_is_one_line(self, folder: Path, tmp_path: Path) -> None:
        broken = shutil.copytree(folder, tmp_path / "broken")
        file = broken / "model.safetensors"
        for size in (0, 4, 100, file.stat().st_size - 3):
            file.write_bytes((folder / "model.safetensors").read_bytes()[:size])
            with pytest.raises(CheckpointError, match="damaged safetensors") as caught:
                weights_digest([broken])
            assert "\n" not in str(caught.value)

    def test_a_header_of_absurd_length_is_one_line(self, folder: Path, tmp_path: Path) -> None:
        broken = shutil.copytree(folder, tmp_path / "broken")
        (broken / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}")
        with pytest.raises(CheckpointError, match="damaged safetensors"):
            weights_digest([broken])

    def test_only_the_files_that_a_model_is_loaded_from_count(self, folder: Path, tmp_path: Path) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        # A second copy of the weights beside the first, as averages of earlier steps are kept; and one of an adapter's.
        for beside in ("model_ema.safetensors", "adapter_model.safetensors"):
            shutil.copy(folder / "model.safetensors", other / beside)
        assert weights_digest([other]) == weights_digest([folder])
        weights = load_file(folder / "model.safetensors")
        save_file({**weights, "classifier.bias": weights["classifier.bias"] + 1}, other / "model.safetensors")
        assert weights_digest([other]) != weights_digest([folder])

    def test_without_weights_there_is_no_digest(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
            weights_digest([tmp_path])

    @pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": {"a": "absent.safetensors"}}'])
    def test_a_damaged_index_is_one_line(self, folder: Path, tmp_path: Path, index: str) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        (other / "model.safetensors").unlink()
        (other / "model.safetensors.index.json").write_text(index)
        with pytest.raises(CheckpointError, match=r"damaged|absent") as caught:
            weights_digest([other])
        assert "\n" not in str(caught.value)

    def test_an_adapter_counts_with_its_base(self, folder: Path, tmp_path: Path) -> None:
        adapter = tmp_path / "adapter"
        adapter.mkdir()
        save_file({"a": torch.zeros(2)}, adapter / "adapter_model.safetensors")
        other = checkpoint(tmp_path / "other", "multiple_choice", seed=1)
        alone = weights_digest([folder])
        assert len({alone, weights_digest([adapter, folder]), weights_digest([adapter, other])}) == 3


class TestFunction:
    @pytest.mark.parametrize(
        "name", ["transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_cache", "_commit_hash"]
    )
    def test_how_it_was_saved_does_not_count(self, folder: Path, tmp_path: Path, name: str) -> None:
        assert function_digest(with_field(folder, tmp_path / "o", name, "other")) == function_digest([folder])

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("num_attention_heads", 4),
            ("layer_norm_eps", 0.5),
            ("hidden_act", "relu"),
            ("max_position_embeddings", 64),
            ("pad_token_id", 0),
            ("id2label", {"0": "b", "1": "a"}),
            ("position_embedding_type", "relative_key"),
        ],
    )
    def test_what_it_computes_does(self, folder: Path, tmp_path: Path, name: str, value: object) -> None:
        assert function_digest(with_field(folder, tmp_path / "o", name, value)) != function_digest([folder])

    def test_the_order_of_fields_does_not_matter(self, folder: Path, tmp_path: Path) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        config = json.loads((folder / "config.json").read_text())
        (other / "config.json").write_text(json.dumps(dict(reversed(config.items()))))
        assert function_digest([other]) == function_digest([folder])

    @pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
    def test_the_tokenizer_counts(self, folder: Path, tmp_path: Path, name: str) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        (other / name).write_text((folder / name).read_text() + " ")
        assert function_digest([other]) != function_digest([folder])
        assert tokenizing_digest([other]) != tokenizing_digest([folder])

    @pytest.mark.parametrize("name", ["vocab.txt", "special_tokens_map.json", "sentencepiece.bpe.model"])
    def test_a_file_that_a_tokenizer_would_read_counts(self, folder: Path, tmp_path: Path, name: str) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        (other / name).write_text("{}")
        assert function_digest([other]) != function_digest([folder])

    @pytest.mark.parametrize("name", ["README.md", "training_args.bin", "trainer_state.json", "lineage.json"])
    def test_other_files_do_not(self, folder: Path, tmp_path: Path, name: str) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        (other / name).write_text("{}")
        assert function_digest([other]) == function_digest([folder])
        assert weights_digest([other]) == weights_digest([folder])

    def test_an_adapter_s_configuration_counts_but_not_where_its_base_lies(self, folder: Path, tmp_path: Path) -> None:
        adapter = tmp_path / "adapter"
        adapter.mkdir()
        seen = set()
        for base, alpha in (("here", 8), ("there", 8), ("there", 16)):
            content = {"base_model_name_or_path": base, "lora_alpha": alpha}
            (adapter / "adapter_config.json").write_text(json.dumps(content))
            seen.add(function_digest([adapter, folder]))
        assert len(seen) == 2

    def test_a_damaged_configuration_is_one_line(self, folder: Path, tmp_path: Path) -> None:
        other = shutil.copytree(folder, tmp_path / "other")
        (other / "config.json").write_text("{")
        with pytest.raises(CheckpointError, match="damaged") as caught:
            function_digest([other])
        assert "\n" not in str(caught.value)


class TestTokenizing:
    @pytest.mark.parametrize("name", ["model_type", "max_position_embeddings", "pad_token_id"])
    def test_what_decides_the_longest_sequence_counts(self, folder: Path, tmp_path: Path, name: str) -> None:
        # Positions of some families begin after the padding id, which leaves so many fewer for tokens.
        value = "xlm-roberta" if name == "model_type" else 77
        assert tokenizing_digest(with_field(folder, tmp_path / "o", name, value)) != tokenizing_digest([folder])

    def test_checkpoints_of_one_tokenizer_share_their_tokens(self, folder: Path, tmp_path: Path) -> None:
        other = checkpoint(tmp_path / "o", "sequence_classification", seed=5)
        assert tokenizing_digest([other]) == tokenizing_digest([folder])
        assert tokenizing_digest(with_field(folder, tmp_path / "p", "hidden_act", "relu")) == tokenizing_digest(
            [folder]
        )
