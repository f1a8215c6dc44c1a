import numpy as np
import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from tests.stats.test_points import crossed
from xfer_bench.errors import ResultsError
from xfer_bench.stats.association import associate, within
from xfer_bench.stats.evidence import Evidence, How, evidence
from xfer_bench.stats.points import Target, targets

SEVEN = {"none": 0.0, **{f"arm{place}": 0.3 * place for place in range(7)}}


def points_of(predictions: pl.DataFrame) -> list[Target]:
    return targets(predictions, make_stages(predictions))


def test_over_items_the_draws_centre_on_the_gains() -> None:
    found = evidence(points_of(make_predictions(n_items=300)), how=How(), resamples=2_000, seed=0)
    assert found.weights is None
    # Standard error of the mean of 2,000 draws, each with a standard error of a few points.
    assert found.draws.mean(axis=0) == pytest.approx(found.y, abs=5 * found.draws.std(axis=0).max() / np.sqrt(2_000))


def test_paired_seeds_are_drawn_together_for_all_arms() -> None:
    found = evidence(points_of(make_predictions(seeds=(0, 1, 2))), how=How(over="both"), resamples=200, seed=0)
    assert found.weights is not None
    # Points come by arm, then seed: each arm has the same seeds in a resample, three of them.
    english, mixed = found.weights[:, :3], found.weights[:, 3:]
    assert np.array_equal(english, mixed)
    assert (english.sum(axis=1) == 3).all()


def test_crossed_seeds_are_drawn_each_for_itself() -> None:
    three = pl.concat(
        [
            crossed(),
            crossed()
            .filter(pl.col("intermediate_seed") == 1)
            .with_columns(intermediate_seed=pl.lit(2, dtype=pl.Int64), run=pl.col("run").str.replace("i1", "i2")),
        ]
    )
    found = evidence(points_of(three), how=How(over="both"), resamples=300, seed=0)
    assert found.weights is not None
    english, mixed = found.weights[:, :3], found.weights[:, 3:]
    assert (english.sum(axis=1) == 3).all()
    assert (mixed.sum(axis=1) == 3).all()
    assert not np.array_equal(english, mixed)


def test_two_intermediate_seeds_are_too_few_even_with_three_target_seeds() -> None:
    with pytest.raises(ResultsError, match="seeds cannot be drawn from 2 intermediate seeds of 'english'"):
        evidence(points_of(crossed()), how=How(over="both"), resamples=9, seed=0)


def test_tasks_are_drawn_with_all_their_points() -> None:
    found = evidence(points_of(make_predictions(effects=SEVEN)), how=How(tasks=True), resamples=100, seed=0)
    assert found.weights is not None
    assert np.array_equal(found.weights[:, ::2], found.weights[:, 1::2])
    assert (found.weights.sum(axis=1) == 14).all()


def test_two_tasks_are_drawn_apart_and_two_settings_of_one_together() -> None:
    rows = make_predictions()
    other = rows.with_columns(setting=pl.lit("SI"), run=pl.col("run") + "SI")
    task = rows.with_columns(task=pl.lit("xnli"), target=pl.lit("xnli"), run=pl.col("run") + "x")
    found = evidence(points_of(pl.concat([rows, other])), how=How(), resamples=50, seed=0)
    assert np.array_equal(found.draws[:, :4], found.draws[:, 4:])
    found = evidence(points_of(pl.concat([rows, task])), how=How(), resamples=50, seed=0)
    assert not np.array_equal(found.draws[:, :4], found.draws[:, 4:])


def test_within_correlations_are_those_of_each_resamples_residuals() -> None:
    found = evidence(points_of(make_predictions(effects=SEVEN)), how=How(tasks=True), resamples=20, seed=0)
    assert found.weights is not None
    expected = []
    for draw, times in zip(found.draws, found.weights, strict=True):
        every = np.repeat(np.arange(14), times.astype(int))
        left = within(found.x[every], draw[every], [[found.cells[at] for at in every]])
        expected.append(associate(left.x, left.y)[0])
    assert found.correlations("pearson", within=True) == pytest.approx(np.array(expected))


def test_evidence_needs_everything_for_each_point() -> None:
    x = np.arange(3.0)
    with pytest.raises(ResultsError, match=r"for each point; got 3, 3, 2, 3 and \(9, 3\)"):
        Evidence(x=x, y=x, tasks=("a", "b"), cells=(0, 0, 0), draws=np.ones((9, 3)))
