"""Where a checkpoint comes from: the stages before it, and whether its files are those that were written.

Nothing here imports torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from xfer_bench.digest import file_digest
from xfer_bench.errors import CheckpointError
from xfer_bench.training.checkpoints import LINEAGE, Store, read_lineage
from xfer_bench.training.keeping import STEPS

Verdict: TypeAlias = Literal["ok", "changed", "missing"]

_NEEDED = ("key", "task", "role", "parents", "origin", "parts", "seeds", "files")


@dataclass(frozen=True, kw_only=True)
class Ancestor:
    """One stage of a checkpoint's ancestry.

    path: where it lies; None for a parent that is not in the checkpoint's store, of which only key and task are known.
    lineage: what it recorded when it was finished. files: every recorded file, compared with its digest.
    unrecorded: files that lie there besides; nothing says what they are.
    """

    key: str
    task: str
    path: Path | None
    lineage: Mapping[str, Any]
    files: Mapping[str, Verdict]
    unrecorded: tuple[str, ...]

    @property
    def wrong(self) -> dict[str, Verdict]:
        """The files that are not as they were recorded."""
        return {name: verdict for name, verdict in self.files.items() if verdict != "ok"}


def ancestry(folder: Path) -> tuple[Ancestor, ...]:
    """From the first stage to this checkpoint, each with its files digested and compared.

    Parents are looked for in the store that the checkpoint lies in. Raises CheckpointError when it is none of ours, or
    its record is damaged.
    """
    if not (folder / LINEAGE).is_file():
        raise CheckpointError(_foreign(folder))
    itself = _known(folder)
    store = _store(folder)
    before = []
    for parent in itself.lineage["parents"]:
        path = store.path(parent["key"])
        found = _known(path) if (path / LINEAGE).is_file() else None
        if found is not None and found.key != parent["key"]:
            raise CheckpointError(f"{path}: holds stage {found.key}, and {folder} comes from {parent['key']}")
        before.append(found or _absent(parent))
    return (*before, itself)


def _known(folder: Path) -> Ancestor:
    lineage = read_lineage(folder)
    missing = [name for name in _NEEDED if name not in lineage] if isinstance(lineage, dict) else ["key"]
    if missing:
        raise CheckpointError(f"{folder / LINEAGE}: lacks {missing[0]!r}; it was damaged, or another program wrote it")
    recorded: Mapping[str, str] = lineage["files"]
    there = {file.name for file in folder.iterdir() if file.is_file()} - {LINEAGE}
    return Ancestor(
        key=lineage["key"],
        task=lineage["task"],
        path=folder,
        lineage=lineage,
        files={name: _verdict(folder / name, digest) for name, digest in recorded.items()},
        unrecorded=tuple(sorted(there - recorded.keys())),
    )


def _absent(parent: Mapping[str, str]) -> Ancestor:
    return Ancestor(key=parent["key"], task=parent["task"], path=None, lineage={}, files={}, unrecorded=())


def _verdict(file: Path, digest: str) -> Verdict:
    if not file.is_file():
        return "missing"
    return "ok" if file_digest(file) == digest else "changed"


def _store(folder: Path) -> Store:
    where = folder.resolve().parent
    # A checkpoint along a stage lies in the folder of its result.
    return Store(folder=where.parents[1] if where.name == STEPS else where)


def _foreign(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder}: no such folder; give a checkpoint"
    inside = sorted(file.parent for pattern in ("*", "*/*") for file in folder.glob(f"{pattern}/{LINEAGE}"))
    hint = f"; there are {len(inside)} of ours in it, such as {inside[0]}" if inside else ""
    return f"{folder}: no {LINEAGE}, so it was not trained here, and nothing is known of its ancestry{hint}"
