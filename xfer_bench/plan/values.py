"""What a plan is made of: frozen values.

    Study ─► Plan ─► Runs ─► Stages

A run is a chain of stages; a stage knows its parent, so that two runs which share an intermediate stage hold the
same value with the same key, and it is trained once.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from xfer_bench.digest import value_digest
from xfer_bench.recipes import Recipe
from xfer_bench.study import Study

Role: TypeAlias = Literal["intermediate", "target"]


@dataclass(frozen=True, kw_only=True)
class Data:
    """The rows of a stage, by what they are and by their content.

    fingerprint, development_fingerprint: of the training rows and of the held-out rows in the same languages.
    examples, development_examples: their numbers; asked: how many training rows the study asked for (None: all);
    dropped: unusable rows that were left out. seed: of the draw. characters: of all training sequences.
    """

    task: str
    languages: tuple[str, ...]
    per_item: Literal["all", "one"]
    asked: int | None
    seed: int
    repository: str
    revision: str
    examples: int
    characters: int
    fingerprint: str
    dropped: int
    development_examples: int
    development_fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One training: of the model `origin` if there is no parent, else of the parent's result.

    origin: identity of the pretrained model (after trimming). source: digest of the code that trains.
    """

    role: Role
    data: Data
    recipe: Recipe
    initialisation_seed: int
    data_seed: int
    head: Literal["fresh", "keep"]
    parent: "Stage | None"
    origin: str
    source: str

    @cached_property
    def key(self) -> str:
        """Digest of everything that decides the result. The role does not: the same training is the same stage."""
        return value_digest(
            {
                "data": [self.data.task, self.data.fingerprint, self.data.development_fingerprint],
                "recipe": self.recipe.deciding(),
                "seeds": [self.initialisation_seed, self.data_seed],
                "head": self.head,
                "parent": self.parent.key if self.parent else self.origin,
                "source": self.source,
            }
        )

    @property
    def steps(self) -> int:
        """Optimiser steps, unless the stage stops early."""
        steps = max(1, round(self.data.examples * self.recipe.epochs) // self.recipe.batch_size)
        return min(steps, self.recipe.max_steps or steps)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One arm at one target with one pair of seeds: a chain of stages, the intermediate ones first.

    intermediate_seed is None for an arm without intermediate stages. seen: languages of the intermediate data.
    """

    arm: str
    target: str
    setting: str
    intermediate_seed: int | None
    target_seed: int
    stages: tuple[Stage, ...]
    seen: tuple[str, ...]

    @property
    def name(self) -> str:
        """Readable and unique: the labels and the beginning of the last stage's key."""
        first = "" if self.intermediate_seed is None else f".i{self.intermediate_seed}"
        return f"{self.arm}.{self.target}.{self.setting}{first}.t{self.target_seed}-{self.stages[-1].key[:8]}"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Where the runs of one target are evaluated: rows by language (in the order of the study)."""

    task: str
    setting: str
    split: Literal["validation", "test"]
    languages: tuple[str, ...]
    limit: int | None
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every run of a study and every evaluation of its runs."""

    study: Study
    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Each distinct stage once, parents before children."""
        return tuple({stage.key: stage for run in self.runs for stage in run.stages}.values())

    def runs_through(self, stage: Stage) -> tuple[Run, ...]:
        """The runs that this stage belongs to: more than one when it is shared."""
        return tuple(run for run in self.runs if any(other.key == stage.key for other in run.stages))

    def evaluation_of(self, run: Run) -> Evaluation:
        """Where this run is evaluated."""
        return next(one for one in self.evaluations if (one.task, one.setting) == (run.target, run.setting))
