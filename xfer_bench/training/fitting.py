"""One stage trained, from its rows to its weights: killed at any moment, it goes on from its last whole state."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from transformers import TrainingArguments

from xfer_bench.errors import OutOfMemoryError, TrainingError
from xfer_bench.metrics import INTERMEDIATE
from xfer_bench.models.encoding import encode
from xfer_bench.models.heads import freeze, quiet
from xfer_bench.models.multitask import Learner
from xfer_bench.models.precision import best_device, chosen
from xfer_bench.plan import PartRows, Stage
from xfer_bench.progress import Progress
from xfer_bench.recipes import Recipe
from xfer_bench.tasks import Task
from xfer_bench.training.adapting import Adapted, adapt
from xfer_bench.training.batches import Batches, Mixture, TextBatches
from xfer_bench.training.callbacks import Keeper, Reporter, Stopping
from xfer_bench.training.checkpoints import drop_states, newest_state, step_of
from xfer_bench.training.keeping import Keeping, Kept, accuracies, keeping, selects
from xfer_bench.training.memory import Division, is_out_of_memory
from xfer_bench.training.order import Amount, order_of
from xfer_bench.training.probe import initial_accuracy
from xfer_bench.training.trainer import Positions, StageTrainer

# The folder of a stage in the making that becomes its checkpoint.
FINISHED = "finished"


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A stage with everything that its training needs.

    order: which item is seen when. resumed: the state that it goes on from.
    """

    stage: Stage
    learner: Learner
    training: Mixture
    development: Mixture
    order: list[int]
    keeping: Keeping
    kept: Kept
    adapted: Adapted | None
    division: Division
    reporter: Reporter
    work: Path
    resumed: Path | None

    @property
    def development_items(self) -> int:
        return sum(map(len, self.development.lengths))

    @property
    def selects(self) -> bool:
        return selects(self.stage.recipe, development=self.development_items)

    def write(self, folder: Path) -> None:
        """A checkpoint of the weights as they are now."""
        main = self.learner.main
        main.model.save_pretrained(folder, state_dict=self.adapted.merged_weights() if self.adapted else None)
        main.tokenizer.save_pretrained(folder)

    def facts_at(self, step: int) -> dict[str, Any]:
        """What was seen after so many steps."""
        seen = self.order[: step * self.stage.recipe.batch_size]
        lengths = [length for part in self.training.lengths for length in part]
        return {"steps": step, "examples": len(seen), "tokens": sum(lengths[item] for item in seen)}

    def seen_by_part(self, step: int) -> list[int]:
        """Examples of each part that were seen after so many steps."""
        parts = [self.training.part_of(item) for item in self.order[: step * self.stage.recipe.batch_size]]
        return [parts.count(part) for part in range(len(self.training.parts))]


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
    training, development = _mixtures(stage, learner, tasks, rows)
    freeze(learner.main.model, embeddings=recipe.freeze_embeddings, layers=recipe.freeze_layers)
    device = best_device()
    precision = chosen(recipe.precision, device)
    before = _before(stage, learner, training, development, device=device)
    job = _job(stage, learner, mixtures=(training, development), work=work, progress=progress)
    with quiet():
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


def _mixtures(
    stage: Stage, learner: Learner, tasks: Mapping[str, Task], rows: Sequence[PartRows]
) -> tuple[Mixture, Mixture]:
    """The batches of the training rows, and of the development rows of the labelled parts."""
    main = learner.main
    longest = min(stage.recipe.max_length, main.longest)
    training: list[Batches | TextBatches] = []
    development: list[Batches | TextBatches] = []
    for part, one in zip(stage.parts, rows, strict=True):
        sequences = encode(one.training.frame, main.tokenizer, max_length=longest)
        if part.mlm is not None or one.development is None:
            text = TextBatches(
                sequences=sequences,
                tokenizer=main.tokenizer,
                probability=part.mlm or 0.0,
                pad_id=main.pad_id,
                seed=stage.data_seed,
            )
            training.append(text)
            continue
        form = tasks[part.task].format
        held_out = encode(one.development.frame, main.tokenizer, max_length=longest)
        for batches, of, frame in (
            (training, sequences, one.training.frame),
            (development, held_out, one.development.frame),
        ):
            batches.append(Batches(sequences=of, labels=frame["label"].to_list(), task_format=form, pad_id=main.pad_id))
    heads = tuple(part.head for part in stage.parts)
    return (
        Mixture(parts=tuple(training), heads=heads),
        Mixture(parts=tuple(development), heads=heads[: len(development)]),
    )


def _before(
    stage: Stage, learner: Learner, training: Mixture, development: Mixture, *, device: torch.device
) -> list[float]:
    """What heads on the frozen encoder reach on each labelled part; nothing for a target's own training."""
    if stage.role != INTERMEDIATE:
        return []
    pairs = zip(training.parts, development.parts, strict=False)
    return [
        initial_accuracy(learner.main, known, asked, device=device)
        for known, asked in pairs
        if isinstance(known, Batches) and isinstance(asked, Batches)
    ]


