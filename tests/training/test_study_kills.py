"""`kill -9` at any moment of a whole study, and planted files: the same weights in the end, and no pickle is read."""

import itertools
import multiprocessing
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest
import torch

from tests.small_study import small_study
from tests.training.one_stage import Stages, Stop, equal, stopping_at
from xfer_bench.digest import file_digest
from xfer_bench.errors import CheckpointError
from xfer_bench.pipeline import Place, Prepared, evaluate_study, prepare, train_study
from xfer_bench.progress import Update
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study
from xfer_bench.training.checkpoints import MANIFEST, seal_state
from xfer_bench.training.keeping import Kept
from xfer_bench.training.locks import holder_of

SOON = 30.0
CHECKOUT = Path(__file__).resolve().parents[2]
# Leaves a file behind when everything is imported and the study begins.
PROGRAM = """
import sys
from pathlib import Path
import torch, transformers
from xfer_bench.cli import main
Path(sys.argv.pop(1)).touch()
main()
"""


@pytest.fixture(scope="module", autouse=True)
def _alike(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One thread everywhere, on which the last bits of the weights depend, and a prediction store of our own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XFER_BENCH_STORE", str(tmp_path_factory.mktemp("store")))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


def run(prepared: Prepared, place: Place) -> None:
    evaluate_study(prepared, place, train_study(prepared, place))


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What a study ends with: the digests of its weights, and its predictions."""

    digests: dict[str, str]
    predictions: pl.DataFrame

    @classmethod
    def of(cls, place: Place) -> "Ends":
        files = place.store.folder.glob("[!.]*/model.safetensors")
        predictions = place.results.predictions().sort("run", "language", "item")
        return cls(digests={file.parent.name: file_digest(file) for file in files}, predictions=predictions)

    def same(self, other: "Ends") -> bool:
        return self.digests == other.digests and self.predictions.equals(other.predictions)


@dataclass(kw_only=True)
class Campaign:
    """Kills of a study, which is begun again after each until it is finished, and then anew.

    seconds: that its training takes. start: begins it in another process and gives that. found: what the kills left
    behind. finished: studies that got to their end, whose ends are all those of the uninterrupted one.
    """

    prepared: Prepared
    root: Path
    whole: Ends
    seconds: float
    start: Callable[[Place], "Victim"]
    moments: random.Random = field(default_factory=lambda: random.Random(0))
    found: Counter[str] = field(default_factory=Counter)
    finished: int = 0

    @property
    def place(self) -> Place:
        return Place(out=self.root / f"out-{self.finished}")

    def kill(self) -> None:
        """Let it run for a random time and kill it; one that ends before is checked, and another one is begun."""
        while True:
            left = 1 - len(self.done()) / len(self.prepared.plan.stages)
            victim = self.start(self.place)
            if left:
                # Now and then the kill comes while the runs are scored.
                time.sleep(self.moments.uniform(0, 0.3 + 1.2 * self.seconds * left))
            else:
                assert victim.code() == 0
            if victim.killed():
                break
            self.check()
        work = self.place.store.folder / ".work"
        # Processes that it had started see that it is gone, and go.
        until = time.monotonic() + SOON
        while any(holder_of(path) for path in work.glob("*.lock")):
            assert time.monotonic() < until
            time.sleep(0.01)
        within = any(work.glob(f"*/checkpoint-*/{MANIFEST}"))
        self.found[f"{len(self.done())} done{', one begun' if within else ''}"] += 1

    def done(self) -> list[Path]:
        """The stages that are finished."""
        return list(self.place.store.folder.glob("[!.]*/lineage.json"))

    def finish(self) -> None:
        """Run what the last kill has left to its end."""
        run(self.prepared, self.place)
        self.check()

    def check(self) -> None:
        assert Ends.of(self.place).same(self.whole)
        self.finished += 1


class Victim:
    """A process that runs the study."""

    def __init__(self, kill: Callable[[], None], code: Callable[[], int | None]) -> None:
        self._kill = kill
        self.code = code

    def killed(self) -> bool:
        """Kill it; False when it had ended by itself."""
        self._kill()
        code = self.code()
        assert code in {0, -9}
        return code == -9


def forked(prepared: Prepared, place: Place) -> Victim:
    """From this process, in which everything is imported: with one thread that is safe."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(prepared, place))
    process.start()

    def code() -> int | None:
        process.join()
        return process.exitcode

    return Victim(process.kill, code)


def commanded(root: Path, place: Place, *more: str, command: str = "run") -> Victim:
    """The real program."""
    begun = root / "begun"
    begun.unlink(missing_ok=True)
    arguments = [command, str(root / "study.toml"), "-o", str(place.out), "--data-root", str(root / "mirror"), *more]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(begun), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=CHECKOUT,
    )
    while not begun.exists() and process.poll() is None:
        time.sleep(0.005)
    return Victim(process.kill, process.wait)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Path]:
    root = tmp_path_factory.mktemp("kills")
    small_study(root)
    # So many steps that kills come between two states of a stage, too.
    file = root / "study.toml"
    file.write_text(file.read_text().replace("epochs = 1\n", "epochs = 3\n"))
    return prepare(Study.from_toml(file), sources=Sources(data_root=root / "mirror")), root


@pytest.fixture(scope="module")
def whole(study: tuple[Prepared, Path]) -> tuple[Ends, float]:
    """The uninterrupted study, and how many seconds its training takes when everything is imported."""
    prepared, place = study[0], Place(out=study[1] / "whole")
    import_module("xfer_bench.training.jobs")
    began = time.monotonic()
    trained = train_study(prepared, place)
    seconds = time.monotonic() - began
    evaluate_study(prepared, place, trained)
    return Ends.of(place), seconds


