"""A stage becomes a checkpoint: found if it is finished, resumed if it was begun, trained if it is new."""

import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from torch import distributed

import xfer_bench
from xfer_bench.errors import TrainingError
from xfer_bench.models.heads import Headed, quiet, with_fresh_head, with_its_head
from xfer_bench.models.multitask import Learner, learner, masked_lm
from xfer_bench.plan import Data, PartRows, Stage, rows_of
from xfer_bench.progress import Progress, silent
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import Task
from xfer_bench.training.checkpoints import Checkpoint, Store
from xfer_bench.training.fitting import fit
from xfer_bench.training.job import FINISHED
from xfer_bench.training.logs import deliver_log

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
    rows = _rows(stage, workshop)
    started = start(stage, workshop)
    headed = started.main
    work = store.work(stage.key)
    work.mkdir(parents=True, exist_ok=True)
    facts = fit(stage, started, tasks=workshop.tasks, rows=rows, work=work, progress=progress)
    together = distributed.is_initialized()
    if not together or distributed.get_rank() == 0:
        finished = work / FINISHED
        _clear(finished)
        with quiet():
            headed.model.save_pretrained(finished)
            headed.tokenizer.save_pretrained(finished)
        deliver_log(work, finished)
        store.publish(stage, finished, _lineage(stage, headed, facts, workshop))
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


def _rows(stage: Stage, workshop: Workshop) -> tuple[PartRows, ...]:
    rows = rows_of(stage, workshop.tasks, workshop.sources)
    for part, one in zip(stage.parts, rows, strict=True):
        held_out = one.development.fingerprint if one.development else ""
        if (one.training.fingerprint, held_out) != (part.fingerprint, part.development_fingerprint):
            raise TrainingError(f"{part.repository}: the rows changed since the study was planned; start again")
    return rows


def start(stage: Stage, workshop: Workshop) -> Learner:
    """The encoder that the stage starts from, under the heads of its parts. Raises TrainingError without its parent."""
    folder, made_before = _origin(stage, workshop)
    without = [name.split(".", 1)[1] for name in made_before]
    forms = {part.head: workshop.tasks[part.task].format for part in stage.parts if part.mlm is None}
    heads: dict[str, Headed] = {}
    for place, (name, form) in enumerate(forms.items()):
        if place == 0 and stage.head == "keep":
            # The head is still the one that the parent made, and goes with it when a later stage starts a fresh one.
            heads[name] = replace(with_its_head(folder, form.head), fresh=frozenset(made_before))
        else:
            heads[name] = with_fresh_head(folder, form, seed=_seed(stage, place), without=without)
    main = next(iter(heads.values()))
    text = {
        part.head: masked_lm(folder, main, seed=_seed(stage, len(forms)))
        for part in stage.parts
        if part.mlm is not None
    }
    return learner(heads, text=text)


def _seed(stage: Stage, place: int) -> int:
    """Of the initialisation of a head; the first one's is the stage's own."""
    if place == 0:
        return stage.initialisation_seed
    return int(np.random.SeedSequence([stage.initialisation_seed, place]).generate_state(1)[0])


def _origin(stage: Stage, workshop: Workshop) -> tuple[Path, list[str]]:
    """The folder that a stage starts from, and the parameters there that were made with its own head."""
    if stage.parent is None:
        return workshop.origin, []
    parent = workshop.store.find(stage.parent)
    if parent is None:
        raise TrainingError(f"stage {stage.key[:16]} needs stage {stage.parent.key[:16]}, which is not finished")
    return parent.path, parent.lineage["head"]["parameters"]


def _lineage(stage: Stage, headed: Headed, facts: Mapping[str, Any], workshop: Workshop) -> dict[str, Any]:
    libraries = (*_LIBRARIES, "peft") if stage.recipe.lora else _LIBRARIES
    chances = [workshop.tasks[part.task].chance for part in stage.parts if part.mlm is None]
    return {
        "schema": 2,
        "key": stage.key,
        "role": stage.role,
        "parents": _ancestors(stage),
        "task": stage.task,
        "chance": 100.0 * sum(chances) / len(chances),
        "languages": list(stage.languages),
        "parts": [_part(part) for part in stage.parts],
        "recipe": stage.recipe.model_dump(),
        "seeds": {"initialisation": stage.initialisation_seed, "data_order": stage.data_seed},
        "head": {"policy": stage.head, "parameters": sorted(headed.fresh)},
        "origin": dict(workshop.ancestry),
        **facts,
        "training_source": stage.source,
        "versions": {"xfer-bench": xfer_bench.__version__, **{name: version(name) for name in libraries}},
        "git_commit": _git_commit(),
        "runs": [],
    }


def _part(part: Data) -> dict[str, Any]:
    return {
        "task": part.task,
        "format": part.format,
        "head": part.head,
        "share": part.share,
        "mlm": part.mlm,
        "repository": part.repository,
        "revision": part.revision,
        "wanted": asdict(part.wanted),
        "draw": part.seed,
        "machine_translated": part.machine_translated,
        "examples": part.examples,
        "dropped": part.dropped,
        "fingerprint": part.fingerprint,
        "development_fingerprint": part.development_fingerprint,
    }


def _ancestors(stage: Stage) -> list[dict[str, str]]:
    """From the first stage to the parent."""
    if stage.parent is None:
        return []
    return [*_ancestors(stage.parent), {"key": stage.parent.key, "task": stage.parent.task}]


def _git_commit() -> str | None:
    """The commit of this package's checkout, or None when it is installed from a wheel."""
    root = Path(xfer_bench.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    asked = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None
