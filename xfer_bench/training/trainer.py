"""One stage trained with the Hugging Face Trainer: killed at any moment, it goes on from its last whole state."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import EvalPrediction

from xfer_bench.errors import TrainingError
from xfer_bench.metrics import INTERMEDIATE
from xfer_bench.models.encoding import encode
from xfer_bench.models.heads import Headed, freeze, quiet
from xfer_bench.models.precision import best_device, chosen
from xfer_bench.plan import Stage
from xfer_bench.progress import Progress, Update
from xfer_bench.sources.source import Rows
from xfer_bench.study import Recipe
from xfer_bench.tasks.task import Format
from xfer_bench.training.batches import Batches, fixed_order
from xfer_bench.training.checkpoints import newest_state, seal_state
from xfer_bench.training.probe import initial_accuracy


class Positions(Dataset[int]):
    """Positions of items in the order in which they are seen; the collate function makes tensors of them."""

    def __init__(self, order: list[int]) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> int:
        return self.order[index]


class StageTrainer(Trainer):
    """A Trainer whose loss leaves out choices that only fill up a batch, and which evaluates with its own batches."""

    # The loss below is the mean of a micro-batch, so the Trainer divides it by the accumulated number.
    loss_is_scaled_for_ga = False

    def __init__(self, *, development_batches: Batches, **arguments: Any) -> None:
        super().__init__(compute_metrics=_accuracy, preprocess_logits_for_metrics=_answers, **arguments)
        self.remove_callback(PrinterCallback)
        self.development_batches = development_batches

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Like Trainer's, with the development items' tensors."""
        training_batches, self.data_collator = self.data_collator, self.development_batches
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = training_batches

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Cross-entropy over the classes or the item's own choices."""
        features = {name: value for name, value in inputs.items() if name not in {"labels", "choices"}}
        logits = model(**features).logits.float()
        if "choices" in inputs:
            logits = logits.masked_fill(~inputs["choices"], torch.finfo(logits.dtype).min)
        loss = functional.cross_entropy(logits, inputs["labels"])
        return (loss, {"logits": logits}) if return_outputs else loss


class Reporter(TrainerCallback):
    """Reports steps, seals states, stops on a loss that is not a number."""

    def __init__(self, *, label: str, progress: Progress, seconds: float) -> None:
        self.label = label
        self.progress = progress
        self.began = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Time spent on the stage, over all its interruptions."""
        return time.monotonic() - self.began

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report the optimiser step."""
        self.progress(
            Update(
                whole="training", finished=0, pieces=0, piece=self.label, done=state.global_step, total=state.max_steps
            )
        )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Refuse to go on after a loss that is not a number."""
        loss = (logs or {}).get("loss")
        if loss is not None and not float("-inf") < float(loss) < float("inf"):
            raise TrainingError(
                f"{self.label}: the loss is {loss} at step {state.global_step}; lower the learning rate"
            )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seal the state that was just saved."""
        seal_state(Path(args.output_dir or "") / f"checkpoint-{state.global_step}", seconds=self.seconds)


