"""The ways of scoring that are compared, each in a process of its own, which waits, does one pass, and tells the time.

Processes of their own, because the precision of accelerate's state, the memory allocator's thresholds and torch's
threads hold for a whole process, and one way of scoring must not find what another left there.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    DataCollatorForMultipleChoice,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    pipeline,
)

from xfer_bench.evaluation.batching import length_sorted
from xfer_bench.models.encoding import encode
from xfer_bench.models.heads import quiet, with_fresh_head
from xfer_bench.models.origin import local_folder, resolve
from xfer_bench.models.precision import Precision, best_device
from xfer_bench.models.ragged import Batch, forward_of
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS

BATCH = 32
FIXED = 128
# Rows of a matrix product when the ceiling is measured: about what one batch has.
ROWS = 2048


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is scored. ids: one list a sequence, in data order. choices: sequences of an item (1 for XNLI)."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    ids: list[list[int]]
    pairs: list[tuple[str, str]]
    choices: int
    pad_id: int
    device: torch.device


def work(task_name: str, root: Path, sequences: int) -> Work:
    """A sample of the task's test rows: from every language whole batches of neighbouring items, spread over its rows.

    So (b) and (c) pad as they would on all rows, whose neighbours have more like lengths than any two.
    """
    task, sources = TASKS[task_name], Sources(data_root=root)
    languages = task.languages_of("test")
    frames = []
    for language in languages:
        frame = sources.rows(task, language=language, split="test").frame
        choices = len(frame["candidates"][0])
        blocks = max(1, round(sequences / (BATCH * choices * len(languages))))
        starts = np.linspace(0, len(frame), blocks + 2)[1:-1].astype(int) // BATCH * BATCH
        frames += [frame[start : start + BATCH] for start in starts.tolist()]
    items = pl.concat(frames)
    folder = local_folder(resolve("starter"))
    headed = with_fresh_head(folder, task.format, seed=0)
    encoded = encode(items, headed.tokenizer, max_length=headed.longest)
    device = best_device()
    model = _large(task.format.head, headed.pad_id) if device.type == "cuda" else headed.model
    flat = items.select("text", "candidates").explode("candidates")
    return Work(
        model=torch.nn.Module.to(model, device).eval(),
        tokenizer=headed.tokenizer,
        ids=encoded.input_ids,
        pairs=[(text, candidate) for text, candidate in flat.iter_rows()],
        choices=1 if task.format.labels else choices,
        pad_id=headed.pad_id,
        device=device,
    )


def _large(head: str, pad_id: int) -> PreTrainedModel:
    """XLM-R large's shape with random weights: on a GPU the starter would measure the launching of kernels."""
    config = AutoConfig.for_model(
        "xlm-roberta",
        vocab_size=250_037,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=pad_id,
        num_labels=3,
    )
    torch.manual_seed(0)
    choosing = head == "multiple_choice"
    kind: Any = AutoModelForMultipleChoice if choosing else AutoModelForSequenceClassification
    model: PreTrainedModel = kind.from_config(config)
    return model


def ours(given: Work, precision: Precision, budget: int) -> Callable[[], list[int]]:
    """Length-sorted batches through the fast forward, answers fetched at the end."""
    forward = forward_of(given.model, precision=precision, device=given.device, pad_id=given.pad_id)
    if forward.path != "packed":
        sys.exit(f"the stock forward would be measured: {forward.reason}")
    lengths = [len(one) for one in given.ids]

    def once() -> list[int]:
        batches = length_sorted(lengths, budget=budget)
        scores = []
        for batch in batches:
            ids = torch.tensor([token for index in batch for token in given.ids[index]])
            sizes = tuple(lengths[index] for index in batch)
            scores.append(forward(Batch(ids=ids, lengths=sizes, type_ids=None)))
        together = torch.cat(scores).cpu()
        answers = torch.empty_like(together)
        answers[torch.tensor([index for batch in batches for index in batch])] = together
        return _answers(answers, given.choices)

    return once


def fixed(given: Work) -> Callable[[], list[int]]:
    """(a): padded to 128 in data order, float32."""

    @torch.inference_mode()
    def once() -> list[int]:
        scores = []
        for start in range(0, len(given.ids), BATCH):
            rows = [ids[:FIXED] for ids in given.ids[start : start + BATCH]]
            ids = torch.full((len(rows), FIXED), given.pad_id)
            mask = torch.zeros_like(ids)
            for index, row in enumerate(rows):
                ids[index, : len(row)] = torch.tensor(row)
                mask[index, : len(row)] = 1
            inputs = {"input_ids": ids.to(given.device), "attention_mask": mask.to(given.device)}
            if given.choices > 1:
                inputs = {name: value.view(-1, given.choices, FIXED) for name, value in inputs.items()}
            scores.append(given.model(**inputs).logits.float().cpu())
        return torch.cat(scores).argmax(1).tolist()

    return once


class _Examples(Dataset[dict[str, Any]]):
    def __init__(self, given: Work) -> None:
        self.given = given

    def __len__(self) -> int:
        return len(self.given.ids) // self.given.choices

    def __getitem__(self, index: int) -> dict[str, Any]:
        choices = self.given.choices
        ids = self.given.ids[index * choices : (index + 1) * choices]
        return {"input_ids": ids if choices > 1 else ids[0], "labels": 0}


