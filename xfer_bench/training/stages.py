"""A stage becomes a checkpoint: found if it is finished, resumed if it was begun, trained if it is new."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import distributed

import xfer_bench
from xfer_bench.errors import TrainingError
from xfer_bench.models.heads import Headed, quiet, with_fresh_head, with_its_head
from xfer_bench.plan import Stage, rows_of
from xfer_bench.progress import Progress, silent
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks import Task
from xfer_bench.training.checkpoints import Checkpoint, Store
from xfer_bench.training.fitting import FINISHED, fit

_LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "datasets", "polars", "numpy")


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where stages are trained.

    origin: the folder of the pretrained model that stages without a parent start from; ancestry: what its lineage
    should say of it.
    """

    store: Store
    tasks: Mapping[str, Task]
    sources: Sources
    origin: Path
    ancestry: Mapping[str, Any]


def train(stage: Stage, *, workshop: Workshop, progress: Progress = silent) -> Checkpoint:
    """The checkpoint of a stage, whose parent must be finished.

    A finished stage is never trained again, a begun one goes on from its last whole state, and nothing but a whole
    checkpoint ever stands in the store under the stage's key.
    Under torchrun every process calls it, and the first one writes.
    Raises TrainingError if the data are not those of the plan, the loss is no number, or memory does not suffice.
    """
    store = workshop.store
    done = store.find(stage)
    if done is not None:
        return done
    task = workshop.tasks[stage.data.task]
    rows = _rows(stage, task, workshop.sources)
    headed = _start(stage, task, workshop)
    work = store.work(stage.key)
    work.mkdir(parents=True, exist_ok=True)
    facts = fit(stage, headed, task_format=task.format, rows=rows, work=work, progress=progress)
    together = distributed.is_initialized()
    if not together or distributed.get_rank() == 0:
        finished = work / FINISHED
        _clear(finished)
        with quiet():
            headed.model.save_pretrained(finished)
            headed.tokenizer.save_pretrained(finished)
        store.publish(stage, finished, _lineage(stage, task, headed, facts, workshop.ancestry))
    if together:
        distributed.barrier()
    trained = store.find(stage)
    if trained is None:
        raise TrainingError(f"{store.path(stage.key)}: what was trained is not there; was the store emptied?")
    return trained


def _clear(finished: Path) -> None:
    """Remove what a killed process left of the result itself; the checkpoints along the stage stay."""
    finished.mkdir(parents=True, exist_ok=True)
    for file in finished.iterdir():
        if file.is_file():
            file.unlink()


def _rows(stage: Stage, task: Task, sources: Sources) -> tuple[Rows, Rows]:
    data = stage.data
    rows = rows_of(stage, task, sources)
    if (rows[0].fingerprint, rows[1].fingerprint) != (data.fingerprint, data.development_fingerprint):
        raise TrainingError(f"{data.repository}: the rows changed since the study was planned; start again")
    return rows


def _start(stage: Stage, task: Task, workshop: Workshop) -> Headed:
    if stage.parent is None:
        return with_fresh_head(workshop.origin, task.format, seed=stage.initialisation_seed)
    parent = workshop.store.find(stage.parent)
    if parent is None:
        raise TrainingError(f"stage {stage.key[:16]} needs stage {stage.parent.key[:16]}, which is not finished")
    if stage.head == "keep":
        # The head is still the one that the parent made, and goes with it when a later stage starts a fresh one.
        kept = with_its_head(parent.path, task.format.head)
        return replace(kept, fresh=frozenset(parent.lineage["head"]["parameters"]))
    without = [name.split(".", 1)[1] for name in parent.lineage["head"]["parameters"]]
    return with_fresh_head(parent.path, task.format, seed=stage.initialisation_seed, without=without)


def _lineage(
    stage: Stage, task: Task, headed: Headed, facts: Mapping[str, Any], ancestry: Mapping[str, Any]
) -> dict[str, Any]:
    data = stage.data
    libraries = (*_LIBRARIES, "peft") if stage.recipe.lora else _LIBRARIES
    return {
        "schema": 1,
        "key": stage.key,
        "role": stage.role,
        "parents": _ancestors(stage),
        "task": task.name,
        "format": task.format.name,
        "chance": 100.0 * task.chance,
        "data": {
            "repository": data.repository,
            "revision": data.revision,
            "languages": list(data.languages),
            "per_item": data.per_item,
            "examples": data.examples,
            "dropped": data.dropped,
            "fingerprint": data.fingerprint,
            "development_fingerprint": data.development_fingerprint,
        },
        "recipe": stage.recipe.model_dump(),
        "seeds": {"initialisation": stage.initialisation_seed, "data_order": stage.data_seed, "draw": data.seed},
        "head": {"policy": stage.head, "parameters": sorted(headed.fresh)},
        "origin": dict(ancestry),
        **facts,
        "training_source": stage.source,
        "versions": {"xfer-bench": xfer_bench.__version__, **{name: version(name) for name in libraries}},
        "git_commit": _git_commit(),
        "runs": [],
    }


def _ancestors(stage: Stage) -> list[dict[str, str]]:
    """From the first stage to the parent."""
    if stage.parent is None:
        return []
    return [*_ancestors(stage.parent), {"key": stage.parent.key, "task": stage.parent.data.task}]


def _git_commit() -> str | None:
    """The commit of this package's checkout, or None when it is installed from a wheel."""
    root = Path(xfer_bench.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    asked = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None
