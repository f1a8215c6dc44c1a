"""Which checkpoints lie under a path, and what each can score. Reads configurations only; no weights, no torch."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from xfer_bench.errors import CheckpointError
from xfer_bench.models import starter
from xfer_bench.models.adapters import Adapter, base_folder, classes_on, head_on, is_adapter, read_adapter, refusal
from xfer_bench.models.architectures import Head, head_of
from xfer_bench.models.origin import PICKLED, TOKENIZERS, WEIGHTS, check_names, folder_of
from xfer_bench.models.safety import ADAPTER_CONFIG, CONFIG, check_files, json_object

__all__ = ["Head", "Scorable", "discover"]

_CONFIGS = (CONFIG, ADAPTER_CONFIG)


@dataclass(frozen=True, kw_only=True)
class Scorable:
    """A checkpoint that was found.

    name: the path or Hub id as the user would write it. head: the stock head that it was saved with, or None with
    the reason. id2label: of its configuration. lineage: ours, or None for a checkpoint from elsewhere.
    covers: fingerprints of the rows that a trimmed vocabulary was made for; None when it was not trimmed.
    base: the folder of the base model of an adapter; None for a whole checkpoint, and where it cannot be had.
    """

    path: Path
    name: str
    head: Head | None
    reason: str
    id2label: dict[int, str]
    lineage: dict[str, Any] | None
    covers: frozenset[str] | None
    base: Path | None = None

    @property
    def tokenizer(self) -> Path:
        """The folder whose tokenizer it is scored with: its own, or its base model's when it has none."""
        own = any(file.is_file() for pattern in TOKENIZERS for file in self.path.glob(pattern))
        return self.path if self.base is None or own else self.base

    @property
    def configuration(self) -> Path:
        """The folder whose `config.json` describes the model that is scored."""
        return self.path if self.base is None else self.base


def discover(places: Iterable[str]) -> list[Scorable]:
    """Every checkpoint under these paths (a checkpoint, or a tree of them), and every Hub id, each once.

    An adapter is a checkpoint too; its base model is found by the name in its configuration. Folders whose names
    begin with a dot hold unfinished work and are not entered.
    Raises CheckpointError for a path that does not exist, one without any checkpoint, weights that only exist as
    pickles, and files that reach outside their folder.
    """
    found: dict[Path, Scorable] = {}
    bases = _Bases()
    for place in places:
        for folder, name in _folders(place):
            where = folder.resolve()
            if where not in found:
                found[where] = _adapter(folder, name, bases) if is_adapter(folder) else _whole(folder, name)
    return list(found.values())


def _folders(place: str) -> list[tuple[Path, str]]:
    """Folders, and what to call them. Nothing is digested here: that is done, and remembered, where it is scored."""
    path = _directory(place)
    if path is None:
        return [(folder_of(place, adapters=True), place)]
    try:
        if any((path / name).is_file() for name in _CONFIGS):
            check_names([file.name for file in path.iterdir()], place, adapters=True)
            return [(path, place)]
        folders = [(folder, str(folder)) for folder in _tree(path, set())]
    except OSError as error:
        raise CheckpointError(f"{place}: cannot be searched for checkpoints ({error})") from None
    if not folders:
        raise CheckpointError(
            f"{place}: no checkpoint here or below (a folder with {CONFIG} or {ADAPTER_CONFIG} and safetensors)"
        )
    return folders


def _directory(place: str) -> Path | None:
    """The directory that a user named; None for the starter, a Hub id, and a path that does not exist."""
    try:
        path = Path(place).expanduser()
        return path if place and place != starter.NAME and path.is_dir() else None
    # A user that does not exist after the ~, or a name longer than the file system allows.
    except (RuntimeError, OSError, ValueError):
        return None


# Where a stage keeps checkpoints along its way: training.keeping.STEPS, whose room is beside this one.
KEPT = "steps"


