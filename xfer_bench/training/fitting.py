"""One stage trained, from its rows to its weights: killed at any moment, it goes on from its last whole state."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from xfer_bench.errors import OutOfMemoryError, TrainingError
from xfer_bench.metrics import INTERMEDIATE
from xfer_bench.models.heads import freeze, quiet
from xfer_bench.models.multitask import Learner
from xfer_bench.models.precision import best_device, chosen
from xfer_bench.plan import PartRows, Stage
from xfer_bench.progress import Progress
from xfer_bench.tasks import Task
from xfer_bench.training.arguments import arguments_of
from xfer_bench.training.batches import Batches, Mixture
from xfer_bench.training.callbacks import Keeper, Stopping
from xfer_bench.training.checkpoints import drop_states, step_of
from xfer_bench.training.determinism import deterministic
from xfer_bench.training.job import Job, job_of
from xfer_bench.training.keeping import accuracies
from xfer_bench.training.material import mixtures_of
from xfer_bench.training.memory import is_out_of_memory
from xfer_bench.training.probe import MOST_ITEMS, initial_accuracy
from xfer_bench.training.tokenised import FOLDER
from xfer_bench.training.trainer import Positions, StageTrainer


def fit(
    stage: Stage,
    learner: Learner,
    *,
    tasks: Mapping[str, Task],
    rows: Sequence[PartRows],
    work: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train `learner.model` in place on the rows of a stage's parts.

    work: where resumable states are kept; the newest whole one is resumed. The checkpoints along the stage that its
    recipe keeps are in `work/finished/steps` afterwards.
    Returns the facts of the training: steps, examples and tokens seen, development accuracy and the share of the
    commonest answer there in points, seconds, device and precision; of an intermediate stage also what a head on the
    frozen encoder reaches before it. `kept` are those of the checkpoints along the stage, `by_part` those of its
    training sets.
    """
    recipe = stage.recipe
    training, development = mixtures_of(stage, learner, tasks, rows, tokens=work.parents[1] / FOLDER)
    freeze(learner.main.model, embeddings=recipe.freeze_embeddings, layers=recipe.freeze_layers)
    device = best_device()
    precision = chosen(recipe.precision, device)
    before = _before(stage, learner, training, development, device=device)
    job = job_of(stage, learner, mixtures=(training, development), work=work, progress=progress)
    with quiet(), deterministic(asked=recipe.deterministic):
        found = _trained(job, bf16=precision == "bf16")
    by_part: list[dict[str, Any]] = [
        {"task": part.task, "head": part.head, "examples": seen, "initial_accuracy": None, "development_accuracy": None}
        for part, seen in zip(stage.parts, job.seen_by_part(found["steps"]), strict=True)
    ]
    # The labelled parts come first.
    for place, accuracy in enumerate(found.pop("accuracies")):
        by_part[place] |= {"initial_accuracy": before[place] if before else None, "development_accuracy": accuracy}
    return {
        **found,
        "by_part": by_part,
        "initial_accuracy": sum(before) / len(before) if before else None,
        "truncated_sequences": sum(part.sequences.truncated for part in training.parts),
        "development_items": job.development_items,
        "seconds": job.reporter.seconds,
        "device": device.type,
        # In whose order a CPU adds up, which decides the last bits.
        "threads": torch.get_num_threads(),
        "precision": precision,
        "micro_batch": job.division.per_pass,
        "selection": recipe.selection if job.selects else "last",
        "adapter": job.adapted.facts if job.adapted else None,
    }


def _before(
    stage: Stage, learner: Learner, training: Mixture, development: Mixture, *, device: torch.device
) -> list[float]:
    """What heads on the frozen encoder reach on each labelled part; nothing for a target's own training."""
    if stage.role != INTERMEDIATE:
        return []
    pairs = [
        (known, asked)
        for known, asked in zip(training.parts, development.parts, strict=False)
        if isinstance(known, Batches) and isinstance(asked, Batches)
    ]
    # However many sets there are, it takes as long.
    most = MOST_ITEMS // max(1, len(pairs))
    return [initial_accuracy(learner.main, known, asked, device=device, most=most) for known, asked in pairs]


def _trained(job: Job, *, bf16: bool) -> dict[str, Any]:
    """Train, keep, merge and measure: the facts that depend on how it went."""
    keeper = Keeper(job.keeping, job.kept, write=job.write)
    trainer = _trainer(job, keeper, bf16=bf16)
    if trainer.is_world_process_zero():
        at = step_of(job.resumed) if job.resumed else 0
        drop_states(job.work, after=at)
        job.kept.drop(*(step for step in job.kept.steps() if step > at))
    try:
        trainer.train(resume_from_checkpoint=str(job.resumed) if job.resumed else None)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"{job.reporter.label}: out of memory ({str(error).splitlines()[0]})") from None
    # What is measured from here on is no step of the training.
    trainer.remove_callback(keeper)
    if job.adapted:
        job.adapted.merge()
    # The loss is looked at every few steps only; weights that are no numbers never become a checkpoint.
    if not all(bool(torch.isfinite(weights).all()) for weights in job.learner.main.model.parameters()):
        raise TrainingError(f"{job.reporter.label}: the weights are no longer numbers; lower the learning rate")
    return _measured(job, trainer)


def _trainer(job: Job, keeper: Keeper, *, bf16: bool) -> StageTrainer:
    recipe = job.stage.recipe
    stopping = Stopping(recipe.patience) if job.selects and recipe.patience else None
    return StageTrainer(
        model=job.learner.model,
        args=arguments_of(job, bf16=bf16),
        train_dataset=Positions(_left(job, stopping)),
        # Trainer wants one where it measures; the development items are the trainer's own.
        eval_dataset=Positions([]),
        data_collator=job.training,
        development=job.development,
        division=job.division,
        smoothing=recipe.label_smoothing,
        label=job.reporter.label,
        processing_class=job.learner.main.tokenizer,
        # Stopping decides before the keeper asks whether this step is the last one.
        # The log reaches the disk before the reporter seals a state.
        callbacks=[
            job.logbook,
            *job.reporting.callbacks,
            job.reporter,
            *([stopping] if stopping else []),
            keeper,
        ],
    )


def _measured(job: Job, trainer: StageTrainer) -> dict[str, Any]:
    steps = trainer.state.global_step
    selected = trainer.state.best_global_step if job.selects and trainer.state.best_global_step else steps
    by_step = accuracies(trainer.state.log_history)
    kept = [
        {
            **job.facts_at(step),
            "selected_step": step,
            "development_accuracy": _points(by_step.get(step)),
            "development_majority": None,
        }
        for step in job.kept.steps()
        if step != selected
    ]
    measured = trainer.evaluate()
    job.logbook.note(selected, measured)
    return {
        **job.facts_at(steps),
        "selected_step": selected,
        "development_accuracy": _points(measured["eval_accuracy"]),
        "development_majority": _points(measured["eval_majority"]),
        "accuracies": [_points(measured[f"eval_accuracy_{place}"]) for place in range(len(job.development.parts))],
        "kept": kept,
    }


def _points(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _left(job: Job, stopping: Stopping | None) -> list[int]:
    """The order, which ends where the stage stopped if it was interrupted after that."""
    if job.resumed is None or stopping is None:
        return job.order
    history = json.loads((job.resumed / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return job.order[: step_of(job.resumed) * job.stage.recipe.batch_size] if stopping.over(history) else job.order
