"""A stage's recipe in the words of the Trainer."""

import torch
from accelerate.state import AcceleratorState
from transformers import TrainingArguments

from xfer_bench.models.precision import best_device
from xfer_bench.training.job import Job, per_device


def arguments_of(job: Job, *, bf16: bool) -> TrainingArguments:
    """What the Trainer is told. bf16: whether it computes under autocast."""
    # Precision is kept process-wide by accelerate: an earlier stage's would silently stay in force.
    AcceleratorState._reset_state(reset_partial_state=True)
    recipe = job.stage.recipe
    items = per_device(recipe)
    measures = job.selects or job.keeping.best
    return TrainingArguments(
        output_dir=str(job.work),
        num_train_epochs=1,  # the epochs are in the order already
        per_device_train_batch_size=items,
        per_device_eval_batch_size=max(32, items),
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
        disable_tqdm=True,
        **job.reporting.arguments,
    )
