"""What is minimised is the cross-entropy, smoothed over the classes or over an item's own choices and nothing else."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tests.training.one_stage import Stages, apart
from xfer_bench.training.objective import loss_of

LOWEST = torch.finfo(torch.float32).min


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 999), smoothing=st.sampled_from([0.0, 0.1, 0.5, 0.9]), classes=st.integers(2, 5))
def test_with_all_choices_real_it_is_torch_s_own(seed: int, smoothing: float, classes: int) -> None:
    torch.manual_seed(seed)
    logits, labels = torch.randn(7, classes) * 3, torch.randint(classes, (7,))
    expected = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    everything = torch.ones(7, classes, dtype=torch.bool)
    for choices in (None, everything):
        found = loss_of(logits, labels, choices=choices, smoothing=smoothing)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_an_item_is_smoothed_over_its_own_choices(smoothing: float) -> None:
    counts, labels = [2, 4, 3], [1, 0, 2]
    torch.manual_seed(0)
    logits = torch.randn(3, 4, requires_grad=True)
    choices = torch.arange(4) < torch.tensor(counts)[:, None]
    filled = logits.masked_fill(~choices, LOWEST)
    together = loss_of(filled, torch.tensor(labels), choices=choices, smoothing=smoothing)
    alone = [
        functional.cross_entropy(logits[[item], :count], torch.tensor([label]), label_smoothing=smoothing)
        for item, (count, label) in enumerate(zip(counts, labels, strict=True))
    ]
    torch.testing.assert_close(together, torch.stack(alone).mean())
    together.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~choices] == 0).all()
    assert (logits.grad[choices] != 0).all()


def test_the_recipe_s_smoothing_is_trained_with(tmp_path: Path) -> None:
    stages = Stages.made(tmp_path)
    plain, same, smoothed = (
        stages.train(name, label_smoothing=smoothing) for name, smoothing in (("a", 0.0), ("b", 0.0), ("c", 0.3))
    )
    assert apart(plain.path, same.path, start=stages.model) == 0
    assert apart(plain.path, smoothed.path, start=stages.model) > 0.01
    assert smoothed.lineage["recipe"]["label_smoothing"] == 0.3
