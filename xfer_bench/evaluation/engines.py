"""Where shelves are scored: in this process, or in one process for each of several devices."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeAlias, cast

import torch

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.evaluator import Piece, Scorer, Scores
from xfer_bench.models.precision import Precision

Work: TypeAlias = Iterable[tuple[Piece, ...]]
Pipe: TypeAlias = "Connection[Any, Any]"

# So that a device never waits for its next shelf.
_AHEAD = 2


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
        self._scorer: Scorer | None = None

    def begin(self, checkpoint: Scorable) -> Facts:
        """Load the checkpoint, or take it from the thread that did."""
        self._scorer = None
        coming, self._coming = self._coming, None
        if coming is not None and coming[0] is checkpoint:
            self._scorer = coming[1].result()
        else:
            self._scorer = self._load(checkpoint)
        return self.facts()

    def announce(self, checkpoint: Scorable) -> None:
        """Begin to load it."""
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

    The shelves are the same ones that a single device gets, and so are the sums.
    """

    def __init__(self, devices: Sequence[str], precision: Precision) -> None:
        # Neither CUDA nor the threads of torch survive a fork.
        context = get_context("spawn")
        self._devices = list(devices)
        self._pipes: list[Pipe] = []
        self._processes = []
        self._facts: list[Facts] = []
        # Answers that are still to come from each process.
        self._busy: dict[Pipe, int] = {}
        threads = max(1, torch.get_num_threads() // len(devices))
        for device in devices:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, device, precision, threads), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._busy[ours] = 0
            self._processes.append(process)

    def begin(self, checkpoint: Scorable) -> Facts:
        """Load the checkpoint in every process."""
        for pipe, count in self._busy.items():
            for _ in range(count):  # of a checkpoint that was given up
                self._receive(pipe)
            self._busy[pipe] = 0
        for pipe in self._pipes:
            self._send(pipe, ("begin", checkpoint))
        answers = [self._receive(pipe) for pipe in self._pipes]
        self._facts = [_unwrapped(answer) for answer in answers]
        return self.facts()

    def announce(self, checkpoint: Scorable) -> None:
        """Nothing: the processes are busy, and the files are in the system's cache soon enough."""

    def scores(self, work: Work) -> Iterator[tuple[int, Scores]]:
        """As the processes finish them."""
        todo = iter(enumerate(work))
        for _ in range(_AHEAD):
            for pipe in self._pipes:
                self._next(pipe, todo)
        failure: CheckpointError | None = None
        while any(self._busy.values()):
            for pipe in cast("list[Pipe]", wait([one for one in self._pipes if self._busy[one]])):
                answer = self._receive(pipe)
                self._busy[pipe] -= 1
                try:
                    position, scores, facts = _unwrapped(answer)
                except CheckpointError as error:
                    # What is under way elsewhere has to be taken in before the next checkpoint begins.
                    failure = failure or error
                    continue
                self._facts[self._pipes.index(pipe)] = facts
                if failure is None:
                    self._next(pipe, todo)
                    yield position, scores
        if failure is not None:
            raise failure

    def facts(self) -> Facts:
        """Those of the process that had the most trouble."""
        shrunk = [one.largest for one in self._facts if one.largest is not None]
        worst = next((one for one in self._facts if one.path != "packed"), self._facts[0])
        return Facts(path=worst.path, reason=worst.reason, largest=min(shrunk, default=None))

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()
                process.join()

    def _next(self, pipe: Pipe, todo: Iterator[tuple[int, tuple[Piece, ...]]]) -> None:
        item = next(todo, None)
        if item is not None:
            self._send(pipe, ("score", item))
            self._busy[pipe] += 1

    def _send(self, pipe: Pipe, message: Any) -> None:
        try:
            pipe.send(message)
        except OSError:
            raise self._ended(pipe) from None

    def _receive(self, pipe: Pipe) -> Any:
        try:
            return pipe.recv()
        except (EOFError, OSError):
            raise self._ended(pipe) from None

    def _ended(self, pipe: Pipe) -> CheckpointError:
        device = self._devices[self._pipes.index(pipe)]
        return CheckpointError(f"the process that scores on {device} ended unexpectedly (killed, or out of memory?)")


def engine_for(devices: Sequence[str], precision: Precision) -> Engine:
    """The engine for one device or several."""
    return Here(devices[0], precision) if len(devices) == 1 else Processes(devices, precision)


def _serve(pipe: Pipe, device: str, precision: Precision, threads: int) -> None:
    """A worker's life: answers until the pipe is closed. An interrupt is the parent's business."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    scorer: Scorer | None = None
    while True:
        try:
            kind, content = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if kind == "begin":
                scorer = None
                scorer = Scorer.load(content, precision=precision, device=torch.device(device))
                pipe.send(_facts(scorer))
            else:
                assert scorer is not None
                position, batches = content
                pipe.send((position, scorer.scores(batches), _facts(scorer)))
        except CheckpointError as error:
            pipe.send(error)
        except OSError:
            return


def _facts(scorer: Scorer) -> Facts:
    largest = scorer.largest if scorer.largest < 1 << 62 else None
    return Facts(path=scorer.forward.path, reason=scorer.forward.reason, largest=largest)


def _unwrapped(answer: Any) -> Any:
    if isinstance(answer, CheckpointError):
        raise answer
    return answer
