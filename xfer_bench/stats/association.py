"""How two quantities go together: Pearson, Spearman and Kendall over many resamples, by permutation, within groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations as all_orders
from math import factorial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import Floats, Numbers

Coefficient: TypeAlias = Literal["pearson", "spearman", "kendall"]
COEFFICIENTS: tuple[Coefficient, ...] = get_args(Coefficient)

# 8! = 40,320 orders take a few milliseconds; 9! would be ten times as many.
_MOST_ENUMERATED = 8
_BLOCK_BYTES = 1 << 25
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class PermutationTest:
    """r: the coefficient. p_value: two-sided, a fraction; exact where all `permutations` orders were gone through."""

    r: float
    p_value: float
    exact: bool
    permutations: int
    method: Coefficient


@dataclass(frozen=True, kw_only=True, eq=False)
class Within:
    """What is left of x and y, each (points,), without the effects. rank: how many free means were taken out."""

    x: Floats
    y: Floats
    rank: int


def associate(
    x: npt.ArrayLike, y: npt.ArrayLike, *, method: Coefficient = "pearson", weights: Numbers | None = None
) -> Floats:
    """The correlation of x and y in each of many resamples at once: (rows,).

    x, y: (points,), or (rows, points) where they differ between resamples. weights: (points,) or (rows, points), how
    often each point is in the resample: whole numbers from 0; by default once.

    Pearson's r; Spearman's, the r of average ranks; Kendall's tau-b (Kendall, Biometrika 33, 1945). NaN in a row
    where x or y does not vary. Raises ResultsError for numbers that are none, or shapes that do not fit.
    """
    if method not in COEFFICIENTS:
        raise ResultsError(f"no correlation named {method!r}; choose one of {', '.join(COEFFICIENTS)}")
    a, b = _rows(x, "x"), _rows(y, "y")
    times = np.ones((1, 1)) if weights is None else _rows(weights, "weights")
    if a.shape[1] != b.shape[1] or times.shape[1] not in {1, a.shape[1]}:
        raise ResultsError(f"x, y and weights need the same points; got {a.shape[1]}, {b.shape[1]}, {times.shape[1]}")
    if weights is not None and ((times < 0).any() or not np.array_equal(times, np.rint(times))):
        raise ResultsError("weights say how often a point is drawn: whole numbers from 0; got others")
    times = np.broadcast_to(times, (len(times), a.shape[1]))
    flat = _flat(a, times) | _flat(b, times)
    if method == "kendall":
        found = _kendall(a, b, times)
    else:
        found = _pearson(a, b, times) if method == "pearson" else _pearson(_ranks(a, times), _ranks(b, times), times)
    return np.where(flat, np.nan, np.clip(found, -1, 1))


def matrices(values: npt.ArrayLike, *, method: Coefficient = "pearson") -> Floats:
    """The correlations between all columns in many resamples at once: (rows, columns, columns).

    values: (rows, points, columns). As `associate` of each pair of columns, in one product; NaN where one does not
    vary. Raises ResultsError for numbers that are none, or shapes that do not fit.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if method not in COEFFICIENTS or numbers.ndim != 3 or not np.isfinite(numbers).all():
        raise ResultsError(
            f"matrices need a known coefficient and numbers in (rows, points, columns); got {numbers.shape}"
        )
    points = numbers.shape[1]
    block = max(1, _BLOCK_BYTES // (8 * numbers.shape[2] * max(1, points * (points if method == "kendall" else 1))))
    found = np.empty((len(numbers), numbers.shape[2], numbers.shape[2]))
    for start in range(0, len(numbers), block):
        some = numbers[start : start + block].transpose(0, 2, 1)
        flat = np.ptp(some, axis=2) == 0
        sides = _unit(some, method)
        r = np.clip(sides @ sides.transpose(0, 2, 1), -1, 1)
        found[start : start + block] = np.where(flat[:, :, None] | flat[:, None, :], np.nan, r)
    return found


def permutation_test(
    x: npt.ArrayLike, y: npt.ArrayLike, *, method: Coefficient = "pearson", permutations: int = 10_000, seed: int = 0
) -> PermutationTest:
    """Whether x and y (points,) go together more than if each x could have belonged to any y.

    Up to 8 points, all n! orders are gone through: p = #{|r*| >= |r|} / n!. Otherwise `permutations` random ones:
    p = (1 + #{|r*| >= |r|}) / (B + 1), never nought (Phipson and Smyth, Permutation P-values Should Never Be Zero,
    2010). The points must be exchangeable: several points of one task are not, so give the tasks' means.

    Raises ResultsError where x or y does not vary, and for fewer than 3 points.
    """
    a, b = _rows(x, "x")[0], _rows(y, "y")[0]
    observed = float(associate(a, b, method=method)[0])
    if len(a) < 3 or np.isnan(observed):
        raise ResultsError(f"a permutation test needs 3 points at least, of which x and y vary; got {len(a)}")
    if permutations < 1 or seed < 0:
        raise ResultsError(f"permutations need 1 at least and a seed from 0; got {permutations} and {seed}")
    bound = abs(observed) - _ROUNDING
    if len(a) <= _MOST_ENUMERATED:
        orders = np.array(list(all_orders(range(len(a)))), dtype=np.intp)
        p = float(np.mean(np.abs(associate(a[orders], b, method=method)) >= bound))
        return PermutationTest(r=observed, p_value=p, exact=True, permutations=factorial(len(a)), method=method)
    # A stream of its own: not that of the bootstrap, whose keys are the seed and a small number.
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, len(a)])))
    orders = generator.permuted(np.tile(np.arange(len(a)), (permutations, 1)), axis=1)
    extreme = int(np.count_nonzero(np.abs(associate(a[orders], b, method=method)) >= bound))
    return PermutationTest(
        r=observed, p_value=(1 + extreme) / (permutations + 1), exact=False, permutations=permutations, method=method
    )


