"""Leakage across languages: training rows that are an evaluation item in another language, by a multilingual encoder.

Each row is its premise (the repository's column of that name, or else the text) and its right answer, as one vector.
Short everyday sentences have many near neighbours, so besides the cosine there is the margin: twice the cosine, less
the mean cosine of either row to its ten nearest of the other side (cross-domain similarity local scaling: Conneau et
al. 2018, https://arxiv.org/abs/1710.04087). A training row is listed with the evaluation item of its largest margin
when either number is high, the largest margin first, for review: translations stand beside retellings and chance.
What was reviewed and committed (`sources.findings`) is told apart from what was not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from xfer_bench.audit.findings import Finding, Grade, example_of
from xfer_bench.audit.sheet import Sheet, counted
from xfer_bench.sources.findings import reviewed

Vectors: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]

# With the starter, pairs of translations lie at cosines of .85 to .92, and those above .88 are mostly such.
LEAST = 0.88
MARGIN = 0.03
NEAREST = 10


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """For each training row (aligned): the position of its evaluation row, their cosine, and their margin."""

    position: NDArray[np.int64]
    cosine: NDArray[np.float32]
    margin: NDArray[np.float32]


def nearest(training: NDArray[np.float32], evaluation: NDArray[np.float32]) -> Neighbours:
    """The evaluation row of largest margin for every training row; (rows, width) each, of length 1, at least a row."""
    cosines = training @ evaluation.T
    margins = 2 * cosines - _usual(cosines, axis=1) - _usual(cosines, axis=0)
    position = margins.argmax(1)
    rows = np.arange(len(training))
    return Neighbours(position=position, cosine=cosines[rows, position], margin=margins[rows, position])


def _usual(cosines: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    """The mean of the largest cosines along an axis, which stays with length one."""
    count = min(NEAREST, cosines.shape[axis])
    largest = np.partition(cosines, cosines.shape[axis] - count, axis=axis)
    kept = largest[:, -count:] if axis == 1 else largest[-count:]
    return np.asarray(kept.mean(axis=axis, keepdims=True))


def spoken(sheet: Sheet) -> list[str]:
    """What is compared of each usable row: premise and right answer."""
    gold = pl.when(pl.col("candidates").list.len() == 1).then(0).otherwise(pl.col("label"))
    premise = sheet.columns["premise"] if "premise" in sheet.columns.columns else sheet.items["text"]
    rows = sheet.items.with_columns(premise.alias("premise")).filter("usable")
    said = pl.concat_str("premise", pl.col("candidates").list.get(gold, null_on_oob=True).fill_null(""), separator=" ")
    return rows.select(said).to_series().to_list()


def check_neighbours(
    training: Sheet, evaluation: Sheet, *, vectors: Callable[[Sheet], NDArray[np.float32]], least: float = LEAST
) -> Iterator[Finding]:
    """Training rows near an evaluation item, by a cosine of `least` or by the margin: those reviewed, and the rest.

    vectors: of the usable rows of a sheet, for what `spoken` says of them.
    """
    if not training.usable.height or not evaluation.usable.height:
        return
    found = nearest(vectors(training), vectors(evaluation))
    rows = training.usable.with_columns(
        cosine=pl.Series(found.cosine), margin=pl.Series(found.margin), other=pl.Series(found.position)
    )
    # Of fewer rows what is usual cannot be told.
    enough = min(rows.height, evaluation.usable.height) > NEAREST
    near = rows.filter((pl.col("cosine") >= least) | ((pl.col("margin") >= MARGIN) & enough))
    near = near.sort("margin", descending=True, maintain_order=True)
    others = evaluation.usable
    known = reviewed(training.task.name, target=evaluation.task.name)
    listed = {item for one in known for item in one.items}
    old, new = near.filter(pl.col("item").is_in(list(listed))), near.filter(~pl.col("item").is_in(list(listed)))
    where = f"{evaluation.task.name} {evaluation.split} ({evaluation.language})"
    if new.height:
        grade: Grade = "warning" if known else "error"
        message = f"{counted(new.height, 'row', rows.height)} are near an item of {where}, to be reviewed"
        yield _listed(training, grade, message, new, others)
    if old.height:
        message = f"{counted(old.height, 'row', rows.height)} near an item of {where} are on the list to leave out"
        yield _listed(training, "note", message, old, others)


def _listed(sheet: Sheet, grade: Grade, message: str, near: pl.DataFrame, others: pl.DataFrame) -> Finding:
    theirs = others["item"].gather(near["other"])
    triples = zip(near["item"].to_list(), theirs.to_list(), near["cosine"].to_list(), strict=True)
    first, other = near.row(0, named=True), others.row(int(near["other"][0]), named=True)
    return Finding(
        grade=grade,
        check="neighbours",
        task=sheet.task.name,
        language=sheet.language,
        split=sheet.split,
        message=message,
        items=tuple(f"{ours}={item}:{cosine:.3f}" for ours, item, cosine in triples),
        example=f"{example_of(first)} ~ {example_of(other)}",
    )
