"""Development rows for a training set that has none: a seeded tenth of its clusters is held out of training.

The draw depends on the order of the clusters only, not on the language, so that a parallel training set holds out
the same clusters in every language; whole clusters, so that no premise is on both sides.
"""

import numpy as np
import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.tasks.task import TRAIN, VALIDATION, Split, Task

SHARE = 0.1
SEED = 0


def replaces_validation(task: Task, language: str) -> bool:
    """Whether this task has training rows in this language and no development rows of its own."""
    return language in task.languages_of(TRAIN) and language not in task.languages_of(VALIDATION)


def belongs(clusters: pl.Series, split: Split) -> pl.Series:
    """Which rows belong to this split, given the cluster of every row of the file: True or False for each.

    Ten per cent of the clusters, at least one, are `validation`; the rest is `train`. Raises SourceError for fewer
    than two clusters.
    """
    distinct = clusters.unique(maintain_order=True)
    if len(distinct) < 2:
        raise SourceError(f"{len(distinct)} clusters cannot be split into training and development rows; it takes 2")
    count = max(1, round(SHARE * len(distinct)))
    drawn = np.random.default_rng(SEED).permutation(len(distinct))[:count]
    held_out = clusters.is_in(distinct.gather(np.sort(drawn)).to_list())
    return held_out if split == VALIDATION else ~held_out
