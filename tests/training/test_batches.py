"""The order of a stage is fixed by its seed, and choices that fill up a batch change nothing."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import tiny_checkpoint
from xfer_bench.models.encoding import Sequences
from xfer_bench.models.heads import Headed, with_fresh_head
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI
from xfer_bench.training.batches import Batches, fixed_order
from xfer_bench.training.trainer import StageTrainer

MANY = 10**6  # steps
LENGTHS = [int(length) for length in np.random.default_rng(0).integers(3, 60, 1_000)]

COUNTS = [2, 5, 3, 4, 2]
LABELS = [1, 4, 0, 2, 0]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=120),
    epochs=st.integers(1, 4),
    batch_size=st.integers(1, 33),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_epoch_is_a_permutation(lengths: list[int], epochs: int, batch_size: int, seed: int) -> None:
    order = fixed_order(lengths, epochs=epochs, batch_size=batch_size, steps=MANY, seed=seed)
    assert len(order) == epochs * len(lengths)
    for start in range(0, len(order), len(lengths)):
        assert sorted(order[start : start + len(lengths)]) == list(range(len(lengths)))
    assert order == fixed_order(lengths, epochs=epochs, batch_size=batch_size, steps=MANY, seed=seed)


@settings(max_examples=60, deadline=None)
@given(
    epochs=st.floats(0.01, 3, allow_nan=False), batch_size=st.integers(1, 40), steps=st.integers(1, 60),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_the_order_is_bounded_by_steps_and_epochs(epochs: float, batch_size: int, steps: int, seed: int) -> None:
    lengths = LENGTHS[:90]
    order = fixed_order(lengths, epochs=epochs, batch_size=batch_size, steps=steps, seed=seed)
    assert len(order) == min(max(1, round(90 * epochs)), steps * batch_size)
    # A shorter stage sees the beginning of a longer one, so a limit on steps changes nothing before it.
    longer = fixed_order(lengths, epochs=np.ceil(epochs), batch_size=batch_size, steps=MANY, seed=seed)
    assert order == longer[: len(order)]


def test_the_seed_decides_the_order_and_no_epoch_repeats_another() -> None:
    order = fixed_order(LENGTHS, epochs=2, batch_size=16, steps=MANY, seed=0)
    assert order != fixed_order(LENGTHS, epochs=2, batch_size=16, steps=MANY, seed=1)
    assert order[:1_000] != order[1_000:]


def test_items_of_like_length_share_a_batch_and_the_incomplete_one_comes_last() -> None:
    order = fixed_order(LENGTHS, epochs=1, batch_size=16, steps=MANY, seed=0)
    batches = [[LENGTHS[item] for item in order[start : start + 16]] for start in range(0, 1_000, 16)]
    assert [len(batch) for batch in batches] == [16] * 62 + [8]
    padded = sum(max(batch) * len(batch) for batch in batches)
    shuffled = np.random.default_rng(1).permutation(LENGTHS).tolist()
    at_random = sum(max(shuffled[start : start + 16]) * 16 for start in range(0, 992, 16))
    assert padded < 1.1 * sum(LENGTHS) < 0.8 * at_random
    # Long and short batches come in random order.
    longest = [max(batch) for batch in batches]
    assert longest != sorted(longest, reverse=True)


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
    loss, outputs = StageTrainer.__new__(StageTrainer).compute_loss(headed.model, inputs, return_outputs=True)
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
