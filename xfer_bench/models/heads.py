"""Encoders under a stock head, chosen by the task's format; what is saved loads anywhere with `AutoModelFor…`."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from transformers.utils import logging

from xfer_bench.errors import CheckpointError
from xfer_bench.tasks.task import Format

_AUTO = {
    "sequence_classification": AutoModelForSequenceClassification,
    "multiple_choice": AutoModelForMultipleChoice,
}


@dataclass(frozen=True, kw_only=True)
class Headed:
    """A model with its head and tokenizer.

    fresh: names of the parameters that no checkpoint gave: the new head, and a pooler that the pretrained model lacks.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fresh: frozenset[str]

    @property
    def pad_id(self) -> int:
        """What fills up a batch: the tokenizer's padding, which is right also where a configuration names another."""
        return int(self.tokenizer.pad_token_id)

    @property
    def longest(self) -> int:
        """Tokens that the model has positions for, at most 512 by the tokenizer's or our own count."""
        positions = getattr(self.model.config, "max_position_embeddings", None) or 512
        # XLM-R and its like count positions from the padding id on.
        offset = self.pad_id + 1 if self.model.config.model_type.endswith("roberta") else 0
        return int(min(positions - offset, self.tokenizer.model_max_length, 512))


def with_fresh_head(folder: Path, task_format: Format, *, seed: int, without: Collection[str] = ()) -> Headed:
    """The encoder in `folder` under a newly initialised head.

    seed: of the initialisation. without: encoder parameters that are not taken over but initialised too; the names
    that were `fresh` when the folder's own head was made, so that a pooler trained with that head goes with it.
    Raises CheckpointError when the folder does not hold an encoder of a known kind in safetensors.
    """
    with _loading(folder):
        encoder, report = AutoModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
        config = AutoConfig.from_pretrained(folder)
        if task_format.labels:
            config.id2label = dict(enumerate(task_format.labels))
            config.label2id = {label: index for index, label in enumerate(task_format.labels)}
        config.dtype = torch.float32
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    set_seed(seed)
    try:
        model = _AUTO[task_format.head].from_config(config)
    except ValueError:
        raise CheckpointError(f"{folder}: {config.model_type} models have no {task_format.head} head") from None
    prefix = f"{model.base_model_prefix}."
    left_out = {name.removeprefix(prefix) for name in (*report["missing_keys"], *without)}
    taken = {name: value for name, value in encoder.state_dict().items() if name not in left_out}
    inside = getattr(model, model.base_model_prefix)
    lacking = set(inside.load_state_dict(taken, strict=False).missing_keys)
    explained = {name.removeprefix(prefix) for name in without}
    unexplained = {name for name in lacking - explained if "pooler" not in name and "position_ids" not in name}
    if unexplained:
        raise CheckpointError(f"{folder}: the encoder lacks {len(unexplained)} weights, such as {min(unexplained)}")
    loaded = {f"{prefix}{name}" for name in taken}
    return Headed(model=model, tokenizer=tokenizer, fresh=frozenset(set(model.state_dict()) - loaded))


def with_its_head(folder: Path, head: str) -> Headed:
    """The model in `folder` with the head that it was saved with; float32.

    Raises CheckpointError when there is none of that kind, or a weight is missing or of the wrong shape.
    """
    with _loading(folder):
        model, report = _AUTO[head].from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    if report["missing_keys"]:
        raise CheckpointError(f"{folder}: no trained {head} head; it lacks {min(report['missing_keys'])}")
    return Headed(model=model, tokenizer=tokenizer, fresh=frozenset())


def freeze(model: PreTrainedModel, *, embeddings: bool, layers: int) -> None:
    """Stop the gradient at the embeddings and that many of the lowest layers. Raises CheckpointError beyond the top."""
    if not (embeddings or layers):
        return
    encoder = getattr(model, model.base_model_prefix)
    stack = encoder.encoder.layer
    if layers > len(stack):
        raise CheckpointError(f"cannot freeze {layers} layers of a model that has {len(stack)}")
    frozen: list[Any] = [*stack[:layers]]
    if embeddings:
        frozen.append(encoder.embeddings)
    for module in frozen:
        module.requires_grad_(requires_grad=False)


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines and no bars from transformers: the library does not print."""
    before = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _loading(folder: Path) -> Iterator[None]:
    try:
        with quiet():
            yield
    except SafetensorError as error:
        raise CheckpointError(f"{folder}: damaged safetensors ({error})") from None
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
