"""`python -m xfer_bench.training.worker PIPE`: a process that trains one stage after another for the one that began it.

Whatever libraries print goes to the error stream: the pipe has a number of its own.
"""

import json
import os
import pickle
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from xfer_bench.errors import TaskError, XferBenchError
from xfer_bench.progress import Update


def main() -> None:
    """Train what comes down the pipe until it is closed."""
    pipe: Connection[Any, Any] = Connection(int(sys.argv[1]))
    inbox: SimpleQueue[bytes] = SimpleQueue()
    # A thread listens, so that the end of the other process is the end of this one, whatever it is at.
    Thread(target=_listen, args=(pipe, inbox), daemon=True).start()
    while True:
        answer = _answer(inbox.get(), pipe)
        _say(pipe, answer)


def _answer(message: bytes, pipe: "Connection[Any, Any]") -> dict[str, Any]:
    from xfer_bench.training.attempts import attempt
    from xfer_bench.training.locks import Holder
    from xfer_bench.training.outcomes import Failure

    try:
        stage, workshop, retry = unpacked(message)
        outcome = attempt(stage, workshop=workshop, retry=retry, progress=lambda update: _report(pipe, update))
    except (XferBenchError, OSError) as error:
        return {"kind": "error", "name": type(error).__name__, "text": str(error)}
    if isinstance(outcome, Failure):
        return {"kind": "failed", "failure": asdict(outcome)}
    if isinstance(outcome, Holder):
        return {"kind": "busy", "holder": asdict(outcome)}
    return {"kind": "done"}


def unpacked(message: bytes) -> Any:
    """What `crew.packed` put together a moment ago: nothing from any file. Raises TaskError."""
    try:
        return pickle.loads(message)
    except (AttributeError, ImportError, KeyError) as error:
        raise TaskError(f"a task cannot be found by another process ({error}); train with jobs = 1") from None


def _report(pipe: "Connection[Any, Any]", update: Update) -> None:
    _say(pipe, {"kind": "step", "update": asdict(update)})


def _say(pipe: "Connection[Any, Any]", answer: Mapping[str, Any]) -> None:
    with suppress(OSError):  # nobody hears it; the other thread ends us
        pipe.send_bytes(json.dumps(answer).encode())


def _listen(pipe: "Connection[Any, Any]", inbox: "SimpleQueue[bytes]") -> None:
    while True:
        try:
            inbox.put(pipe.recv_bytes())
        except (EOFError, OSError):
            # Nobody is left to train for. What is whole on the disk stays; what is not was never there.
            os._exit(0)


if __name__ == "__main__":
    main()
