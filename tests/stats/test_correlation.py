import numpy as np
import polars as pl
import pytest
import scipy.stats

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy, transfer_gains
from xfer_bench.stats.correlation import correlate, relate


def test_r_is_that_of_scipy() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 12))
    draws = y + generator.normal(0, 0.3, (500, 12))
    ours = correlate(x, y, draws=draws, n_tasks=6)
    assert ours.r is not None
    assert ours.r == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    each = np.array([scipy.stats.pearsonr(x, row).statistic for row in draws])
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(each, [0.025, 0.975])))
    assert ours.p_value == pytest.approx((1 + np.sum(np.abs(each - ours.r) >= abs(ours.r))) / 501)


def test_exact_relation_has_no_width() -> None:
    x = np.arange(5.0)
    found = correlate(x, 2 * x, draws=np.tile(2 * x, (50, 1)), n_tasks=1)
    assert (found.r, found.low, found.high) == pytest.approx((1, 1, 1))


def test_few_points_have_no_correlation() -> None:
    found = correlate(np.arange(2.0), np.arange(2.0), draws=np.ones((9, 2)), n_tasks=2)
    assert (found.r, found.low, found.p_value, found.n_points) == (None, None, None, 2)
    assert found.reason == "2 points are too few; a correlation needs 3"


def test_what_does_not_vary_does_not_correlate() -> None:
    x, flat = np.arange(4.0), np.full(4, 0.1)
    assert correlate(flat, x, draws=np.tile(x, (9, 1)), n_tasks=2).reason == "the intermediate accuracies do not vary"
    assert correlate(x, flat, draws=np.tile(x, (9, 1)), n_tasks=2).reason == "the gains do not vary"
    assert correlate(x, x, draws=np.tile(flat, (9, 1)), n_tasks=2).reason == "the gains vary in no resample"


def test_few_tasks_have_no_p_value() -> None:
    x = np.array([1.0, 2.0, 4.0])
    assert correlate(x, x, draws=np.tile(x, (9, 1)), n_tasks=5).p_value is None
    assert correlate(x, x, draws=np.tile(x, (9, 1)), n_tasks=6).p_value == pytest.approx(1 / 10)


def test_points_are_runs_with_their_gain_over_unseen_languages() -> None:
    predictions = make_predictions(seeds=(0, 1, 2))
    stages = make_stages(predictions)
    (relation,) = relate(predictions, stages, resamples=50)
    gains = transfer_gains(accuracy(predictions), baseline="none").filter(pl.col("language").is_in(["et", "sw"]))
    assert relation.language == "avg_unseen"
    assert [point.run for point in relation.points] == [
        f"{arm}-{seed}" for arm in ("english", "mixed") for seed in range(3)
    ]
    for point in relation.points:
        assert point.gain == pytest.approx(gains.filter(run=point.run)["gain"].mean())
        accurate = stages.filter(run=point.run, role="intermediate")["development_accuracy"].item()
        assert point.intermediate == pytest.approx(100 * (accurate - 50) / 50)
    x, y = zip(*[(point.intermediate, point.gain) for point in relation.points], strict=True)
    assert relation.correlation.r == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    assert relation.correlation.n_tasks == 2
    assert relation.correlation.p_value is None


def test_the_last_intermediate_stage_is_measured() -> None:
    predictions = make_predictions()
    stages = make_stages(predictions)
    earlier = stages.filter(role="intermediate").with_columns(
        position=pl.lit(-1).cast(pl.Int64), development_accuracy=pl.lit(51.0)
    )
    assert relate(predictions, pl.concat([stages, earlier]), resamples=9) == relate(predictions, stages, resamples=9)


def test_without_development_accuracies_there_are_no_points() -> None:
    predictions = make_predictions()
    stages = make_stages(predictions)
    assert relate(predictions, stages.clear(), resamples=9) == []
    assert (
        relate(predictions, stages.with_columns(development_accuracy=pl.lit(None, dtype=pl.Float64)), resamples=9) == []
    )


def test_development_accuracies_are_points() -> None:
    predictions = make_predictions()
    points = make_stages(predictions).with_columns(pl.col("development_accuracy") * 2)
    with pytest.raises(ResultsError, match="both are points from 0 to 100"):
        relate(predictions, points)


def test_the_interval_holds_items_and_not_intermediate_accuracies_at_random() -> None:
    # With ever more items the gains are known ever better, and so is the correlation of these points.
    widths = []
    for n_items in (50, 3_000):
        predictions = make_predictions(seeds=(0, 1, 2), n_items=n_items)
        (relation,) = relate(predictions, make_stages(predictions), resamples=300)
        assert relation.correlation.low is not None
        assert relation.correlation.high is not None
        widths.append(relation.correlation.high - relation.correlation.low)
    assert widths[1] < widths[0]
