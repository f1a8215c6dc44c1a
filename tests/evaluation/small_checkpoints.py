"""Tiny checkpoints that score, rows for them, and the plainest way to score: one sequence at a time, no padding."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import torch
from peft import PeftConfig, get_peft_model
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from tests.small_study import small_mirror
from tests.sources.small_mirror import write
from tests.toy import Head, Kind, tiny_checkpoint
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.nli import NLI
from xfer_bench.tasks.task import Part, Task

WORDS = [
    "the cat dog cup book boat lamp tree door song fish road star fell broke moved shone burned sank grew froze spun",
    "melted What was the cause? happened as a result? en de sw premise hypothesis why so",
    "0 1 2 3 4 5 6 7 8 9 et ht id it qu sw ta th tr vi zh",
]
CANONICAL = MappingProxyType(dict(enumerate(NLI.labels)))
HEAD_BIAS = MappingProxyType({"bert": "classifier.bias", "xlm-roberta": "classifier.out_proj.bias"})
XNLI_LANGUAGES = ("en", "de", "sw")


def _as_they_are(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("text", "candidates", "label")


MIXED = Task(
    name="mixed",
    format=MULTIPLE_CHOICE,
    parts=(
        Part(
            split="test",
            languages=("en", "sw"),
            repository="some/mixed",
            config="{language}",
            read=_as_they_are,
            columns=("text", "candidates", "label"),
        ),
    ),
    licence="none",
    chance=0.3,
)
ALL: Mapping[str, Task] = MappingProxyType({**TASKS, MIXED.name: MIXED})


def rows(root: Path) -> Sources:
    """XCOPA in twelve languages, XNLI in three, and items of two to five choices in two."""
    small_mirror(root)
    rng = np.random.default_rng(0)
    words = WORDS[0].split()

    def phrases(count: int) -> list[str]:
        return [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(count)]

    for language in XNLI_LANGUAGES:
        # Three pairs in a row share a premise, as in XNLI.
        premises = [premise for premise in phrases(6) for _ in range(3)]
        pairs: dict[str, list[Any]] = {"premise": premises, "hypothesis": phrases(18), "label": [0, 1, 2] * 6}
        write(root, "facebook/xnli", {f"{language}/test.parquet": pairs})
    for language in ("en", "sw"):
        candidates = [phrases(int(rng.integers(2, 6))) for _ in range(25)]
        mixed: dict[str, list[Any]] = {"text": phrases(25), "candidates": candidates, "label": [0] * 25}
        write(root, "some/mixed", {f"{language}/test.parquet": mixed})
    return Sources(data_root=root)


def choosing(folder: Path, *, kind: Kind = "bert", seed: int = 0) -> Path:
    """A checkpoint with a multiple choice head."""
    return _spread(tiny_checkpoint(folder, WORDS, kind=kind, seed=seed, head="multiple_choice"))


def classifying(folder: Path, *, kind: Kind = "bert", id2label: Mapping[int, str] = CANONICAL) -> Path:
    """A checkpoint with a head of three classes."""
    return _spread(tiny_checkpoint(folder, WORDS, kind=kind, head="sequence_classification", id2label=id2label))


def _spread(folder: Path) -> Path:
    """Scores of a fresh head lie so close together that wrong answers could pass for right ones: pull them apart."""
    model, tokenizer = stock(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("weight") and "LayerNorm" not in name:
                weight.mul_(4)
        if "MultipleChoice" not in type(model).__name__:
            # Every class is then the answer to some pair.
            samples = [model(**tokenizer(one, WORDS[1], return_tensors="pt")).logits[0] for one in WORDS[0].split()]
            model.get_parameter(HEAD_BIAS[model.config.model_type]).sub_(torch.stack(samples).mean(0))
    model.save_pretrained(folder)
    return folder


def small_place(root: Path) -> Path:
    """The folder, with a mirror, and checkpoints that choose, that classify and that have no head."""
    rows(root / "mirror")
    choosing(root / "choosing")
    classifying(root / "classifying")
    tiny_checkpoint(root / "encoder", ["abc"])
    return root


def stock(folder: Path) -> PreTrainedModel:
    """The checkpoint in its stock class."""
    choice = "ForMultipleChoice" in (folder / "config.json").read_text()
    kind = AutoModelForMultipleChoice if choice else AutoModelForSequenceClassification
    model: PreTrainedModel = kind.from_pretrained(folder)
    model.eval()
    return model


@torch.inference_mode()
def plainly_scored(folder: Path, items: pl.DataFrame) -> list[list[float]]:
    """One list of logits an item, by transformers alone: each pair by itself, nothing padded, nothing batched."""
    model, tokenizer = stock(folder), AutoTokenizer.from_pretrained(folder)
    scores: list[list[float]] = []
    for text, candidates in items.select("text", "candidates").iter_rows():
        answers: list[float] = []
        for candidate in candidates:
            pair = tokenizer(text, candidate, return_tensors="pt")
            if type(model).__name__.endswith("MultipleChoice"):
                pair = {name: tensor[None] for name, tensor in pair.items()}
            answers += model(**pair).logits[0].tolist()
        scores.append(answers)
    return scores


def adapted(
    folder: Path, base: Path, config: PeftConfig, *, head: Head | None = None, id2label: Mapping[int, str] | None = None
) -> tuple[Path, torch.Tensor]:
    """An adapter on `base` with random weights, saved by peft, and peft's own logits for one pair (unmerged).

    head: of the model that was adapted; the base model's by default. id2label: its classes, where they differ.
    """
    kept = "multiple_choice" if "ForMultipleChoice" in (base / "config.json").read_text() else "sequence_classification"
    kind = {
        "multiple_choice": AutoModelForMultipleChoice,
        "sequence_classification": AutoModelForSequenceClassification,
    }[head or kept]
    options: dict[str, Any] = {} if id2label is None else {"id2label": dict(id2label)}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers for a property by its deprecated name.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        torch.manual_seed(0)
        model = kind.from_pretrained(base, ignore_mismatched_sizes=True, **options)
        wrapped: Any = get_peft_model(model, replace(config))
        with torch.no_grad():
            for name, weight in wrapped.named_parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight) * (0.05 if "norm" in name.lower() else 0.3))
    wrapped.eval()
    wrapped.save_pretrained(folder)
    inputs = AutoTokenizer.from_pretrained(base)("the cat broke", "the cup sank", return_tensors="pt")
    if kind is AutoModelForMultipleChoice:
        inputs = {name: tensor[None] for name, tensor in inputs.items()}
    with torch.inference_mode():
        logits: torch.Tensor = wrapped(**inputs).logits
    return folder, logits
