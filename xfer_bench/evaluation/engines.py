"""Where shelves are scored: in this process, or in one process for each of several devices."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Protocol, TypeAlias

import torch

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.evaluator import Piece, Scorer, Scores
from xfer_bench.evaluation.workers import Facts, Worker, facts_of
from xfer_bench.models.precision import Precision

Work: TypeAlias = Iterable[tuple[Piece, ...]]

# So that a device never waits for its next shelf.
_AHEAD = 2


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
        return facts_of(self._scorer)

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
    def pids(self) -> tuple[int, ...]:
        """The numbers of the processes, device by device."""
        return tuple(worker.process.pid or 0 for worker in self._workers)

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
            worker.close()
        for worker in self._workers:
            worker.join()

    def _worker(self, device: str) -> Worker:
        return Worker(device, self._precision, self._threads)


def engine_for(devices: Sequence[str], precision: Precision) -> Engine:
    """The engine for one device or several."""
    return Here(devices[0], precision) if len(devices) == 1 else Processes(devices, precision)


def _handed(worker: Worker, todo: Iterator[tuple[int, tuple[Piece, ...]]]) -> CheckpointError | None:
    """Give a process the next shelf, if there is one; the error when it has ended."""
    item = next(todo, None)
    if item is not None:
        try:
            worker.send(("score", item))
        except CheckpointError as error:
            return error
    return None
