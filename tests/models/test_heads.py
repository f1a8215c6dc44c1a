"""Encoders get a head by the task's format; what is saved loads anywhere, and nothing is loaded in silence."""

import json
import logging as python_logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification
from transformers.utils import logging

from tests.models.families import HEADS, LAYERS, inputs_for, tiny_model
from tests.toy import Kind, tiny_checkpoint
from xfer_bench.errors import CheckpointError, TrainingError
from xfer_bench.models.heads import Headed, freeze, quiet, with_fresh_head, with_its_head
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI
from xfer_bench.tasks.task import Format

WORDS = ["the man lost his balance on a ladder"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("models") / "encoder", WORDS)


def state(headed: Headed) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in headed.model.state_dict().items()}


def saved(headed: Headed, folder: Path) -> Path:
    headed.model.save_pretrained(folder)
    headed.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
@pytest.mark.parametrize("task_format", [NLI, MULTIPLE_CHOICE], ids=lambda one: one.name)
def test_the_encoder_is_the_folder_s_and_only_the_head_is_new(tmp_path: Path, kind: Kind, task_format: Format) -> None:
    folder = tiny_checkpoint(tmp_path, WORDS, kind=kind)
    headed = with_fresh_head(folder, task_format, seed=0)
    prefix = headed.model.base_model_prefix
    there = load_file(folder / "model.safetensors")
    ours = state(headed)
    assert {f"{prefix}.{name}" for name in there} == ours.keys() - headed.fresh
    assert all(torch.equal(ours[f"{prefix}.{name}"], tensor) for name, tensor in there.items())
    assert {name.split(".")[0] for name in headed.fresh if "pooler" not in name} == {"classifier"}
    assert headed.model.dtype == torch.float32


def test_the_seed_decides_the_head(encoder: Path) -> None:
    first, again, other = (with_fresh_head(encoder, NLI, seed=seed) for seed in (0, 0, 1))
    one, same, third = state(first), state(again), state(other)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert {name for name in one if not torch.equal(one[name], third[name])} == {
        name for name in first.fresh if name.endswith("weight")
    }


def test_the_classes_are_written_in_canonical_order(encoder: Path, tmp_path: Path) -> None:
    saved(with_fresh_head(encoder, NLI, seed=0), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "entailment", "1": "neutral", "2": "contradiction"}
    assert config["architectures"] == ["BertForSequenceClassification"]


@pytest.mark.parametrize("task_format", [NLI, MULTIPLE_CHOICE], ids=lambda one: one.name)
def test_what_is_saved_loads_with_the_stock_class(encoder: Path, tmp_path: Path, task_format: Format) -> None:
    headed = with_fresh_head(encoder, task_format, seed=3)
    saved(headed, tmp_path)
    stock = {
        "sequence_classification": AutoModelForSequenceClassification,
        "multiple_choice": AutoModelForMultipleChoice,
    }
    model, report = stock[task_format.head].from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert all(torch.equal(tensor, state(headed)[name]) for name, tensor in model.state_dict().items())
    back = with_its_head(tmp_path, task_format.head)
    assert all(torch.equal(tensor, state(headed)[name]) for name, tensor in state(back).items())
    assert back.fresh == frozenset()


def test_a_pooler_that_was_trained_with_another_head_goes_with_it(encoder: Path, tmp_path: Path) -> None:
    first = with_fresh_head(encoder, NLI, seed=0)
    assert {name for name in first.fresh if "pooler" in name}
    saved(first, tmp_path)
    without = [name.split(".", 1)[1] for name in first.fresh]
    second = with_fresh_head(tmp_path, MULTIPLE_CHOICE, seed=1, without=without)
    alone = with_fresh_head(encoder, MULTIPLE_CHOICE, seed=1)
    assert second.fresh == alone.fresh
    assert all(torch.equal(tensor, state(alone)[name]) for name, tensor in state(second).items())


def test_an_encoder_has_no_head_of_its_own(encoder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"encoder: no trained multiple_choice head; it lacks bert\.pooler"):
        with_its_head(encoder, "multiple_choice")


