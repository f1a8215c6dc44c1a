"""What decides a checkpoint's scores, as digests: weights, configuration, tokenizer, and the code that scores.

Weights are digested by content, whatever the order or the shards of the file; names, paths and times play no part.
"""

import hashlib
import json
import struct
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xfer_bench import models
from xfer_bench.digest import file_digest, source_digest, value_digest
from xfer_bench.errors import CheckpointError
from xfer_bench.models.origin import TOKENIZER_FILES

# Fields of config.json that say how or when a model was saved, not what it computes.
_VOLATILE = (
    *("transformers_version", "_name_or_path", "torch_dtype", "dtype", "use_cache", "label2id", "_commit_hash"),
    # Of adapter_config.json: the base model counts by its content.
    *("base_model_name_or_path", "revision", "inference_mode", "peft_version"),
)
_CONFIGS = ("config.json", "adapter_config.json")
_ADAPTER = "adapter_model.safetensors"
# What of a configuration decides how many tokens a sequence may have.
_LENGTH = ("model_type", "max_position_embeddings")
# What turns tokens into scores, in this room and in that of the models.
_SCORING = (
    ("batching.py", "evaluator.py", "loading.py", "work.py"),
    ("adapters.py", "encoding.py", "heads.py", "labels.py", "loading.py", "merging.py", "precision.py"),
)
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_CHUNK = 1 << 22

# What reading a file of the wrong shape raises, besides what the disk does.
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error, MemoryError, OverflowError)


def weights_digest(folders: Sequence[Path]) -> str:
    """Digest of every tensor's name, type, shape and bytes in the safetensors files that a model is loaded from.

    folders: the checkpoint's and, for an adapter, its base model's. Raises CheckpointError for a damaged file, or
    when there is none.
    """
    tensors: list[dict[str, list[Any]]] = []
    for folder in folders:
        tensors.append({})
        for file in _weight_files(folder):
            tensors[-1].update(_tensors(file))
    return value_digest(tensors)


def function_digest(folders: Sequence[Path]) -> str:
    """Digest of the configuration fields and tokenizer files that change what the weights compute.

    folders: the checkpoint's and, for an adapter, its base model's.
    """
    configs = [
        {name: value for name, value in config.items() if name not in _VOLATILE}
        for folder in folders
        for config in _configs(folder)
    ]
    return value_digest([configs, [_tokenizer(folder) for folder in folders]])


def tokenizing_digest(folders: Sequence[Path]) -> str:
    """Digest of what decides the tokens of a row: tokenizer files, maximum length, encoding code and libraries."""
    lengths = [[config.get(name) for name in _LENGTH] for folder in folders for config in _configs(folder)]
    encoding = source_digest(Path(models.__file__).parent / "encoding.py")
    return value_digest([[_tokenizer(folder) for folder in folders], lengths, encoding, _versions()])


def digesting_source() -> str:
    """Digest of the code that digests, for whoever remembers its results, and of what enters them besides files."""
    encoding = Path(models.__file__).parent / "encoding.py"
    return value_digest([source_digest(Path(__file__), encoding), _versions()])


@cache  # The code that runs does not change under it.
def scoring_source() -> str:
    """Digest of the code that scores, and of the libraries whose versions can change scores."""
    here, there = Path(__file__).parent, Path(models.__file__).parent
    files = [*(here / name for name in _SCORING[0]), *(there / name for name in _SCORING[1])]
    return value_digest([source_digest(*files, *sorted(there.glob("ragged*.py"))), _versions()])


def _versions() -> dict[str, str]:
    found = {}
    for name in ("tokenizers", "transformers", "peft"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _configs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / name).read_text(encoding="utf-8")) for name in _CONFIGS if (folder / name).is_file()]


def _tokenizer(folder: Path) -> dict[str, str]:
    return {file.name: file_digest(file) for pattern in TOKENIZER_FILES for file in folder.glob(pattern)}


def _weight_files(folder: Path) -> list[Path]:
    """What `from_pretrained` reads: the one file, else the shards of the index. Others may lie beside them."""
    for name in (_ADAPTER, _WEIGHTS):
        if (folder / name).is_file():
            return [folder / name]
    if not (folder / _INDEX).is_file():
        raise CheckpointError(f"{folder}: neither {_WEIGHTS} nor {_INDEX}")
    try:
        shards = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(shards))]
    except _DAMAGED as error:
        raise CheckpointError(f"{folder / _INDEX}: damaged ({error})") from None


def _tensors(file: Path) -> dict[str, list[Any]]:
    """Name to [type, shape, digest of the bytes], read by the format's own header: eight bytes of length, then JSON."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length))
            start = 8 + length
            size = file.stat().st_size
            digests = {}
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                first, last = entry["data_offsets"]
                if start + last > size:
                    raise CheckpointError(f"{file}: damaged safetensors: {name} ends beyond the file")
                stream.seek(start + first)
                digests[name] = [entry["dtype"], entry["shape"], _digest_of_next(stream, last - first)]
    except _DAMAGED as error:
        raise CheckpointError(f"{file}: damaged safetensors ({error})") from None
    return digests


def _digest_of_next(stream: Any, count: int) -> str:
    running = hashlib.sha256()
    while count:
        chunk = stream.read(min(count, _CHUNK))
        if not chunk:
            raise ValueError("the file ends early")
        running.update(chunk)
        count -= len(chunk)
    return running.hexdigest()
