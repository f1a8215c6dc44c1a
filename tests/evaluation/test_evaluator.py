"""Scores are those that transformers gives one item at a time, whatever the batches and the order of the labels."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tests.evaluation.small_checkpoints import CANONICAL, MIXED, choosing, classifying, plainly_scored, rows, stock
from tests.toy import Kind, tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.evaluator import Scorer
from xfer_bench.frames import BLOCK, conform
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Task

XNLI = TASKS["xnli"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return rows(tmp_path_factory.mktemp("mirror"))


def items_of(sources: Sources, task: Task, language: str) -> pl.DataFrame:
    return sources.rows(task, language=language, split="test").frame


def scored(folder: Path, items: pl.DataFrame, task: Task, *, batch_tokens: int = 300) -> pl.DataFrame:
    (checkpoint,) = discover([str(folder)])
    scorer = Scorer.load(checkpoint, precision="fp32", batch_tokens=batch_tokens)
    return scorer.block(items, task=task, split="test", weights="w", advance=lambda _: None)


def assert_like(block: pl.DataFrame, scores: list[list[float]]) -> None:
    assert [len(one) for one in block["scores"]] == [len(one) for one in scores]
    for ours, plain in zip(block["scores"].to_list(), scores, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5, rtol=0)
    assert block["prediction"].to_list() == [int(np.argmax(one)) for one in scores]


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_choices_score_as_each_does_alone(sources: Sources, tmp_path: Path, kind: Kind) -> None:
    folder = choosing(tmp_path, kind=kind)
    items = items_of(sources, MIXED, "en")
    assert set(items["candidates"].list.len()) == {2, 3, 4, 5}
    plain = plainly_scored(folder, items)
    block = scored(folder, items, MIXED)
    assert_like(block, plain)
    # The answers differ from item to item, and none is so close that the tolerance could turn it.
    assert len(set(block["prediction"])) > 2
    assert min(np.diff(sorted(one))[-1] for one in plain) > 1e-4
    accuracy = float(np.mean(np.array([np.argmax(one) for one in plain]) == items["label"].to_numpy()))
    assert (block["prediction"] == block["label"]).mean() == accuracy


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_classes_score_as_each_pair_does_alone(sources: Sources, tmp_path: Path, kind: Kind) -> None:
    folder = classifying(tmp_path, kind=kind)
    items = items_of(sources, XNLI, "de")
    plain = plainly_scored(folder, items)
    assert {len(one) for one in plain} == {3}
    assert_like(scored(folder, items, XNLI), plain)


@pytest.mark.parametrize("batch_tokens", [1, 50, 100_000])
def test_the_budget_of_a_batch_does_not_matter(sources: Sources, tmp_path: Path, batch_tokens: int) -> None:
    folder = choosing(tmp_path)
    items = items_of(sources, MIXED, "sw")
    usual = scored(folder, items, MIXED)
    assert_like(scored(folder, items, MIXED, batch_tokens=batch_tokens), usual["scores"].to_list())


def test_permuted_labels_give_the_same_predictions(sources: Sources, tmp_path: Path) -> None:
    canonical = classifying(tmp_path / "canonical")
    permuted = shutil.copytree(canonical, tmp_path / "permuted")
    model = stock(permuted)
    order = [2, 0, 1]  # output 0 of the permuted head is contradiction
    with torch.no_grad():
        for name in ("classifier.weight", "classifier.bias"):
            weight = model.get_parameter(name)
            weight.copy_(weight[order].clone())
    model.config.id2label = {output: CANONICAL[label].upper() for output, label in enumerate(order)}
    model.config.label2id = {label: output for output, label in model.config.id2label.items()}
    model.save_pretrained(permuted)
    items = items_of(sources, XNLI, "sw")
    first, second = scored(canonical, items, XNLI), scored(permuted, items, XNLI)
    assert len(set(first["prediction"])) > 1
    assert_like(second, first["scores"].to_list())
    # Read in the order of the outputs they would have been other answers.
    unread = [int(np.argmax(one)) for one in plainly_scored(permuted, items)]
    assert unread != first["prediction"].to_list()


def test_a_block_is_the_items_in_their_order(sources: Sources, tmp_path: Path) -> None:
    items = items_of(sources, XNLI, "en")
    (checkpoint,) = discover([str(classifying(tmp_path))])
    scorer = Scorer.load(checkpoint, precision="fp32", batch_tokens=64)
    counted: list[int] = []
    block = scorer.block(items, task=XNLI, split="test", weights="digest", advance=counted.append)
    assert block.equals(conform(block, BLOCK))
    assert block.select("item", "cluster", "language", "label").equals(
        items.select("item", "cluster", "language", "label")
    )
    assert block.select("weights", "task", "variant", "split").unique().rows() == [
        ("digest", "xnli", "published", "test")
    ]
    assert sum(counted) == items.height
    assert len(counted) > 1


def test_a_tie_goes_to_the_first_choice(sources: Sources, tmp_path: Path) -> None:
    folder = choosing(tmp_path)
    overwritten(folder, "classifier.weight", 0.0)
    assert set(scored(folder, items_of(sources, MIXED, "en"), MIXED)["prediction"]) == {0}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused_by_name(sources: Sources, tmp_path: Path, value: float) -> None:
    folder = choosing(tmp_path / "broken")
    overwritten(folder, "classifier.bias", value)
    with pytest.raises(CheckpointError, match=r"broken: scores on mixed that are not finite numbers"):
        scored(folder, items_of(sources, MIXED, "en"), MIXED)


def test_a_checkpoint_without_a_head_is_refused_with_the_reason(tmp_path: Path) -> None:
    (checkpoint,) = discover([str(tiny_checkpoint(tmp_path / "encoder", ["abc"]))])
    with pytest.raises(CheckpointError, match=r"encoder: its architecture BertModel has no head"):
        Scorer.load(checkpoint, precision="fp32", batch_tokens=64)


def overwritten(folder: Path, name: str, value: float) -> None:
    model = stock(folder)
    with torch.no_grad():
        model.get_parameter(name).fill_(value)
    model.save_pretrained(folder)
