"""Runs that learnt nothing, judged on their stages' own development data and never on a target score."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

# Points of the development answers that are one and the same.
ONE_ANSWER = 95.0


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """A stage of a run that collapsed.

    target: of the run, which is trained or evaluated on it.
    accuracy: on its `items` development items. majority: the commonest answer's share. All in points, or None.
    """

    run: str
    arm: str
    target: str
    target_seed: int | None
    role: str
    task: str
    accuracy: float
    items: int | None
    chance: float | None
    majority: float | None

    @property
    def reason(self) -> str:
        """What shows it, in words."""
        if self.majority is not None and self.majority >= ONE_ANSWER:
            return f"{self.majority:.0f} % of its development answers are one and the same"
        return (
            f"its development accuracy {self.accuracy:.1f} on {self.items} items is not above chance "
            f"({self.chance:.1f})"
        )


def lame_arms(found: Iterable[Collapse]) -> frozenset[tuple[str, str]]:
    """(arm, target) of the runs that collapsed."""
    return frozenset((one.arm, one.target) for one in found)


def collapsed(stages: pl.DataFrame) -> list[Collapse]:
    """The stages of STAGES that gave at least 95 % one answer, or were not above chance, on their development data.

    One a run: its first such stage. A stage without development data is not judged. Sorted by run.
    """
    nothing = pl.col("development_accuracy") <= pl.col("chance")
    lame = stages.filter(
        pl.col("development_accuracy").is_not_null()
        & (nothing | (pl.col("development_majority") >= ONE_ANSWER)).fill_null(value=False)
    )
    first = lame.sort("run", "position").unique("run", keep="first", maintain_order=True)
    return [
        Collapse(
            run=row["run"],
            arm=row["arm"],
            target=row["target"],
            target_seed=row["target_seed"],
            role=row["role"],
            task=row["task"],
            accuracy=row["development_accuracy"],
            items=row["development_items"],
            chance=row["chance"],
            majority=row["development_majority"],
        )
        for row in first.iter_rows(named=True)
    ]
