"""Stages of several training sets: one encoder, several heads, and text whose words are guessed."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, AutoModelForMultipleChoice

from tests.small_study import STUDY, small_mirror, small_model
from tests.toy import tiny_checkpoint
from tests.training.one_stage import Stop, equal, stopping_at
from xfer_bench.models.heads import Headed, with_fresh_head
from xfer_bench.models.multitask import GUESSED, Learner, learner, masked_lm
from xfer_bench.pipeline import Place, Prepared, prepare, train_study
from xfer_bench.progress import Progress, silent
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI
from xfer_bench.training.checkpoints import Checkpoint

STAGE = 'stages = [{{ task = "siqa", examples = 40 }}]'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multitask")
    small_mirror(folder / "mirror")
    small_model(folder / "model")
    return folder


def _prepared(root: Path, stage: str, *, head: str = "fresh") -> Prepared:
    text = STUDY.replace(STAGE, f"[[arms.stages]]\n{stage}").format(model=root / "model")
    file = root / "study.toml"
    file.write_text(
        text.replace("intermediate = [0, 1]\ntarget = [0, 1]", "").replace("[seeds]", f'head = "{head}"\n[seeds]')
    )
    return prepare(Study.from_toml(file), sources=Sources(data_root=root / "mirror"))


def _mixed(root: Path, name: str, *, progress: Progress = silent) -> Checkpoint:
    """The checkpoint of the stage of four parts."""
    stage = """
    parts = [{{ task = "siqa" }}, {{ task = "lingnli" }}, {{ task = "siqa_pt" }}]
    sampling = "uniform"
    mlm = {{ task = "tatoeba_text", languages = ["et", "zh"], share = 0.25 }}
    recipe = {{ max_steps = 12 }}
    """
    prepared, place = _prepared(root, stage), Place(out=root / name)
    train_study(prepared, place, progress=progress)
    found = place.store.find(next(one for one in prepared.plan.stages if one.role == "intermediate"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def mixed(root: Path) -> Checkpoint:
    return _mixed(root, "whole")


def test_every_part_has_its_share_of_the_batches(mixed: Checkpoint) -> None:
    lineage = mixed.lineage
    assert lineage["task"] == "siqa+lingnli+siqa_pt+tatoeba_text"
    assert lineage["languages"] == ["en", "pt", "et", "zh"]
    assert {part["task"]: part["examples"] for part in lineage["by_part"]} == {
        "siqa": 24, "lingnli": 24, "siqa_pt": 24, "tatoeba_text": 24
    }  # fmt: skip
    assert lineage["steps"] == 12
    assert lineage["examples"] == 96
    assert lineage["chance"] == pytest.approx(100 / 3)
    for part in lineage["by_part"][:3]:
        assert 0 <= part["development_accuracy"] <= 100
        assert 0 <= part["initial_accuracy"] <= 100
    assert lineage["by_part"][3]["development_accuracy"] is None
    accuracies = [part["development_accuracy"] for part in lineage["by_part"][:3]]
    assert lineage["development_accuracy"] == pytest.approx(sum(accuracies) / 3)
    assert lineage["development_items"] == 12 + 15 + 12


def test_the_checkpoint_is_an_ordinary_one_of_the_first_part(mixed: Checkpoint) -> None:
    model, report = AutoModelForMultipleChoice.from_pretrained(mixed.path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    start = load_file(mixed.path.parents[2] / "model" / "model.safetensors")
    moved = [name for name, weight in start.items() if not torch.equal(model.bert.state_dict()[name], weight)]
    assert any("layer.1" in name for name in moved)


def test_a_stage_of_several_parts_goes_on_where_it_was_stopped(mixed: Checkpoint, root: Path) -> None:
    for step in (5, 11):
        with pytest.raises(Stop):
            _mixed(root, "stopped", progress=stopping_at(step))
    assert equal(mixed.path, _mixed(root, "stopped").path)


def test_shared_heads_are_one_head(root: Path) -> None:
    stage = 'parts = ["siqa", "siqa_pt"]\n    heads = "shared"\n    recipe = {{ max_steps = 2 }}'
    prepared, place = _prepared(root, stage, head="keep"), Place(out=root / "shared")
    train_study(prepared, place)
    first, last = (place.store.find(one) for one in prepared.plan.stages if one.recipe.max_steps or one.parent)
    assert first is not None
    assert last is not None
    assert [part["head"] for part in first.lineage["by_part"]] == ["multiple_choice"] * 2
    assert last.lineage["head"]["policy"] == "keep"
    assert last.lineage["head"]["parameters"] == first.lineage["head"]["parameters"]


@pytest.fixture
def pair(tmp_path: Path) -> Learner:
    folder = tiny_checkpoint(tmp_path / "model", ["abc abd"])
    heads = {"siqa": with_fresh_head(folder, MULTIPLE_CHOICE, seed=0), "nli": with_fresh_head(folder, NLI, seed=1)}
    text = masked_lm(folder, heads["siqa"], seed=2)
    return learner(heads, text={"mlm": text})


def test_heads_share_the_encoder_and_nothing_else(pair: Learner) -> None:
    choice, nli, text = pair.model.models
    assert choice.bert.encoder is nli.bert.encoder is text.bert.encoder.encoder  # type: ignore[union-attr]
    assert choice.bert.pooler is not nli.bert.pooler  # type: ignore[union-attr]
    assert text.cls.predictions.decoder.weight is choice.bert.embeddings.word_embeddings.weight  # type: ignore[union-attr]
    names = [name for name, _ in pair.model.named_parameters()]
    assert sorted(pair.model.state_dict()) == sorted(names)
    assert sum("word_embeddings" in name for name in names) == 1


def test_what_is_saved_of_all_heads_is_what_comes_back(pair: Learner, tmp_path: Path) -> None:
    before = {name: weight.clone() for name, weight in pair.model.state_dict().items()}
    save_file(before, tmp_path / "state.safetensors")
    with torch.no_grad():
        for weight in pair.model.parameters():
            weight.add_(1.0)
    pair.model.load_state_dict(load_file(tmp_path / "state.safetensors"))
    assert all(torch.equal(weight, before[name]) for name, weight in pair.model.named_parameters())


def test_a_head_that_is_not_asked_gets_no_gradient(pair: Learner) -> None:
    ids = torch.tensor([[0, 5, 6, 2], [0, 6, 5, 2]])
    pair.model("nli", input_ids=ids, attention_mask=torch.ones_like(ids)).sum().backward()
    choice, nli, _ = pair.model.models
    assert choice.classifier.weight.grad is None  # type: ignore[union-attr]
    assert nli.classifier.weight.grad is not None  # type: ignore[union-attr]
    assert choice.bert.embeddings.word_embeddings.weight.grad is not None  # type: ignore[union-attr]


def test_guessed_tokens_have_the_logits_of_the_stock_model(tmp_path: Path) -> None:
    encoder = tiny_checkpoint(tmp_path / "encoder", ["abc abd"])
    stock = AutoModelForMaskedLM.from_pretrained(encoder).eval()
    stock.save_pretrained(tmp_path / "lm")
    main: Headed = with_fresh_head(encoder, NLI, seed=0)
    main.tokenizer.save_pretrained(tmp_path / "lm")
    model = learner({"nli": main}, text={"mlm": masked_lm(tmp_path / "lm", main, seed=0)}).model.eval()
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 6, 5, 2, 1]])
    mask = (ids != 1).long()
    guessed = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]).bool()
    with torch.no_grad():
        expected = stock(input_ids=ids, attention_mask=mask).logits[guessed]
        found = model("mlm", input_ids=ids, attention_mask=mask, **{GUESSED: guessed})
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