def test_three_kills_change_no_weight(study: tuple[Prepared, Path], whole: tuple[Ends, float], tmp_path: Path) -> None:
    prepared, _ = study
    campaign = Campaign(
        prepared=prepared,
        root=tmp_path,
        whole=whole[0],
        seconds=whole[1],
        start=lambda place: forked(prepared, place),
    )
    for _ in range(3):
        campaign.kill()
    campaign.finish()
    assert campaign.found.total() == 3


@pytest.mark.slow
def test_twenty_kills_of_the_real_program_change_no_weight(
    study: tuple[Prepared, Path], whole: tuple[Ends, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One stage after another, and two at once, in turns."""
    prepared, root = study
    turns = itertools.cycle(("1", "2"))
    uninterrupted = commanded(root, Place(out=tmp_path / "timed"), "--jobs", "2", command="train")
    began = time.monotonic()
    assert uninterrupted.code() == 0
    campaign = Campaign(
        prepared=prepared,
        root=tmp_path,
        whole=whole[0],
        seconds=time.monotonic() - began,
        start=lambda place: commanded(root, place, "--jobs", next(turns)),
    )
    for _ in range(20):
        campaign.kill()
    campaign.finish()
    with capsys.disabled():
        sys.stderr.write(f"\n20 kills, {campaign.finished} studies finished: {dict(campaign.found)}\n")


class Planted:
    """Makes a folder of this name when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)

    def plant(self, file: Path) -> None:
        # The protocol that torch knows; of others it warns before it looks.
        file.write_bytes(pickle.dumps(self, protocol=2))


# What a state holds that training goes on with, and what nobody reads.
READ = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
IGNORED = ("training_args.bin", "pytorch_model.bin")
PICKLES = (*READ, *IGNORED)


def is_pickled(file: Path) -> bool:
    """Whether it is a pickle, or an archive of one as torch writes it."""
    return file.suffix in {".bin", ".pt", ".pth", ".pkl"} or file.read_bytes()[:2] in {b"PK", b"\x80\x02", b"\x80\x04"}


class TestPlantedFiles:
    @pytest.fixture
    def trap(self, tmp_path: Path) -> Path:
        """Is there as soon as something was unpickled that was planted."""
        return tmp_path / "unpickled"

    def test_a_finished_checkpoint_holds_no_pickle(self, tmp_path: Path) -> None:
        stages = Stages.made(tmp_path)
        done = stages.train("kept", keep="all", lora={"rank": 2})
        assert Kept(folder=done.path).steps()
        files = [file for file in done.path.rglob("*") if file.is_file()]
        assert not [file for file in files if is_pickled(file)]

    def test_those_beside_a_finished_checkpoint_are_never_read(
        self, study: tuple[Prepared, Path], whole: tuple[Ends, float], tmp_path: Path, trap: Path
    ) -> None:
        prepared, root = study
        place = Place(out=tmp_path / "out")
        first = next(stage for stage in prepared.plan.stages if stage.role == "intermediate")
        for stage in prepared.plan.stages:
            source = Place(out=root / "whole").store.path(stage.key)
            if stage.key == first.key or stage.parent is None or stage.parent.key != first.key:
                shutil.copytree(source, place.store.path(stage.key))
                for name in PICKLES:
                    Planted(trap).plant(place.store.path(stage.key) / name)
        steps: list[Update] = []
        trained = train_study(prepared, place, progress=steps.append)
        assert [update for update in steps if update.done]
        assert len(trained) == 4
        files = place.store.folder.glob("[!.]*/model.safetensors")
        assert {file.parent.name: file_digest(file) for file in files} == whole[0].digests
        evaluate_study(prepared, place, trained)
        assert not trap.exists()

    @pytest.fixture
    def begun(self, tmp_path: Path) -> tuple[Stages, Path]:
        """A stage with a state after two of its five steps."""
        stages = Stages.made(tmp_path)
        with pytest.raises(Stop):
            stages.train("begun", progress=stopping_at(3))
        work = stages.place("begun").store.work(stages.prepared().plan.stages[0].key)
        return stages, work / "checkpoint-2"

    @pytest.mark.parametrize("name", [*PICKLES, "more.pth"])
    def test_a_state_with_one_is_not_gone_on_from(self, begun: tuple[Stages, Path], trap: Path, name: str) -> None:
        stages, state = begun
        Planted(trap).plant(state / name)
        steps: list[float] = []
        stages.train("begun", progress=lambda update: steps.append(update.done))
        assert {1, 2, 3, 4, 5} <= set(steps)
        assert not trap.exists()

    @pytest.mark.parametrize("name", READ)
    def test_nor_is_it_unpickled_where_the_manifest_names_it(
        self, begun: tuple[Stages, Path], trap: Path, name: str
    ) -> None:
        stages, state = begun
        Planted(trap).plant(state / name)
        seal_state(state, seconds=1.0, per_pass=8)
        with pytest.raises(CheckpointError) as caught:
            stages.train("begun")
        assert str(caught.value) == f"{state.parent}: a state there holds more than numbers; remove the folder"
        assert not trap.exists()

    def test_the_others_are_not_even_looked_at(self, begun: tuple[Stages, Path], trap: Path) -> None:
        stages, state = begun
        for name in IGNORED:
            Planted(trap).plant(state / name)
        seal_state(state, seconds=1.0, per_pass=8)
        assert equal(stages.train("begun").path, stages.train("whole").path)
        assert not trap.exists()

    def test_the_trap_works(self, tmp_path: Path, trap: Path) -> None:
        Planted(trap).plant(tmp_path / "file")
        pickle.loads((tmp_path / "file").read_bytes())
        assert trap.exists()
