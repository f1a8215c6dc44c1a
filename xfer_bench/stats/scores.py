"""Accuracies of single runs with their intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import with_correct
from xfer_bench.stats.bootstrap import Floats, Numbers, percentile_interval, resample_means
from xfer_bench.stats.estimates import AVG, ENGLISH, Estimate, Score

_SET = ["task", "variant", "split"]
_RUN = ["arm", "run", "setting", "target", "step"]
_CELL = [*_RUN, "language"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """All that an interval needs of one run's predictions on one task in one language.

    names: task, variant, split, arm, run, setting, target, step and language. items: how many; rows: a digest of
    which. right, sizes: (clusters,) right answers and items of each cluster, in the clusters' order.
    """

    names: dict[str, Any]
    items: int
    rows: int
    right: Floats
    sizes: Numbers

    def named(self, **names: object) -> "Tally":
        """The same answers under other names."""
        return replace(self, names={**self.names, **names})


def tally(predictions: pl.DataFrame) -> list[Tally]:
    """PREDICTIONS, condensed. Raises ResultsError for an empty frame, a null answer, and an item that comes twice."""
    marked = with_correct(predictions)
    cells = marked.partition_by([*_SET, *_CELL], as_dict=True)
    return [tally_of(cells[key], names=dict(zip([*_SET, *_CELL], key, strict=True))) for key in cells]


def tally_of(answers: pl.DataFrame, *, names: dict[str, Any]) -> Tally:
    """One cell's item, cluster, label and prediction, condensed. Raises ResultsError for an item that comes twice."""
    if answers["item"].n_unique() < answers.height:
        twice = answers.filter(pl.col("item").is_duplicated())["item"][0]
        raise ResultsError(
            f"run {names['run']!r} has several predictions for item {twice!r} of {names['task']} "
            f"{names['split']} in {names['language']!r}; keep those of one step"
        )
    clusters = (
        answers.group_by("cluster")
        .agg((pl.col("label") == pl.col("prediction")).sum().alias("right"), pl.len().alias("size"))
        .sort("cluster")
    )
    return Tally(
        names=names,
        items=answers.height,
        rows=int(answers.select("item", "cluster").hash_rows().sum()),
        right=clusters["right"].to_numpy().astype(np.float64),
        sizes=clusters["size"].to_numpy(),
    )


def score_intervals(
    predictions: pl.DataFrame, *, resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> list[Score]:
    """The accuracy of each run on each task in each language, in points, with a percentile interval over clusters.

    A run with several languages besides English that have the same items also gets their mean, `avg`, for which an
    item is drawn once for all its translations. Sorted by task, then run, then `avg` before the languages. Raises
    ResultsError for an empty frame, a null answer, and an item that a cell holds twice.
    """
    return tally_intervals(tally(predictions), resamples=resamples, seed=seed, level=level)


def tally_intervals(
    tallies: Iterable[Tally], *, resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> list[Score]:
    """Like `score_intervals`, of what was condensed before."""
    # Cells over the same items are drawn together; those over others (languages that are not parallel) on their own.
    together: dict[tuple[Any, ...], list[Tally]] = {}
    for one in tallies:
        together.setdefault((*(one.names[name] for name in _SET), one.rows, one.items), []).append(one)
    scores: list[Score] = []
    for cells in together.values():
        columns = _columns(cells)
        sums = np.stack([np.sum([cell.right for cell in group], axis=0) for _, group in columns], axis=-1)
        divisors = np.array([len(group) for _, group in columns])
        sizes = cells[0].sizes
        low, high = percentile_interval(
            resample_means(sums, sizes, resamples=resamples, seed=seed) / divisors, level=level
        )
        value = sums.sum(axis=0) / sizes.sum() / divisors
        scores += [
            Score(
                **names,
                estimate=Estimate(
                    value=float(100 * value[place]),
                    low=float(100 * low[place]),
                    high=float(100 * high[place]),
                    level=level,
                    n_items=cells[0].items,
                    n_clusters=len(sizes),
                    resamples=resamples,
                ),
            )
            for place, (names, _) in enumerate(columns)
        ]
    return sorted(scores, key=_order)


def _columns(cells: Sequence[Tally]) -> list[tuple[dict[str, Any], list[Tally]]]:
    """What is averaged: the languages of a run together, without English, then each cell alone."""
    runs: dict[tuple[Any, ...], list[Tally]] = {}
    for cell in cells:
        if cell.names["language"] != ENGLISH:
            runs.setdefault(tuple(cell.names[name] for name in _RUN), []).append(cell)
    averages = [({**group[0].names, "language": AVG}, group) for group in runs.values() if len(group) > 1]
    return averages + [(cell.names, [cell]) for cell in cells]


def _order(score: Score) -> tuple[Any, ...]:
    step = -1 if score.step is None else score.step
    place = (score.task, score.variant, score.split, score.arm, score.run, score.setting, score.target, step)
    return (*place, score.language != AVG, score.language)
