"""What the tables of a paper are made of: comparisons, how they were made, and what may be in bold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from xfer_bench.report.leaders import Leader, Target, target_of
from xfer_bench.report.tables import Settings
from xfer_bench.stats.estimates import Comparison
from xfer_bench.tasks.task import PUBLISHED

Uncertainty: TypeAlias = Literal["interval", "se", "none"]

# Behind a number: its adjusted p is small; the language is in the arm's data; collapsed runs; a control.
SIGNIFICANT, SEEN, COLLAPSED, CONTROL = "*", "s", "†", "‡"
_PARTS = ("task", "variant", "split", "setting", "target")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the tables show.

    comparisons: with the baseline, the study's question and controls among them. settings: of the comparisons, which
    make them reproducible. leaders: what is printed in bold. collapsed: (arm, target) of runs that learnt nothing.
    uncertainty: intervals below the gains, standard errors beside them, or neither.
    """

    comparisons: tuple[Comparison, ...]
    settings: Settings
    leaders: frozenset[Leader] = frozenset()
    collapsed: frozenset[tuple[str, str]] = frozenset()
    uncertainty: Uncertainty = "interval"

    @property
    def arms(self) -> tuple[Comparison, ...]:
        """Gains over the baseline."""
        return tuple(one for one in self.comparisons if not one.primary)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets, in their order."""
        return tuple(dict.fromkeys(target_of(one) for one in self.arms))

    @property
    def baseline(self) -> str:
        """The arm that the others are measured against."""
        return self.arms[0].baseline

    @property
    def level(self) -> float:
        """Of the intervals."""
        return self.arms[0].level


def target_heads(targets: Sequence[Target]) -> dict[Target, str]:
    """A short name for each target: its task and what tells it from the others; a repaired variant always says so."""
    every = [dict(zip(_PARTS, target, strict=True)) for target in targets]
    varies = {part for part in ("split", "setting") if len({one[part] for one in every}) > 1}
    heads = {}
    for target, one in zip(targets, every, strict=True):
        more = [one[part] for part in ("split", "setting") if part in varies]
        variants = {other["variant"] for other in every if other["task"] == one["task"]}
        variant = [one["variant"]] if one["variant"] != PUBLISHED or len(variants) > 1 else []
        after = [] if one["target"] == one["task"] else [f"after {one['target']}"]
        about = ", ".join([*variant, *more, *after])
        heads[target] = f"{one['task']} ({about})" if about else one["task"]
    return heads
