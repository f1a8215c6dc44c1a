"""Lengths: in characters, the tail, and what a maximum number of tokens would cut."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import polars as pl

from xfer_bench.audit.findings import Finding
from xfer_bench.audit.sheet import Sheet, counted

# A row so many times as long as the median, and of so many characters, is an outlier.
_TIMES, _CHARACTERS = 10, 1000
_SHARE = 0.01


class TokenCounter(Protocol):
    """A tokenizer as far as an audit needs it. pair: special tokens that a pair of texts gets."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def pair(self) -> int:
        """Special tokens of a pair."""

    def most(self, texts: pl.Expr) -> pl.Expr:
        """More tokens than these a text cannot have."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special ones."""


def characters(sheet: Sheet) -> tuple[int, int, int]:
    """Median, 99th percentile and maximum of the characters of text and longest candidate."""
    lengths = _lengths(sheet.usable)
    if not len(lengths):
        return 0, 0, 0
    median, tail = np.quantile(lengths, (0.5, 0.99), method="nearest")
    return int(median), int(tail), int(lengths.max())


def check_lengths(sheet: Sheet) -> Iterator[Finding]:
    """Rows that are far longer than the usual one."""
    rows = sheet.usable
    lengths = _lengths(rows)
    if not len(lengths):
        return
    median = float(np.median(lengths))
    long = rows.filter(pl.Series((lengths > _TIMES * median) & (lengths >= _CHARACTERS)))
    if long.height:
        message = (
            f"{counted(long.height, 'row')} of up to {int(lengths.max()):,} characters; the median is {median:.0f}"
        )
        yield sheet.finding("note", "length", message, long)


def check_truncation(sheet: Sheet, counter: TokenCounter, *, max_length: int) -> Iterator[Finding]:
    """Rows with a sequence of more tokens than this."""
    rows = sheet.usable
    cut = rows.filter(too_long(sheet, counter, max_length=max_length))
    if cut.height:
        share = cut.height / rows.height
        message = f"{counted(cut.height, 'row', rows.height)} have more than {max_length} tokens of {counter.name}"
        yield sheet.finding("warning" if share > _SHARE else "note", "truncation", message, cut)


def too_long(sheet: Sheet, counter: TokenCounter, *, max_length: int) -> pl.Series:
    """Whether text and longest candidate, with the special tokens, are more tokens than this. (usable rows,)"""
    sides = sheet.usable.select("text", candidate=_longest())
    room = max_length - counter.pair
    maybe = sides.with_row_index().filter(counter.most(pl.col("text")) + counter.most(pl.col("candidate")) > room)
    distinct = pl.concat([maybe["text"], maybe["candidate"].alias("text")]).unique(maintain_order=True)
    tokens = dict(zip(distinct.to_list(), counter.count(distinct.to_list()), strict=True))
    found = np.zeros(sides.height, bool)
    for index, text, candidate in maybe.iter_rows():
        found[index] = tokens[text] + tokens[candidate] > room
    return pl.Series(found)


def _longest() -> pl.Expr:
    candidates = pl.col("candidates")
    which = candidates.list.eval(pl.element().str.len_chars()).list.arg_max()
    return candidates.list.get(which, null_on_oob=True).fill_null("")


def _lengths(rows: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    sizes = pl.col("text").str.len_chars().cast(pl.Int64) + _longest().str.len_chars().cast(pl.Int64)
    result: np.ndarray[tuple[int], np.dtype[np.int64]] = rows.select(sizes).to_series().to_numpy()
    return result