def fit(
    stage: Stage,
    headed: Headed,
    *,
    task_format: Format,
    rows: tuple[Rows, Rows],
    work: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train `headed.model` in place on a stage's (training, development) rows.

    work: where resumable states are kept; the newest whole one is resumed.
    Returns the facts of the training: steps, examples and tokens seen, development accuracy and the share of the
    commonest answer there in points, seconds, device and precision; of an intermediate stage also what a head on the
    frozen encoder reaches before it.
    """
    recipe = stage.recipe
    longest = min(recipe.max_length, headed.longest)
    training, development = (_batches(one, headed, task_format, longest) for one in rows)
    lengths = training.item_lengths
    order = fixed_order(
        lengths, epochs=recipe.epochs, batch_size=recipe.batch_size, steps=stage.steps, seed=stage.data_seed
    )
    freeze(headed.model, embeddings=recipe.freeze_embeddings, layers=recipe.freeze_layers)
    device = best_device()
    precision = chosen(recipe.precision, device)
    before = initial_accuracy(headed, training, development, device=device) if stage.role == INTERMEDIATE else None
    selects = recipe.selection == "best" and rows[1].frame.height >= recipe.minimum_development
    resumed = newest_state(work)
    reporter = Reporter(
        label=f"{stage.role} {stage.data.task}, seed {stage.data_seed}",
        progress=progress,
        seconds=float(resumed[1]["seconds"]) if resumed else 0.0,
    )
    with quiet():
        trainer = StageTrainer(
            model=headed.model,
            args=_arguments(recipe, stage, work=work, bf16=precision == "bf16", selects=selects),
            train_dataset=Positions(order),
            eval_dataset=Positions(list(range(rows[1].frame.height))),
            data_collator=training,
            development_batches=development,
            processing_class=headed.tokenizer,
            callbacks=[reporter, *_stopping(recipe, selects=selects)],
        )
        trainer.train(resume_from_checkpoint=str(resumed[0]) if resumed else None)
        # The loss is looked at every few steps only; weights that are no numbers never become a checkpoint.
        if not all(bool(torch.isfinite(weights).all()) for weights in headed.model.parameters()):
            raise TrainingError(f"{reporter.label}: the weights are no longer numbers; lower the learning rate")
        measured = trainer.evaluate()
    seen = trainer.state.global_step * recipe.batch_size
    return {
        "steps": trainer.state.global_step,
        "examples": min(seen, len(order)),
        "tokens": sum(lengths[item] for item in order[:seen]),
        "truncated_sequences": training.sequences.truncated,
        "development_accuracy": 100.0 * measured["eval_accuracy"],
        "development_majority": 100.0 * measured["eval_majority"],
        "initial_accuracy": before,
        "development_items": rows[1].frame.height,
        "seconds": reporter.seconds,
        "device": device.type,
        "precision": precision,
        "selection": recipe.selection if selects else "last",
    }


def _batches(rows: Rows, headed: Headed, task_format: Format, longest: int) -> Batches:
    return Batches(
        sequences=encode(rows.frame, headed.tokenizer, max_length=longest),
        labels=rows.frame["label"].to_list(),
        task_format=task_format,
        pad_id=headed.pad_id,
    )


def _arguments(recipe: Recipe, stage: Stage, *, work: Path, bf16: bool, selects: bool) -> TrainingArguments:
    # Precision is kept process-wide by accelerate: an earlier stage's would silently stay in force.
    AcceleratorState._reset_state(reset_partial_state=True)
    per_device, accumulated = _split_batch(recipe)
    every = recipe.evaluate_every if selects else recipe.save_every
    return TrainingArguments(
        output_dir=str(work),
        num_train_epochs=1,  # the epochs are in the order already
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=accumulated,
        per_device_eval_batch_size=max(32, per_device),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup,
        lr_scheduler_type="linear",
        bf16=bf16,
        use_cpu=best_device().type == "cpu",
        train_sampling_strategy="sequential",
        eval_strategy="steps" if selects else "no",
        eval_steps=every if selects else None,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=selects,
        metric_for_best_model="accuracy" if selects else None,
        greater_is_better=True if selects else None,
        logging_steps=10,
        logging_nan_inf_filter=False,
        seed=stage.initialisation_seed,
        data_seed=stage.data_seed,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )


def _split_batch(recipe: Recipe) -> tuple[int, int]:
    """(items per device, accumulated passes) whose product over all devices is the recipe's batch."""
    devices = int(os.environ.get("WORLD_SIZE", "0")) or max(1, torch.cuda.device_count())
    per_device = min(recipe.micro_batch or recipe.batch_size, max(1, recipe.batch_size // devices))
    if recipe.batch_size % (per_device * devices):
        raise TrainingError(
            f"batch_size {recipe.batch_size} cannot be split over {devices} devices in passes of {per_device}; "
            f"choose a multiple of {devices}"
        )
    return per_device, recipe.batch_size // (per_device * devices)


def _stopping(recipe: Recipe, *, selects: bool) -> list[TrainerCallback]:
    return [EarlyStoppingCallback(recipe.patience)] if selects and recipe.patience else []


def _answers(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return logits.argmax(dim=-1)


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    answers = np.asarray(prediction.predictions)
    _, counts = np.unique(answers, return_counts=True)
    return {"accuracy": float(np.mean(answers == prediction.label_ids)), "majority": float(counts.max() / len(answers))}
