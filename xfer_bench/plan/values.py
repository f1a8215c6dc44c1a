"""What a plan is made of: frozen values.

    Study ─► Plan ─► Runs ─► Stages

A run is a chain of stages; a stage knows its parent, so that two runs which share an intermediate stage hold the
same value with the same key, and it is trained once.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from xfer_bench.digest import value_digest
from xfer_bench.recipes import Recipe
from xfer_bench.sources.mixture import Wanted
from xfer_bench.study import Study
from xfer_bench.tasks.task import Split

Role: TypeAlias = Literal["intermediate", "target"]

# Of subword vocabularies on the languages of the benchmarks, roughly: for estimates only.
BYTES_PER_TOKEN = 4.5


@dataclass(frozen=True, kw_only=True)
class Data:
    """The rows of one training set of a stage, by what they are and by their content.

    wanted: which rows of the task; seed: of their draw.
    head: the name of the head that they train; share: of the stage's batches. mlm: for unlabelled text, the share of
        the tokens that are guessed; else None.
    fingerprint, development_fingerprint: of the training rows and of the held-out rows in the same languages (empty
        for text). examples, development_examples: their numbers; dropped: unusable rows that were left out.
    text_bytes: of all training sequences in UTF-8, as far as they are not cut off: what times are estimated by.
    """

    task: str
    format: str
    wanted: Wanted
    seed: int
    head: str
    share: float
    mlm: float | None
    repository: str
    revision: str
    examples: int
    text_bytes: int
    fingerprint: str
    dropped: int
    development_examples: int
    development_fingerprint: str
    machine_translated: bool

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the rows."""
        return self.wanted.languages

    def seen_of(self, stage: "Stage") -> float:
        """How often each of its examples is seen in the stage, on average."""
        return self.share * stage.steps * stage.recipe.batch_size / self.examples

    @property
    def deciding(self) -> list[Any]:
        """What a stage's result depends on."""
        return [self.task, self.fingerprint, self.development_fingerprint, self.head, self.share, self.mlm]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One training: of the model `origin` if there is no parent, else of the parent's result.

    parts: its training sets, each with its share of the batches; the checkpoint has the first one's head.
    epoch: examples that make up one epoch, of all parts together.
    origin: identity of the pretrained model (after trimming). source: digest of the code that trains.
    """

    role: Role
    parts: tuple[Data, ...]
    epoch: int
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
                "parts": [part.deciding for part in self.parts],
                "epoch": self.epoch,
                "recipe": self.recipe.deciding(),
                "seeds": [self.initialisation_seed, self.data_seed],
                "head": self.head,
                "parent": self.parent.key if self.parent else self.origin,
                "source": self.source,
            }
        )

    @property
    def task(self) -> str:
        """The names of its tasks: `siqa`, `siqa+c3`."""
        return "+".join(dict.fromkeys(part.task for part in self.parts))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of all its parts, each once."""
        return tuple(dict.fromkeys(language for part in self.parts for language in part.languages))

    @property
    def examples(self) -> int:
        """Different training examples, of all its parts."""
        return sum(part.examples for part in self.parts)

    @property
    def steps(self) -> int:
        """Optimiser steps, unless the stage stops early. With a number of tokens to be seen it is an estimate."""
        if self.recipe.max_tokens is None:
            return self.most_steps
        a_step = self.recipe.batch_size * self.bytes_per_example / BYTES_PER_TOKEN
        return min(self.most_steps, max(1, math.ceil(self.recipe.max_tokens / a_step)))

    @property
    def most_steps(self) -> int:
        """Optimiser steps that its epochs and its recipe allow."""
        steps = max(1, round(self.epoch * self.recipe.epochs) // self.recipe.batch_size)
        return min(steps, self.recipe.max_steps or steps)

    @property
    def bytes_per_example(self) -> float:
        """On average over the examples that are seen."""
        return math.fsum(part.share * part.text_bytes / part.examples for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One arm at one target with one pair of seeds: a chain of stages, the intermediate ones first.

    intermediate_seed is None for an arm without intermediate stages. seen: languages of the intermediate data.
    control: `more_target_data` where an intermediate set comes from the target's own source, else empty.
    """

    arm: str
    target: str
    setting: str
    intermediate_seed: int | None
    target_seed: int
    stages: tuple[Stage, ...]
    seen: tuple[str, ...]
    control: str = ""

    @property
    def name(self) -> str:
        """Readable and unique: the labels and the beginning of the last stage's key."""
        first = "" if self.intermediate_seed is None else f".i{self.intermediate_seed}"
        return f"{self.arm}.{self.target}.{self.setting}{first}.t{self.target_seed}-{self.stages[-1].key[:8]}"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Where the runs of one target are evaluated: rows by language (in the order of the study).

    splits: the target's own, and after it the validation items where those choose among the steps of a run.
    fingerprints: of the rows of every split.
    """

    task: str
    setting: str
    splits: tuple[Split, ...]
    languages: tuple[str, ...]
    limit: int | None
    fingerprints: tuple[str, ...]

    @property
    def split(self) -> Split:
        """The target's own."""
        return self.splits[0]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every run of a study and every evaluation of its runs. notes: what its reader should know, a line each."""

    study: Study
    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    notes: tuple[str, ...] = ()

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
