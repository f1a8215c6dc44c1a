"""Files of the Hub, brought into a plain folder: whole or not at all, checked, and resumed where they were cut.

Beside them lie the notes that the Hub's own programs keep (`.cache/huggingface/download`), so that those programs know
the files, and a mirror knows their commit.
"""

import hashlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

from xfer_bench.errors import SourceError
from xfer_bench.sources import hub
from xfer_bench.sources.mirror import NOTES

Kind: TypeAlias = Literal["dataset", "model"]

_SECONDS = 20.0
_CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a repository at one commit.

    size: bytes. digest: the SHA-256 of a large file, Git's SHA-1 of a small one.
    """

    repository: str
    kind: Kind
    commit: str
    name: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a repository holds at one commit: files by name."""

    repository: str
    commit: str
    files: Mapping[str, File]


def listing(repository: str, *, kind: Kind, revision: str) -> Listing:
    """Ask the Hub for a repository's files. revision: empty for the newest.

    Raises SourceError when the network is switched off, the Hub out of reach, or there is no such repository.
    """
    refuse_offline()
    from huggingface_hub import HfApi

    with _told(f"{repository} cannot be had from the Hub"):
        api = HfApi(endpoint=_endpoint())
        ask = api.dataset_info if kind == "dataset" else api.model_info
        found = ask(repository, revision=revision or None, files_metadata=True, timeout=_SECONDS)
    commit = found.sha or ""
    files = {
        one.rfilename: File(
            repository=repository,
            kind=kind,
            commit=commit,
            name=one.rfilename,
            size=one.size or 0,
            digest=one.lfs.sha256 if one.lfs else one.blob_id or "",
        )
        for one in found.siblings or []
    }
    return Listing(repository=repository, commit=commit, files=files)


def is_there(file: File, folder: Path) -> bool:
    """Whether this very file lies in the folder: by its note, or else by its bytes."""
    path = folder / file.name
    try:
        if not path.is_file() or path.stat().st_size != file.size:
            return False
        noted = _note(file, folder).read_text(encoding="utf-8").split()[:2]
    except FileNotFoundError:
        noted = []
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None
    return noted[1:] == [file.digest] or _is_whole(file, path)


def fetch(file: File, folder: Path, *, tell: Callable[[int], None]) -> Path:
    """Bring one file into the folder and note its commit. tell: called with the bytes that are there, now and again.

    What is downloaded has another name until it is whole and its digest is right; what a cut download left is
    continued. Raises SourceError.
    """
    path, part = folder / file.name, _part(file, folder)
    if not is_there(file, folder):
        _bring(file, part, tell=tell)
        if not _is_whole(file, part):
            part.unlink()
            raise SourceError(f"{file.repository}: {file.name} came damaged: its digest is not the Hub's; try again")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
    note = _note(file, folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{file.commit}\n{file.digest}\n{time.time()}\n", encoding="utf-8")
    tell(file.size)
    return path


def waiting(file: File, folder: Path) -> int:
    """Bytes that are still to be downloaded."""
    if is_there(file, folder):
        return 0
    part = _part(file, folder)
    return file.size - (min(part.stat().st_size, file.size) if part.is_file() else 0)


def refuse_offline() -> None:
    """Raise SourceError when the environment forbids the network."""
    if switch := hub.switch():
        raise SourceError(f"the network is switched off by {switch}; nothing can be downloaded")


class _Counted(io.FileIO):
    """A file that tells how long it is."""

    tell_size: Callable[[int], None]

    def write(self, chunk: bytes) -> int:  # type: ignore[override]  # what is written are bytes
        written = super().write(chunk)
        self.tell_size(self.tell())
        return written


def _bring(file: File, part: Path, *, tell: Callable[[int], None]) -> None:
    refuse_offline()
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # it is documented there

    url = hf_hub_url(file.repository, file.name, repo_type=file.kind, revision=file.commit, endpoint=_endpoint())
    with _told(f"{file.repository}: {file.name} cannot be downloaded"), _silence():
        part.parent.mkdir(parents=True, exist_ok=True)
        if part.is_file() and part.stat().st_size > file.size:
            part.unlink()
        with _Counted(part, "ab") as stream:
            stream.tell_size = tell
            stream.seek(0, os.SEEK_END)
            http_get(url, stream, resume_size=stream.tell(), headers=build_hf_headers(), expected_size=file.size)
            os.fsync(stream.fileno())


def _endpoint() -> str | None:
    """Another Hub than the public one. The library reads it only once, when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _is_whole(file: File, path: Path) -> bool:
    """Whether the bytes are those that the Hub names: it gives large files' SHA-256 and small files' Git object."""
    if path.stat().st_size != file.size:
        return False
    if not file.digest:
        return True
    digest = hashlib.sha256() if len(file.digest) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(file.digest) == 40:
        digest.update(f"blob {file.size}\0".encode())
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == file.digest


def _note(file: File, folder: Path) -> Path:
    return folder / NOTES / f"{file.name}.metadata"


def _part(file: File, folder: Path) -> Path:
    # The digest in the name: what is left of another version is never continued.
    return folder / NOTES / f"{file.name}.{file.digest[:16]}.part"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Failures of the Hub and of its libraries as one line."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # The bases of the Hub's error are the errors of its HTTP library, whichever that is in this version.
    unanswered = cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)
    failures: tuple[type[Exception], ...] = (OSError, HFValidationError, *unanswered)
    try:
        yield
    except GatedRepoError:
        raise SourceError(f"{what}: it is gated there; accept its terms and log in") from None
    except RepositoryNotFoundError:
        raise SourceError(f"{what}: there is no such repository, or it is private") from None
    except RevisionNotFoundError:
        raise SourceError(f"{what}: it has no such revision") from None
    except failures as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SourceError(f"{what}: {reason}") from None


@contextmanager
def _silence() -> Iterator[None]:
    """No bars and no warnings of the Hub's library in here."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger = logging.getLogger("huggingface_hub")
    level, bars = logger.level, not are_progress_bars_disabled()
    logger.setLevel(logging.CRITICAL + 1)
    disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            enable_progress_bars()
