"""The checkpoint store: one directory per finished stage, named by the stage's key.

    store/
      <key>/            an ordinary Hugging Face checkpoint and lineage.json; renamed here only when whole
      <key>/steps/<n>/  the same training after n optimiser steps, where the recipe keeps that; a checkpoint likewise
      .work/<key>/      a stage in the making: resumable states with a manifest each; gone when the stage is finished
      .origin/<digest>/ the pretrained model that the stages start from, when its vocabulary was trimmed

Identity is the key; no name or time decides anything.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xfer_bench.digest import file_digest
from xfer_bench.durable import publish, write_json
from xfer_bench.errors import CheckpointError
from xfer_bench.plan import Run, Stage
from xfer_bench.training.keeping import Kept

LINEAGE = "lineage.json"
MANIFEST = "manifest.json"
VOCABULARY = "vocabulary.json"
_SHOWN = 16


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A finished stage: where it lies and what it knows of its ancestry."""

    path: Path
    lineage: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Store:
    """A folder of finished and unfinished stages."""

    folder: Path

    def path(self, key: str) -> Path:
        """Where the finished stage with this key lies, or would."""
        return self.folder / key[:_SHOWN]

    def work(self, key: str) -> Path:
        """Where the stage with this key is made."""
        return self.folder / ".work" / key[:_SHOWN]

    def origin(self, digest: str) -> Path:
        """Where the trimmed pretrained model of this digest lies, or would."""
        return self.folder / ".origin" / digest[:_SHOWN]

    def find(self, stage: Stage) -> Checkpoint | None:
        """The finished checkpoint of a stage, or None.

        Raises CheckpointError if its files are not those that were written, or it belongs to another stage.
        """
        path = self.path(stage.key)
        if not path.is_dir():
            return None
        lineage = read_lineage(path)
        if lineage["key"] != stage.key:
            raise CheckpointError(f"{path}: holds stage {lineage['key']}, not {stage.key}; remove it to train anew")
        for name, size in lineage["sizes"].items():
            found = (path / name).stat().st_size if (path / name).is_file() else None
            if found != size:
                raise CheckpointError(f"{path}: {name} has {found} bytes, not {size}; remove the folder to train anew")
        return Checkpoint(path=path, lineage=lineage)

    def publish(self, stage: Stage, finished: Path, lineage: dict[str, Any]) -> Checkpoint:
        """Move a finished folder to its place, with its lineage, and drop what it was made from.

        Descendants of a trimmed model keep the record of the rows that its vocabulary covers. `lineage["kept"]` lists
        the checkpoints along the stage, in what they differ from its result; others that lie there are dropped.
        """
        trimmed = self.origin(stage.origin) / VOCABULARY
        kept = Kept(folder=finished)
        kept.drop(*(set(kept.steps()) - {one["steps"] for one in lineage["kept"]}))
        for one in lineage["kept"]:
            _sign(kept.path(one["steps"]), {**lineage, **one, "kept": []}, trimmed)
        signed = _sign(finished, lineage, trimmed)
        publish(finished, self.path(stage.key))
        shutil.rmtree(self.work(stage.key), ignore_errors=True)
        return Checkpoint(path=self.path(stage.key), lineage=signed)

    def claim(self, checkpoint: Checkpoint, run: Run) -> None:
        """Note in a target checkpoint's lineage that this run ends in it, so that a copied folder knows its labels.

        The checkpoints along its last stage are the same run's, at other steps.
        """
        entry = {
            "run": run.name,
            "arm": run.arm,
            "setting": run.setting,
            "target": run.target,
            "intermediate_seed": run.intermediate_seed,
            "target_seed": run.target_seed,
            "seen": list(run.seen),
        }
        kept = Kept(folder=checkpoint.path)
        for folder in (*map(kept.path, kept.steps()), checkpoint.path):
            lineage = read_lineage(folder)
            if entry not in lineage["runs"]:
                others = [one for one in lineage["runs"] if one["run"] != run.name]
                write_json(folder / LINEAGE, {**lineage, "runs": [*others, entry]})


def _sign(folder: Path, lineage: dict[str, Any], trimmed: Path) -> dict[str, Any]:
    """Write a checkpoint's lineage, with the digests and sizes of its files."""
    if trimmed.is_file():
        shutil.copy2(trimmed, folder / VOCABULARY)
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != LINEAGE)
    signed = {
        **lineage,
        "files": {file.name: file_digest(file) for file in files},
        "sizes": {file.name: file.stat().st_size for file in files},
    }
    write_json(folder / LINEAGE, signed)
    return signed


def read_lineage(folder: Path) -> dict[str, Any]:
    """The lineage of a checkpoint of ours. Raises CheckpointError when there is none or it is damaged."""
    try:
        lineage: dict[str, Any] = json.loads((folder / LINEAGE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: no readable {LINEAGE} ({error})") from None
    return lineage


def seal_state(state: Path, **facts: float) -> None:
    """Mark a resumable state as whole: the digests of its files, and facts to go on with. Written last.

    A state without its manifest, or one whose files differ from it, is never resumed: a missing random state or
    optimiser would silently train on to other weights.
    """
    files = {
        str(file.relative_to(state)): file_digest(file)
        for file in sorted(state.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    write_json(state / MANIFEST, {"files": files, **facts})


def newest_state(work: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest resumable state that is whole, with its facts, or None."""
    for state in sorted(_states(work), key=step_of, reverse=True):
        facts = sealed(state)
        if facts is not None:
            return state, facts
    return None


def drop_states(work: Path, *, after: int) -> None:
    """Remove the states beyond a step: what is resumed there makes them again."""
    for state in _states(work):
        if step_of(state) > after:
            shutil.rmtree(state, ignore_errors=True)


def step_of(state: Path) -> int:
    """The optimiser step of a resumable state, by its name."""
    return int(state.name.rsplit("-", 1)[1])


def sealed(state: Path) -> dict[str, Any] | None:
    """The facts of a state that is whole; None for one that is not."""
    try:
        manifest: dict[str, Any] = json.loads((state / MANIFEST).read_text(encoding="utf-8"))
        there = {str(file.relative_to(state)) for file in state.rglob("*") if file.is_file()}
        # Neither fewer files nor more: what somebody put beside them is not ours to read.
        whole = there == {MANIFEST, *manifest["files"]} and all(
            file_digest(state / name) == digest for name, digest in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return None
    return manifest if whole else None


def _states(work: Path) -> list[Path]:
    return [path for path in work.glob("checkpoint-*") if path.name.rsplit("-", 1)[1].isdecimal()]
