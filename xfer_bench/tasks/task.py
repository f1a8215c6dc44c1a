"""What a task is: where its rows lie, how they are read, and how they are scored. A task is one value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import polars as pl

from xfer_bench.errors import TaskError

Split: TypeAlias = Literal["train", "validation", "test"]
Reader: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]

TRAIN: Split = "train"
VALIDATION: Split = "validation"
TEST: Split = "test"

PUBLISHED = "published"
REPAIRED = "repaired"


@dataclass(frozen=True, kw_only=True)
class Format:
    """How items become sequences and logits become an answer.

    Every item is a `text` and its `candidates`; each (text, candidate) pair is one sequence.

    labels: the classes in canonical order when one candidate gets one logit per class (NLI); empty when each
        candidate gets one logit and the label is the index of the right candidate (multiple choice).
    head: the stock head, as in `AutoModelFor…`; under `masked_lm` an item is a text without candidates, and nothing
        is scored.
    """

    name: str
    head: Literal["sequence_classification", "multiple_choice", "masked_lm"]
    labels: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether items have an answer."""
        return self.head != "masked_lm"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One split of a task in one repository, for some or all of its languages.

    repository: `owner/name` on the Hub; under a mirror, the folder of that name.
    config: the configuration; `{language}` in it is replaced by the language.
    read: turns the repository's columns into `text`, `candidates`, `label` and, where the rows say so, `language`,
        `item`, `cluster`. Its label is null for a row that is known to be unusable; such rows are dropped and
        counted. Without `item` the row number is the item; without `cluster` the item is its own cluster.
    columns: the columns that `read` needs.
    upstream_split: the split's name in the repository where it differs from ours.
    revision: the commit on the Hub that the code was written against; empty means the newest one.
    upstream: where the data come from when the repository has no loadable twin on the Hub; empty when it has.
    """

    split: Split
    languages: tuple[str, ...]
    repository: str
    config: str
    read: Reader
    columns: tuple[str, ...]
    upstream_split: str = ""
    revision: str = ""
    upstream: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark or a training set.

    languages: every language of any part, in the order of tables.
    parallel: the same items in every language.
    settings: how this task is trained when it is a target: the setting's name to the training tasks in order. Empty
        for a task that is no target.
    barred: target task to the reason why this task may not be an intermediate task before it.
    same_source: target task to the reason why this one before it is but more of the target's own data: a control
        (`more_target_data`), which is kept out of headlines and correlations.
    chance: accuracy of guessing (a fraction).
    repair: the file of `data/repairs` that says which cells are wrong in the rows as they were published; empty when
        none is known. variant: whether the rows are the published ones or those put right.
    averages_english: whether the benchmark's published average counts English, as XNLI's does.
    """

    name: str
    format: Format
    parts: tuple[Part, ...]
    licence: str
    chance: float
    parallel: bool = False
    machine_translated: bool = False
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    barred: Mapping[str, str] = field(default_factory=dict)
    same_source: Mapping[str, str] = field(default_factory=dict)
    repair: str = ""
    variant: str = PUBLISHED
    averages_english: bool = False

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language of any part, each once, in the order of the parts."""
        return tuple(dict.fromkeys(language for part in self.parts for language in part.languages))

    @property
    def variants(self) -> tuple[str, ...]:
        """The forms in which the rows can be had; the last one stands for the task where one must."""
        return (PUBLISHED, REPAIRED) if self.repair else (self.variant,)

    @property
    def title(self) -> str:
        """For people: the name, and the variant unless the rows are as published."""
        return self.name if self.variant == PUBLISHED else f"{self.name} ({self.variant})"

    def as_variant(self, variant: str) -> "Task":
        """The same task over these rows. Raises TaskError for a variant that it does not have."""
        if variant not in self.variants:
            raise TaskError(f"{self.name} has no variant {variant!r}; it has {', '.join(self.variants)}")
        return replace(self, variant=variant)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that some part has, in the order train, validation, test."""
        present = {part.split for part in self.parts}
        return tuple(split for split in (TRAIN, VALIDATION, TEST) if split in present)

    def languages_of(self, split: Split) -> tuple[str, ...]:
        """The languages that have this split."""
        return tuple(
            dict.fromkeys(language for part in self.parts if part.split == split for language in part.languages)
        )
