"""What rows that were published with errors do to the accuracy of checkpoints: repaired minus published."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import with_correct
from xfer_bench.sources.repairs import repair_of
from xfer_bench.stats.bootstrap import Numbers
from xfer_bench.stats.estimates import AVG, ENGLISH
from xfer_bench.stats.method import Method
from xfer_bench.stats.paired import paired_test
from xfer_bench.tasks import TASKS, find
from xfer_bench.tasks.task import PUBLISHED, REPAIRED

_USUAL = Method()


@dataclass(frozen=True, kw_only=True)
class Defect:
    """Repaired minus published accuracy in one language, or on average over all but English (`avg`); in points.

    wrong: over the items with an error alone, and not over all. checkpoints: how many different weights are averaged.
    published, repaired: their accuracies. low, high: percentile interval over items, for these checkpoints. turned:
    answers that are right on one variant alone, per hundred.
    """

    task: str
    split: str
    language: str
    wrong: bool
    checkpoints: int
    n_items: int
    published: float
    repaired: float
    change: float
    low: float
    high: float
    p_value: float
    turned: float


def defects(
    predictions: pl.DataFrame, *, task: str = "xcopa", split: str = "test", method: Method = _USUAL
) -> list[Defect]:
    """What the errors of a task's published rows do, by language: over all items, and over those with an error.

    predictions: PREDICTIONS with one step a run, on both variants. A checkpoint is its weights, whatever its runs are
        called, and each counts alike; all its answers to an item are drawn together, and so are its translations.

    The average first, then the languages, those with most errors first. Raises ResultsError where no checkpoint has
    both variants, where one lacks items or languages that others have, and for a task without a repair.
    """
    repair = repair_of(find(task, among=TASKS))
    if repair is None:
        raise ResultsError(f"{task} has no repaired variant, so there is no error to measure")
    answers = _paired(predictions.filter(task=task, split=split))
    if answers.is_empty():
        raise ResultsError(
            f"no checkpoint has both variants of {task} {split}; `xfer-bench eval CKPT -t {task}` scores both"
        )
    others = sorted(set(answers["language"]) - {ENGLISH})
    wrong = {name: [str(item) for item in repair.items.get((split, name), ())] for name in others}
    found = []
    for name in (AVG, *sorted(others, key=lambda one: -len(wrong[one]))):
        mine = answers.filter(pl.col("language").is_in(others if name == AVG else [name]))
        names = {"task": task, "split": split, "language": name}
        found.append(_defect(mine, {**names, "wrong": False}, method))
        affected = mine.filter(pl.col("item").is_in(wrong.get(name, [])))
        if not affected.is_empty():
            found.append(_defect(affected, {**names, "wrong": True}, method))
    return found


def defect_frame(found: Sequence[Defect]) -> pl.DataFrame:
    """One row for each, one column per field."""
    return pl.DataFrame([asdict(one) for one in found])


def _paired(rows: pl.DataFrame) -> pl.DataFrame:
    """weights, language, item, cluster, and whether the answer was right on either variant; those with both alone."""
    if rows.is_empty():
        return rows.clear()
    marked = with_correct(rows).unique(["weights", "variant", "language", "item"], maintain_order=True)
    keys = ["weights", "language", "item", "cluster"]
    sides = [marked.filter(variant=one).select(*keys, pl.col("correct").alias(one)) for one in (PUBLISHED, REPAIRED)]
    return sides[0].join(sides[1], on=keys, how="inner").sort(keys)


def _defect(answers: pl.DataFrame, names: dict[str, Any], method: Method) -> Defect:
    columns = answers.select("language", "weights").n_unique()
    items = answers["item"].n_unique()
    systems = answers["language"].n_unique() * answers["weights"].n_unique()
    if answers.height != columns * items or columns != systems:
        raise ResultsError(
            f"{names['task']} {names['split']}, {names['language']}: {answers.height} answers are not those of "
            f"{columns} checkpoints and languages to each of {items} items; score all of them on all"
        )
    # By item, so that a row is one item's answers by all checkpoints in all languages.
    ordered = answers.sort("item", "language", "weights")
    before, after = (_matrix(ordered, one, items) for one in (PUBLISHED, REPAIRED))
    clusters = ordered["cluster"].gather_every(columns).to_numpy()
    test = paired_test(after, before, clusters=clusters, method=method)
    return Defect(
        **names,
        checkpoints=answers["weights"].n_unique(),
        n_items=items,
        published=float(100 * before.mean()),
        repaired=float(100 * after.mean()),
        change=test.value,
        low=test.low,
        high=test.high,
        p_value=math.nan if test.p_value is None else test.p_value,
        turned=float(100 * (before != after).mean()),
    )


def _matrix(ordered: pl.DataFrame, name: str, items: int) -> Numbers:
    return np.asarray(ordered[name].to_numpy()).reshape(items, -1)
