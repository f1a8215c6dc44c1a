"""Which checkpoints lie under a path, and what each can score. Reads configurations only; no weights, no torch."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, TypeAlias

from xfer_bench.errors import CheckpointError
from xfer_bench.models import starter
from xfer_bench.models.origin import CONFIG, PICKLED, WEIGHTS, check_names, local_folder, resolve

Head: TypeAlias = Literal["sequence_classification", "multiple_choice"]

_HEADS: dict[str, Head] = {
    "ForSequenceClassification": "sequence_classification",
    "ForMultipleChoice": "multiple_choice",
}


@dataclass(frozen=True, kw_only=True)
class Scorable:
    """A checkpoint that was found.

    name: the path or Hub id as the user would write it. head: the stock head that it was saved with, or None with
    the reason. id2label: of its configuration. lineage: ours, or None for a checkpoint from elsewhere.
    covers: fingerprints of the rows that a trimmed vocabulary was made for; None when it was not trimmed.
    """

    path: Path
    name: str
    head: Head | None
    reason: str
    id2label: dict[int, str]
    lineage: dict[str, Any] | None
    covers: frozenset[str] | None


def discover(places: Iterable[str]) -> list[Scorable]:
    """Every checkpoint under these paths (a checkpoint, or a tree of them), and every Hub id, each once.

    Folders whose names begin with a dot hold unfinished work and are not entered.
    Raises CheckpointError for a path that does not exist, one without any checkpoint, and weights that only exist
    as pickles.
    """
    found: dict[Path, Scorable] = {}
    for place in places:
        for folder, name in _folders(place):
            found.setdefault(folder.resolve(), _read(folder, name))
    return list(found.values())


def _folders(place: str) -> list[tuple[Path, str]]:
    """Folders, and what to call them. Nothing is digested here: that is done, and remembered, where it is scored."""
    path = _directory(place)
    if path is None:
        return [(local_folder(resolve(place)), place)]
    try:
        if (path / CONFIG).is_file():
            check_names([file.name for file in path.iterdir()], place)
            return [(path, place)]
        folders = [(folder, str(folder)) for folder in _tree(path, set())]
    except OSError as error:
        raise CheckpointError(f"{place}: cannot be searched for checkpoints ({error})") from None
    if not folders:
        raise CheckpointError(f"{place}: no checkpoint here or below (a folder with {CONFIG} and safetensors)")
    return folders


def _directory(place: str) -> Path | None:
    """The directory that a user named; None for the starter, a Hub id, and a path that does not exist."""
    try:
        path = Path(place).expanduser()
        return path if place and place != starter.NAME and path.is_dir() else None
    # A user that does not exist after the ~, or a name longer than the file system allows.
    except (RuntimeError, OSError):
        return None


def _tree(top: Path, entered: set[Path]) -> Iterator[Path]:
    if top.resolve() in entered:  # a link that leads back up
        return
    entered.add(top.resolve())
    names = [file.name for file in top.iterdir() if file.is_file()]
    if CONFIG in names and any(fnmatch(name, pattern) for name in names for pattern in (WEIGHTS, *PICKLED)):
        check_names(names, str(top))
        yield top
        return
    for child in sorted(top.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            yield from _tree(child, entered)


def _read(folder: Path, name: str) -> Scorable:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        id2label = {int(index): str(label) for index, label in (config.get("id2label") or {}).items()}
        lineage = _optional(folder / "lineage.json", needs="key")
        vocabulary = _optional(folder / "vocabulary.json", needs="covers")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{name}: damaged configuration ({error})") from None
    architectures = config.get("architectures") or ["none"]
    head = next((kind for ending, kind in _HEADS.items() if architectures[0].endswith(ending)), None)
    return Scorable(
        path=folder,
        name=name,
        head=head,
        reason="" if head else f"its architecture {architectures[0]} has no head that a task here is scored with",
        # Configurations leave the default of two unnamed labels out.
        id2label=id2label or {0: "LABEL_0", 1: "LABEL_1"},
        lineage=lineage,
        covers=frozenset(vocabulary["covers"]) if vocabulary else None,
    )


def _optional(path: Path, *, needs: str) -> dict[str, Any] | None:
    """A file of ours; None when it is absent or someone else's by the same name."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) and needs in content else None
