"""All stages of a study: one after another in this process, or several at once in processes of their own."""

import os
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import Any, Literal, TypeAlias

import torch

from xfer_bench.errors import TrainingError
from xfer_bench.plan import Stage
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.training.attempts import attempt
from xfer_bench.training.board import Board, Finished
from xfer_bench.training.checkpoints import Checkpoint, Store
from xfer_bench.training.crew import Crew, Ended, Worker
from xfer_bench.training.locks import Holder
from xfer_bench.training.outcomes import Failure, failure_of
from xfer_bench.training.stages import Workshop

Jobs: TypeAlias = int | Literal["auto"]

# Seconds between two looks whether a stage that another program trains is finished.
_LOOK = 0.5


def train_all(
    stages: Sequence[Stage],
    *,
    workshop: Workshop,
    jobs: Jobs,
    retry_failed: bool,
    finished: Finished,
    progress: Progress = silent,
) -> Board:
    """Train every stage that is not finished: what became of each is on the board that is returned.

    stages: parents before children. jobs: how many at once, in as many processes, which take turns at the GPUs and
    share out the CPU's threads; "auto" is one for each GPU, 1 trains in this process. retry_failed: try those again
    that failed in earlier calls. finished: told of every stage that is finished, as soon as it is.

    A stage that fails costs those after it, and nothing else. Stages that another program trains at the moment are
    waited for, last. The number of threads decides in which order a CPU adds, and so the last bits of the weights: two
    trainings are equal to the bit where that number is equal.
    Raises TrainingError for several jobs under torchrun, and what `attempt` raises; whatever is under way is ended
    then, and goes on in the next call.
    """
    number = _number(jobs)
    board = Board(
        stages,
        store=workshop.store,
        retry=retry_failed,
        longest_first=number > 1,
        progress=progress,
        finished=finished,
    )
    if number == 1:
        _alone(board, workshop)
    else:
        with closing(Crew(number, devices=_devices(), threads=max(1, torch.get_num_threads() // number))) as crew:
            _together(board, workshop, crew)
    return board


def _alone(board: Board, workshop: Workshop) -> None:
    while not board.over:
        taken = board.take()
        if taken is None:
            board.rest()
            continue
        stage, retry = taken
        outcome = attempt(stage, workshop=workshop, retry=retry, progress=partial(board.update, stage))
        board.settle(stage, outcome)


def _together(board: Board, workshop: Workshop, crew: Crew) -> None:
    while not board.over:
        while crew.room and (taken := board.take()):
            stage, retry = taken
            worker = crew.idle()
            try:
                worker.give(stage, workshop, retry=retry)
            except Ended as ended:
                _lose(worker, stage, ended, board, crew)
        if not crew.busy:
            board.rest()
        for worker in crew.speaking(_LOOK):
            _hear(worker, board, workshop.store, crew)


def _hear(worker: Worker, board: Board, store: Store, crew: Crew) -> None:
    stage = worker.stage
    assert stage is not None
    try:
        said = worker.answer()
    except Ended as ended:
        _lose(worker, stage, ended, board, crew)
        return
    if said["kind"] == "step":
        board.update(stage, Update(**said["update"]))
        return
    worker.stage = None
    board.settle(stage, _outcome(said, stage, store))


def _lose(worker: Worker, stage: Stage, ended: Ended, board: Board, crew: Crew) -> None:
    """A process that was killed has found out nothing about its stage: the next call goes on with it."""
    crew.dismiss(worker)
    board.settle(stage, failure_of(stage, str(ended), resumes=True, recorded=False))


def _outcome(said: dict[str, Any], stage: Stage, store: Store) -> Checkpoint | Failure | Holder:
    if said["kind"] == "failed":
        return Failure(**said["failure"])
    if said["kind"] == "busy":
        return Holder(**said["holder"])
    done = store.find(stage)
    if done is None:
        raise TrainingError(f"{store.path(stage.key)}: what was trained is not there; was the store emptied?")
    return done


def _number(jobs: Jobs) -> int:
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    number = (1 if together else max(1, torch.cuda.device_count())) if jobs == "auto" else jobs
    if number < 1:
        raise TrainingError(f"jobs = {number}: give 1 or more, or auto")
    if number > 1 and together:
        raise TrainingError(f"jobs = {number}: under torchrun all processes train one stage; use one or the other")
    return number


def _devices() -> list[str]:
    """The GPUs as `CUDA_VISIBLE_DEVICES` names them."""
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]
