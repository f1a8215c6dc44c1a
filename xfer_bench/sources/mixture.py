"""The rows of a training set: languages put together, in the proportions asked for, and a seeded subset of the items.

The order in which items are drawn depends on the seed and the item's name alone: not on the languages asked for, nor
on how many items there are. So arms that differ in their languages train on the same items, and a smaller draw is
contained in every larger one of the same seed.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from xfer_bench.errors import TaskError
from xfer_bench.shares import quotas, turns
from xfer_bench.sources.findings import reviewed, without_reviewed
from xfer_bench.sources.items import fingerprint
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks.task import Split, Task

PerItem: TypeAlias = Literal["all", "one"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which rows of a task are wanted.

    per_item: "all" gives every item in every language. "one", for parallel tasks, gives every item in exactly one
        language, drawn by the seed.
    weights: how much of each language, in their order; temperature: instead, T, for shares in proportion to n^(1/T)
        of each language's n rows. Without either a parallel task's languages get equal numbers (to within one), and
        the languages of others come as they are.
    without_reviewed: whether items are left out that were found to be a target's items (`data/findings`).
    examples: how many items are drawn (with "all", each of them comes in every language). None draws all, or as many
        as the proportions of the languages allow.
    """

    languages: tuple[str, ...]
    per_item: PerItem = "all"
    weights: tuple[float, ...] | None = None
    temperature: float | None = None
    examples: int | None = None
    without_reviewed: bool = False

    @property
    def mixes(self) -> bool:
        """Whether the languages have proportions of their own."""
        return self.weights is not None or self.temperature is not None


def draw(task: Task, wanted: Wanted, *, sources: Sources, split: Split, seed: int) -> Rows:
    """The rows of one training set, by language and then in the order of the source.

    Of a parallel task only items that are usable in every language asked for are drawn; the others count as dropped.
    Raises TaskError for an impossible request, naming both numbers when more items are asked for than there are.
    """
    _check(task, wanted)
    languages = wanted.languages
    parts = [sources.rows(task, language=language, split=split) for language in languages]
    everything = sum(part.frame.height for part in parts)
    findings = tuple(one for one in reviewed(task.name) if one.split == split) if wanted.without_reviewed else ()
    frame = pl.concat([without_reviewed(part.frame, findings) for part in parts])
    if task.parallel:
        frame = frame.filter(pl.len().over("item") == len(languages))
    complete = frame.height
    if wanted.mixes and not task.parallel:
        frame = _in_proportion(task, frame, wanted, seed=seed, split=split)
    else:
        chosen = _choose(task, frame, examples=wanted.examples, seed=seed, split=split)
        if wanted.per_item == "one" and len(languages) > 1:
            frame = _one_each(frame, chosen, languages, wanted.weights or (1.0,) * len(languages))
        elif wanted.examples is not None:
            frame = frame.filter(_key(task).is_in(chosen))
    return Rows(
        frame=frame,
        repository=", ".join(dict.fromkeys(part.repository for part in parts)),
        revision=", ".join(dict.fromkeys(part.revision for part in parts if part.revision)),
        split=split,
        fingerprint=fingerprint(frame),
        dropped=sum(part.dropped for part in parts) + everything - complete,
    )


def _check(task: Task, wanted: Wanted) -> None:
    if not wanted.languages:
        raise TaskError(f"{task.name}: no language asked for; it has {', '.join(task.languages)}")
    twice = [language for language, count in Counter(wanted.languages).items() if count > 1]
    if twice:
        raise TaskError(f"{task.name}: the language {twice[0]!r} is asked for more than once")
    if wanted.per_item == "one" and len(wanted.languages) > 1 and not task.parallel:
        raise TaskError(f"{task.name} is not parallel: its items cannot be had in one language each")
    if wanted.examples is not None and wanted.examples < 1:
        raise TaskError(f"{task.name}: {wanted.examples} examples asked for; it must be at least 1")
    if wanted.mixes and task.parallel and wanted.per_item == "all":
        raise TaskError(
            f"{task.name}: every item comes in every language, so they have no proportions; ask for one each"
        )


def _one_each(
    frame: pl.DataFrame, chosen: list[str], languages: tuple[str, ...], weights: tuple[float, ...]
) -> pl.DataFrame:
    # The order is random already, so taking turns is a random and balanced assignment, and stays so for a prefix.
    given = [languages[turn] for turn in turns(weights, len(chosen))]
    wanted = pl.DataFrame({"item": chosen, "language": given}, schema={"item": pl.String, "language": pl.String})
    return frame.join(wanted, on=["item", "language"], how="semi", maintain_order="left")


def _in_proportion(task: Task, frame: pl.DataFrame, wanted: Wanted, *, seed: int, split: Split) -> pl.DataFrame:
    """The first rows of every language's own seeded order, as many as its share says."""
    sizes = [frame.filter(pl.col("language") == language).height for language in wanted.languages]
    weights = wanted.weights or tuple(size ** (1 / (wanted.temperature or 1.0)) for size in sizes)
    most = min(size * sum(weights) / weight for size, weight in zip(sizes, weights, strict=True))
    counts = quotas(weights, wanted.examples if wanted.examples is not None else int(most + 1e-9))
    chosen: list[str] = []
    for language, count, size in zip(wanted.languages, counts, sizes, strict=True):
        if count > size:
            raise TaskError(
                f"{task.name}: {wanted.examples} examples in these proportions need {count} in {language!r}; "
                f"{split} has {size}"
            )
        chosen += _choose(task, frame.filter(pl.col("language") == language), examples=count, seed=seed, split=split)
    return frame.filter(_key(task).is_in(chosen))


def _choose(task: Task, frame: pl.DataFrame, *, examples: int | None, seed: int, split: Split) -> list[str]:
    """The items drawn, in the seeded order: for a parallel task its items, else every row on its own."""
    keys = frame.select(_key(task)).to_series().unique(maintain_order=True).to_list()
    if examples is not None and examples > len(keys):
        raise TaskError(f"{task.name}: {examples} examples asked for; {split} has {len(keys)}")
    return sorted(keys, key=lambda item: _place(item, seed))[:examples]


def _key(task: Task) -> pl.Expr:
    if task.parallel:
        return pl.col("item")
    return pl.concat_str("language", "item", separator="\t").alias("item")


def _place(item: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\t{item}".encode()).digest()
