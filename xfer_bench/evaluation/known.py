"""What the blocks of one scorer hold, matched against the rows of a column."""

from collections.abc import Sequence
from functools import cached_property

import polars as pl

from xfer_bench.evaluation.blocks import STORED, Block, Sealed
from xfer_bench.evaluation.columns import Column


class Known:
    """The rows of some blocks. A column that a block holds whole is found by its fingerprint, without its rows."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._frames: dict[int, pl.DataFrame] = {}
        self._blocks = list(blocks)
        self._whole = {_key(one): (place, one) for place, block in enumerate(blocks) for one in block.sealed}

    def holds(self, column: Column) -> bool:
        """Whether a block holds the column whole."""
        return _asked(column) in self._whole

    def missing(self, column: Column, *, besides: Column | None = None) -> int:
        """How many of the column's items no block holds, nor another column whose items are looked for anyway."""
        if self.holds(column) or (besides is not None and besides.fingerprint == column.fingerprint):
            return 0
        if besides is not None:
            lacking = self.rows(column).filter(pl.col("prediction").is_null())["row"]
            return lacking.filter(~lacking.is_in(besides.digests.implode())).len()
        return self.rows(column)["prediction"].null_count() if self._blocks else column.items

    def rows(self, column: Column) -> pl.DataFrame:
        """STORED for each of the column's items in order; all columns but `row` are null where an item is missing.

        The variant is the column's, whichever was asked for when a row was scored.
        """
        if self.holds(column):
            place, one = self._whole[_asked(column)]
            found = self._frame(place).slice(one.start, one.height)
        else:
            wanted = column.digests.to_frame("row")
            found = wanted.join(self._all, on="row", how="left", maintain_order="left")
        return found.with_columns(variant=pl.when(pl.col("variant").is_not_null()).then(pl.lit(column.task.variant)))

    @cached_property
    def _all(self) -> pl.DataFrame:
        frames = [self._frame(place) for place in range(len(self._blocks))]
        rows = pl.concat(frames) if frames else pl.DataFrame(schema=STORED)
        return rows.unique("row", keep="first", maintain_order=True)

    def _frame(self, place: int) -> pl.DataFrame:
        if place not in self._frames:
            self._frames[place] = self._blocks[place].frame()
        return self._frames[place]


def _key(one: Sealed) -> tuple[str, ...]:
    return (one.task, one.split, one.language, one.fingerprint)


def _asked(column: Column) -> tuple[str, ...]:
    return (column.task.name, column.split, column.language, column.fingerprint)
