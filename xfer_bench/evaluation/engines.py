"""Where shelves are scored: in this process, or in one process for each of several devices."""

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeAlias

import torch

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.evaluator import Piece, Scorer, Scores
from xfer_bench.models.precision import Precision

Work: TypeAlias = Iterable[tuple[Piece, ...]]
Pipe: TypeAlias = "Connection[Any, Any]"

# So that a device never waits for its next shelf.
_AHEAD = 2
# Seconds that a process is given to end by itself.
_PATIENCE = 5.0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """How a checkpoint was scored: `packed`, or `stock` and why.

    largest: tokens of the largest batch that fits, where the memory did not suffice for a larger one.
    """

    path: str
    reason: str
    largest: int | None


class Engine(Protocol):
    """Scores shelves with one checkpoint after another."""

    def begin(self, checkpoint: Scorable) -> Facts:
        """Load the checkpoint. Raises CheckpointError."""

    def announce(self, checkpoint: Scorable) -> None:
        """The checkpoint that comes next may be loaded meanwhile."""

    def scores(self, work: Work) -> Iterator[tuple[int, Scores]]:
        """Each shelf's position and its scores, (sequences, outputs), as they are done. Raises CheckpointError."""

    def facts(self) -> Facts:
        """How it is scored so far."""

    def close(self) -> None:
        """Let go of the devices."""


