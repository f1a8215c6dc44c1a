"""Rows of one split that say the same, and items that share their premise."""

from collections.abc import Iterator

import polars as pl

from xfer_bench.audit.findings import Finding, Grade
from xfer_bench.audit.sheet import Sheet, counted
from xfer_bench.tasks.task import TRAIN


def check_duplicates(sheet: Sheet) -> Iterator[Finding]:
    """Rows with equal text and candidates after normalisation: with the same answer, and with another."""
    rows = _keyed(sheet)
    twice = rows.filter(pl.len().over("key") > 1)
    disputed = twice.filter(pl.col("right").n_unique().over("key") > 1)
    if disputed.height:
        message = f"{counted(disputed.height, 'row')} say the same as another with a different answer"
        yield sheet.finding("warning", "contradictions", message, disputed.sort("key", "row"))
    agreed = twice.filter(pl.col("right").n_unique().over("key") == 1)
    if agreed.height:
        extra = agreed.height - agreed["key"].n_unique()
        message = f"{counted(extra, 'row')} say the same as an earlier one, with the same answer"
        grade: Grade = "note" if sheet.split == TRAIN else "warning"
        later = agreed.filter(pl.int_range(pl.len()).over("key") > 0)
        yield sheet.finding(grade, "duplicates", message, later)


def repeated(sheet: Sheet) -> int:
    """How many rows say the same as an earlier one."""
    keys = _keyed(sheet)["key"]
    return keys.len() - keys.n_unique()


def check_premises(sheet: Sheet) -> Iterator[Finding]:
    """NLI premises that come several times: how, and whether the clusters keep them together."""
    labels = len(sheet.task.format.labels)
    if not labels or not sheet.usable.height:
        return
    rows = sheet.usable
    sizes = rows.group_by("cluster", maintain_order=True).agg(items=pl.len(), answers=pl.col("label").n_unique())
    each = sizes.filter((pl.col("items") == labels) & (pl.col("answers") == labels)).height
    if each == sizes.height:
        message = f"{counted(each, 'premise')}, each {labels} times, once per label: a cluster each"
        yield sheet.finding("note", "premises", message)
    elif each > sizes.height / 2:
        odd = rows.join(
            sizes.filter((pl.col("items") != labels) | (pl.col("answers") != labels)), on="cluster", how="semi"
        )
        message = (
            f"{counted(sizes.height - each, 'cluster', sizes.height)} lack the usual {labels} items, one per label"
        )
        yield sheet.finding("warning", "premises", message, odd)
    elif sizes.height < rows.height:
        largest = int(sizes["items"].to_numpy().max())
        message = f"{rows.height:,} rows have {counted(sizes.height, 'cluster')}, of up to {largest} rows"
        yield sheet.finding("note", "premises", message)
    scattered = rows.filter(pl.col("cluster").n_unique().over("text") > 1)
    if scattered.height:
        message = f"{counted(scattered.height, 'row')} share their premise with a row of another cluster"
        yield sheet.finding("note", "premises", message, scattered)


def _keyed(sheet: Sheet) -> pl.DataFrame:
    """The usable rows with `key` (what they say) and `right` (the answer: a class, or the right candidate's text)."""
    rows = sheet.usable
    said = sheet.said
    right = rows["label"].cast(pl.String) if sheet.task.format.labels else said["gold"]
    return rows.with_columns(said["item"].hash().alias("key"), right.alias("right"))
