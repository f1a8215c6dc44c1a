"""What a checkpoint's own files may ask for: nothing outside its folder, no pickle, no code of its own.

`from_pretrained` follows some of these wishes without being told to, so they are read and refused before it is
called.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xfer_bench.errors import CheckpointError

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

# A file of weights to read instead of the checkpoint's (which may be a pickle), and parts of the model to replace.
_REDIRECTIONS = ("transformers_weights", "fusion_config")
_ATTENTION = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def check_files(folder: Path) -> None:
    """Raise CheckpointError unless the whole checkpoint in `folder` can be loaded without leaving it or running code.

    Refused: shards outside the folder, in subfolders, absent or not in safetensors; a configuration that names other
    weights or kernels from the Hub; an adapter beside the weights, which would be applied where peft is installed
    and ignored where it is not.
    """
    config = json_object(folder / CONFIG)
    for name in _REDIRECTIONS:
        if config.get(name):
            raise CheckpointError(f"{folder}: its {CONFIG} sets {name}, which replaces parts of the model; remove it")
    for name in _ATTENTION:
        if "/" in str(config.get(name) or ""):
            raise CheckpointError(
                f"{folder}: its {CONFIG} sets {name} to code from the Hub ({config[name]}); remove it"
            )
    if (folder / ADAPTER_CONFIG).exists():
        raise CheckpointError(
            f"{folder} holds weights and {ADAPTER_CONFIG}: it is not clear which model is meant; "
            "move the adapter to a folder of its own"
        )
    weight_files(folder)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that a whole checkpoint's weights are read from: the single one, else the shards of the index.

    Raises CheckpointError when there are none, or the index names anything but safetensors files of this folder. A
    plain name may be a link to elsewhere, as in the Hub's cache: whoever made the folder made the link.
    """
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    if not (folder / INDEX).is_file():
        raise CheckpointError(f"{folder}: neither {SINGLE} nor {INDEX}")
    named = json_object(folder / INDEX).get("weight_map")
    if not isinstance(named, Mapping) or not named or not all(isinstance(name, str) for name in named.values()):
        raise CheckpointError(f"{folder / INDEX}: damaged (its weight_map names no files)")
    shards = sorted(set(named.values()))
    for name in shards:
        _check_shard(folder, name)
    return tuple(folder / name for name in shards)


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a checkpoint's file. Raises CheckpointError when it cannot be read or is anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise CheckpointError(f"{path}: damaged (nested too deeply)") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: damaged (a JSON object is needed, not {type(content).__name__})")
    return content


def _check_shard(folder: Path, name: str) -> None:
    shown = f"{folder / INDEX} names the shard {name!r}"
    # Both separators, whatever the machine: a checkpoint travels.
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name or Path(name).is_absolute():
        raise CheckpointError(f"{shown}; only plain names of files in the same folder are read")
    if not name.endswith(".safetensors"):
        raise CheckpointError(f"{shown}; only safetensors are read")
    if not (folder / name).is_file():
        raise CheckpointError(f"{shown}, which is absent; copy or download the whole checkpoint")
