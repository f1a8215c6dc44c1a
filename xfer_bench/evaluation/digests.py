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
from xfer_bench.models.safety import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG, INDEX, SINGLE, json_object, weight_files

# Fields of config.json that say how or when a model was saved, not what it computes.
_VOLATILE = (
    *("transformers_version", "_name_or_path", "torch_dtype", "dtype", "use_cache", "label2id", "_commit_hash"),
    # Of adapter_config.json: the base model counts by its content.
    *("base_model_name_or_path", "revision", "inference_mode", "peft_version"),
)
_CONFIGS = (CONFIG, ADAPTER_CONFIG)
# What of a configuration decides how many tokens a sequence may have.
_LENGTH = ("model_type", "max_position_embeddings", "pad_token_id")
# What turns rows into tokens, in the room of the models.
_TOKENIZING = ("encoding.py", "loading.py")
# What turns tokens into scores, in this room and in that of the models.
_SCORING = (
    ("batching.py", "evaluator.py", "loading.py", "work.py"),
    ("adapters.py", "encoding.py", "heads.py", "labels.py", "loading.py", "merging.py", "precision.py"),
)
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
    return value_digest([configs, [_tokenizer(folder) for folder in folders], _peft(folders)])


def tokenizing_digest(folders: Sequence[Path]) -> str:
    """Digest of what decides the tokens of a row: tokenizer files, maximum length, encoding code and libraries."""
    lengths = [[config.get(name) for name in _LENGTH] for folder in folders for config in _configs(folder)]
    return value_digest([[_tokenizer(folder) for folder in folders], lengths, _tokenizing_source(), _versions()])


def digesting_source() -> str:
    """Digest of the code that digests, for whoever remembers its results, and of what enters them besides files."""
    there = Path(models.__file__).parent
    choosing = source_digest(Path(__file__), there / "origin.py", there / "safety.py")
    return value_digest([choosing, _tokenizing_source(), _versions(), _peft_version()])


@cache  # The code that runs does not change under it.
def scoring_source() -> str:
    """Digest of the code that scores, and of the libraries whose versions can change scores."""
    here, there = Path(__file__).parent, Path(models.__file__).parent
    # Room by room, since both have a `loading.py`.
    ours = source_digest(*(here / name for name in _SCORING[0]))
    theirs = source_digest(*(there / name for name in _SCORING[1]), *sorted(there.glob("ragged*.py")))
    return value_digest([ours, theirs, _versions()])


def _tokenizing_source() -> str:
    return source_digest(*(Path(models.__file__).parent / name for name in _TOKENIZING))


def _versions() -> list[str]:
    return [version(name) for name in ("tokenizers", "transformers")]


def _peft(folders: Sequence[Path]) -> str:
    """The version of the library that merges adapters, where one is merged."""
    return _peft_version() if any((folder / ADAPTER_CONFIG).is_file() for folder in folders) else ""


def _peft_version() -> str:
    try:
        return version("peft")
    except PackageNotFoundError:
        return ""


def _configs(folder: Path) -> list[dict[str, Any]]:
    return [json_object(folder / name) for name in _CONFIGS if (folder / name).is_file()]


def _tokenizer(folder: Path) -> dict[str, str]:
    return {file.name: file_digest(file) for pattern in TOKENIZER_FILES for file in folder.glob(pattern)}


def _weight_files(folder: Path) -> tuple[Path, ...]:
    """What is loaded: the whole checkpoint's one file, else the shards of its index, else an adapter's weights.

    Others may lie beside them, and count for nothing.
    """
    whole = (folder / SINGLE).is_file() or (folder / INDEX).is_file()
    if not whole and (folder / ADAPTER_WEIGHTS).is_file():
        return (folder / ADAPTER_WEIGHTS,)
    return weight_files(folder)


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
