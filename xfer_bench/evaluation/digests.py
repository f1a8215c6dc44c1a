"""What decides a checkpoint's scores, as digests: weights, configuration, tokenizer, and the code that scores.

Weights are digested by content, whatever the order or the shards of the file; names, paths and times play no part.
"""

import hashlib
import json
import struct
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xfer_bench import models
from xfer_bench.digest import file_digest, source_digest, value_digest
from xfer_bench.errors import CheckpointError
from xfer_bench.models.origin import TOKENIZER_FILES

# Fields of config.json that say how or when a model was saved, not what it computes.
_VOLATILE = ("transformers_version", "_name_or_path", "torch_dtype", "dtype", "use_cache", "label2id", "_commit_hash")
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_CHUNK = 1 << 22

# What reading a file of the wrong shape raises, besides what the disk does.
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error, MemoryError, OverflowError)


def weights_digest(folder: Path) -> str:
    """Digest of every tensor's name, type, shape and bytes in the safetensors files that a model is loaded from.

    Raises CheckpointError for a damaged file, or when there is none.
    """
    tensors: dict[str, list[Any]] = {}
    for file in _weight_files(folder):
        tensors.update(_tensors(file))
    return value_digest(tensors)


def function_digest(folder: Path) -> str:
    """Digest of the configuration fields and tokenizer files that change what the weights compute."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in config.items() if name not in _VOLATILE}
    tokenizer = {file.name: file_digest(file) for pattern in TOKENIZER_FILES for file in folder.glob(pattern)}
    return value_digest([kept, tokenizer])


def digesting_source() -> str:
    """Digest of the code that digests, for whoever remembers its results."""
    return source_digest(Path(__file__))


def scoring_source() -> str:
    """Digest of the code that scores, and of the libraries whose versions can change scores."""
    here = Path(__file__).parent
    there = Path(models.__file__).parent
    code = source_digest(
        *(here / name for name in ("batching.py", "evaluator.py")),
        *(there / name for name in ("encoding.py", "heads.py", "labels.py", "precision.py")),
    )
    return value_digest([code, version("tokenizers"), version("transformers")])


def _weight_files(folder: Path) -> list[Path]:
    """What `from_pretrained` reads: the one file, else the shards of the index. Others may lie beside them."""
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
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