def within(x: npt.ArrayLike, y: npt.ArrayLike, effects: Sequence[Sequence[Any]]) -> Within:
    """x and y without the means of groups of points: of models, seeds, targets, languages.

    x, y: (points,). effects: for each effect, the points' labels; the effects add up. For what a shared baseline run
    does, give one effect whose labels name that run (model, target, seed and language together).

    Each is replaced by its residuals from a regression on the labels' dummies; their correlation is the partial
    correlation (Frisch and Waugh, Econometrica 1, 1933; Lovell, JASA 58, 1963). Residuals that are nothing but
    rounding are nought. Raises ResultsError for unequal lengths.
    """
    values = np.stack([_rows(x, "x")[0], _rows(y, "y")[0]], axis=-1)
    for place, labels in enumerate(effects):
        if len(labels) != len(values):
            raise ResultsError(f"effect {place + 1} has {len(labels)} labels for {len(values)} points")
    dummies = [np.ones((len(values), 1)), *(_dummies(labels) for labels in effects)]
    # Orthonormal columns for what the dummies span, however much of it several of them say.
    basis, sizes, _ = np.linalg.svd(np.hstack(dummies), full_matrices=False)
    basis = basis[:, sizes > sizes[0] * len(values) * np.finfo(np.float64).eps]
    left = values - basis @ (basis.T @ values)
    scale = np.abs(values - values.mean(axis=0)).max(axis=0, initial=0) + np.abs(values).max(axis=0, initial=0)
    left[np.abs(left) <= _ROUNDING * scale] = 0
    return Within(x=left[:, 0], y=left[:, 1], rank=basis.shape[1])


def centred(values: Floats, groups: Sequence[Any], *, weights: Numbers | None = None) -> Floats:
    """Each value minus the mean of its group, in every resample at once: like `within` for one effect.

    values: (rows, points). groups: (points,) labels. weights: (rows, points), how often each point is drawn.
    """
    members = _dummies(groups)
    times = np.ones_like(values) if weights is None else np.broadcast_to(weights, values.shape)
    sizes = times @ members
    means = (values * times) @ members / np.where(sizes == 0, 1, sizes)
    left = values - means @ members.T
    scale = np.abs(values).max(axis=1, initial=0, keepdims=True)
    return np.where(np.abs(left) <= _ROUNDING * scale, 0.0, left)


