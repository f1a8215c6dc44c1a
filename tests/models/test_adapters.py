"""Adapters score as peft itself scores them, and what cannot be merged, or has no trained head, is said."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    HRAConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    MissConfig,
    OFTConfig,
    PeftConfig,
    PeftType,
    PromptTuningConfig,
)
from safetensors.torch import load_file, save_file

from tests.evaluation.small_checkpoints import CANONICAL, adapted, choosing, classifying
from tests.evaluation.small_checkpoints import WORDS as TEXTS
from tests.toy import tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import Scorable, discover
from xfer_bench.evaluation.loading import load_scorable
from xfer_bench.models.adapters import MERGEABLE
from xfer_bench.models.heads import Headed

TARGETS = ["query", "value"]
LORA = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS)
NEW_HEAD = LoraConfig(r=4, target_modules=TARGETS, modules_to_save=["classifier", "pooler"])
KINDS: list[PeftConfig] = [
    LORA,
    LoraConfig(r=4, target_modules=[*TARGETS, "dense"], use_dora=True, use_rslora=True),
    LoraConfig(r=2, target_modules=["word_embeddings", *TARGETS], bias="all"),
    LoraConfig(r=2, target_modules=TARGETS, init_lora_weights="pissa"),
    LoraConfig(r=2, target_modules=TARGETS, init_lora_weights="olora"),
    LoraConfig(r=2, target_modules="all-linear", rank_pattern={"query": 3}, alpha_pattern={"value": 5}),
    IA3Config(target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"]),
    LoHaConfig(r=2, target_modules=TARGETS),
    LoKrConfig(r=2, target_modules=TARGETS),
    OFTConfig(r=0, oft_block_size=4, target_modules=TARGETS),
    HRAConfig(r=2, target_modules=TARGETS),
    MissConfig(r=2, target_modules=TARGETS),
]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with heads and an encoder of each family, side by side."""
    root = tmp_path_factory.mktemp("bases")
    choosing(root / "choosing")
    classifying(root / "classifying")
    tiny_checkpoint(root / "encoder", TEXTS)
    tiny_checkpoint(root / "encoder-r", TEXTS, kind="xlm-roberta")
    return root


def _kind(config: PeftConfig) -> str:
    return PeftType(config.peft_type).value


def found(folder: Path) -> Scorable:
    (one,) = discover([str(folder)])
    return one


def pair(headed: Headed, first: str = "the cat broke", second: str = "the cup sank") -> dict[str, torch.Tensor]:
    return dict(headed.tokenizer(first, second, return_tensors="pt"))


@torch.inference_mode()
def logits(headed: Headed) -> torch.Tensor:
    inputs = pair(headed)
    if "MultipleChoice" in type(headed.model).__name__:
        inputs = {name: tensor[None] for name, tensor in inputs.items()}
    answer: torch.Tensor = headed.model(**inputs).logits
    return answer


def rewritten(folder: Path, **changes: Any) -> Path:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder


@pytest.mark.parametrize("config", KINDS, ids=_kind)
def test_an_adapter_scores_as_peft_scores_it(bases: Path, tmp_path: Path, config: PeftConfig) -> None:
    folder, expected = adapted(tmp_path / "adapter", bases / "choosing", config)
    one = found(folder)
    assert (one.head, one.reason, one.base) == ("multiple_choice", "", bases / "choosing")
    loaded = load_scorable(one)
    torch.testing.assert_close(logits(loaded), expected, atol=1e-5, rtol=0)
    # The adapter does something, so that the base model alone would not pass.
    alone = logits(load_scorable(found(bases / "choosing")))
    assert (alone - expected).abs().max() > 1e-4
    # What is left is an ordinary model.
    assert type(loaded.model).__name__ == "BertForMultipleChoice"
    assert not any(type(module).__module__.startswith("peft") for module in loaded.model.modules())
    assert {tensor.dtype for tensor in loaded.model.parameters()} == {torch.float32}
    assert not loaded.model.training


def test_every_kind_that_is_accepted_is_tested() -> None:
    assert {_kind(config) for config in KINDS} == set(MERGEABLE)


