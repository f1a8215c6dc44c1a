"""Shares of a whole number: how many each gets, and in which order turns are taken."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def quotas(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers in proportion to the shares, whose sum is `total`: by largest remainders, ties to the first.

    shares: not negative, with a positive sum.
    """
    whole = math.fsum(shares)
    exact = [share / whole * total for share in shares]
    given = [math.floor(one) for one in exact]
    by_rest = sorted(range(len(shares)), key=lambda place: (given[place] - exact[place], place))
    for place in by_rest[: total - sum(given)]:
        given[place] += 1
    return given


def turns(shares: Sequence[float], count: int) -> NDArray[np.int64]:
    """(count,) whose turn it is: after every turn each has had its share of them to within one.

    The beginning of a longer sequence is the shorter one. With equal shares they take turns in order.
    """
    each = np.asarray(shares, dtype=np.float64) / math.fsum(shares)
    had = np.zeros(len(each))
    order = np.empty(count, dtype=np.int64)
    for turn in range(count):
        # Rounded, so that equal shares tie and the first of them comes first.
        order[turn] = int(np.argmax(np.round(each * (turn + 1) - had, 9)))
        had[order[turn]] += 1
    return order