def _rows(values: npt.ArrayLike, name: str) -> Floats:
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if rows.ndim != 2 or not rows.shape[1]:
        raise ResultsError(f"{name} needs (points,) or (rows, points), at least one point; got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ResultsError(f"{name} needs numbers; some are NaN or infinite")
    return rows


def _dummies(labels: Sequence[Any]) -> Floats:
    levels = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    return np.eye(len(levels))[[levels[label] for label in labels]]


def _unit(values: Floats, method: Coefficient) -> Floats:
    """Vectors of length one whose products are the coefficients: (rows, columns, points or pairs of points)."""
    if method == "kendall":
        first, second = np.triu_indices(values.shape[2], 1)
        sides = np.sign(values[:, :, first] - values[:, :, second])
    elif method == "spearman":
        rows = values.reshape(-1, values.shape[2])
        sides = _ranks(rows, np.ones((1, 1))).reshape(values.shape)
    else:
        sides = values
    if method != "kendall":
        sides = sides - sides.mean(axis=2, keepdims=True)
    size = np.sqrt((sides * sides).sum(axis=2, keepdims=True))
    return np.asarray(sides / np.where(size == 0, 1, size))


def _flat(values: Floats, times: Numbers) -> npt.NDArray[np.bool_]:
    """Rows in which what is drawn has one value only."""
    drawn = times > 0
    high = np.where(drawn, values, -np.inf).max(axis=1)
    return np.asarray(high <= np.where(drawn, values, np.inf).min(axis=1))


def _pearson(a: Floats, b: Floats, times: Numbers) -> Floats:
    total = times.sum(axis=1, keepdims=True)
    total = np.where(total == 0, 1, total)
    a = a - (a * times).sum(axis=1, keepdims=True) / total
    b = b - (b * times).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((times * a * a).sum(axis=1) * (times * b * b).sum(axis=1))
    return np.asarray((times * a * b).sum(axis=1) / np.where(spread == 0, 1, spread))


def _ranks(values: Floats, times: Numbers) -> Floats:
    """Average ranks in each row, where each point counts as often as it is drawn: (rows, points)."""
    values, times = np.broadcast_arrays(values, times)
    order = np.argsort(values, axis=1, kind="stable")
    ordered, counts = np.take_along_axis(values, order, axis=1), np.take_along_axis(times, order, axis=1)
    upto = np.cumsum(counts, axis=1)
    first = np.ones(values.shape, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    last = np.ones(values.shape, dtype=bool)
    last[:, :-1] = first[:, 1:]
    # Cumulated counts never fall, so the nearest marked one before and after is the largest and the smallest.
    below = np.maximum.accumulate(np.where(first, upto - counts, 0), axis=1)
    above = np.minimum.accumulate(np.where(last, upto, np.inf)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (below + above + 1) / 2, axis=1)
    return ranks


def _kendall(a: Floats, b: Floats, times: Numbers) -> Floats:
    """tau-b: concordant minus discordant pairs over the root of the pairs untied in either."""
    rows = max(len(a), len(b), len(times))
    first, second = np.triu_indices(a.shape[1], 1)
    block = max(1, _BLOCK_BYTES // (8 * max(1, len(first))))
    found = np.empty(rows)
    for start in range(0, rows, block):
        some = slice(start, min(start + block, rows))
        up, right, often = (part if len(part) == 1 else part[some] for part in (a, b, times))
        signs = np.sign(up[:, first] - up[:, second]), np.sign(right[:, first] - right[:, second])
        pairs = often[:, first] * often[:, second]
        untied = [(pairs * np.abs(sign)).sum(axis=1) for sign in signs]
        spread = np.sqrt(untied[0] * untied[1])
        found[some] = (pairs * signs[0] * signs[1]).sum(axis=1) / np.where(spread == 0, 1, spread)
    return found
