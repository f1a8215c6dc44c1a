"""One device or several: the same scores; what happens to one process is said, and is the end of nothing else."""

import os
import signal
from collections.abc import Iterator
from multiprocessing import active_children
from pathlib import Path
from threading import Timer
from time import monotonic, sleep

import numpy as np
import psutil
import pytest
import torch

from tests.evaluation.pieces import found, made_up
from tests.evaluation.small_checkpoints import choosing, classifying, stock
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.engines import Engine, Here, Processes, engine_for
from xfer_bench.evaluation.evaluator import Scores

SHELVES = [(made_up(20, tokens=5 + shelf, seed=shelf), made_up(9, tokens=4, seed=100 + shelf)) for shelf in range(12)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scorable]:
    root = tmp_path_factory.mktemp("checkpoints")
    broken = choosing(root / "broken")
    model = stock(broken)
    with torch.no_grad():
        model.get_parameter("classifier.bias").fill_(float("nan"))
    model.save_pretrained(broken)
    folders = {"one": choosing(root / "one"), "two": choosing(root / "two", seed=1), "broken": broken}
    return {name: found(folder) for name, folder in {**folders, "classes": classifying(root / "classes")}.items()}


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    """Two processes on the CPU, with a thread each, as this one has meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = Processes(["cpu", "cpu"], "fp32")
    yield engine
    engine.close()
    torch.set_num_threads(before)


def through(engine: Engine, checkpoint: Scorable) -> dict[int, Scores]:
    engine.begin(checkpoint)
    return dict(engine.scores(SHELVES))


def here(checkpoint: Scorable) -> dict[int, Scores]:
    engine = Here("cpu", "fp32")
    scores = through(engine, checkpoint)
    engine.close()
    return scores


def assert_bitwise(ours: dict[int, Scores], theirs: dict[int, Scores]) -> None:
    assert sorted(ours) == sorted(theirs)
    for shelf, scores in ours.items():
        np.testing.assert_array_equal(scores, theirs[shelf])


def test_two_devices_give_bitwise_what_one_gives(two: Processes, checkpoints: dict[str, Scorable]) -> None:
    for name in ("one", "classes", "two"):
        assert_bitwise(through(two, checkpoints[name]), here(checkpoints[name]))


def test_the_number_of_threads_moves_the_last_digits_at_most(checkpoints: dict[str, Scorable]) -> None:
    before = torch.get_num_threads()
    usual = here(checkpoints["one"])
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        other = here(checkpoints["one"])
    finally:
        torch.set_num_threads(before)
    for shelf, scores in usual.items():
        np.testing.assert_allclose(other[shelf], scores, atol=1e-5, rtol=0)


def test_a_checkpoint_that_fails_leaves_the_processes_to_the_next(
    two: Processes, checkpoints: dict[str, Scorable]
) -> None:
    two.begin(checkpoints["broken"])
    with pytest.raises(CheckpointError, match="broken: its scores are not finite numbers"):
        list(two.scores(SHELVES))
    assert_bitwise(through(two, checkpoints["two"]), here(checkpoints["two"]))


def test_a_checkpoint_that_is_given_up_leaves_the_processes_to_the_next(
    two: Processes, checkpoints: dict[str, Scorable]
) -> None:
    """As when the store cannot be written: answers of the first are on their way while the second begins."""
    two.begin(checkpoints["one"])
    started = two.scores(SHELVES)
    next(started)
    assert_bitwise(through(two, checkpoints["two"]), here(checkpoints["two"]))


def test_a_killed_process_is_named_what_is_finished_is_kept_and_the_next_checkpoint_gets_another(
    two: Processes, checkpoints: dict[str, Scorable]
) -> None:
    expected = here(checkpoints["one"])
    two.begin(checkpoints["one"])
    victim = two.pids[0]
    finished: dict[int, Scores] = {}

    def take_in() -> None:
        for shelf, scores in two.scores(SHELVES):
            if not finished:
                os.kill(victim, signal.SIGKILL)
            finished[shelf] = scores

    with pytest.raises(CheckpointError) as caught:
        take_in()
    name = checkpoints["one"].name
    assert str(caught.value) == (
        f"{name}: the process that scores on cpu ended unexpectedly (killed, or out of memory?)"
    )
    assert 0 < len(finished) < len(SHELVES)
    assert_bitwise(finished, {shelf: expected[shelf] for shelf in finished})
    assert_bitwise(through(two, checkpoints["one"]), expected)
    assert victim not in two.pids
    assert len(two.pids) == 2


def test_answers_larger_than_a_pipe_holds_do_not_block(two: Processes, checkpoints: dict[str, Scorable]) -> None:
    """Both sides would wait for the other to read: 30,000 sequences are 360 KB of scores, and 600 KB to send."""
    large = [tuple(made_up(1000, tokens=3, seed=seed) for seed in range(30)) for _ in range(6)]
    two.begin(checkpoints["classes"])
    # Were they blocked, this would end it, as a failure.
    rescue = Timer(120, two.close)
    rescue.start()
    try:
        shapes = [scores.shape for _, scores in two.scores(large)]
    finally:
        rescue.cancel()
    assert shapes == [(30_000, 3)] * 6


def test_closing_ends_the_processes_whatever_they_are_at(two: Processes, checkpoints: dict[str, Scorable]) -> None:
    two.begin(checkpoints["classes"])
    processes = [psutil.Process(pid) for pid in two.pids]
    # Each of them has minutes of work before it.
    endless = (made_up(200, tokens=50),) * 20_000
    next(two.scores([SHELVES[0], SHELVES[1], endless, endless]))
    began = monotonic()
    two.close()
    assert monotonic() - began < 30
    assert not any(process.is_running() for process in processes)
    assert active_children() == []


def test_one_device_is_this_process() -> None:
    engine = engine_for(["cpu"], "fp32")
    assert isinstance(engine, Here)
    engine.close()


def test_weights_that_were_announced_are_loaded_once(checkpoints: dict[str, Scorable], tmp_path: Path) -> None:
    engine = Here("cpu", "fp32")
    engine.begin(checkpoints["one"])
    vanishing = found(choosing(tmp_path / "vanishing"))
    engine.announce(vanishing)
    expected = here(vanishing)
    # It is in memory, or will be: whether the files are still what they were is looked at by whoever asks.
    while engine.loading:
        sleep(0.01)
    (tmp_path / "vanishing" / "model.safetensors").unlink()
    assert_bitwise(through(engine, vanishing), expected)
    # And it is kept when it is the next one too, for another task.
    engine.announce(vanishing)
    assert_bitwise(through(engine, vanishing), expected)
    engine.close()


def test_an_announcement_that_failed_is_tried_again(checkpoints: dict[str, Scorable], tmp_path: Path) -> None:
    """The memory may have been too small for two at once."""
    engine = Here("cpu", "fp32")
    engine.begin(checkpoints["one"])
    coming = found(choosing(tmp_path / "coming"))
    file = tmp_path / "coming" / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    engine.announce(coming)
    while engine.loading:
        sleep(0.01)
    file.write_bytes(whole)
    assert len(through(engine, coming)) == len(SHELVES)
    file.write_bytes(whole[:100])
    engine.begin(checkpoints["one"])
    with pytest.raises(CheckpointError, match="damaged safetensors"):
        engine.begin(coming)
    engine.close()