def _job(stage: Stage, learner: Learner, *, mixtures: tuple[Mixture, Mixture], work: Path, progress: Progress) -> _Job:
    recipe = stage.recipe
    training, development = mixtures
    state, facts = newest_state(work) or (None, {})
    division = _division(recipe, facts.get("per_pass"))
    label = f"{stage.role} {stage.task}, seed {stage.data_seed}"
    order = _order(stage, training, label)
    items = sum(map(len, development.lengths))
    return _Job(
        stage=stage,
        learner=learner,
        training=training,
        development=development,
        order=order,
        keeping=keeping(recipe, steps=max(1, len(order) // recipe.batch_size), development=items),
        kept=Kept(folder=work / FINISHED),
        adapted=_adapted(stage, learner),
        division=division,
        reporter=Reporter(label=label, progress=progress, seconds=float(facts.get("seconds", 0.0)), division=division),
        work=work,
        resumed=state,
    )


def _order(stage: Stage, training: Mixture, label: str) -> list[int]:
    recipe = stage.recipe
    amount = Amount(
        batch_size=recipe.batch_size,
        examples=max(1, round(stage.epoch * recipe.epochs)),
        steps=stage.most_steps,
        tokens=recipe.max_tokens,
    )
    order = order_of(training.lengths, [part.share for part in stage.parts], amount, seed=stage.data_seed)
    if recipe.max_tokens is not None:
        lengths = [length for part in training.lengths for length in part]
        there = sum(lengths[item] for item in order)
        if there < recipe.max_tokens:
            raise TrainingError(
                f"{label}: its budget is {recipe.max_tokens:,} tokens, and {len(order):,} examples have {there:,}; "
                "lower the budget, or write upsample = true to let them be seen more than once"
            )
    return order


def _trained(job: _Job, *, bf16: bool) -> dict[str, Any]:
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


def _trainer(job: _Job, keeper: Keeper, *, bf16: bool) -> StageTrainer:
    recipe = job.stage.recipe
    stopping = Stopping(recipe.patience) if job.selects and recipe.patience else None
    return StageTrainer(
        model=job.learner.model,
        args=_arguments(job, bf16=bf16),
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
        callbacks=[job.reporter, *([stopping] if stopping else []), keeper],
    )


def _measured(job: _Job, trainer: StageTrainer) -> dict[str, Any]:
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


def _adapted(stage: Stage, learner: Learner) -> Adapted | None:
    recipe = stage.recipe
    if not recipe.lora:
        return None
    return adapt(learner.main, recipe.lora, seed=stage.initialisation_seed, frozen=recipe.freeze_layers)


def _left(job: _Job, stopping: Stopping | None) -> list[int]:
    """The order, which ends where the stage stopped if it was interrupted after that."""
    if job.resumed is None or stopping is None:
        return job.order
    history = json.loads((job.resumed / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return job.order[: step_of(job.resumed) * job.stage.recipe.batch_size] if stopping.over(history) else job.order


def _arguments(job: _Job, *, bf16: bool) -> TrainingArguments:
    # Precision is kept process-wide by accelerate: an earlier stage's would silently stay in force.
    AcceleratorState._reset_state(reset_partial_state=True)
    recipe = job.stage.recipe
    per_device = _per_device(recipe)
    measures = job.selects or job.keeping.best
    return TrainingArguments(
        output_dir=str(job.work),
        num_train_epochs=1,  # the epochs are in the order already
        per_device_train_batch_size=per_device,
        per_device_eval_batch_size=max(32, per_device),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup,
        lr_scheduler_type="linear",
        bf16=bf16,
        use_cpu=best_device().type == "cpu",
        train_sampling_strategy="sequential",
        eval_strategy="steps" if measures else "no",
        eval_steps=recipe.evaluate_every if measures else None,
        save_strategy="steps",
        save_steps=recipe.evaluate_every if job.selects else recipe.save_every,
        save_total_limit=2,
        load_best_model_at_end=job.selects,
        metric_for_best_model="accuracy" if job.selects else None,
        greater_is_better=True if job.selects else None,
        logging_steps=10,
        logging_nan_inf_filter=False,
        seed=job.stage.initialisation_seed,
        data_seed=job.stage.data_seed,
        label_names=["labels"],
        # A head that a batch does not ask has no gradient.
        ddp_find_unused_parameters=len(job.learner.model.names) > 1,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )


def _per_device(recipe: Recipe) -> int:
    """Items of a batch on each device: one process has one, or all GPUs where it is alone."""
    devices = int(os.environ.get("WORLD_SIZE", "0")) or max(1, torch.cuda.device_count())
    if recipe.batch_size % devices:
        raise TrainingError(
            f"batch_size {recipe.batch_size} cannot be split over {devices} devices; choose a multiple of {devices}"
        )
    return recipe.batch_size // devices


def _division(recipe: Recipe, found: int | None) -> Division:
    """How a batch is divided at first; found: what an interrupted stage had come to."""
    whole = _per_device(recipe)
    if recipe.micro_batch == "auto":
        return Division(min(whole, found or whole), adapts=True)
    return Division(min(recipe.micro_batch, whole), adapts=False)
