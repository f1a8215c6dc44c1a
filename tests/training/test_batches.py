"""The order of a stage is fixed by its seed, and choices that fill up a batch change nothing."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.toy import tiny_checkpoint
from xfer_bench.models.encoding import Sequences
from xfer_bench.models.heads import Headed, with_fresh_head
from xfer_bench.models.multitask import GUESSED, Multitask
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI
from xfer_bench.training.batches import HEAD, Batches, Mixture, TextBatches
from xfer_bench.training.trainer import StageTrainer

COUNTS = [2, 5, 3, 4, 2]
LABELS = [1, 4, 0, 2, 0]


@pytest.fixture(scope="module")
def headed(tmp_path_factory: pytest.TempPathFactory) -> Headed:
    made = with_fresh_head(tiny_checkpoint(tmp_path_factory.mktemp("model"), ["abc"]), MULTIPLE_CHOICE, seed=0)
    made.model.eval()
    return made


@pytest.fixture(scope="module")
def batches() -> Batches:
    rng = np.random.default_rng(0)
    ids = [[0, *rng.integers(5, 8, rng.integers(2, 12)).tolist(), 2] for _ in range(sum(COUNTS))]
    sequences = Sequences(input_ids=ids, type_ids=[[0] * len(one) for one in ids], counts=COUNTS, truncated=0)
    return Batches(sequences=sequences, labels=LABELS, task_format=MULTIPLE_CHOICE, pad_id=1)


def loss_of(headed: Headed, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    # The loss needs nothing of a Trainer that has been set up.
    model, asked = Multitask({"siqa": headed.model}), {**inputs, HEAD: "siqa"}
    loss, outputs = StageTrainer.__new__(StageTrainer).compute_loss(model, asked, return_outputs=True)
    return loss, outputs["logits"]


def test_choices_that_fill_up_never_enter_the_loss(headed: Headed, batches: Batches) -> None:
    loss, logits = loss_of(headed, batches([0, 1, 2, 3, 4]))
    loss.backward()
    name, weight = next(iter(headed.model.named_parameters()))
    assert "embeddings" in name
    assert weight.grad is not None
    together = weight.grad.clone()
    headed.model.zero_grad()
    # One item at a time, unpadded, with the loss of the stock head.
    alone, starts = [], np.cumsum([0, *COUNTS])
    for item, label in enumerate(LABELS):
        ids = batches.sequences.input_ids[starts[item] : starts[item + 1]]
        scores = torch.stack([headed.model(input_ids=torch.tensor([[one]])).logits[0, 0] for one in ids])
        torch.testing.assert_close(logits[item, : COUNTS[item]], scores, atol=1e-5, rtol=0)
        alone.append(torch.nn.functional.cross_entropy(scores[None], torch.tensor([label])))
    mean = torch.stack(alone).mean()
    torch.testing.assert_close(loss, mean, atol=1e-5, rtol=0)
    mean.backward()
    torch.testing.assert_close(together, weight.grad, atol=1e-5, rtol=0)


def test_choices_that_fill_up_never_win(headed: Headed, batches: Batches) -> None:
    inputs = batches([0, 1, 2, 3, 4])
    assert inputs["choices"].tolist() == [[choice < count for choice in range(5)] for count in COUNTS]
    answers = loss_of(headed, inputs)[1].argmax(dim=-1)
    assert (answers < torch.tensor(COUNTS)).all()
    # Nor when every real choice scores as low as an encoder could ever make it.
    bias = headed.model.get_parameter("classifier.bias")
    kept = bias.detach().clone()
    bias.data.fill_(-1e30)
    answers = loss_of(headed, inputs)[1].argmax(dim=-1)
    bias.data.copy_(kept)
    assert (answers < torch.tensor(COUNTS)).all()


def test_a_batch_holds_its_items_and_is_as_wide_as_it_must_be(batches: Batches) -> None:
    inputs = batches([4, 0])
    starts = np.cumsum([0, *COUNTS])
    mine = [batches.sequences.input_ids[starts[item] + choice] for item in (4, 0) for choice in (0, 1)]
    longest = max(map(len, mine))
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (2, 2, longest)
    assert inputs["choices"].all()
    assert inputs["labels"].tolist() == [LABELS[4], LABELS[0]]
    assert inputs["input_ids"].view(4, -1).tolist() == [one + [1] * (longest - len(one)) for one in mine]
    assert inputs["attention_mask"].sum(-1).flatten().tolist() == [len(one) for one in mine]
    lengths = [len(one) for one in batches.sequences.input_ids]
    assert batches.item_lengths == [sum(lengths[a:b]) for a, b in pairwise(starts)]


def test_a_class_a_pair_has_no_choices(batches: Batches) -> None:
    ids = [[0, 5, 2], [0, 5, 6, 7, 2], [0, 2]]
    pairs = Batches(
        sequences=Sequences(input_ids=ids, type_ids=None, counts=[1, 1, 1], truncated=0),
        labels=[2, 0, 1],
        task_format=NLI,
        pad_id=1,
    )
    inputs = pairs([2, 1])
    assert inputs.keys() == {"input_ids", "attention_mask", "labels"}
    assert inputs["input_ids"].tolist() == [[0, 2, 1, 1, 1], [0, 5, 6, 7, 2]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert inputs["labels"].tolist() == [1, 0]
    assert pairs.item_lengths == [3, 5, 2]


@pytest.fixture(scope="module")
def texts(headed: Headed) -> TextBatches:
    rng = np.random.default_rng(1)
    ids = [[0, *rng.integers(5, 8, 40).tolist(), 2] for _ in range(200)]
    sequences = Sequences(input_ids=ids, type_ids=None, counts=[1] * 200, truncated=0)
    return TextBatches(sequences=sequences, tokenizer=headed.tokenizer, probability=0.15, pad_id=1, seed=7)


def test_a_share_of_every_text_is_guessed_and_mostly_hidden(texts: TextBatches, headed: Headed) -> None:
    inputs = texts(range(200), range(200))
    guessed, shown, labels = inputs[GUESSED], inputs["input_ids"], inputs["labels"]
    assert (guessed.sum(-1) == 6).all()  # 15 % of 40
    assert labels.tolist() == texts.sequences.input_ids
    assert (shown == labels)[~guessed].all()
    special = torch.isin(labels, torch.tensor(headed.tokenizer.all_special_ids))
    assert not (special & guessed).any()
    hidden = (shown == headed.tokenizer.mask_token_id)[guessed]
    # 80 % of 1,200 and 10 %, each within four standard errors.
    assert abs(float(hidden.float().mean()) - 0.8) < 4 * np.sqrt(0.16 / 1200)
    replaced = shown[guessed][~hidden]
    others = replaced[replaced != labels[guessed][~hidden]]
    assert 0 < len(others) < 0.1 * 1200 + 4 * np.sqrt(0.09 * 1200)
    assert not torch.isin(others, torch.tensor(headed.tokenizer.all_special_ids)).any()


def test_what_is_hidden_depends_on_the_seed_and_on_when_it_is_seen(texts: TextBatches) -> None:
    first = texts([3], [10])["input_ids"]
    assert torch.equal(first, texts([3, 4], [10, 11])["input_ids"][:1])
    assert not torch.equal(first, texts([3], [11])["input_ids"])
    assert not torch.equal(first, replace(texts, seed=8)([3], [10])["input_ids"])


def test_a_text_of_special_tokens_alone_has_one_token_to_guess(texts: TextBatches) -> None:
    odd = replace(texts, sequences=Sequences(input_ids=[[0, 3, 2]], type_ids=None, counts=[1], truncated=0))
    assert odd([0], [0])[GUESSED].sum() == 1


def test_a_mixture_finds_the_part_and_its_head(batches: Batches, texts: TextBatches) -> None:
    mixture = Mixture(parts=(batches, texts), heads=("siqa", "mlm"))
    assert mixture.starts == [0, 5]
    assert [mixture.part_of(item) for item in (0, 4, 5, 204)] == [0, 0, 1, 1]
    labelled = mixture([(0, 4), (1, 0)])
    assert labelled[HEAD] == "siqa"
    assert torch.equal(labelled["labels"], batches([4, 0])["labels"])  # type: ignore[arg-type]
    masked = mixture([(8, 5), (9, 7)])
    assert masked[HEAD] == "mlm"
    assert torch.equal(masked["input_ids"], texts([0, 2], [8, 9])["input_ids"])  # type: ignore[arg-type]
