"""float32 is the reference; bf16 is measured against it, and on a CPU only by request."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.asking import Desk
from tests.evaluation.small_checkpoints import plainly_scored, small_place
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.precision import SAMPLE, TOLERATED, Disagreement, disagreement, resolved
from xfer_bench.evaluation.request import Ask, Cell
from xfer_bench.evaluation.scoring import answers, sample

XNLI = Ask(tasks=("xnli",), languages=("en", "de", "sw"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def desk(place: Path, tmp_path: Path) -> Desk:
    return Desk(mirror=place / "mirror", folder=tmp_path)


@pytest.fixture
def store(desk: Desk) -> Iterator[PredictionStore]:
    with desk.open() as opened:
        yield opened


def cells(desk: Desk, folder: Path, ask: Ask) -> tuple[Cell, ...]:
    return desk.request([folder], ask).cells


def test_a_hundredth_of_the_answers_may_differ() -> None:
    found = Disagreement(items=400, differing=4, right_fp32=200, right_bf16=200, largest=0.1)
    assert found.passes
    assert not replace(found, differing=5).passes
    assert TOLERATED == 0.01


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_without_a_gpu_to_use_auto_is_float32(
    place: Path, desk: Desk, store: PredictionStore, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    (first, *_) = cells(desk, place / "classifying", XNLI)
    assert resolved("auto", first.checkpoint, first.identity, [first.column], store) == "fp32"
    for wanted in ("fp32", "bf16"):
        assert resolved(wanted, first.checkpoint, first.identity, [first.column], store) == wanted


def test_who_asks_for_the_cpu_gets_float32_whatever_else_is_there(place: Path, desk: Desk) -> None:
    with desk.open() as store:
        for devices in ("cpu", "cpu,cpu"):
            asked = replace(desk.evaluator(), devices=devices).request([], XNLI, store)
            assert asked.ask.precision == "fp32"
        assert replace(desk.evaluator(), devices="cuda:0").request([], XNLI, store).ask.precision == "auto"
        bf16 = replace(XNLI, precision="bf16")
        assert desk.evaluator().request([], bf16, store).ask.precision == "bf16"


@pytest.mark.parametrize("task", ["xnli", "mixed"])
def test_the_two_are_compared_on_the_same_items(place: Path, desk: Desk, store: PredictionStore, task: str) -> None:
    folder = place / ("classifying" if task == "xnli" else "choosing")
    asked = cells(desk, folder, Ask(tasks=(task,), languages=("en", "sw")))
    first = asked[0]
    found = disagreement(first.checkpoint, first.identity, [cell.column for cell in asked], store)
    assert found.items == sum(cell.column.items for cell in asked)
    assert 0 < found.largest < 0.5
    plain = [one for cell in asked for one in plainly_scored(folder, cell.column.rows)]
    labels = [label for cell in asked for label in cell.column.rows["label"]]
    assert found.right_fp32 == sum(int(np.argmax(one)) == label for one, label in zip(plain, labels, strict=True))
    assert abs(found.right_fp32 - found.right_bf16) <= found.differing < found.items / 2
    # Nothing of it is a prediction.
    assert desk.blocks == []


def test_the_sample_is_spread_over_every_column(place: Path, desk: Desk, store: PredictionStore) -> None:
    asked = cells(desk, place / "classifying", XNLI)
    first = asked[0]
    work = sample(first.checkpoint, first.identity, [cell.column for cell in asked], store, each=3)
    assert [part.positions.tolist() for part in work.parts] == [[0, 8, 17]] * 3
    frame = answers(first.checkpoint, first.identity, work, precision="fp32", device="cpu")
    assert frame.select("language", "item").rows() == [
        (cell.column.language, item) for cell in asked for item in ("0", "8", "17")
    ]
    whole = sample(first.checkpoint, first.identity, [first.column], store, each=SAMPLE)
    assert whole.items == first.column.items