class Here:
    """In this process, on one device. The next checkpoint's weights load in a thread of their own."""

    def __init__(self, device: str, precision: Precision) -> None:
        self.device = torch.device(device)
        self.precision: Precision = precision
        self._loader = ThreadPoolExecutor(max_workers=1)
        self._coming: tuple[Scorable, Future[Scorer]] | None = None
        self._held: Scorable | None = None
        self._scorer: Scorer | None = None

    @property
    def loading(self) -> bool:
        """Whether an announced checkpoint is still on its way."""
        return self._coming is not None and not self._coming[1].done()

    def begin(self, checkpoint: Scorable) -> Facts:
        """Load the checkpoint, or take it from the thread that did, or keep it when it is the last one again."""
        if self._scorer is None or self._held is not checkpoint:
            self._scorer, self._held = None, checkpoint
            coming, self._coming = self._coming, None
            if coming is not None and coming[0] is checkpoint:
                # The memory may have been too small only for two at once.
                with suppress(CheckpointError):
                    self._scorer = coming[1].result()
            del coming
            if self._scorer is None:
                self._scorer = self._load(checkpoint)
        return self.facts()

    def announce(self, checkpoint: Scorable) -> None:
        """Begin to load it."""
        if checkpoint is not self._held:
            self._coming = (checkpoint, self._loader.submit(self._load, checkpoint))

    def scores(self, work: Work) -> Iterator[tuple[int, Scores]]:
        """One after another."""
        assert self._scorer is not None
        for position, batches in enumerate(work):
            yield position, self._scorer.scores(batches)

    def facts(self) -> Facts:
        """How it is scored so far."""
        assert self._scorer is not None
        return _facts(self._scorer)

    def close(self) -> None:
        """Wait for no loading."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _load(self, checkpoint: Scorable) -> Scorer:
        return Scorer.load(checkpoint, precision=self.precision, device=self.device)


class Processes:
    """One process for each device; every process holds the checkpoint and takes the next shelf when it is free.

    The shelves are the same ones that a single device gets, and so are the sums. A process that ended, by a signal or
    for want of memory, fails the checkpoint that it was at; the next checkpoint gets a new one.
    """

    def __init__(self, devices: Sequence[str], precision: Precision) -> None:
        self._devices = list(devices)
        self._precision: Precision = precision
        self._threads = max(1, torch.get_num_threads() // len(devices))
        self._workers = [self._worker(device) for device in devices]

    @property
    def pids(self) -> tuple[int | None, ...]:
        """The numbers of the processes, device by device."""
        return tuple(worker.process.pid for worker in self._workers)

    def begin(self, checkpoint: Scorable) -> Facts:
        """Load the checkpoint in every process."""
        for worker in self._workers:
            worker.catch_up()
        self._workers = [self._worker(one.device) if one.ended else one for one in self._workers]
        for worker in self._workers:
            worker.name = checkpoint.name
            worker.send(("begin", checkpoint))
        failure: CheckpointError | None = None
        for worker in self._workers:
            try:
                worker.facts = worker.receive()
            except CheckpointError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return self.facts()

    def announce(self, checkpoint: Scorable) -> None:
        """Nothing: the processes are busy, and the files are in the system's cache soon enough."""

    def scores(self, work: Work) -> Iterator[tuple[int, Scores]]:
        """As the processes finish them. What is under way when one fails is still taken in."""
        todo = iter(enumerate(work))
        failure: CheckpointError | None = None
        for worker in self._workers * _AHEAD:
            failure = failure or _handed(worker, todo)
        while busy := {one.pipe: one for one in self._workers if one.owes}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]  # it waits for sockets too, of which there are none
                try:
                    position, scores, worker.facts = worker.receive()
                except CheckpointError as error:
                    failure = failure or error
                    continue
                failure = failure or _handed(worker, todo)
                yield position, scores
        if failure is not None:
            raise failure

    def facts(self) -> Facts:
        """Those of the process that had the most trouble."""
        known = [one.facts for one in self._workers if one.facts is not None]
        shrunk = [one.largest for one in known if one.largest is not None]
        worst = next((one for one in known if one.path != "packed"), known[0])
        return Facts(path=worst.path, reason=worst.reason, largest=min(shrunk, default=None))

    def close(self) -> None:
        """End the processes, whatever they are at."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(timeout=_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _worker(self, device: str) -> "_Worker":
        return _Worker(device, self._precision, self._threads)


class _Worker:
    """Our end of a process that scores on one device.

    name: of the checkpoint that it is at, for messages. owes: how many answers are still to come from it.
    """

    def __init__(self, device: str, precision: Precision, threads: int) -> None:
        # Neither CUDA nor the threads of torch survive a fork.
        context = get_context("spawn")
        self.device = device
        self.name = ""
        self.owes = 0
        self.ended = False
        self.facts: Facts | None = None
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, device, precision, threads), daemon=True)
        with _deaf_to_interrupts():
            self.process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        """Hand it something to do. Raises CheckpointError when it has ended."""
        try:
            self.pipe.send(message)
        except OSError:
            raise self._end() from None
        self.owes += 1

    def receive(self) -> Any:
        """Its next answer. Raises CheckpointError when that is one, and when the process has ended."""
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError):
            raise self._end() from None
        self.owes -= 1
        if isinstance(answer, CheckpointError):
            raise answer
        return answer

    def catch_up(self) -> None:
        """Take in what it owes of a checkpoint that was given up."""
        while self.owes:
            with suppress(CheckpointError):
                self.receive()
        self.ended = self.ended or not self.process.is_alive()

    def _end(self) -> CheckpointError:
        self.owes = 0
        self.ended = True
        self.pipe.close()
        return CheckpointError(
            f"{self.name}: the process that scores on {self.device} ended unexpectedly (killed, or out of memory?)"
        )


def engine_for(devices: Sequence[str], precision: Precision) -> Engine:
    """The engine for one device or several."""
    return Here(devices[0], precision) if len(devices) == 1 else Processes(devices, precision)


def _handed(worker: _Worker, todo: Iterator[tuple[int, tuple[Piece, ...]]]) -> CheckpointError | None:
    """Give a process the next shelf, if there is one; the error when it has ended."""
    item = next(todo, None)
    if item is not None:
        try:
            worker.send(("score", item))
        except CheckpointError as error:
            return error
    return None


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile never hear of Ctrl-C, which a terminal sends to all of them: we end them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Pipe, device: str, precision: Precision, threads: int) -> None:
    """A worker's life: answers until the pipe is closed."""
    torch.set_num_threads(threads)
    inbox: SimpleQueue[Any] = SimpleQueue()
    # A thread takes in what is sent: two processes that both wait for the other to read would wait for ever.
    Thread(target=_take_in, args=(pipe, inbox), daemon=True).start()
    scorer: Scorer | None = None
    while True:
        kind, content = inbox.get()
        answer: Any
        try:
            if kind == "begin":
                scorer = None
                scorer = Scorer.load(content, precision=precision, device=torch.device(device))
                answer = _facts(scorer)
            else:
                assert scorer is not None
                position, batches = content
                answer = (position, scorer.scores(batches), _facts(scorer))
        except CheckpointError as error:
            answer = error
        with suppress(OSError):  # the other thread ends us
            pipe.send(answer)


def _take_in(pipe: Pipe, inbox: "SimpleQueue[Any]") -> None:
    while True:
        try:
            inbox.put(pipe.recv())
        except (EOFError, OSError):
            # Nobody is left to score for, so whatever is under way is in vain, however long it would take.
            os._exit(0)


def _facts(scorer: Scorer) -> Facts:
    largest = scorer.largest if scorer.largest < 1 << 62 else None
    return Facts(path=scorer.forward.path, reason=scorer.forward.reason, largest=largest)