def trainer(given: Work, precision: Precision) -> Callable[[], list[int]]:
    """(b): Trainer.predict, dynamic padding, batch 32, data order."""
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        per_device_eval_batch_size=BATCH,
        bf16=precision == "bf16",
        report_to="none",
        disable_tqdm=True,
        use_cpu=given.device.type == "cpu",
        # Pinned memory is for accelerators; without one asking for it warns.
        dataloader_pin_memory=given.device.type != "cpu",
    )
    collator = DataCollatorForMultipleChoice if given.choices > 1 else DataCollatorWithPadding
    made = Trainer(model=given.model, args=arguments, data_collator=collator(given.tokenizer))
    examples = _Examples(given)
    return lambda: np.asarray(made.predict(examples).predictions).argmax(1).tolist()


def piped(given: Work) -> Callable[[], list[int]]:
    """(c): the text-classification pipeline, batch 32, which tokenises as it goes."""
    build: Any = pipeline
    classify = build(
        "text-classification",
        model=given.model,
        tokenizer=given.tokenizer,
        batch_size=BATCH,
        device=given.device,
        dtype=torch.float32,
    )
    texts = [{"text": text, "text_pair": candidate} for text, candidate in given.pairs]
    labels = {label: int(index) for index, label in (given.model.config.id2label or {}).items()}
    return lambda: [labels[answer["label"]] for answer in classify(texts)]


def ceiling(given: Work, precision: Precision) -> Callable[[], list[int]]:
    """Bare matrix products at the model's shapes; what a pass takes is told against PRODUCT_FLOP."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    made = []
    for inputs, outputs in shapes(given.model.config):
        x = torch.randn(ROWS, inputs, device=given.device, dtype=dtype)
        weight = torch.randn(outputs, inputs, device=given.device, dtype=dtype)
        made.append((x, weight.t(), torch.empty(ROWS, outputs, device=given.device, dtype=dtype)))

    @torch.inference_mode()
    def once() -> list[int]:
        for _ in range(_REPEATS):
            for x, weight, result in made:
                torch.mm(x, weight, out=result)
        return []

    return once


# Passes over the shapes of one layer: about a second on two cores.
_REPEATS = 25


def shapes(config: Any) -> list[tuple[int, int]]:
    """(inputs, outputs) of one layer's products: attention in, attention out, feed-forward in and out."""
    hidden, wide = config.hidden_size, config.intermediate_size
    return [(hidden, 3 * hidden), (hidden, hidden), (hidden, wide), (wide, hidden)]


def product_flop(config: Any) -> int:
    """Of one pass of `ceiling`."""
    return _REPEATS * sum(2 * ROWS * inputs * outputs for inputs, outputs in shapes(config))


def needed_flop(config: Any, lengths: list[int]) -> int:
    """Of one pass of `ours`: layer products and attention on real tokens, of the last layer what the head needs."""
    hidden, wide = config.hidden_size, config.intermediate_size
    total = 0
    for length in lengths:
        layer = 2 * length * hidden * (4 * hidden + 2 * wide) + 4 * length * length * hidden
        last = 4 * length * hidden * hidden + 2 * hidden * (2 * hidden + 2 * wide) + 4 * length * hidden
        total += (config.num_hidden_layers - 1) * layer + last
    return total


def _answers(scores: torch.Tensor, choices: int) -> list[int]:
    found: list[int] = (scores.view(-1, choices) if choices > 1 else scores).argmax(1).tolist()
    return found


def padding(lengths: list[int], batches: list[list[int]]) -> float:
    """The share of padding when these batches are padded to their longest."""
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    return 1 - sum(lengths) / padded


def serve(name: str, task: str, root: Path, sequences: int, budget: int) -> None:
    """Prepare one way of scoring, then do one pass for every line that comes; answers are lines of JSON."""
    with quiet():
        given = work(task, root, sequences)
        kind, _, written = name.partition(" ")
        precision: Precision = "bf16" if written == "bf16" else "fp32"
        once = {
            "ours": lambda: ours(given, precision, budget),
            "padded": lambda: fixed(given),
            "trainer": lambda: trainer(given, precision),
            "pipeline": lambda: piped(given),
            "ceiling": lambda: ceiling(given, precision),
        }[kind]()
        lengths = [len(one) for one in given.ids]
        step = BATCH * given.choices
        in_order = [list(range(start, min(start + step, len(lengths)))) for start in range(0, len(lengths), step)]
        facts = {
            "sequences": len(lengths),
            "tokens": sum(lengths),
            "device": given.device.type,
            "flop": product_flop(given.model.config) if kind == "ceiling" else needed_flop(given.model.config, lengths),
            "padding_sorted": padding(lengths, length_sorted(lengths, budget=budget)),
            "padding_in_order": padding(lengths, in_order),
        }
        print(json.dumps(facts), flush=True)
        for _ in sys.stdin:
            began = time.perf_counter()
            answers = once()
            if given.device.type == "cuda":
                torch.cuda.synchronize()
            print(json.dumps({"seconds": time.perf_counter() - began, "answers": answers}), flush=True)
