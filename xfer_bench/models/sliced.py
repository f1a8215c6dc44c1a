"""A checkpoint's configuration and weights with only some of its token rows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xfer_bench.errors import CheckpointError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

# What the tensors with one row a token are called, whatever comes before: the embeddings, and the language-model heads
# that pretrained checkpoints carry along. The size alone does not tell, since a layer may happen to be as wide.
TOKEN_TENSORS = ("embed", "shared", "lm_head", "predictions", "decoder.weight", "decoder.bias")
OTHER_EMBEDDINGS = ("position", "token_type")


def slice_weights(source: Path, target: Path, kept: NDArray[np.int32]) -> int:
    """Write `config.json` and one `model.safetensors` with the rows `kept` of every tensor that has a row per token.

    source: a checkpoint directory, its weights in one safetensors file or several. target: an existing folder.
    Returns the number of rows before. Raises CheckpointError when no tensor has the rows that the configuration
    promises, or a file is damaged.
    """
    config = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    before = config.get("vocab_size")
    if not isinstance(before, int) or before <= int(kept.max()):
        raise CheckpointError(f"{source / CONFIG} has vocab_size {before!r}; its tokenizer needs {int(kept.max()) + 1}")
    rows = torch.from_numpy(kept.astype(np.int64))
    tensors: dict[str, torch.Tensor] = {}
    sliced = 0
    for path in weight_files(source):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping, only this method
                    tensor = file.get_tensor(name)
                    is_by_token = has_row_per_token(name, tensor.shape, before)
                    sliced += is_by_token
                    tensors[name] = tensor.index_select(0, rows) if is_by_token else tensor
        except SafetensorError as error:
            raise CheckpointError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    if not sliced:
        raise CheckpointError(f"{source} has no embedding with {before} rows, the vocab_size of its {CONFIG}")
    save_file(tensors, target / WEIGHTS, metadata={"format": "pt"})
    number = {old: new for new, old in enumerate(kept.tolist())}
    config = {**renumbered_config(config, number), "vocab_size": len(kept)}
    (target / CONFIG).write_text(f"{json.dumps(config, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
    return before


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint: the shards its index lists, or the one file."""
    index = folder / INDEX
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if index.is_file():
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return tuple(folder / name for name in sorted(set(shards)))
    raise CheckpointError(f"{folder} has neither {WEIGHTS} nor {INDEX}")


def has_row_per_token(name: str, shape: torch.Size, vocabulary: int) -> bool:
    """Whether this tensor has one row, or one number, for each of the vocabulary's tokens."""
    if not shape or shape[0] != vocabulary or any(part in name for part in OTHER_EMBEDDINGS):
        return False
    return any(part in name for part in TOKEN_TENSORS) and "LayerNorm" not in name


def renumbered_config(config: Mapping[str, Any], number: Mapping[int, int]) -> dict[str, Any]:
    """The configuration with every token id in it renumbered, without the tokenizer class it may name.

    An id that no longer exists becomes null.
    """
    renumbered: dict[str, Any] = {}
    for name, value in config.items():
        if name == "tokenizer_class":
            continue
        if name.endswith("_token_id") and isinstance(value, int):
            renumbered[name] = number.get(value)
        elif name.endswith("_token_id") and isinstance(value, list):
            renumbered[name] = [number[old] for old in value if old in number]
        else:
            renumbered[name] = value
    return renumbered
