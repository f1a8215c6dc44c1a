"""Accuracies of single runs with their intervals."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import cluster_sums, percentile_interval, resample_means
from xfer_bench.stats.estimates import AVG, ENGLISH, Estimate, Score
from xfer_bench.stats.outcomes import MISSING, Outcomes, tabulate

_SET = ["task", "variant", "split"]
_CELL = ["arm", "run", "setting", "target", "step", "language"]


def score_intervals(
    predictions: pl.DataFrame, *, resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> list[Score]:
    """The accuracy of each run on each task in each language, in points, with a percentile interval over clusters.

    A run with several languages besides English that have the same items also gets their mean, `avg`, for which an
    item is drawn once for all its translations. Sorted by task, then run, then `avg` before the languages. Raises
    ResultsError for an empty frame, a null answer, and an item that a cell holds twice.
    """
    if predictions.is_empty():
        raise ResultsError("no predictions: an empty table has no accuracy; evaluate a checkpoint first")
    sets = predictions.partition_by(_SET, as_dict=True)
    return [
        score
        for names in sorted(sets, key=lambda key: [*map(str, key)])
        for score in _scores_of_set(sets[names], resamples=resamples, seed=seed, level=level)
    ]


def _scores_of_set(predictions: pl.DataFrame, *, resamples: int, seed: int, level: float) -> list[Score]:
    outcomes = tabulate(predictions, cells=_CELL)
    names = predictions.select(_SET).row(0, named=True)
    scores = []
    # Cells over the same items are drawn together; those over others (languages that are not parallel) on their own.
    patterns, pattern_of = np.unique(outcomes.right != MISSING, axis=0, return_inverse=True)
    for pattern, present in enumerate(patterns):
        columns = list(_columns(outcomes, np.flatnonzero(pattern_of == pattern)))
        counts = np.stack([outcomes.right[rows].sum(axis=0)[present] for _, rows in columns], axis=-1)
        divisors = np.array([len(rows) for _, rows in columns])
        sums, sizes = cluster_sums(counts, outcomes.items["cluster"].to_numpy()[present])
        draws = resample_means(sums, sizes, resamples=resamples, seed=seed) / divisors
        low, high = percentile_interval(draws, level=level)
        value = sums.sum(axis=0) / sizes.sum() / divisors
        for place, (cell, _) in enumerate(columns):
            estimate = Estimate(
                value=float(100 * value[place]),
                low=float(100 * low[place]),
                high=float(100 * high[place]),
                level=level,
                n_items=int(present.sum()),
                n_clusters=len(sizes),
                resamples=resamples,
            )
            scores.append(Score(**names, **cell, estimate=estimate))
    return sorted(scores, key=_order)


def _order(score: Score) -> tuple[str, str, str, str, int, bool, str]:
    step = -1 if score.step is None else score.step
    return (score.arm, score.run, score.setting, score.target, step, score.language != AVG, score.language)


def _columns(outcomes: Outcomes, rows: np.ndarray[Any, np.dtype[np.intp]]) -> Iterator[tuple[dict[str, Any], Any]]:
    """What is averaged: the languages of a run together, without English, then each cell alone."""
    cells = outcomes.cells
    together: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        cell = cells.row(int(row))
        if cell[-1] != ENGLISH:
            together.setdefault(cell[:-1], []).append(int(row))
    for run, places in together.items():
        if len(places) > 1:
            yield dict(zip(_CELL, (*run, AVG), strict=True)), np.array(places)
    for row in rows:
        yield cells.row(int(row), named=True), np.array([int(row)])
