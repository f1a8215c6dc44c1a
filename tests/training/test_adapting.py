"""LoRA: only adapters and head are trained, what is left is an ordinary checkpoint, and kills change nothing."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMultipleChoice

from tests.models.families import HEADS, LAYERS, inputs_for, tiny_model
from tests.small_study import small_model
from tests.training.one_stage import Stages, equal, weights
from xfer_bench.errors import TrainingError
from xfer_bench.models.heads import Headed, tokenizer_of
from xfer_bench.recipes import Lora
from xfer_bench.training.adapting import Adapted, adapt
from xfer_bench.training.keeping import Kept

LORA = {"rank": 4, "alpha": 8.0}
# Adapters need larger steps than weights do.
RECIPE: dict[str, Any] = {"lora": LORA, "learning_rate": 1e-2}


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return Stages.made(tmp_path)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("models") / "encoder")


def headed(kind: str, encoder: Path, head: Any = HEADS[0]) -> Headed:
    model = tiny_model(kind, head)
    prefix = f"{model.base_model_prefix}."
    fresh = frozenset(name for name in model.state_dict() if not name.startswith(prefix))
    return Headed(model=model, tokenizer=tokenizer_of(encoder), fresh=fresh)


def moved(adapted: Adapted) -> None:
    """As after some training: the half that is zero at first is so no longer."""
    torch.manual_seed(1)
    for name, weight in adapted.tuner.model.named_parameters():
        if ".lora_B" in name:
            weight.data.normal_()


@torch.inference_mode()
def logits(one: Headed) -> torch.Tensor:
    one.model.eval()
    found: torch.Tensor = one.model(**inputs_for(one.model)).logits
    return found


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", LAYERS)
def test_adapters_of_every_family_start_as_nothing_and_merge_into_the_weights(
    encoder: Path, kind: str, head: Any
) -> None:
    one = headed(kind, encoder, head)
    names, before = set(one.model.state_dict()), logits(one)
    adapted = adapt(one, Lora(rank=2), seed=0, frozen=1)
    assert torch.equal(logits(one), before)
    trained = {name for name, weight in one.model.named_parameters() if weight.requires_grad}
    assert one.fresh <= trained
    assert all(".lora_" in name for name in trained - one.fresh)
    assert not any(name.startswith(f"{LAYERS[kind]}.0.") for name in trained)
    assert sum(one.model.get_parameter(name).numel() for name in trained) == adapted.trained
    moved(adapted)
    after = logits(one)
    assert (after - before).abs().max() > 0.01
    merged = {name: weight.clone() for name, weight in adapted.merged_weights().items()}
    assert torch.equal(logits(one), after)
    adapted.merge()
    assert set(one.model.state_dict()) == names == merged.keys()
    assert all(torch.equal(weight, merged[name]) for name, weight in one.model.state_dict().items())
    torch.testing.assert_close(logits(one), after, atol=1e-5, rtol=1e-4)


def test_the_seed_decides_the_adapters_and_nothing_else(encoder: Path) -> None:
    def start(seed: int) -> dict[str, torch.Tensor]:
        one = headed("bert", encoder)
        adapt(one, Lora(), seed=seed)
        return {name: weight for name, weight in one.model.named_parameters() if ".lora_A" in name}

    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, again, other = start(0), start(0), start(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("targets", "modules"),
    [
        (None, 3 * 6),
        (("query", "value"), 3 * 2),
        (("attention.output.dense",), 3),
        (("dense",), 3 * 3),
        (("bert.encoder.layer.2.output.dense",), 1),
    ],
)
def test_targets_are_ends_of_names(encoder: Path, targets: Any, modules: int) -> None:
    adapted = adapt(headed("bert", encoder), Lora(targets=targets), seed=0)
    assert len(adapted.modules) == adapted.facts["modules"] == modules
    assert all(name.startswith("bert.encoder.layer.") for name in adapted.modules)


@pytest.mark.parametrize(
    ("kind", "lora", "frozen", "says"),
    [
        ("bert", {"targets": ("query", "q_lin")}, 0, "no linear layer of the model is called 'q_lin'; they are"),
        # A part of a name is none of its ends.
        ("bert", {"targets": ("ery",)}, 0, "is called 'ery'; they are called dense, key, query, value"),
        ("bert", {"targets": ("pooler.dense",)}, 0, "is called 'pooler.dense'"),
        ("bert", {}, 3, "freeze_layers = 3 leaves none of the 3 layers for the recipe's lora"),
        ("albert", {}, 0, "cannot tell the layers of albert apart"),
    ],
)  # fmt: skip
def test_what_cannot_be_adapted_is_said_on_one_line(
    encoder: Path, kind: str, lora: Any, frozen: int, says: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        adapt(headed(kind, encoder), Lora(**lora), seed=0, frozen=frozen)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_peft_the_way_to_it_is_said(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(TrainingError, match=r"needs the package peft, which is absent: pip install xfer-bench\[adapt"):
        adapt(headed("bert", encoder), Lora(), seed=0)


def test_what_a_stage_leaves_is_an_ordinary_checkpoint(stages: Stages) -> None:
    adapted = stages.train("lora", freeze_layers=1, **RECIPE)
    full = stages.train("full")
    files = {file.name for file in full.path.iterdir()}
    assert {file.name for file in adapted.path.iterdir()} == files
    assert weights(adapted.path).keys() == weights(full.path).keys()
    _, report = AutoModelForMultipleChoice.from_pretrained(adapted.path, output_loading_info=True)
    assert not any(report[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    # The linear layers of the upper layer are others, and so is the head; all else is as it was.
    there, start = weights(adapted.path), weights(stages.model)
    changed = {name for name in start if not torch.equal(start[name], there[f"bert.{name}"])}
    inside = [f"attention.self.{name}" for name in ("query", "key", "value")]
    inside += ["attention.output.dense", "intermediate.dense", "output.dense"]
    assert changed == {f"encoder.layer.1.{name}.weight" for name in inside}
    untrained = weights(stages.train("start", max_steps=1, learning_rate=1e-9, lora=LORA).path)
    assert all(not torch.equal(untrained[name], there[name]) for name in ("classifier.weight", "classifier.bias"))
    assert not torch.equal(untrained["bert.pooler.dense.weight"], there["bert.pooler.dense.weight"])


def test_the_lineage_says_how_it_was_adapted(stages: Stages) -> None:
    lineage = stages.train("lora", **RECIPE).lineage
    assert lineage["recipe"]["lora"] == {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": None}
    layers = 4 * 4 * (32 + 32) + 2 * 4 * (32 + 64)
    head = 32 * 32 + 32 + 32 + 1
    assert lineage["adapter"] == {
        "kind": "lora",
        "rank": 4,
        "alpha": 8.0,
        "dropout": 0.0,
        "targets": ["dense", "key", "query", "value"],
        "modules": 12,
        "trained_weights": 2 * layers + head,
    }
    assert "peft" in lineage["versions"]
    plain = stages.train("full").lineage
    assert plain["adapter"] is None
    assert "peft" not in plain["versions"]


@pytest.mark.parametrize(
    "more",
    [
        {"keep": {"every": 1}},
        {"selection": "best", "minimum_development": 1, "evaluate_every": 1, "keep": "last"},
    ],
    ids=["every", "best"],
)
def test_an_interrupted_stage_ends_in_the_same_weights(stages: Stages, more: dict[str, Any]) -> None:
    # With dropout on what the adapters read, so that they draw random numbers of their own.
    recipe = {**RECIPE, "lora": {**LORA, "dropout": 0.3}, **more}
    whole = stages.train("whole", **recipe)
    broken = stages.train_with_stops("broken", 1, 4, **recipe)
    assert equal(whole.path, broken.path)
    first, second = Kept(folder=whole.path), Kept(folder=broken.path)
    assert first.steps() == second.steps() != ()
    assert all(equal(first.path(step), second.path(step)) for step in first.steps())


def test_checkpoints_along_the_stage_are_merged_and_leave_the_training_alone(stages: Stages) -> None:
    kept = stages.train("kept", keep={"every": 2}, **RECIPE)
    assert equal(kept.path, stages.train("plain", **RECIPE).path)
    folder = Kept(folder=kept.path)
    assert folder.steps() == (2, 4)
    for step in folder.steps():
        assert weights(folder.path(step)).keys() == weights(kept.path).keys()
        assert not equal(folder.path(step), kept.path)
        _, report = AutoModelForMultipleChoice.from_pretrained(folder.path(step), output_loading_info=True)
        assert not any(report[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))


@pytest.mark.parametrize("head", ["fresh", "keep"])
def test_a_stage_after_it_adapts_the_merged_weights_and_trains_the_head(stages: Stages, head: Any) -> None:
    first, second = (one.path for one in stages.train_two("two", head=head, **RECIPE))
    before, after = weights(first), weights(second)
    assert before.keys() == after.keys()
    # Adapted anew: the linear layers alone are others, and what is fresh or carried is trained.
    assert all(torch.equal(before[name], after[name]) for name in before if "embeddings" in name or "LayerNorm" in name)
    for name in ("bert.encoder.layer.0.attention.self.query.weight", "classifier.weight", "bert.pooler.dense.weight"):
        assert not torch.equal(before[name], after[name])
    # A stage moves a weight by a matrix of the adapters' rank, from where the stage before had moved it to.
    origin = weights(stages.model)["encoder.layer.0.attention.self.query.weight"]
    start, end = (one["bert.encoder.layer.0.attention.self.query.weight"] for one in (before, after))
    ranks = [int(torch.linalg.matrix_rank(way, rtol=1e-3)) for way in (start - origin, end - start, end - origin)]
    assert ranks[:2] == [4, 4]
    assert ranks[2] > 4
