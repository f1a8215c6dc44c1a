"""How arms are compared: the choices that decide an interval and a p-value, as one value."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from xfer_bench.errors import ResultsError

Test: TypeAlias = Literal["bootstrap", "inversion", "permutation", "mcnemar", "mid-p"]
IntervalName: TypeAlias = Literal["percentile", "basic", "bca"]
Over: TypeAlias = Literal["items", "both"]
Adjust: TypeAlias = Literal["holm", "bh", "none"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """Frozen choices, with the defaults of `xfer-bench compare`.

    over: `items` draws clusters of items, and what it says holds for the seeds at hand; `both` lets items and seeds
        vary: a two-way random-effects interval with a t test, or with test `bootstrap` the crossed bootstrap.
    test: where the p-value comes from. None is the usual one: `bootstrap` over items, `random effects` over both;
        `inversion` is the level at which the interval just leaves nought out; `permutation` exchanges the systems'
        labels within clusters (over both: flips the signs of whole seeds); `mcnemar` is exact and `mid-p` its less
        conservative form, both for one pair of runs over independent items.
    interval: of the bootstrap.
    adjust: for how many tests of one family are made: Holm, Benjamini-Hochberg, or none.
    resamples, seed: of the bootstrap and of permutations. level: of intervals. power: for the smallest gain that
        would have been found.

    Raises ResultsError for a level or power outside 0-1, and for combinations that mean nothing.
    """

    over: Over = "items"
    test: Test | None = None
    interval: IntervalName = "percentile"
    adjust: Adjust = "holm"
    resamples: int = 10_000
    seed: int = 0
    level: float = 0.95
    power: float = 0.8

    def __post_init__(self) -> None:
        for name, value, least in (("level", self.level, 0.0), ("power", self.power, 0.5)):
            if not least < value < 1:
                raise ResultsError(f"a {name} of {value} is none; it lies between {least:g} and 1")
        if self.over == "both" and self.test in {"inversion", "mcnemar", "mid-p"}:
            raise ResultsError(
                f"{self.test} is a test over items; over both use the random-effects t test (the default), "
                "--bootstrap or --permutation"
            )
        if self.over == "both" and self.interval != "percentile":
            raise ResultsError(
                f"the {self.interval} interval is one over items; over both it is random effects or percentile"
            )

    @property
    def random_effects(self) -> bool:
        """Whether the interval comes from mean squares, not from resamples."""
        return self.over == "both" and self.test != "bootstrap"
