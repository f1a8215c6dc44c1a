"""McNemar's test: one pair of systems, one seed, one language, independent items."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Numbers

Method: TypeAlias = Literal["exact", "mid-p"]


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """What the items on which exactly one of two systems is right say.

    b: items that only the first system has right; c: that only the second has. p_value: two-sided. odds_ratio: b / c,
    None where c is 0 (`effects.discordant_odds` gives it an interval).
    """

    n_items: int
    b: int
    c: int
    p_value: float
    odds_ratio: float | None
    method: Method


def mcnemar(a: Numbers, b: Numbers, *, clusters: Numbers | None = None, method: Method = "exact") -> McNemar:
    """Whether two systems have the same accuracy, from their discordant items.

    a, b: (items,), 1 where the system was right and 0 where it was wrong. clusters: (items,) labels of items that
    belong together; the test is defined only where each item is alone in its cluster.

    Given b + c, b is binomial with one half. `exact` is twice the smaller tail, at most 1; `mid-p` is that less the
    probability of the b observed, or less half of it where b = c (Fagerland, Lydersen and Laake, BMC Medical Research
    Methodology 13:91, 2013). The exact test is conservative; mid-p holds its level nearly always and has more power.
    Identical systems give 1. Raises ResultsError for other numbers, shapes that do not fit, and items in clusters.
    """
    if method not in get_args(Method):
        raise ResultsError(f"no McNemar test named {method!r}; choose one of {', '.join(get_args(Method))}")
    first, second = np.asarray(a), np.asarray(b)
    check_independent(first, second, clusters)
    only_first, only_second = discordant_pairs(first, second)
    return McNemar(
        n_items=len(first),
        b=only_first,
        c=only_second,
        p_value=mcnemar_p(only_first, only_second, method=method),
        odds_ratio=only_first / only_second if only_second else None,
        method=method,
    )


def mcnemar_p(b: int, c: int, *, method: Method = "exact") -> float:
    """The two-sided p-value of `mcnemar` from the two counts of discordant items; 1 where there are none."""
    if b < 0 or c < 0:
        raise ResultsError(f"counts of discordant items are whole numbers from 0; got {b} and {c}")
    n, fewer = b + c, min(b, c)
    if n == 0:
        return 1.0
    # Whole numbers of any size: the tail is exact, however small it is.
    ways, tail = 1, 1
    for k in range(fewer):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    total = 1 << n
    exact = min(2 * tail, total)
    if method == "exact":
        return exact / total
    return (2 * exact - (1 if b == c else 2) * ways) / (2 * total)


def discordant_pairs(a: Numbers, b: Numbers) -> tuple[int, int]:
    """How many outcomes only the first system has right, and how many only the second; any shape, the same for both.

    Raises ResultsError for shapes that do not fit and for other numbers than 0 and 1.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape or not first.size:
        raise ResultsError(f"two systems need the same items, at least one; got {first.shape} and {second.shape}")
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise ResultsError("a paired test needs 1 for right and 0 for wrong; other numbers were given")
    return int(np.count_nonzero(first > second)), int(np.count_nonzero(first < second))


def check_independent(a: Numbers, b: Numbers, clusters: Numbers | None) -> None:
    """Refuse what McNemar's test is not defined for. Raises ResultsError, which names the test that is."""
    if a.ndim != 1 or b.ndim != 1:
        raise ResultsError(
            f"McNemar's test takes one seed and one language, (items,); got {a.shape} and {b.shape}: use --permutation"
        )
    if clusters is None:
        return
    labels = np.asarray(clusters)
    if labels.shape != a.shape:
        raise ResultsError(f"the clusters need one label per item; got {labels.shape} for {len(a)} items")
    n_clusters = len(np.unique(labels))
    if n_clusters < len(labels):
        raise ResultsError(
            f"McNemar's test needs independent items; these {len(labels)} are in {n_clusters} clusters: "
            "use --permutation"
        )
