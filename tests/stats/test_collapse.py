"""Collapse is judged on a stage's own development data, never on a target score."""

import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from xfer_bench.stats.collapse import collapsed


def stages(**changes: float | None) -> pl.DataFrame:
    """STAGES in which the intermediate stage of `mixed-1` is like that."""
    which = (pl.col("run") == "mixed-1") & (pl.col("role") == "intermediate")
    return make_stages(make_predictions()).with_columns(
        pl.when(which).then(pl.lit(value, dtype=pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in changes.items()
    )


def test_stages_above_chance_are_no_collapse() -> None:
    assert collapsed(stages()) == []
    assert collapsed(stages(development_majority=94.9)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"development_majority": 95.0}, "95 % of its development answers are one and the same"),
        ({"development_accuracy": 50.0}, "its development accuracy 50.0 on 100 items is not above chance (50.0)"),
        ({"development_accuracy": 31.0}, "31.0 on 100 items is not above chance"),
    ],
)
def test_a_stage_that_learnt_nothing_is_named(changes: dict[str, float], reason: str) -> None:
    (one,) = collapsed(stages(**changes))
    assert (one.run, one.arm, one.target_seed, one.role) == ("mixed-1", "mixed", 1, "intermediate")
    assert reason in one.reason


def test_a_stage_without_development_data_is_not_judged() -> None:
    assert collapsed(stages(development_accuracy=None, development_majority=99.0)) == []
