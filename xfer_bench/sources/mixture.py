"""The rows of a training stage: languages put together, and a seeded subset of the items.

The order in which items are drawn depends on the seed and the item's name alone: not on the languages asked for, nor
on how many items there are. So arms that differ in their languages train on the same items, and a smaller draw is
contained in every larger one of the same seed.
"""

import hashlib
from collections import Counter
from typing import Literal, TypeAlias

import polars as pl

from xfer_bench.errors import TaskError
from xfer_bench.sources.items import fingerprint
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks.task import Split, Task

PerItem: TypeAlias = Literal["all", "one"]


def draw(
    task: Task,
    *,
    sources: Sources,
    languages: tuple[str, ...],
    split: Split,
    per_item: PerItem,
    examples: int | None,
    seed: int,
) -> Rows:
    """The rows of one stage, by language and then in the order of the source.

    per_item: "all" gives every item in every language. "one", for parallel tasks, gives every item in exactly one
        language, drawn by the seed; the languages' counts differ by at most one.
    examples: how many items are drawn (with "all", each of them comes in every language); None draws all.

    Of a parallel task only items that are usable in every language asked for are drawn; the others count as dropped.
    Raises TaskError for an impossible request, naming both numbers when more items are asked for than there are.
    """
    _check(task, languages=languages, per_item=per_item, examples=examples)
    parts = [sources.rows(task, language=language, split=split) for language in languages]
    frame = pl.concat([part.frame for part in parts])
    everything = frame.height
    if task.parallel:
        frame = frame.filter(pl.len().over("item") == len(languages))
    complete = frame.height
    chosen = _choose(task, frame, examples=examples, seed=seed, split=split)
    if per_item == "one" and len(languages) > 1:
        # The order is random already, so taking turns is a random and balanced assignment, and stays so for a prefix.
        turns = [languages[position % len(languages)] for position in range(len(chosen))]
        wanted = pl.DataFrame({"item": chosen, "language": turns}, schema={"item": pl.String, "language": pl.String})
        frame = frame.join(wanted, on=["item", "language"], how="semi", maintain_order="left")
    elif examples is not None:
        frame = frame.filter(_key(task).is_in(chosen))
    return Rows(
        frame=frame,
        repository=", ".join(dict.fromkeys(part.repository for part in parts)),
        revision=", ".join(dict.fromkeys(part.revision for part in parts if part.revision)),
        split=split,
        fingerprint=fingerprint(frame),
        dropped=sum(part.dropped for part in parts) + everything - complete,
    )


def _check(task: Task, *, languages: tuple[str, ...], per_item: PerItem, examples: int | None) -> None:
    if not languages:
        raise TaskError(f"{task.name}: no language asked for; it has {', '.join(task.languages)}")
    twice = [language for language, count in Counter(languages).items() if count > 1]
    if twice:
        raise TaskError(f"{task.name}: the language {twice[0]!r} is asked for more than once")
    if per_item == "one" and len(languages) > 1 and not task.parallel:
        raise TaskError(f"{task.name} is not parallel: its items cannot be had in one language each")
    if examples is not None and examples < 1:
        raise TaskError(f"{task.name}: {examples} examples asked for; it must be at least 1")


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
