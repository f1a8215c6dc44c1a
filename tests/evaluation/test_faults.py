"""What disks, other programs and odd checkpoints do to an evaluation: noticed, said on one line, mended or resumed."""

import json
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import polars as pl
import pytest
import torch

from tests.evaluation.processes import ITEMS, LANGUAGES, Place, long_mirror, same
from tests.evaluation.small_checkpoints import choosing, stock
from xfer_bench.cli import main
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.scoring import Scoring
from xfer_bench.evaluation.sweep import Evaluator
from xfer_bench.progress import Update, silent
from xfer_bench.sources.source import Sources

SEQUENCES = 2 * ITEMS * len(LANGUAGES)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two checkpoints, scored: a block each."""
    root = tmp_path_factory.mktemp("faults")
    folders = tuple(choosing(root / f"seed-{seed}", seed=seed) for seed in (0, 1))
    place = Place(mirror=long_mirror(root / "mirror"), checkpoints=folders, folder=root / "whole")
    place.evaluate(batch_tokens=None)
    assert len(place.files()) == 2
    return place


@pytest.fixture
def whole(evaluated: Place) -> pl.DataFrame:
    return evaluated.results.predictions()


@pytest.fixture
def place(evaluated: Place, tmp_path: Path) -> Place:
    """A copy of the store, without the results."""
    shutil.copytree(evaluated.store, tmp_path / "copy" / "store")
    return replace(evaluated, folder=tmp_path / "copy")


@pytest.fixture
def fresh(evaluated: Place, tmp_path: Path) -> Place:
    """The same checkpoints as copies that may be spoilt, and no store yet."""
    folders = tuple(Path(shutil.copytree(one, tmp_path / one.name)) for one in evaluated.checkpoints)
    return replace(evaluated, checkpoints=folders, folder=tmp_path / "fresh")


def flip(place: int = 0, *, middle: bool = False) -> Callable[[bytes], bytes]:
    """Changes a bit of the byte at this place, from the end where it is negative, or of the one in the middle."""

    def flipped(content: bytes) -> bytes:
        at = len(content) // 2 if middle else place % len(content)
        return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]

    return flipped


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the magic": flip(1),
    "a bit of the first page": flip(60),
    "a bit in the middle": flip(middle=True),
    "a bit of the footer": flip(-200),
    "a bit of the footer's length": flip(-7),
    "a bit of the last byte": flip(-1),
    "the end": lambda content: content[:-50],
    "the second half": lambda content: content[: len(content) // 2],
    "everything": lambda content: content[:0],
    "a byte too many": lambda content: content + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_block_is_noticed_and_only_its_rows_are_scored_again(
    place: Place, whole: pl.DataFrame, damage: str
) -> None:
    spoilt, other = place.files()
    untouched = other.stat()
    spoilt.write_bytes(DAMAGE[damage](spoilt.read_bytes()))
    done = place.evaluate(batch_tokens=None)
    (warning,) = done.warnings
    assert warning.startswith(f"{spoilt} is damaged (")
    assert "\n" not in warning
    assert [account.sequences for account in done.accounts] == [SEQUENCES]
    assert same(place.results, whole)
    assert (other.stat().st_ino, other.stat().st_mtime_ns) == (untouched.st_ino, untouched.st_mtime_ns)
    assert len(place.held()) == len(whole)
    assert place.evaluate().warnings == ()


def test_a_deleted_index_costs_nothing_but_time(place: Place, whole: pl.DataFrame) -> None:
    shutil.rmtree(place.store / "index")
    done = place.evaluate()
    assert (done.accounts, done.warnings) == ((), ())
    assert same(place.results, whole, within=0)


def written(statement: str, *values: object) -> Callable[[Place], None]:
    def write(place: Place) -> None:
        with sqlite3.connect(place.store / "index" / "cache.db") as database:
            assert database.execute(statement, values).rowcount != 0
        database.close()

    return write


def garbage(place: Place) -> None:
    for file in (place.store / "index").iterdir():
        file.write_bytes(b"\xff" * 5000)


def cut(place: Place) -> None:
    file = place.store / "index" / "cache.db"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


SPOILT: dict[str, Callable[[Place], None]] = {
    "garbage": garbage,
    "cut": cut,
    "another version": written("UPDATE Cache SET value = '1' WHERE key = 'layout'"),
    "no version": written("DELETE FROM Cache WHERE key = 'layout'"),
    "other columns": written("ALTER TABLE Cache RENAME COLUMN value TO content"),
    "a file elsewhere": written("UPDATE Cache SET value = NULL, mode = 2, filename = '../../secret'"),
    "a setting of its own": written("INSERT INTO Settings VALUES ('disk_unheard_of', 5)"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_index_is_thrown_away_with_a_warning(place: Place, whole: pl.DataFrame, kind: str) -> None:
    SPOILT[kind](place)
    done = place.evaluate()
    (warning,) = done.warnings
    assert warning.startswith(f"the index {place.store / 'index'} was thrown away and is built again: ")
    assert done.accounts == ()
    assert same(place.results, whole, within=0)
    assert place.evaluate().warnings == ()


class Planted:
    """Would make a file if it were ever unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (str(self.witness), os.O_CREAT)


