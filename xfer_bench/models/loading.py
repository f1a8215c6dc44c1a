"""Files of a checkpoint to a model in memory: read, never mapped, and nothing of the checkpoint's own is run."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from xfer_bench.errors import CheckpointError
from xfer_bench.models.safety import check_files, weight_files

AUTO = {
    "none": AutoModel,
    "sequence_classification": AutoModelForSequenceClassification,
    "multiple_choice": AutoModelForMultipleChoice,
    "masked_lm": AutoModelForMaskedLM,
}

# Tokens of a sequence, whatever a model could take.
LONGEST = 512

# Models whose first position is the one after the padding id, which leaves so many fewer for tokens.
_OFFSET = frozenset(
    {
        *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm"),
        *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    }
)
# Likewise, whatever the configuration says that the padding id is.
_OFFSET_OF_TWO = frozenset({"mpnet"})

# The library sets process-wide state while it builds a model (torch's default type, `tie_weights`, `torch.linspace`)
# and puts it back afterwards: two loads at once would put back each other's.
_ONE_AT_A_TIME = RLock()

# What the libraries raise on files of the wrong shape, besides what the disk does.
_UNUSABLE = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError),
    *(ImportError, MemoryError, StrictDataclassError, re.error),
)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model in evaluation mode, and the names of its parameters that the files did not have."""

    model: PreTrainedModel
    missing: frozenset[str]


def load(folder: Path, head: str, *, config: PreTrainedConfig, without: Collection[str] = ()) -> Loaded:
    """The whole checkpoint in `folder` in its stock class; float32, whatever is stored.

    head: a key of AUTO. without: names in the files that are passed over. Nothing that happens to the files
    afterwards reaches the model. Call it within `loading`. Raises what the library raises.
    """
    # The stock class, found without making weights. Auto classes would look for adapters and code in the folder.
    with torch.device("meta"):
        stock = type(AUTO[head].from_config(config, trust_remote_code=False))
    weights = {name: value for file in weight_files(folder) for name, value in read(file).items()}
    for name in without:
        weights.pop(name, None)
    model, report = stock.from_pretrained(
        None, config=config, state_dict=weights, output_loading_info=True, dtype=torch.float32
    )
    model.name_or_path = str(folder)
    return Loaded(model=model, missing=frozenset(report["missing_keys"]))


def read(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, as stored, in memory of their own.

    Not mapped: weights that stay mapped change when somebody overwrites the file, and end the process when somebody
    cuts it short. Raises SafetensorError for a damaged file, one that is cut while it is read among them.
    """
    with safe_open(str(file), framework="pt", device="cpu", backend="pread") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (it is no mapping)


def config_of(folder: Path) -> PreTrainedConfig:
    """The configuration of the whole checkpoint in `folder`. Raises CheckpointError when it cannot be used."""
    with loading(folder):
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        return config


def tokenizer_of(folder: Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer in `folder`. Raises CheckpointError when there is none, or it cannot pad."""
    with loading(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False, local_files_only=True)
    if not tokenizer.is_fast:
        raise CheckpointError(f"{folder}: it has no fast tokenizer (tokenizer.json); save it with a fast one")
    if tokenizer.pad_token_id is None:
        raise CheckpointError(f"{folder}: its tokenizer has no padding token, which batches need")
    return tokenizer


def longest(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens that a sequence may have: by the model's positions, the tokenizer's word, and LONGEST."""
    # Some families write -1 for positions without an end.
    positions = getattr(config, "max_position_embeddings", None) or LONGEST
    limits = [LONGEST, int(tokenizer.model_max_length)]
    if positions > 0:
        limits.append(positions - _offset(config))
    return max(1, min(limits))


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Quietly, one at a time, with whatever the libraries raise said on one line as a CheckpointError."""
    try:
        with _ONE_AT_A_TIME, quiet():
            yield
    except SafetensorError as error:
        raise CheckpointError(f"{folder}: damaged safetensors ({_first_line(error)})") from None
    except _UNUSABLE as error:
        raise CheckpointError(f"{folder}: cannot be loaded: {_first_line(error)}") from None


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


def checked_config(folder: Path, *, labels: Mapping[int, str] | None = None) -> PreTrainedConfig:
    """The configuration, after its files were seen to be safe; labels: classes that take the place of its own."""
    check_files(folder)
    config = config_of(folder)
    if labels:
        config.id2label = dict(labels)
        config.label2id = {label: index for index, label in labels.items()}
    config.dtype = torch.float32
    return config


def _offset(config: PreTrainedConfig) -> int:
    if config.model_type in _OFFSET_OF_TWO:
        return 2
    padding: Any = getattr(config, "pad_token_id", None)
    return padding + 1 if config.model_type in _OFFSET and isinstance(padding, int) else 0


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
