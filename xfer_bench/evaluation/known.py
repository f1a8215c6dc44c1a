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

    def missing(self, column: Column) -> int:
        """How many of the column's items no block holds."""
        if self.holds(column):
            return 0
        return self.rows(column)["prediction"].null_count() if self._blocks else column.items

    def rows(self, column: Column) -> pl.DataFrame:
        """STORED for each of the column's items in order; all columns but `row` are null where an item is missing."""
        if self.holds(column):
            place, one = self._whole[_asked(column)]
            return self._frame(place).slice(one.start, one.height)
        wanted = column.digests.to_frame("row")
        return wanted.join(self._all, on="row", how="left", maintain_order="left")

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
    return (one.task, one.variant, one.split, one.language, one.fingerprint)


def _asked(column: Column) -> tuple[str, ...]:
    return (column.task.name, column.task.variant, column.split, column.language, column.fingerprint)
