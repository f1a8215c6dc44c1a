"""The ways of training that are compared, each in a process of its own, which does one pass and tells the time.

Processes of their own, because the precision of accelerate's state, torch's threads and the memory that the allocator
keeps hold for a whole process, and one way of training must not find what another left there.
"""

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.utils.data import Dataset
from transformers import (
    AutoModelForMultipleChoice,
    AutoTokenizer,
    DataCollatorForMultipleChoice,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)
from transformers.trainer_utils import EvalPrediction

# Some of these are loaded by the pipeline when it needs them; imports are not counted.
import xfer_bench.models.vocabulary
import xfer_bench.training.stages  # noqa: F401
from xfer_bench.models import starter
from xfer_bench.models.heads import quiet
from xfer_bench.pipeline import Place, Prepared, prepare, train_study
from xfer_bench.plan import rows_of
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study

# Numbers of the recipe; the rest is the Trainer's default in every way of training.
BATCH, RATE, FIXED, WARMUP, DECAY = 16, 2e-4, 128, 0.1, 0.01

STUDY = """
name = "speed"
model = "starter"
base_recipe = "fast"
trim_vocabulary = {full}
[seeds]
intermediate = [{seed}]
target = [{seed}]
[recipe]
learning_rate = {rate}
batch_size = {batch}
epochs = 1
warmup = {warmup}
weight_decay = {decay}
max_length = {fixed}
freeze_embeddings = {full}
precision = "{precision}"
maximum_development = {development}
[[arms]]
name = "none"
[[targets]]
task = "xcopa"
setting = "SI"
languages = ["en"]
train = [{{ task = "siqa", examples = {examples} }}]
"""


@dataclass(kw_only=True)
class Clock:
    """When a pass began, when each step was done, and when it ended.

    processor: the time of all cores; where something else runs beside it says more, with one thread.
    """

    began: float = field(default_factory=time.perf_counter)
    processor: float = field(default_factory=time.process_time)
    steps: list[float] = field(default_factory=list)

    def step(self) -> None:
        """An optimiser step is done."""
        self.steps.append(time.perf_counter())

    def told(self) -> dict[str, float]:
        """Seconds of the pass and, of them, before, in and after the steps; processor time.

        The first step, which warms up, is taken to be like the others.
        """
        ended, processor = time.perf_counter(), time.process_time() - self.processor
        each = (self.steps[-1] - self.steps[0]) / max(1, len(self.steps) - 1)
        training, after = each * len(self.steps), ended - self.steps[-1]
        before = ended - self.began - training - after
        parts = {"before": before, "training": training, "after": after}
        return {"seconds": ended - self.began, "processor": processor, **parts}


def planned(asked: argparse.Namespace, name: str, root: Path, folder: Path) -> Prepared:
    """The study of a way of training: one stage."""
    kind, _, precision = name.partition(" ")
    text = STUDY.format(
        full=str(kind == "full").lower(),
        precision=precision,
        seed=asked.seed,
        examples=asked.examples,
        development=asked.development,
        **{"rate": RATE, "batch": BATCH, "warmup": WARMUP, "decay": DECAY, "fixed": FIXED},
    )
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return prepare(Study.from_toml(file), sources=Sources(data_root=root))


def ours(asked: argparse.Namespace, name: str, root: Path, folder: Path) -> dict[str, Any]:
    """A study of one stage, planned and trained as `xfer-bench run` does."""
    clock = Clock()
    made = train_study(
        planned(asked, name, root, folder),
        Place(out=folder / "out"),
        progress=lambda update: clock.step() if update.done else None,
    )
    told = clock.told()
    (checkpoint,) = made.values()
    keys = ("steps", "examples", "development_items", "development_accuracy", "device")
    return {**{key: checkpoint.lineage[key] for key in keys}, **told}


class _Examples(Dataset[dict[str, Any]]):
    """Items as a script has them: tokenised before the first step."""

    def __init__(self, frame: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, *, fixed: bool) -> None:
        choices = len(frame["candidates"][0])
        pairs = frame.select("text", "candidates", "label").explode("candidates")
        encoded = tokenizer(
            pairs["text"].to_list(),
            pairs["candidates"].to_list(),
            truncation=True,
            max_length=FIXED,
            padding="max_length" if fixed else False,
        )
        names = tokenizer.model_input_names
        self.features = [
            {**{one: encoded[one][choices * row : choices * (row + 1)] for one in names}, "labels": label}
            for row, label in enumerate(frame["label"].to_list())
        ]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.features[index]


class _Steps(TrainerCallback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.clock.step()


def script(asked: argparse.Namespace, name: str, root: Path, folder: Path) -> dict[str, Any]:
    """A plain Trainer script on the same items. That they were found for it is not counted."""
    kind, _, precision = name.partition(" ")
    prepared = planned(asked, name, root, folder)
    (rows,) = rows_of(prepared.plan.stages[0], prepared.tasks, prepared.sources)
    assert rows.development is not None
    model_folder = starter.starter_folder()

    clock = Clock()
    set_seed(asked.seed)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    on_cpu = not torch.cuda.is_available()
    trainer = Trainer(
        model=AutoModelForMultipleChoice.from_pretrained(model_folder, use_safetensors=True),
        args=TrainingArguments(
            output_dir=str(folder / "out"),
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=2 * BATCH,
            learning_rate=RATE,
            weight_decay=DECAY,
            warmup_steps=WARMUP,
            bf16=precision == "bf16",
            seed=asked.seed,
            report_to="none",
            disable_tqdm=True,
            use_cpu=on_cpu,
            # Pinned memory is for accelerators; without one asking for it warns.
            dataloader_pin_memory=not on_cpu,
        ),
        train_dataset=_Examples(rows.training.frame, tokenizer, fixed=kind == "padded"),
        eval_dataset=_Examples(rows.development.frame, tokenizer, fixed=kind == "padded"),
        data_collator=default_data_collator if kind == "padded" else DataCollatorForMultipleChoice(tokenizer),
        processing_class=tokenizer,
        compute_metrics=_accuracy,
        callbacks=[_Steps(clock)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    accuracy = 100 * trainer.evaluate()["eval_accuracy"]
    trainer.save_model(str(folder / "result"))
    told = clock.told()
    return {
        "steps": trainer.state.global_step,
        "examples": rows.training.frame.height,
        "development_items": rows.development.frame.height,
        "development_accuracy": accuracy,
        "device": trainer.args.device.type,
        **told,
    }


def _accuracy(found: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float(np.mean(np.argmax(found.predictions, axis=-1) == found.label_ids))}


def one_pass(name: str, asked: argparse.Namespace, root: Path) -> dict[str, Any]:
    """One way of training, once, in this process: seconds in all and by part, peak memory, development accuracy.

    name: `ours` or `full`, or of the scripts `padded` or `dynamic`, and a precision.
    """
    starter.starter_folder()
    way = ours if name.split(maxsplit=1)[0] in {"ours", "full"} else script
    with quiet(), tempfile.TemporaryDirectory() as folder:
        found = way(asked, name, root, Path(folder))
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {**found, "peak MB": peak}
