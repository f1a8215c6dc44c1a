"""Many tests at once: p-values adjusted within the families that were declared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats

Method: TypeAlias = Literal["holm", "bh", "none"]


@dataclass(frozen=True, kw_only=True)
class Adjusted:
    """A p-value as it was and as its family makes it; both fractions. size: how many tests the family has."""

    family: str
    size: int
    raw: float
    adjusted: float
    method: Method


def holm(p: npt.ArrayLike) -> Floats:
    """Holm's adjusted p-values of one family, in the given order: (tests,), fractions.

    The k-th smallest of m is multiplied by m - k + 1, and none is below a smaller one's (Holm, Scandinavian Journal of
    Statistics 6, 1979). Holds the chance of any false alarm, whatever the dependence. Raises ResultsError for what is
    no p-value: NaN, None, or outside 0-1.
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return adjusted


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Benjamini and Hochberg's adjusted p-values of one family, in the given order: (tests,), fractions.

    The k-th smallest of m is multiplied by m / k, and none is above a larger one's (Benjamini and Hochberg, Journal of
    the Royal Statistical Society B 57, 1995). Holds the expected share of false ones among those called significant,
    for tests that are independent or positively dependent, as those of parallel items are. Raises ResultsError for
    what is no p-value.
    """
    values = _checked(p)
    order = np.argsort(-values, kind="stable")
    count = len(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(values[order] * (count / np.arange(count, 0, -1))))
    return adjusted


def adjust(p: npt.ArrayLike, *, method: Method = "holm") -> Floats:
    """The adjusted p-values of one family by `holm` or `bh`; with `none` they stay as they are."""
    if method not in get_args(Method):
        raise ResultsError(f"no adjustment named {method!r}; choose one of {', '.join(get_args(Method))}")
    if method == "none":
        return _checked(p)
    return holm(p) if method == "holm" else benjamini_hochberg(p)


def adjust_families(p: Sequence[float], families: Sequence[str], *, method: Method = "holm") -> tuple[Adjusted, ...]:
    """Raw and adjusted p-values of several families side by side, in the given order.

    families: to which family each test belongs; each family is adjusted on its own, and the families themselves are
    not adjusted for one another. method: as in `adjust`. Raises ResultsError for unequal lengths, another method, and
    what is no p-value.
    """
    if len(p) != len(families):
        raise ResultsError(f"{len(p)} p-values and {len(families)} families; each p-value needs the name of its family")
    raw = _checked(p)
    names = np.array(families, dtype=object)
    adjusted, sizes = np.empty_like(raw), np.zeros(len(raw), dtype=np.int64)
    for name in dict.fromkeys(families):
        members = np.flatnonzero(names == name)
        sizes[members] = len(members)
        adjusted[members] = adjust(raw[members], method=method)
    return tuple(
        Adjusted(family=family, size=int(size), raw=float(before), adjusted=float(after), method=method)
        for family, size, before, after in zip(families, sizes, raw, adjusted, strict=True)
    )


def _checked(p: npt.ArrayLike) -> Floats:
    try:
        # None becomes NaN.
        values = np.array(p, dtype=np.float64)
    except (TypeError, ValueError):
        raise ResultsError("p-values are numbers from 0 to 1; other things were given") from None
    if values.ndim != 1:
        raise ResultsError(f"p-values of one family are one row, (tests,); got {values.shape}")
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(wrong):
        raise ResultsError(
            f"p-value {wrong[0] + 1} of {len(values)} is {values[wrong[0]]:g}; each is a number from 0 to 1, "
            "and a test without one belongs to no family"
        )
    return values
