"""What stands behind a run's predictions, looked up for the forms that other programs read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from xfer_bench.frames import DATA
from xfer_bench.results import Results

KEY = ["run", "step", "task", "variant", "split", "language"]
# What an exported prediction says of the rows that it belongs to.
SHOWN = ["repository", "revision", "fingerprint"]


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Of a results folder. uses: USES. rows, checkpoints: the same by run, step and what was scored."""

    uses: pl.DataFrame
    rows: Mapping[tuple[Any, ...], dict[str, Any]] = field(repr=False)
    checkpoints: Mapping[tuple[Any, ...], dict[str, Any]] = field(repr=False)

    @classmethod
    def of(cls, results: Results) -> "Origins":
        """Read what the folder tells. Raises ResultsError for a damaged file."""
        uses = results.uses()
        told = [name for name in DATA if name not in KEY]
        return cls(
            uses=uses,
            rows={
                tuple(row[name] for name in KEY): {name: row[name] for name in told}
                for row in uses.iter_rows(named=True)
            },
            checkpoints={(row["run"], row["step"]): _checkpoint(row) for row in _told(results)},
        )

    def of_rows(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Repository, revision, rows, fingerprint and license behind a row of PREDICTIONS; nothing where not told."""
        return self.rows.get(tuple(row[name] for name in KEY), {})

    def of_run(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The initial model and the lineage behind a row of PREDICTIONS; nothing where not told."""
        return self.checkpoints.get((row["run"], row["step"]), {})

    def beside(self, predictions: pl.DataFrame) -> pl.DataFrame:
        """Predictions with the columns of SHOWN, in their order; null where it was not told. The same without USES."""
        if self.uses.is_empty():
            return predictions
        known = self.uses.select(*KEY, *SHOWN)
        return predictions.join(known, on=KEY, how="left", nulls_equal=True, maintain_order="left")


def _told(results: Results) -> list[dict[str, Any]]:
    return results.checkpoints().filter(pl.col("lineage") != "").to_dicts()


def _checkpoint(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": row["model"], "lineage": json.loads(row["lineage"])}
