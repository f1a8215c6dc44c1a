"""What is loaded is float32 in memory of its own, fits its positions, and disturbs nobody meanwhile."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForMultipleChoice, PreTrainedTokenizerFast

from tests.toy import tiny_checkpoint, tiny_tokenizer
from xfer_bench.errors import CheckpointError
from xfer_bench.models.heads import Headed, with_its_head
from xfer_bench.models.loading import config_of, longest, tokenizer_of

WORDS = ["some words to score"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path / "model", WORDS, head="multiple_choice")


@torch.inference_mode()
def logits(headed: Headed) -> torch.Tensor:
    answer: torch.Tensor = headed.model(input_ids=torch.arange(4, 20)[None, None]).logits
    return answer


def test_what_happens_to_the_file_afterwards_reaches_nothing(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    headed = with_its_head(folder, "multiple_choice")
    before = logits(headed)
    # Overwritten in place, then cut: a mapped file would give other numbers, and then end the process.
    with file.open("r+b") as opened:
        opened.seek(len(whole) // 2)
        opened.write(b"\x55" * (len(whole) - len(whole) // 2))
    assert torch.equal(logits(headed), before)
    os.truncate(file, 100)
    assert torch.equal(logits(headed), before)
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(file) not in maps.read_text()
    with pytest.raises(CheckpointError, match="damaged safetensors"):
        with_its_head(folder, "multiple_choice")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, "mixed"])
def test_weights_of_any_float_load_as_float32(folder: Path, dtype: torch.dtype | str) -> None:
    file = folder / "model.safetensors"
    types = [torch.float16, torch.bfloat16, torch.float64, torch.float32]
    stored = {
        name: tensor.to(types[index % 4] if isinstance(dtype, str) else dtype)
        for index, (name, tensor) in enumerate(load_file(file).items())
    }
    save_file(stored, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": str(stored["classifier.bias"].dtype)[6:]}))
    headed = with_its_head(folder, "multiple_choice")
    assert {tensor.dtype for tensor in headed.model.parameters()} == {torch.float32}
    assert all(torch.equal(headed.model.get_parameter(name), tensor.float()) for name, tensor in stored.items())
    upcast = AutoModelForMultipleChoice.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32).eval()
    upcast.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
    with torch.inference_mode():
        expected = upcast(input_ids=torch.arange(4, 20)[None, None]).logits
    assert torch.equal(logits(headed), expected)


def test_loading_in_a_thread_leaves_the_types_and_devices_of_others_alone(folder: Path) -> None:
    # A bfloat16 checkpoint, for which the library would make bfloat16 the default type of every thread.
    AutoModelForMultipleChoice.from_pretrained(folder).bfloat16().save_pretrained(folder)
    expected = logits(with_its_head(folder, "multiple_choice"))
    seen: set[tuple[Any, ...]] = set()
    answers: list[Headed] = []
    loaders = [
        threading.Thread(target=lambda: answers.extend(with_its_head(folder, "multiple_choice") for _ in range(4)))
        for _ in range(2)
    ]
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for loader in loaders:
            loader.start()
        while any(loader.is_alive() for loader in loaders):
            seen.add((torch.get_default_dtype(), torch.empty(1).device.type, torch.is_grad_enabled()))
    finally:
        sys.setswitchinterval(switching)
        for loader in loaders:
            loader.join()
    assert seen == {(torch.float32, "cpu", True)}
    assert len(answers) == 8
    assert all(torch.equal(logits(headed), expected) for headed in answers)


FAMILIES: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "bert": {},
    "camembert": {},
    "data2vec-text": {},
    "deberta-v2": {},
    "distilbert": {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "electra": {},
    "ibert": {},
    "longformer": {"attention_window": [8]},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 8},
    "mpnet": {},
    "nystromformer": {"segment_means_seq_len": 8, "num_landmarks": 8},
    "roberta": {},
    "roberta-prelayernorm": {},
    "xlm-roberta": {},
    "xlm-roberta-xl": {},
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer(WORDS)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_sequence_is_the_longest_that_the_model_takes(
    tokenizer: PreTrainedTokenizerFast, family: str
) -> None:
    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    positions = {"intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(family, **{**sizes, **positions, **FAMILIES[family]})
    model = AutoModel.from_config(config).eval()
    length = longest(config, tokenizer)
    with torch.inference_mode():
        assert torch.isfinite(model(input_ids=torch.full((1, length), 7)).last_hidden_state).all()
        with pytest.raises((RuntimeError, IndexError)):
            model(input_ids=torch.full((1, length + 1), 7))


def test_positions_without_an_end_leave_it_to_the_tokenizer_and_to_us(tokenizer: PreTrainedTokenizerFast) -> None:
    endless = AutoConfig.for_model("xlnet", d_model=32, n_layer=1, n_head=2, d_inner=32)
    assert longest(endless, tokenizer) == tokenizer.model_max_length == 128
    unlimited = tiny_tokenizer(WORDS)
    unlimited.model_max_length = 10**30
    assert longest(endless, unlimited) == 512
    assert longest(AutoConfig.for_model("bert", max_position_embeddings=4096), unlimited) == 512


def test_the_longest_sequence_is_known_without_the_weights(folder: Path) -> None:
    headed = with_its_head(folder, "multiple_choice")
    (folder / "model.safetensors").unlink()
    assert longest(config_of(folder), tokenizer_of(folder)) == headed.longest == 128


def test_a_tokenizer_is_fast_and_pads(folder: Path, tmp_path: Path) -> None:
    assert tokenizer_of(folder).is_fast
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "pad_token": None}))
    with pytest.raises(CheckpointError, match="its tokenizer has no padding token"):
        tokenizer_of(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="model: cannot be loaded") as caught:
        tokenizer_of(folder)
    assert "\n" not in str(caught.value)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"model: (cannot be loaded|it has no fast tokenizer)") as caught:
        tokenizer_of(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"hidden_size": "wide"}, {"num_attention_heads": 0}, {"model_type": "absent"}])
def test_a_configuration_of_the_wrong_kind_is_one_line(folder: Path, changes: dict[str, Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(CheckpointError, match="model: cannot be loaded") as caught:
        with_its_head(folder, "multiple_choice")
    assert "\n" not in str(caught.value)
