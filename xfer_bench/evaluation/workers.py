"""A process that scores on one device, and our end of it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

import torch

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.evaluator import Scorer
from xfer_bench.models.precision import Precision

Pipe: TypeAlias = "Connection[Any, Any]"

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


class Worker:
    """Our end of a process that scores on one device.

    name: of the checkpoint that it is at, for messages. owes: how many answers are still to come from it. ended: it
    does not live any more. facts: how it scored its checkpoint so far.
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

    def close(self) -> None:
        """Let it end, whatever it is at; `join` waits for that."""
        self.pipe.close()

    def join(self) -> None:
        """Wait for its end, or bring it about."""
        self.process.join(timeout=_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    def _end(self) -> CheckpointError:
        self.owes = 0
        self.ended = True
        self.pipe.close()
        return CheckpointError(
            f"{self.name}: the process that scores on {self.device} ended unexpectedly (killed, or out of memory?)"
        )


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile never hear of Ctrl-C, which a terminal sends to all of them: we end them."""
    # It starts with the first process and would lift the mask before that process has it.
    resource_tracker.ensure_running()
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
                answer = facts_of(scorer)
            else:
                assert scorer is not None
                position, batches = content
                answer = (position, scorer.scores(batches), facts_of(scorer))
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


def facts_of(scorer: Scorer) -> Facts:
    """How a loaded checkpoint is scored so far."""
    largest = scorer.largest if scorer.largest < 1 << 62 else None
    return Facts(path=scorer.forward.path, reason=scorer.forward.reason, largest=largest)