@pytest.mark.parametrize("base", ["encoder", "encoder-r"])
def test_a_multiple_choice_head_saved_with_the_adapter_is_used(bases: Path, tmp_path: Path, base: str) -> None:
    folder, expected = adapted(tmp_path / "adapter", bases / base, NEW_HEAD, head="multiple_choice")
    one = found(folder)
    assert (one.head, one.base) == ("multiple_choice", bases / base)
    torch.testing.assert_close(logits(load_scorable(one)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("base", ["encoder", "encoder-r"])
def test_a_classifier_saved_with_the_adapter_is_used(bases: Path, tmp_path: Path, base: str) -> None:
    # The stock BERT classifier stands on a pooler, which has to be saved as well; XLM-R's brings a layer of its own.
    config = LoraConfig(r=4, target_modules=TARGETS, task_type="SEQ_CLS", modules_to_save=["pooler"])
    folder, expected = adapted(
        tmp_path / "adapter", bases / base, config, head="sequence_classification", id2label=CANONICAL
    )
    assert found(folder).head is None
    (folder / "config.json").write_text(json.dumps({"id2label": dict(CANONICAL)}))
    one = found(folder)
    assert (one.head, one.id2label) == ("sequence_classification", dict(CANONICAL))
    assert expected.shape == (1, 3)
    torch.testing.assert_close(logits(load_scorable(one)), expected, atol=1e-5, rtol=0)


def test_a_head_of_another_size_takes_the_place_of_the_base_model_s(bases: Path, tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules=TARGETS, task_type="SEQ_CLS")
    names = {0: "no", 1: "yes"}
    folder, expected = adapted(
        tmp_path / "a", bases / "classifying", config, head="sequence_classification", id2label=names
    )
    assert "nothing says which output of its head is which class" in found(folder).reason
    (folder / "config.json").write_text(json.dumps({"id2label": names}))
    assert found(folder).id2label == names
    assert expected.shape == (1, 2)
    torch.testing.assert_close(logits(load_scorable(found(folder))), expected, atol=1e-5, rtol=0)
    # Names that do not fit the head are nobody's names.
    (folder / "config.json").write_text(json.dumps({"id2label": dict(CANONICAL)}))
    assert found(folder).head is None


def test_classes_are_the_base_model_s_where_they_fit(bases: Path, tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules=TARGETS, task_type="SEQ_CLS")
    folder, expected = adapted(tmp_path / "a", bases / "classifying", config)
    one = found(folder)
    assert (one.head, one.id2label) == ("sequence_classification", dict(CANONICAL))
    loaded = load_scorable(one)
    assert loaded.model.config.id2label == dict(CANONICAL)
    torch.testing.assert_close(logits(loaded), expected, atol=1e-5, rtol=0)


def test_a_head_that_nobody_trained_is_not_scored(bases: Path, tmp_path: Path) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "encoder", LORA, head="multiple_choice")
    one = found(folder)
    assert one.head is None
    assert one.reason.startswith("neither it nor its base model ")
    assert one.reason.endswith("has a trained multiple_choice head; train it with modules_to_save naming the head")
    with pytest.raises(CheckpointError, match="adapter: neither it nor its base model"):
        load_scorable(one)


def test_a_pooler_that_nobody_trained_is_seen_when_it_is_loaded(bases: Path, tmp_path: Path) -> None:
    config = LoraConfig(r=4, target_modules=TARGETS, modules_to_save=["classifier"])
    folder, _ = adapted(tmp_path / "adapter", bases / "encoder", config, head="multiple_choice")
    with pytest.raises(CheckpointError, match=r"has a trained multiple_choice head; both lack bert\.pooler"):
        load_scorable(found(folder))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "adapters of the kind PROMPT_TUNING are not merged into a model here"),
        ({"peft_type": None}, "adapters of the kind None are not merged"),
        ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "sets megatron_config, with which"),
        ({"layer_replication": [[0, 2], [0, 2]]}, "sets layer_replication, with which"),
        ({"alora_invocation_tokens": [5]}, "sets alora_invocation_tokens, with which"),
        ({"init_lora_weights": "loftq"}, "it starts from loftq, which cannot be repeated here"),
        ({"init_lora_weights": "pissa_niter_4"}, "it starts from pissa_niter_4, which cannot be repeated here"),
        ({"task_type": "TOKEN_CLS"}, "its task type TOKEN_CLS has no head that is scored here"),
        ({"task_type": ["a"]}, "its task type ['a'] has no head that is scored here"),
        ({"base_model_name_or_path": None}, "names no base model"),
        ({"base_model_name_or_path": "../choosing"}, "its base model '../choosing' leads out of a folder"),
        (
            {"base_model_name_or_path": "/absent/model"},
            "its base model '/absent/model' cannot be had (no such directory",
        ),
        ({"base_model_name_or_path": "runs/of/old"}, "its base model 'runs/of/old' cannot be had (no such directory"),
        (
            {"base_model_name_or_path": "a b"},
            "its base model 'a b' cannot be had ('a b' is neither a directory",
        ),
        ({"base_model_name_or_path": "a" * 5000}, "cannot be had ("),
        ({"base_model_name_or_path": "a\0b"}, "leads out of a folder"),
        ({"base_model_name_or_path": ["a"]}, "cannot be had"),
        ({"revision": "v1"}, "is not on the Hub, so it has no revision 'v1'"),
        ({"auto_mapping": {"base_model_class": "os"}}, "its architecture os has no head to score with"),
        ({"auto_mapping": {"base_model_class": "MineForMultipleChoice"}}, "has no MineForMultipleChoice for models of"),
    ],
)
def test_what_cannot_be_scored_says_why(bases: Path, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    one = found(rewritten(folder, **changes))
    assert one.head is None
    assert says in one.reason
    assert "\n" not in one.reason


def test_prompts_as_peft_saves_them_are_not_merged(bases: Path, tmp_path: Path) -> None:
    config = PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)
    folder, _ = adapted(tmp_path / "adapter", bases / "classifying", config)
    assert found(folder).reason.startswith("adapters of the kind PROMPT_TUNING are not merged into a model here; those")


