"""`kill -9` at any moment, and several processes at once: nothing finished is lost, scored twice or wrong."""

import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from multiprocessing import active_children
from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.processes import ITEMS, LANGUAGES, SLOWLY, Place, long_mirror, rows_in, same
from tests.evaluation.small_checkpoints import choosing
from xfer_bench.progress import Update

# Seconds, about, that it takes when there is nothing to score.
CACHED = 1.5


@dataclass(frozen=True, kw_only=True)
class Whole:
    """An uninterrupted evaluation: what it predicts, and how many seconds it takes when everything is imported."""

    predictions: pl.DataFrame
    seconds: float


def to_be_scored(root: Path, *, items: int = ITEMS) -> Place:
    """Two checkpoints to be scored in three languages."""
    folders = tuple(choosing(root / f"seed-{seed}", seed=seed) for seed in (0, 1))
    return Place(mirror=long_mirror(root / "mirror", items=items), checkpoints=folders, folder=root / "whole")


def uninterrupted(place: Place) -> Whole:
    began = time.monotonic()
    predictions = place.evaluate().predictions()
    return Whole(predictions=predictions, seconds=time.monotonic() - began)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return to_be_scored(tmp_path_factory.mktemp("kills"))


@pytest.fixture(scope="module")
def whole(place: Place) -> Whole:
    return uninterrupted(place)


@dataclass(kw_only=True)
class Campaign:
    """Kills of one evaluation after another, each resumed until it is finished.

    stages: how many kills came at which stage, by what they left behind. finished: evaluations that got to their end.
    """

    place: Place
    whole: Whole
    moments: random.Random
    stages: Counter[str] = field(default_factory=Counter)
    finished: int = 0

    def kill(self) -> None:
        """Let it run, kill it after a random time, and see what is left; an evaluation that ends first is checked."""
        place = self._place()
        before, earlier = place.held(), set(place.files())
        missing = 1 - len(before) / len(self.whole.predictions)
        started = place.started(*SLOWLY)
        # One with everything scored is let finish more often than not, so that most kills come while there is work.
        span = CACHED + self.whole.seconds * missing if missing else 4 * CACHED
        time.sleep(self.moments.uniform(0, span))
        started.process.kill()
        code, said = started.ended()
        assert not any("error" in line or "warning" in line for line in said)
        if code == 0:
            self.check(place)
            return
        assert code == -9
        after = place.held()
        new = [file for file in place.files() if file not in earlier]
        # A block of whole columns holds earlier rows too; the others are what this process has scored.
        pieces = [file for file in new if not sealed(file)]
        assert rows_in(pieces).isdisjoint(before)
        assert after >= before
        self.stages[stage(place, new, missing=missing)] += 1

    def check(self, place: Place) -> None:
        """It is finished: its predictions are those of an evaluation that was never interrupted."""
        assert same(place.results, self.whole.predictions)
        assert len(place.held()) == len(self.whole.predictions)
        assert place.evaluate().accounts == ()
        self.finished += 1

    def finish(self) -> int:
        """Run the last one to its end: how many sequences that took."""
        place = self._place()
        missing = len(self.whole.predictions) - len(place.held())
        done = place.evaluate()
        # Two sequences an item. Nothing that was committed is scored again.
        assert sum(account.sequences for account in done.accounts) == 2 * missing
        self.check(place)
        return 2 * missing

    @property
    def kills(self) -> int:
        return sum(self.stages.values())

    def _place(self) -> Place:
        return replace(self.place, folder=self.place.folder.parent / f"killed-{self.finished}")


def sealed(file: Path) -> bool:
    return '"sealed": []' not in pl.read_parquet_metadata(file)["xfer_bench"]


def stage(place: Place, new: list[Path], *, missing: float) -> str:
    """Where a process was killed, by the last thing that it left behind."""
    if place.drafts():
        return "writing a file"
    if not new:
        return "planning, tokenising or loading" if missing else "with everything scored"
    return "after sealing" if any(sealed(file) for file in new) else "scoring, after a commit"


def campaign(place: Place, whole: Whole, *, kills: int, seed: int) -> Campaign:
    done = Campaign(place=place, whole=whole, moments=random.Random(seed))
    while done.kills < kills:
        done.kill()
    done.finish()
    return done


def test_three_kills_lose_and_repeat_nothing(place: Place, whole: Whole, tmp_path: Path) -> None:
    done = campaign(replace(place, folder=tmp_path / "here"), whole, kills=3, seed=0)
    assert done.finished >= 1


@pytest.mark.slow
def test_fifty_kills_lose_and_repeat_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = to_be_scored(tmp_path, items=4 * ITEMS)
    done = campaign(place, uninterrupted(place), kills=50, seed=1)
    with capsys.disabled():
        stages = ", ".join(f"{count} {name}" for name, count in done.stages.most_common())
        sys.stderr.write(f"\n{done.kills} kills ({stages}); {done.finished} evaluations finished\n")
    assert len(done.stages) >= 3


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_at_once_share_a_store(place: Place, whole: Whole, tmp_path: Path, count: int) -> None:
    places = [replace(place, folder=tmp_path / f"process-{number}") for number in range(count)]
    store = tmp_path / "shared"
    for one in places:
        one.folder.mkdir()
        (one.folder / "store").symlink_to(store, target_is_directory=True)
    store.mkdir()
    running = [one.started(*SLOWLY) for one in places]
    for started in running:
        code, said = started.ended()
        assert code == 0
        assert not any("warning" in line or "Traceback" in line for line in said)
    for one in places:
        assert same(one.results, whole.predictions)
    assert len(places[0].held()) == len(whole.predictions)
    assert list(store.rglob(".*.tmp")) == []
    # Nothing but blocks of whole columns is left, and nobody has anything to score.
    assert all(sealed(file) for file in places[0].files())
    assert places[0].evaluate().accounts == ()
    assert len(list((store / "tokens").iterdir())) == len(LANGUAGES)


@pytest.mark.slow
def test_a_killed_worker_fails_one_checkpoint_by_name_and_loses_nothing(
    place: Place, whole: Whole, tmp_path: Path
) -> None:
    here = replace(place, folder=tmp_path / "here")
    first, second = here.checkpoints
    victims: list[int] = []

    def kill(update: Update) -> None:
        if update.whole == "evaluation" and update.done and not victims:
            victims.append(active_children()[0].pid or 0)
            os.kill(victims[0], signal.SIGKILL)

    done = here.evaluate(progress=kill, devices="cpu,cpu")
    assert done.failed == (f"{first}: the process that scores on cpu ended unexpectedly (killed, or out of memory?)",)
    assert [account.checkpoint for account in done.accounts] == [str(second)]
    missing = len(whole.predictions) - len(here.held())
    assert 0 < missing < len(whole.predictions) // 2
    again = here.evaluate()
    assert [account.sequences for account in again.accounts] == [2 * missing]
    assert same(here.results, whole.predictions)
    assert active_children() == []
