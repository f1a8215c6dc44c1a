"""Requests over small checkpoints, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from tests.evaluation.small_checkpoints import ALL
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask, Request
from xfer_bench.evaluation.sweep import Evaluated, Evaluator
from xfer_bench.progress import Progress, silent
from xfer_bench.results import Results
from xfer_bench.sources.source import Sources

KEY = ["run", "task", "language", "item"]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where a test asks: rows in `mirror`, and a folder of its own for the store and the results."""

    mirror: Path
    folder: Path
    batch_tokens: int | None = None
    progress: Progress = field(default=silent)

    @property
    def results(self) -> Results:
        return Results(self.folder / "results")

    @property
    def blocks(self) -> list[Path]:
        """The files of all blocks."""
        return sorted((self.folder / "store" / "blocks").rglob("[!.]*.parquet"))

    def evaluator(self) -> Evaluator:
        return Evaluator(
            sources=Sources(data_root=self.mirror),
            tasks=ALL,
            store=self.folder / "store",
            batch_tokens=self.batch_tokens,
            devices="cpu",
            progress=self.progress,
        )

    def open(self) -> PredictionStore:
        return PredictionStore(self.folder / "store")

    def evaluate(self, places: Sequence[Path], ask: Ask) -> Evaluated:
        return self.evaluator().evaluate(discover(map(str, places)), ask, results=self.results)

    def request(self, places: Sequence[Path], ask: Ask) -> Request:
        with self.open() as store:
            return self.evaluator().request(discover(map(str, places)), ask, store)


def asked_for(done: Evaluated) -> int:
    """Sequences that something was computed for."""
    return sum(account.sequences for account in done.accounts)


def computed(done: Evaluated) -> int:
    """Sequences that went through a model."""
    return sum(account.distinct for account in done.accounts)


def numbers(predictions: pl.DataFrame) -> pl.DataFrame:
    """Who answered what, in one order."""
    return predictions.sort(KEY).select(*KEY, "prediction", "scores")


def assert_agree(one: pl.DataFrame, other: pl.DataFrame, *, within: float = 1e-5) -> None:
    """The same predictions, and scores as near as float32 sums in another order are."""
    first, second = numbers(one), numbers(other)
    assert first.drop("scores").equals(second.drop("scores"))
    for ours, theirs in zip(first["scores"].to_list(), second["scores"].to_list(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=within, rtol=0)