@pytest.mark.parametrize("column", ["value", "key"])
def test_a_planted_pickle_is_never_executed(place: Place, whole: pl.DataFrame, tmp_path: Path, column: str) -> None:
    witness = tmp_path / "executed"
    planted = pickle.dumps(Planted(witness))
    if column == "value":
        written("UPDATE Cache SET value = ?, mode = 4", planted)(place)
    else:
        written("UPDATE Cache SET key = ?, raw = 0 WHERE key LIKE 'files:%seed-0'", planted)(place)
    done = place.evaluate()
    assert not witness.exists()
    assert done.accounts == ()
    assert same(place.results, whole, within=0)


def test_weights_that_change_before_they_are_loaded_fail_by_name(fresh: Place) -> None:
    first, second = fresh.checkpoints

    def spoil(update: Update) -> None:
        # While the first is scored, the second is identified already, and perhaps loaded.
        if update.done and Path(update.piece).name == first.name:
            os.utime(second / "model.safetensors")

    done = fresh.evaluate(progress=spoil)
    assert done.failed == (f"{second}: its files changed while they were read; run again when they do not",)
    assert [account.checkpoint for account in done.accounts] == [str(first)]
    assert done.predictions()["arm"].unique().to_list() == [str(first)]
    assert len(fresh.held()) == ITEMS * len(LANGUAGES)
    assert [account.checkpoint for account in fresh.evaluate().accounts] == [str(second)]


def test_a_tokenizer_that_changes_leaves_no_tokens_under_the_name_of_the_old_one(fresh: Place) -> None:
    """Other checkpoints with that tokenizer would be scored on them."""
    folder = fresh.checkpoints[0]
    evaluator = Evaluator(sources=Sources(data_root=fresh.mirror), store=fresh.store, devices="cpu")
    with PredictionStore(fresh.store) as store:
        asked = evaluator.request(discover([str(folder)]), Ask(tasks=("xcopa",), languages=("sw",)), store)
        file = folder / "tokenizer.json"
        content = json.loads(file.read_text())
        content["normalizer"] = {"type": "Lowercase"}
        file.write_text(json.dumps(content))
        scoring = Scoring(store=store, progress=silent, total=1, devices="cpu")
        with pytest.raises(CheckpointError, match="its files changed while they were read"):
            scoring.score(asked.cells)
        scoring.close()
        assert list(store.tokens.iterdir()) == []
    assert fresh.files() == []


@pytest.fixture
def said(fresh: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Runs the request by the command line, which must fail with exit code 1: what it says on the error stream."""

    def run() -> list[str]:
        monkeypatch.setenv("XFER_BENCH_STORE", str(fresh.store))
        monkeypatch.setattr("sys.argv", ["xfer-bench", *fresh.arguments("--devices", "cpu")])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 1
        return capsys.readouterr().err.splitlines()

    return run


def test_weights_that_keep_changing_fail_by_name_and_the_others_finish(
    fresh: Place, said: Callable[[], list[str]]
) -> None:
    changing, quiet = fresh.checkpoints
    file = changing / "model.safetensors"
    content = bytearray(file.read_bytes())
    enough = Event()

    def write() -> None:
        with file.open("r+b", buffering=0) as stream:
            while not enough.is_set():
                content[-1] ^= 1
                stream.seek(0)
                stream.write(content)

    writer = Thread(target=write)
    writer.start()
    try:
        lines = said()
    finally:
        enough.set()
        writer.join()
    reason = f"{changing}: its files changed while they were read; run again when they do not"
    assert f"failed: {reason}" in lines
    assert lines[-1].startswith("error: 1 checkpoints could not be scored")
    assert fresh.results.predictions()["arm"].unique().to_list() == [str(quiet)]
    assert len(fresh.held()) == ITEMS * len(LANGUAGES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_fail_by_name_and_the_others_finish(
    fresh: Place, said: Callable[[], list[str]], value: float
) -> None:
    broken, sound = fresh.checkpoints
    model = stock(broken)
    with torch.no_grad():
        model.get_parameter("classifier.weight")[0, 0] = value
    model.save_pretrained(broken)
    lines = said()
    assert f"failed: {broken}: its scores are not finite numbers (NaN or infinite)" in lines
    assert lines[-1].startswith("error: 1 checkpoints could not be scored")
    assert fresh.results.predictions()["arm"].unique().to_list() == [str(sound)]
    assert len(fresh.held()) == ITEMS * len(LANGUAGES)
