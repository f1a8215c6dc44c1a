"""Answers: whether they are there, are answers at all, and are spread as chance has it."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from xfer_bench.audit.findings import Finding
from xfer_bench.audit.sheet import Sheet, counted

CHECK = "labels"

# Of so many rows the shares of the answers are looked at.
_ENOUGH = 50
# How far an answer's share may be from what chance gives, as fractions.
_NOTED, _WARNED = 0.05, 0.15


def check_labels(sheet: Sheet) -> Iterator[Finding]:
    """Placeholders, labels out of range, an answer that is always the same, and one that comes too often."""
    if not sheet.task.format.labelled:
        return
    rows = _counted(sheet)
    bad = rows.filter(~_in_range())
    hidden = bad.filter(pl.col("label") == -1)
    if hidden.height:
        message = f"{counted(hidden.height, 'row', rows.height)} have the label -1: the answers are hidden"
        yield sheet.finding("error", CHECK, message, hidden)
    other = bad.filter(pl.col("label") != -1)
    if other.height:
        message = f"{counted(other.height, 'row', rows.height)} have a label out of range, such as {other['label'][0]}"
        yield sheet.finding("error", CHECK, message, other)
    good = rows.filter(_in_range())
    if good.height >= _ENOUGH:
        yield from _balance(sheet, good)


def answer_shares(sheet: Sheet) -> tuple[float, ...]:
    """The share of each answer among the labels that are in range."""
    if not sheet.task.format.labelled:
        return ()
    good = _counted(sheet).filter(_in_range())
    return tuple(float(share) for share in _shares(good)) if good.height else ()


def _balance(sheet: Sheet, rows: pl.DataFrame) -> Iterator[Finding]:
    shares, expected = _shares(rows), _expected(rows)
    if (shares == 1).any():
        message = f"all {rows.height:,} rows have the same label, {rows['label'][0]}: placeholders, not answers"
        yield sheet.finding("error", CHECK, message)
        return
    excess = shares - expected
    worst = int(np.argmax(excess))
    if excess[worst] > _NOTED:
        name = sheet.task.format.labels[worst] if sheet.task.format.labels else f"candidate {worst}"
        message = f"{name} is right in {100 * shares[worst]:.1f} % of rows; chance would be {100 * expected[worst]:.1f}"
        yield sheet.finding("warning" if excess[worst] > _WARNED else "note", CHECK, message)


def _counted(sheet: Sheet) -> pl.DataFrame:
    classes = len(sheet.task.format.labels)
    several = pl.col("candidates").list.len().cast(pl.Int64)
    return sheet.usable.with_columns(answers=pl.lit(classes, dtype=pl.Int64) if classes else several)


def _in_range() -> pl.Expr:
    return (pl.col("label") >= 0) & (pl.col("label") < pl.col("answers"))


def _shares(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    most = int(rows["answers"].to_numpy().max())
    counts: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        np.bincount(rows["label"].to_numpy(), minlength=most) / rows.height
    )
    return counts


def _expected(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What chance gives each answer, where rows differ in how many they have."""
    answers = rows["answers"].to_numpy()
    places = np.arange(int(answers.max()))
    result: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        (places[None, :] < answers[:, None]) / answers[:, None]
    ).mean(0)
    return result