def test_damage_is_said_on_one_line(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path, WORDS, head="multiple_choice")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged safetensors") as caught:
        with_its_head(folder, "multiple_choice")
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="damaged safetensors"):
        with_fresh_head(folder, NLI, seed=0)
    file.unlink()
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor model\.safetensors\.index\.json"):
        with_its_head(folder, "multiple_choice")


def test_half_precision_is_loaded_as_float32(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path, WORDS, head="multiple_choice")
    AutoModelForMultipleChoice.from_pretrained(folder).half().save_pretrained(folder)
    assert with_its_head(folder, "multiple_choice").model.dtype == torch.float32
    headed = with_fresh_head(folder, NLI, seed=0)
    assert {tensor.dtype for tensor in state(headed).values()} == {torch.float32}


@pytest.mark.parametrize(("kind", "longest"), [("bert", 128), ("xlm-roberta", 128)])
def test_the_longest_sequence_fits_the_positions(tmp_path: Path, kind: Kind, longest: int) -> None:
    headed = with_fresh_head(tiny_checkpoint(tmp_path, WORDS, kind=kind), NLI, seed=0)
    assert headed.longest == longest
    assert headed.pad_id == headed.tokenizer.pad_token_id == 1
    ids = torch.full((1, longest), 7)
    headed.model.eval()
    with torch.inference_mode():
        assert torch.isfinite(headed.model(input_ids=ids).logits).all()


def test_what_is_frozen_gets_no_gradient(encoder: Path) -> None:
    headed = with_fresh_head(encoder, NLI, seed=0)
    freeze(headed.model, embeddings=True, layers=1)
    trained = {name for name, weight in headed.model.named_parameters() if weight.requires_grad}
    frozen = {name for name, _ in headed.model.named_parameters()} - trained
    assert frozen
    assert all(name.startswith(("bert.embeddings.", "bert.encoder.layer.0.")) for name in frozen)
    assert not any(name.startswith(("bert.embeddings.", "bert.encoder.layer.0.")) for name in trained)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", LAYERS)
def test_the_lowest_layers_of_every_family_are_frozen(kind: str, head: Any) -> None:
    model = tiny_model(kind, head)
    before = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert not before
    freeze(model, embeddings=True, layers=2)
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    lowest = tuple(f"{LAYERS[kind]}.{layer}." for layer in (0, 1))
    assert all(any(name.startswith(layer) for name in frozen) for layer in lowest)
    embeddings = f"{LAYERS[kind].split('.')[0]}.embeddings"
    # ELECTRA's embeddings have a projection beside them.
    first = (*lowest, f"{embeddings}.", f"{embeddings}_project")
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith(first)}
    model.train()
    model(**inputs_for(model)).logits.sum().backward()
    assert all(
        (weight.grad is None) == (name in frozen) for name, weight in model.named_parameters() if "pooler" not in name
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_no_more_layers_are_frozen_than_there_are(kind: str) -> None:
    freeze(tiny_model(kind), embeddings=False, layers=3)
    with pytest.raises(TrainingError, match="freeze_layers: cannot freeze 4 layers of a model that has 3"):
        freeze(tiny_model(kind), embeddings=False, layers=4)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("albert", "the layers of albert apart: no list of 3 modules"),
        ("xlm", r"4 lists \(attentions, .*\) of 3 modules; train it"),
    ],
)
def test_layers_that_cannot_be_told_apart_are_said(kind: str, says: str) -> None:
    model = tiny_model(kind)
    with pytest.raises(TrainingError, match=says) as caught:
        freeze(model, embeddings=True, layers=1)
    assert "\n" not in str(caught.value)
    freeze(model, embeddings=True, layers=0)
    assert not model.get_input_embeddings().weight.requires_grad
    assert any(weight.requires_grad for weight in model.parameters())


def test_quiet_puts_the_logging_back() -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    with quiet():
        assert logging.get_verbosity() == python_logging.ERROR
        assert not logging.is_progress_bar_enabled()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_an_encoder_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoint(tmp_path / "hollow", ["some words"])
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"hollow: the encoder lacks \d+ weights, such as encoder\.layer\.1\."):
        with_fresh_head(folder, NLI, seed=0)
