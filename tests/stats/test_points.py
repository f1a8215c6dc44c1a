import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.stats.points import Learnt, last_intermediate, targets


def crossed() -> pl.DataFrame:
    """Two intermediate stages of each arm, each followed by three target seeds."""
    frames = []
    for seed in (0, 1):
        rows = make_predictions(seeds=(0, 1, 2), seed=seed)
        plain = pl.col("arm") == "none"
        frames.append(
            rows.filter(~plain | pl.lit(seed == 0)).with_columns(
                intermediate_seed=pl.when(plain).then(None).otherwise(pl.lit(seed, dtype=pl.Int64)),
                run=pl.when(plain).then("run").otherwise(pl.format("{}.i{}", "run", pl.lit(seed))),
            )
        )
    return pl.concat(frames)


def with_initial(stages: pl.DataFrame, value: float | None, *, run: str | None = None) -> pl.DataFrame:
    chosen = pl.lit(value=True) if run is None else pl.col("run") == run
    return stages.with_columns(initial_accuracy=pl.when(chosen).then(pl.lit(value, dtype=pl.Float64)).otherwise(60.0))


def test_runs_of_one_intermediate_stage_are_one_point() -> None:
    predictions = crossed()
    (target,) = targets(predictions, make_stages(predictions))
    assert [(point.arm, point.intermediate_seed) for point in target.points] == [
        ("english", 0), ("english", 1), ("mixed", 0), ("mixed", 1),
    ]  # fmt: skip
    assert len(target.pairs) == 12
    for place, point in enumerate(target.points):
        assert point.target_seeds == (0, 1, 2)
        runs = [at for at, mine in enumerate(target.place) if mine == place]
        each = 100 * target.sums[:, runs].sum(axis=0) / target.sizes.sum() / target.n_languages
        assert point.gain == pytest.approx(each.mean())
    # All have the same three baseline runs.
    assert len(set(target.cells)) == 1


def test_points_with_other_seeds_have_other_baselines() -> None:
    predictions = make_predictions(seeds=(0, 1))
    (target,) = targets(predictions, make_stages(predictions))
    assert target.cells == (target.cells[0], target.cells[1]) * 2
    assert target.cells[0] != target.cells[1]


def test_checkpoints_without_seeds_are_each_a_point() -> None:
    rows = make_predictions(seeds=(0,))
    twice = pl.concat([rows, rows.filter(arm="mixed").with_columns(run=pl.lit("mixed-other"))])
    elsewhere = twice.with_columns(intermediate_seed=pl.lit(None, dtype=pl.Int64))
    stages = make_stages(rows)
    stages = pl.concat([stages, stages.filter(arm="mixed").with_columns(run=pl.lit("mixed-other"))])
    (target,) = targets(elsewhere, stages, baseline="none")
    assert [point.runs for point in target.points] == [("english-0",), ("mixed-0",), ("mixed-other",)]


def test_the_gain_counts_from_the_frozen_initial_encoder() -> None:
    # 70 after 60 with chance 50: (.70 - .60) / (1 - .50)
    stage = Learnt(task="siqa", accuracy=70, chance=50, initial=60, items=100)
    assert stage.measured("gain") == pytest.approx(20)
    assert stage.measured("above chance") == pytest.approx(40)
    assert stage.error_variance("above chance") == pytest.approx(2**2 * 100**2 * 0.7 * 0.3 / 100)
    assert stage.error_variance("gain") == pytest.approx(2**2 * 100 * (0.7 * 0.3 + 0.6 * 0.4))


def test_one_unknown_initial_accuracy_puts_all_points_above_chance() -> None:
    predictions = make_predictions()
    stages = make_stages(predictions)
    for frame, measure in (
        (stages.drop("initial_accuracy", strict=False), "above chance"),
        (with_initial(stages, None), "above chance"),
        (with_initial(stages, None, run="mixed-1"), "above chance"),
        (with_initial(stages, 55.0), "gain"),
    ):
        (target,) = targets(predictions, frame)
        assert target.measure == measure
        for point in target.points:
            (run,) = point.runs
            assert point.intermediate == pytest.approx(last_intermediate(frame)[run].measured(target.measure))


def test_several_targets_may_need_one_measure() -> None:
    predictions = pl.concat(
        [make_predictions(task=task).with_columns(run=pl.col("run") + task) for task in ("xcopa", "xnli")]
    )
    stages = with_initial(make_stages(predictions), None, run="mixed-1xnli")
    assert [target.measure for target in targets(predictions, stages)] == ["gain", "above chance"]
    assert [target.measure for target in targets(predictions, stages, same=True)] == ["above chance"] * 2


def test_the_last_intermediate_stage_is_measured() -> None:
    stages = make_stages(make_predictions())
    earlier = stages.filter(role="intermediate").with_columns(
        position=pl.lit(-1).cast(pl.Int64), development_accuracy=pl.lit(51.0)
    )
    assert last_intermediate(pl.concat([stages, earlier])) == last_intermediate(stages)


def test_without_development_accuracies_there_are_no_points() -> None:
    predictions = make_predictions()
    stages = make_stages(predictions)
    nothing = pl.lit(None, dtype=pl.Float64)
    assert targets(predictions, stages.clear()) == []
    assert targets(predictions, stages.with_columns(development_accuracy=nothing)) == []


def test_unknown_numbers_of_items_are_no_errors() -> None:
    predictions = make_predictions()
    stages = make_stages(predictions).with_columns(development_items=pl.lit(None, dtype=pl.Int64))
    (target,) = targets(predictions, stages)
    assert target.measure_errors is None


@pytest.mark.parametrize("column", ["development_accuracy", "initial_accuracy", "chance"])
def test_accuracies_are_points(column: str) -> None:
    predictions = make_predictions()
    stages = with_initial(make_stages(predictions), 55.0).with_columns(pl.lit(130.0).alias(column))
    with pytest.raises(ResultsError, match="all are points from 0 to 100"):
        targets(predictions, stages)
