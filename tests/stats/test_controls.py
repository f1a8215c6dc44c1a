import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_predictions, make_stages
from xfer_bench.stats.controls import apart, control_runs, left_out, without_controls
from xfer_bench.stats.points import targets


def study(*, marked: str = "english", target: str = "xnli") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two targets with runs of the same names; one arm is a control before one of them."""
    predictions = pl.concat([make_predictions(), make_predictions(task="xnli", items_per_cluster=3)])
    control = (pl.col("arm") == marked) & (pl.col("target") == target)
    stages = make_stages(predictions).with_columns(
        control=pl.when(control).then(pl.lit("more_target_data")).otherwise(pl.lit(""))
    )
    return predictions, stages


def cells(frame: pl.DataFrame) -> set[tuple[str, str]]:
    return {*frame.select("target", "arm").iter_rows()}


def test_a_run_is_a_control_on_its_target_and_an_arm_elsewhere() -> None:
    predictions, stages = study()
    controls = control_runs(stages)
    assert controls.height == 2
    assert cells(controls) == {("xnli", "english")}
    assert cells(predictions) - cells(without_controls(predictions, controls)) == {("xnli", "english")}


@pytest.mark.parametrize("mark", ["", None])
def test_where_nothing_is_marked_everything_is_an_arm(mark: str | None) -> None:
    predictions, stages = study()
    for unmarked in (stages.with_columns(control=pl.lit(mark, dtype=pl.String)), stages.drop("control")):
        controls = control_runs(unmarked)
        assert controls.is_empty()
        assert_frame_equal(without_controls(predictions, controls), predictions)
        ours, theirs = apart(predictions, controls, reference="none")
        assert_frame_equal(ours, predictions)
        assert theirs.is_empty()
        assert left_out(predictions, controls) == []


def test_controls_go_with_the_runs_that_they_are_measured_against() -> None:
    predictions, stages = study()
    ours, theirs = apart(predictions, control_runs(stages), reference="none")
    assert cells(ours) == cells(predictions) - {("xnli", "english")}
    assert cells(theirs) == {("xnli", "english"), ("xnli", "none")}
    ours, theirs = apart(predictions, control_runs(stages), reference="none", arms=["mixed"])
    assert cells(ours) == {("xcopa", "mixed"), ("xcopa", "none"), ("xnli", "mixed"), ("xnli", "none")}
    assert theirs.is_empty()


def test_where_the_reference_is_a_control_so_is_every_comparison() -> None:
    predictions, stages = study()
    ours, theirs = apart(predictions, control_runs(stages), reference="english")
    assert cells(ours) == {("xcopa", arm) for arm in ("english", "mixed", "none")}
    assert cells(theirs) == {("xnli", arm) for arm in ("english", "mixed", "none")}


def test_controls_are_no_points_of_correlations() -> None:
    predictions, stages = study()
    found = {one.pairing.target: {point.arm for point in one.points} for one in targets(predictions, stages)}
    assert found == {"xcopa": {"english", "mixed"}, "xnli": {"mixed"}}
    assert left_out(predictions, control_runs(stages)) == [
        "left out on xnli as control: more of the target's own data: english"
    ]
