"""One try at a stage: by one process at a time, and what goes wrong in its training is an answer, not an error."""

import gc
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeAlias

from accelerate.utils.memory import clear_device_cache

from xfer_bench.errors import CheckpointError, OutOfMemoryError, TrainingError
from xfer_bench.plan import Stage
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.training.checkpoints import Checkpoint, drop_states
from xfer_bench.training.job import FINISHED
from xfer_bench.training.locks import Holder, held, lock_of
from xfer_bench.training.outcomes import (
    FAILED,
    Failure,
    failure_of,
    record_failure,
    recorded_failure,
)
from xfer_bench.training.stages import Workshop, train

Outcome: TypeAlias = Checkpoint | Failure | Holder

_POLL = 0.05


def attempt(stage: Stage, *, workshop: Workshop, retry: bool = False, progress: Progress = silent) -> Outcome:
    """Train a stage whose parent is finished, unless somebody else does at this moment: then who.

    A stage that fails is marked as failed, and is left alone from then on; retry: try it again. Out of memory, it goes
    on from its last state; weights that are no numbers stay none, so then it begins anew.
    Raises CheckpointError for a damaged checkpoint, SourceError for rows that cannot be had, and OSError.
    """
    work = workshop.store.work(stage.key)
    with _only_here(work) as other:
        if other is not None:
            return other
        done = workshop.store.find(stage)
        if done is not None:
            return done
        before = recorded_failure(work)
        if before is not None:
            if not retry:
                return replace(before, key=stage.key, earlier=True)
            _try_again(work, resumes=before.resumes)
        return _trained(stage, workshop, work, progress)


def _trained(stage: Stage, workshop: Workshop, work: Path, progress: Progress) -> Checkpoint | Failure:
    steps = 0

    def noted(update: Update) -> None:
        nonlocal steps
        steps += bool(update.done)
        progress(update)

    try:
        return train(stage, workshop=workshop, progress=noted)
    except TrainingError as error:
        # What failed before its first step has changed nothing.
        resumes = isinstance(error, OutOfMemoryError) or not steps
        failure = failure_of(stage, str(error), resumes=resumes)
    except UnpicklingError:
        raise CheckpointError(f"{work}: a state there holds more than numbers; remove the folder") from None
    # Outside the except clause, which holds on to the model.
    gc.collect()
    clear_device_cache()
    if not _rank():
        record_failure(work, failure)
        if not failure.resumes:
            _clear(work)
    return failure


def _try_again(work: Path, *, resumes: bool) -> None:
    if not _rank():
        if not resumes:
            _clear(work)
        # Last: whoever sees no mark sees what the next try begins with.
        (work / FAILED).unlink(missing_ok=True)
    while (work / FAILED).exists():
        time.sleep(_POLL)


def _clear(work: Path) -> None:
    """Remove what nobody goes on from, which is several times as large as a checkpoint; what was logged stays."""
    drop_states(work, after=0)
    shutil.rmtree(work / FINISHED, ignore_errors=True)


@contextmanager
def _only_here(work: Path) -> Iterator[Holder | None]:
    """The stage's lock. Of the processes that torchrun started the first one holds it for all."""
    if _rank():
        yield None
        return
    with held(lock_of(work)) as other:
        if other is not None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise CheckpointError(f"{work}: {other} trains this stage; processes of torchrun cannot wait for it")
        yield other


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))
