"""Scores are those that transformers gives one sequence at a time, whatever the batches; what cannot be is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tests.evaluation.pieces import found, made_up, pieces_of
from tests.evaluation.small_checkpoints import MIXED, choosing, classifying, plainly_scored, rows, stock
from tests.toy import Kind, tiny_checkpoint
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.evaluator import Piece, Scorer, Scores, devices_of, halves
from xfer_bench.models.ragged import Batch
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Task

XNLI = TASKS["xnli"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return rows(tmp_path_factory.mktemp("mirror"))


def items_of(sources: Sources, task: Task, language: str) -> pl.DataFrame:
    return sources.rows(task, language=language, split="test").frame


def scored(folder: Path, pieces: Sequence[Piece]) -> Scores:
    return Scorer.load(found(folder), precision="fp32", device=CPU).scores(pieces)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_choices_score_as_each_does_alone(sources: Sources, tmp_path: Path, kind: Kind) -> None:
    folder = choosing(tmp_path, kind=kind)
    items = items_of(sources, MIXED, "en")
    assert set(items["candidates"].list.len()) == {2, 3, 4, 5}
    plain = plainly_scored(folder, items)
    # One row a sequence: a choice has one score, whoever the other choices are.
    ours = scored(folder, pieces_of(folder, items, each=7))
    np.testing.assert_allclose(ours[:, 0], np.concatenate(plain), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_classes_score_as_each_pair_does_alone(sources: Sources, tmp_path: Path, kind: Kind) -> None:
    folder = classifying(tmp_path, kind=kind)
    items = items_of(sources, XNLI, "de")
    np.testing.assert_allclose(
        scored(folder, pieces_of(folder, items, each=5)), plainly_scored(folder, items), atol=1e-5, rtol=0
    )


def test_how_batches_are_cut_does_not_matter(sources: Sources, tmp_path: Path) -> None:
    folder = choosing(tmp_path)
    items = items_of(sources, MIXED, "sw")
    usual = scored(folder, pieces_of(folder, items, each=6))
    for each in (1, 1000):
        np.testing.assert_allclose(scored(folder, pieces_of(folder, items, each=each)), usual, atol=1e-5, rtol=0)


@pytest.mark.parametrize("with_types", [True, False])
def test_halves_are_the_whole(with_types: bool) -> None:
    lengths = [3, 1, 4, 1, 5]
    types = np.arange(14, dtype=np.uint8) % 2
    whole = Piece(ids=np.arange(14, dtype=np.int32), lengths=np.array(lengths), types=types if with_types else None)
    first, second = halves(whole)
    assert [*first.lengths, *second.lengths] == lengths
    for half in (first, second):
        assert len(half.lengths) > 0
        assert len(half.ids) == half.lengths.sum()
    assert [*first.ids, *second.ids] == list(range(14))
    if with_types:
        assert first.types is not None
        assert second.types is not None
        assert [*first.types, *second.types] == list(types)
    else:
        assert first.types is second.types is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_are_refused_by_name(tmp_path: Path, value: float) -> None:
    folder = choosing(tmp_path / "broken")
    overwritten(folder, "classifier.bias", value)
    with pytest.raises(CheckpointError, match=r"broken: its scores are not finite numbers \(NaN or infinite\)"):
        scored(folder, [made_up(4, tokens=5)])


def test_a_token_that_the_model_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    """As when somebody adds words to the tokenizer and forgets the embeddings."""
    folder = choosing(tmp_path / "mismatched")
    beyond = replace(made_up(4, tokens=5), ids=np.full(20, 60_000, dtype=np.int32))
    with pytest.raises(CheckpointError, match=r"mismatched: cannot be scored on cpu: ") as caught:
        scored(folder, [beyond])
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_a_head_is_refused_with_the_reason(tmp_path: Path) -> None:
    checkpoint = found(tiny_checkpoint(tmp_path / "encoder", ["abc"]))
    with pytest.raises(CheckpointError, match=r"encoder: its architecture BertModel has no head"):
        Scorer.load(checkpoint, precision="fp32", device=CPU)


def test_only_devices_that_are_here_are_chosen() -> None:
    assert devices_of("cpu") == ["cpu"]
    assert devices_of("cpu,cpu") == ["cpu", "cpu"]
    assert devices_of("auto")
    for wrong in ("gpu", "cpu,", "", "cuda:99"):
        with pytest.raises(CheckpointError, match=r"no device '.*' here; there are auto, cpu"):
            devices_of(wrong)


class Narrow:
    """The forward pass of a device whose memory holds so many tokens, refusing more in torch's own words."""

    path = "packed"
    reason = ""

    def __init__(self, tokens: int, error: Exception) -> None:
        self.tokens = tokens
        self.error = error
        self.seen: list[int] = []

    def __call__(self, batch: Batch) -> torch.Tensor:
        self.seen.append(len(batch.ids))
        if len(batch.ids) > self.tokens:
            raise self.error
        return torch.tensor([[float(one.sum())] for one in batch.ids.split(list(batch.lengths))])


# What torch 2.13 and CUDA 12 say. What a real CPU allocator does is in test_budgets.py.
REFUSALS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("could not create a primitive"),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
)


@pytest.mark.parametrize("error", REFUSALS, ids=str)
def test_a_batch_that_does_not_fit_is_halved_and_the_lesson_kept(error: Exception) -> None:
    forward = Narrow(40, error)
    scorer = Scorer(name="wide", forward=forward, device=CPU)  # type: ignore[arg-type]
    pieces = [made_up(30, tokens=4), made_up(30, tokens=4, seed=1)]
    expected = [one.ids.reshape(30, 4).sum(axis=1) for one in pieces]
    np.testing.assert_array_equal(scorer.scores(pieces)[:, 0], np.concatenate(expected))
    assert scorer.largest < 120
    # 120 and 60 tokens did not fit, once each; afterwards nothing is tried that would not.
    assert sum(size > 40 for size in forward.seen) == 2
    assert sum(size for size in forward.seen if size <= 40) == 240


@pytest.mark.parametrize("error", REFUSALS, ids=str)
def test_one_sequence_that_does_not_fit_is_refused_by_name(error: Exception) -> None:
    scorer = Scorer(name="wide", forward=Narrow(3, error), device=CPU)  # type: ignore[arg-type]
    # What breaks for the whole process asks for another one.
    hint = "; run it again with a smaller --batch-tokens" if "primitive" in str(error) else ""
    line = rf"^wide: the memory of cpu does not suffice for one sequence of 4 tokens{hint}$"
    with pytest.raises(CheckpointError, match=line):
        scorer.scores([made_up(8, tokens=4)])


def overwritten(folder: Path, name: str, value: float) -> None:
    model = stock(folder)
    with torch.no_grad():
        model.get_parameter(name).fill_(value)
    model.save_pretrained(folder)
