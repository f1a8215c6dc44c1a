"""Several stages at once, and stages that fail: the others go on, and nothing is trained twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from tests.small_study import STUDY, small_mirror, small_model
from tests.tasks.descriptions import PAIRS
from tests.training.one_stage import Stages, Stop, equal, memory_for, stopping_at
from xfer_bench.digest import file_digest
from xfer_bench.durable import write_json
from xfer_bench.errors import CheckpointError, SourceError, TaskError, TrainingError
from xfer_bench.pipeline import Jobs, Place, Prepared, prepare, train_study
from xfer_bench.progress import Update
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.own import load_tasks
from xfer_bench.training.checkpoints import LINEAGE, Store
from xfer_bench.training.crew import environment, packed
from xfer_bench.training.locks import Holder, held, holder_of, lock_of
from xfer_bench.training.outcomes import FAILED, Trained
from xfer_bench.training.stages import Workshop
from xfer_bench.training.worker import unpacked

# Such a decay makes infinities of weights at its second step.
DIVERGING = """
[[arms]]
name = "diverges"
stages = [{ task = "siqa", examples = 40, recipe = { weight_decay = 1e30 } }]
[[targets]]"""
SOON = 30.0
CHECKOUT = Path(__file__).resolve().parents[2]
NUMBERS = "the weights are no longer numbers; lower the learning rate"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """The last bits depend on the number of threads, and two processes have half as many each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    small_mirror(folder / "mirror")
    text = STUDY.format(model=small_model(folder / "model")).replace("[[targets]]", DIVERGING)
    (folder / "study.toml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def prepared(root: Path) -> Prepared:
    """Three arms at two seeds; the intermediate stage of the last one fails."""
    return prepare(Study.from_toml(root / "study.toml"), sources=Sources(data_root=root / "mirror"))


@pytest.fixture(scope="module")
def baseline(prepared: Prepared) -> Prepared:
    """Two runs of one stage."""
    return only(prepared, "none")


@pytest.fixture(scope="module")
def whole(prepared: Prepared, root: Path) -> tuple[Trained, Place]:
    """The study, one stage after another."""
    place = Place(out=root / "whole")
    return train_study(prepared, place), place


def only(prepared: Prepared, *arms: str) -> Prepared:
    study = prepared.plan.study
    some = tuple(arm for arm in study.arms if arm.name in arms)
    return prepare(study.model_copy(update={"arms": some}), sources=prepared.sources)


def digests(store: Store) -> dict[str, str]:
    return {file.parent.name: file_digest(file) for file in store.folder.glob("[!.]*/model.safetensors")}


def steps_of(
    prepared: Prepared, place: Place, *, jobs: Jobs = 1, retry_failed: bool = False
) -> tuple[Trained, set[float]]:
    """What became of the study, and the steps that were made on the way."""
    steps: list[Update] = []
    done = train_study(prepared, place, jobs=jobs, retry_failed=retry_failed, progress=steps.append)
    return done, {update.done for update in steps if update.done}


class TestFailures:
    def test_a_failed_stage_costs_what_comes_after_it_and_nothing_else(
        self, prepared: Prepared, whole: tuple[Trained, Place]
    ) -> None:
        trained, place = whole
        diverging = [stage for run in prepared.plan.runs if run.arm == "diverges" for stage in run.stages[:1]]
        assert [failure.key for failure in trained.failures] == [stage.key for stage in diverging]
        assert {failure.reason for failure in trained.failures} == {NUMBERS}
        assert [failure.label for failure in trained.failures] == [f"intermediate siqa, seed {seed}" for seed in (0, 1)]
        assert set(trained) == {run.name for run in prepared.plan.runs if run.arm != "diverges"}
        assert {run: failure.key for run, failure in trained.lost.items()} == {
            run.name: run.stages[0].key for run in prepared.plan.runs if run.arm == "diverges"
        }
        assert set(place.results.stages()["arm"]) == {"none", "siqa"}
        assert not any(failure.earlier for failure in trained.failures)

    def test_the_store_says_why_and_keeps_no_state_that_nobody_goes_on_from(self, whole: tuple[Trained, Place]) -> None:
        trained, place = whole
        for failure in trained.failures:
            work = place.store.work(failure.key)
            assert not [entry for entry in work.iterdir() if entry.is_dir()]
            told = json.loads((work / FAILED).read_text())
            assert told == {
                "schema": 1,
                "key": failure.key,
                "label": failure.label,
                "reason": NUMBERS,
                "when": failure.when,
                "resumes": False,
            }
            assert not place.store.path(failure.key).exists()

    def test_it_is_left_alone_until_it_is_to_be_tried_again_and_then_begins_anew(
        self, prepared: Prepared, whole: tuple[Trained, Place]
    ) -> None:
        trained, place = whole
        again, steps = steps_of(prepared, place)
        assert (steps, [failure.earlier for failure in again.failures]) == (set(), [True, True])
        assert [failure.when for failure in again.failures] == [failure.when for failure in trained.failures]
        assert again.keys() == trained.keys()
        assert "(earlier; not tried again)" in str(again.failures[0])
        retried, steps = steps_of(prepared, place, retry_failed=True)
        assert steps == {1, 2, 3, 4, 5}
        assert [failure.earlier for failure in retried.failures] == [False, False]
        assert retried.lost.keys() == trained.lost.keys()

    def test_out_of_memory_goes_on_from_its_last_state_when_it_is_tried_again(self, tmp_path: Path) -> None:
        stages = Stages.made(tmp_path)
        place, prepared = stages.place("short"), stages.prepared()
        with pytest.raises(Stop):
            train_study(prepared, place, progress=stopping_at(3))
        with memory_for(0):
            (failure,) = train_study(prepared, place).failures
        assert "out of memory at step 3 with 1 item" in failure.reason
        assert failure.resumes
        done, steps = steps_of(prepared, place, retry_failed=True)
        assert (done.failures, steps) == ((), {3, 4, 5})
        assert equal(next(iter(done.values())).path, stages.train("whole").path)

    def test_a_result_that_answers_everything_alike_is_a_result(self, baseline: Prepared, tmp_path: Path) -> None:
        place = Place(out=tmp_path)
        assert train_study(baseline, place).collapsed == ()
        stage = baseline.plan.stages[1]
        lineage = place.store.path(stage.key) / LINEAGE
        write_json(lineage, json.loads(lineage.read_text()) | {"development_majority": 100.0})
        trained = train_study(baseline, place)
        assert [one.key for one in trained.collapsed] == [stage.key]
        assert len(trained) == 2


class TestSeveralAtOnce:
    def test_they_give_the_weights_and_the_failures_of_one_after_another(
        self, prepared: Prepared, whole: tuple[Trained, Place], tmp_path: Path
    ) -> None:
        place, updates = Place(out=tmp_path), list[Update]()
        trained = train_study(prepared, place, jobs=2, progress=updates.append)
        assert digests(place.store) == digests(whole[1].store)
        assert trained.keys() == whole[0].keys()
        assert {(one.key, one.reason) for one in trained.failures} == {
            (one.key, one.reason) for one in whole[0].failures
        }
        both = [update for update in updates if " + " in update.piece]
        assert max(update.done for update in both) > 5
        assert {update.total for update in both} <= {0, 5, 10}
        # Chains of two stages before those of one.
        assert both[0].piece.count("intermediate siqa") == 2
        assert [update.finished for update in updates] == sorted(update.finished for update in updates)
        assert (updates[-1].finished, updates[-1].pieces) == (10, 10)
        assert not list((place.store.folder / ".work").glob("*.lock"))
        assert steps_of(prepared, place, jobs=2)[1] == set()

    def test_a_process_that_is_killed_costs_its_stage_until_the_next_call(
        self, baseline: Prepared, whole: tuple[Trained, Place], tmp_path: Path
    ) -> None:
        place, killed = Place(out=tmp_path), list[str]()

        def kill(update: Update) -> None:
            if update.done and not killed:
                for child in psutil.Process().children():
                    if "xfer_bench.training.worker" in child.cmdline() and not killed:
                        killed.append(update.piece)
                        child.kill()

        trained = train_study(baseline, place, jobs=2, progress=kill)
        (failure,) = trained.failures
        assert failure.reason.startswith("its process was killed by SIGKILL (out of memory?)")
        assert (failure.recorded, len(trained)) == (False, 1)
        assert not list(place.store.folder.rglob(FAILED))
        done = train_study(baseline, place)
        assert (done.failures, len(done)) == ((), 2)
        assert digests(place.store).items() <= digests(whole[1].store).items()

    def test_what_stops_one_of_them_stops_all(self, baseline: Prepared, tmp_path: Path) -> None:
        mirror = small_mirror(tmp_path / "mirror")
        for file in (mirror / "aps/super_glue/copa").glob("*.parquet"):
            file.write_bytes(b"PAR1")
        damaged = replace(baseline, sources=Sources(data_root=mirror))
        with pytest.raises(SourceError, match="super_glue"):
            train_study(damaged, Place(out=tmp_path / "out"), jobs=2)
        assert not [child for child in psutil.Process().children() if "worker" in " ".join(child.cmdline())]

    @pytest.mark.parametrize("jobs", [0, -1])
    def test_fewer_than_one_is_refused(self, baseline: Prepared, tmp_path: Path, jobs: int) -> None:
        with pytest.raises(TrainingError, match=rf"jobs = {jobs}: give 1 or more, or auto"):
            train_study(baseline, Place(out=tmp_path), jobs=jobs)

    def test_several_under_torchrun_are_refused(
        self, baseline: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(TrainingError, match="under torchrun all processes train one stage; use one or the other"):
            train_study(baseline, Place(out=tmp_path), jobs=2)


class TestHandingOver:
    @pytest.fixture
    def workshop(self, prepared: Prepared, tmp_path: Path) -> Workshop:
        return Workshop(
            store=Store(folder=tmp_path), tasks=TASKS, sources=prepared.sources, origin=tmp_path, ancestry={"name": "x"}
        )

    def test_a_task_of_ours_goes_by_its_name(self, prepared: Prepared, workshop: Workshop) -> None:
        stage, there, retry = unpacked(packed(prepared.plan.stages[0], workshop, retry=True))
        assert (stage, retry) == (prepared.plan.stages[0], True)
        assert there.tasks == {"copa": TASKS["copa"]}
        assert there.tasks["copa"] is TASKS["copa"]
        assert replace(there, tasks=TASKS) == workshop

    def test_a_described_task_goes_with_its_description(
        self, prepared: Prepared, workshop: Workshop, tmp_path: Path
    ) -> None:
        (tmp_path / "pairs.toml").write_text(PAIRS)
        task = load_tasks([tmp_path / "pairs.toml"])["two_nli"]
        stage = prepared.plan.stages[0]
        _, there, _ = unpacked(packed(stage, replace(workshop, tasks={"copa": task}), retry=False))
        assert there.tasks["copa"] == task
        assert there.tasks["copa"] is not task

    def test_another_one_is_refused_by_name(self, prepared: Prepared, workshop: Workshop) -> None:
        strange = replace(TASKS["copa"], chance=0.4, parts=(replace(TASKS["copa"].parts[0], read=lambda rows: rows),))
        with pytest.raises(TaskError, match=r"copa cannot be handed to another process .*or train with jobs = 1"):
            packed(prepared.plan.stages[0], replace(workshop, tasks={"copa": strange}), retry=False)

    def test_a_process_has_its_own_device_and_its_share_of_the_threads(self) -> None:
        found = environment("MIG-3", 4)
        assert found["CUDA_VISIBLE_DEVICES"] == "MIG-3"
        assert {found[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")} == {"4"}
        assert environment(None, 1).get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")


class TestLocks:
    def test_a_stage_that_another_trains_is_waited_for_last(self, baseline: Prepared, tmp_path: Path) -> None:
        place, pieces = Place(out=tmp_path), list[str]()
        first = baseline.plan.stages[0]
        with ExitStack() as other:
            assert other.enter_context(held(lock_of(place.store.work(first.key)))) is None

            def release(update: Update) -> None:
                pieces.append(update.piece)
                if update.piece.startswith("waiting"):
                    other.close()

            trained = train_study(baseline, place, progress=release)
        assert len(trained) == 2
        there = list(dict.fromkeys(pieces))
        waiting = f"waiting for process {os.getpid()}, which trains target copa, seed 0"
        assert there.index("target copa, seed 1") < there.index(waiting)

    def test_a_lock_is_one_process_s_and_goes_with_it(self, tmp_path: Path) -> None:
        path = tmp_path / "there" / "a.lock"
        assert holder_of(path) is None
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDING, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        holder = holder_of(path)
        assert holder is not None
        assert (holder.process, str(holder)) == (process.pid, f"process {process.pid}")
        with held(path) as other:
            assert other == holder
        process.kill()
        process.communicate()
        assert path.exists()
        assert holder_of(path) is None
        with held(path) as other:
            assert other is None
            assert holder_of(path) == Holder(process=os.getpid(), host=holder.host)
        assert not path.exists()

    def test_of_torchrun_s_processes_the_first_one_holds_it(
        self, baseline: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from xfer_bench.training.attempts import attempt

        stage, store = baseline.plan.stages[0], Store(folder=tmp_path)
        workshop = Workshop(store=store, tasks=TASKS, sources=baseline.sources, origin=tmp_path, ancestry={})
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "0")
        with (
            held(lock_of(store.work(stage.key))),
            pytest.raises(CheckpointError, match="trains this stage; processes of torchrun cannot wait for it"),
        ):
            attempt(stage, workshop=workshop)


HOLDING = """
import sys
from pathlib import Path
from xfer_bench.training.locks import held
with held(Path(sys.argv[1])) as other:
    print(other, flush=True)
    sys.stdin.read()
"""
COMMAND = "from xfer_bench.cli import main; main()"


class Command:
    """`xfer-bench train` in a process of its own."""

    def __init__(self, root: Path, out: Path, *more: str) -> None:
        arguments = ["train", str(root / "study.toml"), "-o", str(out), "--data-root", str(root / "mirror"), *more]
        self.store = Place(out=out).store
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def trains(self) -> list[psutil.Process]:
        """Wait until a stage is being trained: the processes that the command has started."""
        until = time.monotonic() + 2 * SOON
        while not list(self.store.folder.glob(".work/*.lock")):
            assert self.process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def ended(self) -> tuple[int, list[str]]:
        said = self.process.communicate(timeout=2 * SOON)[1]
        return self.process.returncode, said.splitlines()


@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGINT, "all"),
        pytest.param(signal.SIGTERM, "all", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "one", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, "one", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_all_processes(root: Path, tmp_path: Path, number: signal.Signals, whom: str) -> None:
    command = Command(root, tmp_path / "out", "--jobs", "2")
    workers = command.trains()
    assert len(workers) == 2
    began = time.monotonic()
    if whom == "all":
        os.killpg(command.process.pid, number)
    else:
        command.process.send_signal(number)
    code, said = command.ended()
    assert psutil.wait_procs(workers, timeout=SOON)[1] == []
    assert time.monotonic() - began < SOON
    if number == signal.SIGKILL:
        assert code == -number
    else:
        assert code == 128 + number
        assert said == [f"stopped by {number.name}; the same command goes on where this one stopped"]
    assert not list(command.store.folder.rglob(FAILED))


@pytest.mark.slow
def test_two_commands_at_once_train_each_stage_once(
    root: Path, prepared: Prepared, whole: tuple[Trained, Place], tmp_path: Path
) -> None:
    first, second = (Command(root, tmp_path / "out") for _ in range(2))
    seen: dict[str, set[int | None]] = {}
    while first.process.poll() is None or second.process.poll() is None:
        for stage in prepared.plan.stages:
            work = first.store.work(stage.key)
            # Whoever only claims a finished stage, or sees that it failed, holds the lock for a moment too.
            if any(work.glob("checkpoint-*")) and not (work / FAILED).exists():
                holder = holder_of(lock_of(work))
                if holder is not None and holder.process is not None and work.is_dir():
                    seen.setdefault(stage.key, set()).add(holder.process)
        time.sleep(0.002)
    for command in (first, second):
        code, said = command.ended()
        assert code == 1
        assert said[-1].startswith("error: 2 stages failed, which costs 2 of 6 runs")
        assert not any("Traceback" in line for line in said)
    assert {len(processes) for processes in seen.values()} == {1}
    assert len(set.union(*seen.values())) > 1
    assert digests(first.store) == digests(whole[1].store)