def test_a_base_model_that_is_pickled_or_an_adapter_is_none(bases: Path, tmp_path: Path) -> None:
    first, _ = adapted(tmp_path / "first", bases / "choosing", LORA)
    second, _ = adapted(tmp_path / "second", bases / "choosing", LORA)
    assert (
        "first is an adapter, and a whole model is needed"
        in found(rewritten(second, base_model_name_or_path=str(first))).reason
    )
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        (pickled / name).write_text("{}")
    assert "holds only pickled weights" in found(rewritten(second, base_model_name_or_path=str(pickled))).reason


def test_a_relative_base_model_is_looked_for_in_the_adapter_then_where_one_works(
    bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    rewritten(folder, base_model_name_or_path="choosing", revision="main")
    monkeypatch.chdir(bases)
    assert found(folder).base == bases / "choosing"
    choosing(folder / "choosing", seed=1)
    assert found(folder).base == folder / "choosing"


def test_the_tokenizer_is_the_adapter_s_where_it_has_one(bases: Path, tmp_path: Path) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    assert found(folder).tokenizer == found(folder).configuration == bases / "choosing"
    load_scorable(found(bases / "choosing")).tokenizer.save_pretrained(folder)
    assert found(folder).tokenizer == folder


def test_weights_that_do_not_belong_together_are_refused(bases: Path, tmp_path: Path) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    file = folder / "adapter_model.safetensors"
    whole = load_file(file)
    names = sorted(whole)
    save_file({name: whole[name] for name in names[1:]}, file)
    with pytest.raises(CheckpointError, match=r"the adapter lacks 1 weights, such as bert\.encoder\.layer\.0"):
        load_scorable(found(folder))
    save_file({**whole, names[0].replace("layer.0", "layer.7"): whole[names[0]].clone()}, file)
    with pytest.raises(CheckpointError, match=r"its base model has no place for bert\.encoder\.layer\.7"):
        load_scorable(found(folder))
    save_file({**whole, names[0]: torch.zeros(3, 3)}, file)
    with pytest.raises(CheckpointError, match="adapter: cannot be loaded") as caught:
        load_scorable(found(folder))
    assert "\n" not in str(caught.value)
    save_file({**whole, names[0]: torch.full_like(whole[names[0]], torch.nan)}, file)
    with pytest.raises(CheckpointError, match="adapter: cannot be loaded: NaNs detected"):
        load_scorable(found(folder))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="damaged safetensors"):
        found(folder)


def test_settings_of_a_later_peft_are_not_passed_over(bases: Path, tmp_path: Path) -> None:
    folder, expected = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    # One that is set to nothing changes nothing.
    idle = load_scorable(found(rewritten(folder, idle_setting=None)))
    torch.testing.assert_close(logits(idle), expected, atol=1e-5, rtol=0)
    with pytest.raises(CheckpointError, match="the installed peft does not know its new_setting; upgrade it"):
        load_scorable(found(rewritten(folder, new_setting=True)))


def test_a_pattern_that_is_none_is_one_line(bases: Path, tmp_path: Path) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    with pytest.raises(CheckpointError, match="adapter: cannot be loaded") as caught:
        load_scorable(found(rewritten(folder, target_modules="(")))
    assert "\n" not in str(caught.value)


def test_loading_draws_no_random_numbers(bases: Path, tmp_path: Path) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    before = torch.get_rng_state()
    load_scorable(found(folder))
    assert torch.equal(before, torch.get_rng_state())


def test_without_peft_the_extra_is_named(bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = adapted(tmp_path / "adapter", bases / "choosing", LORA)
    # What Python itself does for a package that is not there.
    monkeypatch.setitem(sys.modules, "peft", None)
    one = found(folder)
    assert one.head == "multiple_choice"
    with pytest.raises(CheckpointError, match=r"is absent: pip install xfer-bench\[adapters\]$") as caught:
        load_scorable(one)
    assert "\n" not in str(caught.value)


def test_peft_is_not_imported_before_an_adapter_is_loaded() -> None:
    code = "import sys, xfer_bench.evaluation.loading; sys.exit('peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
