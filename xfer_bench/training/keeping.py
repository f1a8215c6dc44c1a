"""Checkpoints that stay along a stage: which steps, where they lie, how much disk they take. No torch.

    <key>/             the stage's result
    <key>/steps/<n>/   the same training after n optimiser steps: an ordinary checkpoint with its own lineage.json

While the stage is trained they lie where the result will, so that both come into their place with one rename.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xfer_bench.recipes import Every, Recipe

STEPS = "steps"


def selects(recipe: Recipe, *, development: int) -> bool:
    """Whether a stage with so many development items selects its best step: with few, they would select noise."""
    return recipe.selection == "best" and development >= recipe.minimum_development


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Which checkpoints stay beside a stage's result.

    steps: those that are known before the first step. best, last: whether the best step on the development data, or
    the last one, stays too, being another than the result.
    """

    steps: tuple[int, ...]
    best: bool
    last: bool

    @property
    def most(self) -> int:
        """How many there are at most: times the size of a checkpoint, the disk that they take."""
        return len(self.steps) + self.best + self.last


def keeping(recipe: Recipe, *, steps: int, development: int) -> Keeping:
    """What a recipe's `keep` means for a stage of so many optimiser steps with so many development items."""
    chosen = selects(recipe, development=development)
    return Keeping(
        steps=_kept_steps(recipe, steps, chosen),
        best=recipe.keep == "best" and not chosen and development >= recipe.minimum_development,
        last=recipe.keep == "last" and chosen,
    )


def _kept_steps(recipe: Recipe, steps: int, chosen: bool) -> tuple[int, ...]:
    if isinstance(recipe.keep, Every):
        distance = recipe.keep.every
    elif recipe.keep == "all":
        distance = recipe.evaluate_every if chosen else recipe.save_every
    else:
        return ()
    # Without a selection the last step is the result itself.
    last = steps if chosen else steps - 1
    # Evenly, so that a trajectory is drawn at even distances and those of several arms have steps in common.
    distance *= max(1, -(-(last // distance) // recipe.keep_at_most))
    return tuple(range(distance, last + 1, distance))


def best_step(history: Sequence[Mapping[str, Any]]) -> int | None:
    """The step with the highest development accuracy so far, the earliest of equal ones; None before any.

    history: what the Trainer logged.
    """
    found = accuracies(history)
    return max(found, key=lambda step: (found[step], -step)) if found else None


def accuracies(history: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """Development accuracy (0-1) by step."""
    return {int(entry["step"]): float(entry["eval_accuracy"]) for entry in history if "eval_accuracy" in entry}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The checkpoints along one stage, in the folder of its result."""

    folder: Path

    def path(self, step: int) -> Path:
        """Where the checkpoint of this step lies, or would."""
        return self.folder / STEPS / str(step)

    def steps(self) -> tuple[int, ...]:
        """The steps that are there, from the first on."""
        if not (self.folder / STEPS).is_dir():
            return ()
        names = (entry.name for entry in (self.folder / STEPS).iterdir() if entry.is_dir())
        return tuple(sorted(int(name) for name in names if name.isdecimal()))

    def drop(self, *steps: int) -> None:
        """Remove these steps, what a killed process left half-written, and the folder when nothing is left in it."""
        for step in steps:
            shutil.rmtree(self.path(step), ignore_errors=True)
        if (self.folder / STEPS).is_dir():
            for leftover in (self.folder / STEPS).glob(".*"):
                shutil.rmtree(leftover, ignore_errors=True)
            if not any((self.folder / STEPS).iterdir()):
                (self.folder / STEPS).rmdir()

    @property
    def bytes(self) -> int:
        """What they take on the disk."""
        return disk_use(self.folder / STEPS)


def disk_use(folder: Path) -> int:
    """Bytes of all files in a folder and below; 0 when it is not there."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