def _tree(top: Path, entered: set[Path]) -> Iterator[Path]:
    if top.resolve() in entered:  # a link that leads back up
        return
    entered.add(top.resolve())
    names = [file.name for file in top.iterdir() if file.is_file()]
    weighty = any(fnmatch(name, pattern) for name in names for pattern in (WEIGHTS, *PICKLED))
    if weighty and any(name in names for name in _CONFIGS):
        check_names(names, str(top), adapters=True)
        yield top
        # What a stage kept along its way lies beside its result.
        if (top / KEPT).is_dir():
            yield from _tree(top / KEPT, entered)
        return
    for child in sorted(top.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            yield from _tree(child, entered)


def _whole(folder: Path, name: str) -> Scorable:
    config = _object(folder / CONFIG, name)
    if (folder / ADAPTER_CONFIG).exists():
        head, reason = None, f"it holds weights and {ADAPTER_CONFIG}; move the adapter to a folder of its own"
    else:
        check_files(folder)
        head, reason = head_of(config)
    return Scorable(
        path=folder,
        name=name,
        head=head,
        reason=reason,
        # Configurations leave the default of two unnamed labels out.
        id2label=_labels(config, name) or {0: "LABEL_0", 1: "LABEL_1"},
        lineage=_optional(folder / "lineage.json", name, needs="key"),
        covers=_covers(folder, name),
    )


def _adapter(folder: Path, name: str, bases: "_Bases") -> Scorable:
    adapter = read_adapter(folder)
    reason = refusal(adapter)
    base, unavailable = (None, "") if reason else bases.find(adapter)
    head: Head | None = None
    id2label = {index: f"LABEL_{index}" for index in range(adapter.outputs or 2)}
    if base is not None:
        config = _object(base / CONFIG, name)
        head, reason = head_on(adapter, config)
        named = classes_on(adapter, config)
        if head == "sequence_classification" and adapter.outputs == 1:
            head, reason = None, "its head has one output (regression), so there is no class to choose"
        elif head == "sequence_classification" and named is None:
            head, reason = None, _unnamed(adapter)
        id2label = named or id2label
    return Scorable(
        path=folder,
        name=name,
        head=head,
        reason=reason or unavailable,
        id2label=id2label,
        lineage=_optional(folder / "lineage.json", name, needs="key"),
        # The rows of a trimmed vocabulary are the base model's.
        covers=_covers(folder, name) or (_covers(base, name) if base else None),
        base=base,
    )


def _unnamed(adapter: Adapter) -> str:
    return (
        "nothing says which output of its head is which class, since adapters are saved without names; "
        f'write them into {adapter.folder / CONFIG}: {{"id2label": {{"0": …, "1": …}}}}'
    )


@dataclass(frozen=True, kw_only=True)
class _Bases:
    """Base models by their names, each looked for once: a hundred adapters may share one that is on the Hub."""

    known: dict[tuple[Path | None, str, str], tuple[Path | None, str]] = field(default_factory=dict)

    def find(self, adapter: Adapter) -> tuple[Path | None, str]:
        """Its folder, or None and the reason."""
        key = (adapter.inside, adapter.base, str(adapter.config.get("revision")))
        if key not in self.known:
            try:
                folder = base_folder(adapter)
                check_files(folder)
                self.known[key] = folder, ""
            except CheckpointError as error:
                self.known[key] = None, str(error)
        return self.known[key]


def _object(path: Path, name: str) -> dict[str, Any]:
    try:
        return json_object(path)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: damaged configuration ({error})") from None


def _labels(config: dict[str, Any], name: str) -> dict[int, str]:
    try:
        return {int(index): str(label) for index, label in (config.get("id2label") or {}).items()}
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{name}: damaged configuration (its id2label: {error})") from None


def _covers(folder: Path, name: str) -> frozenset[str] | None:
    vocabulary = _optional(folder / "vocabulary.json", name, needs="covers")
    if vocabulary is None:
        return None
    covers = vocabulary["covers"]
    if not isinstance(covers, list) or not all(isinstance(one, str) for one in covers):
        raise CheckpointError(f"{name}: damaged configuration (vocabulary.json: `covers` has to be a list of strings)")
    return frozenset(covers)


def _optional(path: Path, name: str, *, needs: str) -> dict[str, Any] | None:
    """A file of ours; None when it is absent or someone else's by the same name."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: damaged configuration ({path.name}: {error})") from None
    return content if isinstance(content, dict) and needs in content else None
