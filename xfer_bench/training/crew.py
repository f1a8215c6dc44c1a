"""Processes that train stages, one at a time each, and our end of them.

A fresh interpreter (`python -m xfer_bench.training.worker`) gets its device and its number of threads before it loads
torch. Down the pipe go plans, pickled by us and by nobody else; up come JSON objects.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from multiprocessing.connection import Pipe, wait
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import xfer_bench.errors
from xfer_bench.errors import TaskError, XferBenchError
from xfer_bench.plan import Stage
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.own import load_tasks
from xfer_bench.tasks.task import Task

if TYPE_CHECKING:
    from xfer_bench.training.stages import Workshop

# Seconds that a process is given to end by itself.
_PATIENCE = 5.0
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")


class Ended(Exception):  # noqa: N818 - it is an answer
    """A process ended before it had answered; the message says how."""


class Worker:
    """Our end of a process. stage: what it trains, None while it is idle.

    device: the GPU that it may see, as `CUDA_VISIBLE_DEVICES` names it; None for whatever there is.
    """

    def __init__(self, *, device: str | None, threads: int) -> None:
        self.stage: Stage | None = None
        self.device = device
        self.pipe, theirs = Pipe()
        number = theirs.fileno()
        with _deaf_to_interrupts():
            self.process = subprocess.Popen(
                # -P: nothing is imported from the folder that we happen to be in.
                [sys.executable, "-P", "-m", "xfer_bench.training.worker", str(number)],
                pass_fds=(number,),
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=environment(device, threads),
            )
        theirs.close()

    def give(self, stage: Stage, workshop: "Workshop", *, retry: bool) -> None:
        """Let it train a stage. Raises TaskError for a task that cannot be handed over, Ended."""
        message = packed(stage, workshop, retry=retry)
        self.stage = stage
        try:
            self.pipe.send_bytes(message)
        except OSError:
            raise self._end() from None

    def answer(self) -> dict[str, Any]:
        """What it says. Raises Ended when it says no more, and its own XferBenchError or OSError."""
        try:
            said: dict[str, Any] = json.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            raise self._end() from None
        if said["kind"] == "error":
            raise _error(said["name"], said["text"])
        return said

    def close(self) -> None:
        """Let it end, whatever it is at; `join` waits for that."""
        self.pipe.close()

    def join(self) -> None:
        """Wait for its end, or bring it about."""
        try:
            self.process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _end(self) -> Ended:
        self.close()
        self.join()
        code = self.process.returncode
        how = f"was killed by {signal.Signals(-code).name} (out of memory?)" if code < 0 else f"ended with code {code}"
        return Ended(f"its process {how}; the same command goes on where it stopped")


class Crew:
    """At most so many processes, started when there is something to do.

    devices: GPUs that they take turns at; empty for none. threads: that each may use on the CPU.
    """

    def __init__(self, size: int, *, devices: Sequence[str], threads: int) -> None:
        self._devices: list[str | None] = [*devices] or [None]
        self._threads = threads
        self._workers: list[Worker | None] = [None] * size

    @property
    def room(self) -> bool:
        """Whether a process is idle, or may be started."""
        return any(one is None or one.stage is None for one in self._workers)

    @property
    def busy(self) -> bool:
        """Whether any process has something to do."""
        return any(one is not None and one.stage is not None for one in self._workers)

    def idle(self) -> Worker:
        """A process that has nothing to do, a new one if need be; there must be room."""
        there = [one for one in self._workers if one is not None and one.stage is None]
        if there:
            return there[0]
        place = self._workers.index(None)
        worker = self._workers[place] = Worker(device=self._devices[place % len(self._devices)], threads=self._threads)
        return worker

    def speaking(self, timeout: float) -> Iterator[Worker]:
        """Those of the busy processes that have something to say, or have ended; waits so many seconds for one."""
        busy = {one.pipe: one for one in self._workers if one is not None and one.stage is not None}
        for pipe in wait(list(busy), timeout=timeout):
            yield busy[pipe]  # type: ignore[index]  # it waits for sockets too, of which there are none

    def dismiss(self, worker: Worker) -> None:
        """This process has ended; another may take its place."""
        self._workers[self._workers.index(worker)] = None

    def close(self) -> None:
        """End all processes, whatever they are at."""
        there = [one for one in self._workers if one is not None]
        for worker in there:
            worker.close()
        for worker in there:
            worker.join()


def built_in(name: str) -> Task:
    """This package's task of that name."""
    return TASKS[name]


def offered(name: str) -> Task:
    """An installed package's task of that name."""
    return load_tasks()[name]


def packed(stage: Stage, workshop: "Workshop", *, retry: bool) -> bytes:
    """What a process needs in order to train a stage. Raises TaskError for a task that it could not find."""
    tasks = {part.task: workshop.tasks[part.task] for part in stage.parts}
    buffer = BytesIO()
    try:
        _Pickler(buffer).dump((stage, replace(workshop, tasks=tasks), retry))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TaskError(
            f"{' or '.join(tasks)} cannot be handed to another process ({error}); describe the task in a file, offer "
            "it by an entry point, or train with jobs = 1"
        ) from None
    return buffer.getvalue()


def unchanging(value: dict[Any, Any]) -> Mapping[Any, Any]:
    """A read-only view, which cannot be pickled itself."""
    return MappingProxyType(value)


class _Pickler(pickle.Pickler):
    """Tasks hold functions, so those that every process can find go by their names."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, MappingProxyType):
            return unchanging, (dict(value),)
        if isinstance(value, Task):
            if TASKS.get(value.name) is value:
                return built_in, (value.name,)
            if load_tasks().get(value.name) is value:
                return offered, (value.name,)
        return NotImplemented


def environment(device: str | None, threads: int) -> dict[str, str]:
    """Variables of a process that sees one device, or whatever there is, and uses so many threads."""
    found = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    found["PYTHONPATH"] = os.pathsep.join(place or os.getcwd() for place in sys.path)  # noqa: PTH109 - as it does
    return found if device is None else {**found, "CUDA_VISIBLE_DEVICES": device}


def _error(name: str, text: str) -> Exception:
    known = getattr(xfer_bench.errors, name, None)
    if isinstance(known, type) and issubclass(known, XferBenchError):
        return known(text)
    return OSError(text)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile never hear of Ctrl-C, which a terminal sends to all of them: we end them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
