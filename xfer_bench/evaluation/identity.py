"""What a checkpoint is, as digests of its files: remembered by their stamps, computed again when one changes."""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from xfer_bench.digest import value_digest
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.cache import PredictionStore, stamp_of
from xfer_bench.evaluation.digests import (
    digesting_source,
    function_digest,
    scoring_source,
    tokenizing_digest,
    weights_digest,
)
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.models.labels import output_order
from xfer_bench.models.origin import CONTENT
from xfer_bench.tasks.task import Format


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Digests of the weights, of the configuration and tokenizer, and of what decides the tokens; and the stamp of
    the files that they were computed from.
    """

    weights: str
    function: str
    tokens: str
    stamp: list[list[Any]]

    def scorer(self, checkpoint: Scorable, form: Format, *, precision: str) -> str:
        """Digest of all that decides a score but the row: neither paths nor names, devices nor batches.

        Raises CheckpointError when the head's labels are not the task's.
        """
        order = output_order(checkpoint.id2label, form.labels, name=checkpoint.name) if form.labels else ()
        labels = [form.head, form.labels, order]
        return value_digest([self.weights, self.function, self.tokens, labels, scoring_source(), precision])


def identify(checkpoint: Scorable, store: PredictionStore, *, verify: bool = False) -> Identity:
    """The checkpoint's identity. verify: read every byte, whatever is remembered. Raises CheckpointError."""
    before = stamp(checkpoint)
    place = str(checkpoint.path.resolve())
    try:
        place.encode()
    except UnicodeEncodeError:
        raise CheckpointError(f"{place!r}: a name that is no UTF-8; rename the folder") from None

    def digest() -> list[str]:
        where = folders(checkpoint)
        try:
            return [weights_digest(where), function_digest(where), tokenizing_digest(where)]
        except OSError as error:
            raise _unreadable(checkpoint, error) from None

    marked = [before, digesting_source()]
    weights, function, tokens = store.remember(f"files:{place}", marked, digest, verify=verify)
    identity = Identity(weights=weights, function=function, tokens=tokens, stamp=before)
    check_unchanged(checkpoint, identity)
    if store.index.get(name_key(weights)) != checkpoint.name:
        store.index.set(name_key(weights), checkpoint.name)
    return identity


def name_key(weights: str) -> str:
    """Under which the index keeps what weights were called last. For people only: nothing is decided by it."""
    return f"name:{weights}"


def check_unchanged(checkpoint: Scorable, identity: Identity) -> None:
    """Raise CheckpointError when a file has changed since the checkpoint was identified."""
    if stamp(checkpoint) != identity.stamp:
        raise CheckpointError(f"{checkpoint.name}: its files changed while they were read; run again when they do not")


def stamp(checkpoint: Scorable) -> list[list[Any]]:
    """Sizes, times and inodes of every file that may decide what the checkpoint computes. Raises CheckpointError."""
    try:
        return stamp_of([file for folder in folders(checkpoint) for file in _files(folder)])
    except OSError as error:
        raise _unreadable(checkpoint, error) from None


def folders(checkpoint: Scorable) -> list[Path]:
    """The checkpoint's own folder and, for an adapter, its base model's."""
    return [checkpoint.path] if checkpoint.base is None else [checkpoint.path, checkpoint.base]


def _files(folder: Path) -> list[Path]:
    # Nothing else: a study writes lineages, and a trainer its logs, into folders that others evaluate meanwhile.
    return [file for file in sorted(folder.iterdir()) if any(fnmatch(file.name, pattern) for pattern in CONTENT)]


def _unreadable(checkpoint: Scorable, error: OSError) -> CheckpointError:
    place = f": {error.filename}" if error.filename else ""
    return CheckpointError(f"{checkpoint.name}: cannot be read ({error.strerror or error}{place})")
