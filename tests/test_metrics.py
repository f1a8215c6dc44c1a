import polars as pl
import pytest

from tests.predictions import make_predictions, right
from xfer_bench.errors import ResultsError
from xfer_bench.frames import GAINS, SCORES
from xfer_bench.metrics import accuracy, baseline_arm, transfer_gains


def test_accuracy_is_the_share_of_right_answers_in_points() -> None:
    predictions = make_predictions()
    scores = accuracy(predictions)
    assert dict(scores.schema) == SCORES
    assert len(scores) == 3 * 2 * 5
    cell = scores.filter(run="mixed-1", language="th").row(0, named=True)
    assert cell["accuracy"] == pytest.approx(100 * right(predictions, run="mixed-1", language="th").mean())
    assert (cell["n_items"], cell["n_clusters"]) == (60, 60)


def test_clusters_are_counted_apart_from_items() -> None:
    scores = accuracy(make_predictions(items_per_cluster=3))
    assert scores.select("n_items", "n_clusters").unique().rows() == [(60, 20)]


def test_the_order_of_rows_does_not_matter() -> None:
    predictions = make_predictions()
    assert accuracy(predictions).equals(accuracy(predictions.sample(fraction=1, shuffle=True, seed=1)))


def test_an_empty_table_has_no_accuracy() -> None:
    with pytest.raises(ResultsError, match="no predictions"):
        accuracy(make_predictions().clear())


@pytest.mark.parametrize("column", ["label", "prediction", "item", "cluster"])
def test_no_answer_is_not_a_wrong_answer(column: str) -> None:
    holed = make_predictions().with_columns(
        pl.when(pl.col("item") == "0003").then(None).otherwise(column).alias(column)
    )
    with pytest.raises(ResultsError, match=f"has no {column}"):
        accuracy(holed)


def test_an_item_counts_once() -> None:
    predictions = make_predictions()
    with pytest.raises(ResultsError, match=r"has 61 rows for 60 items of xcopa test in 'en'"):
        accuracy(pl.concat([predictions, predictions.filter(run="none-0", language="en").head(1)]))


def test_the_baseline_is_the_arm_without_an_intermediate_stage() -> None:
    assert baseline_arm(make_predictions(), name=None) == "none"


def test_any_arm_can_be_named_as_baseline() -> None:
    assert baseline_arm(make_predictions(), name="english") == "english"


def test_without_one_baseline_the_candidates_are_named() -> None:
    predictions = make_predictions()
    with pytest.raises(ResultsError, match="--baseline, one of english, mixed"):
        baseline_arm(predictions.filter(pl.col("arm") != "none"))
    two = predictions.with_columns(
        pl.when(pl.col("arm") == "english").then(None).otherwise("intermediate_seed").alias("intermediate_seed")
    )
    with pytest.raises(ResultsError, match=r"2 arms have no intermediate stage.*--baseline, one of english, none"):
        baseline_arm(two)
    with pytest.raises(ResultsError, match=r"no arm named 'nowhere'.*english, mixed, none"):
        baseline_arm(predictions, name="nowhere")


def test_intermediate_checkpoints_are_no_arms_to_choose_from() -> None:
    predictions = make_predictions()
    intermediate = predictions.filter(arm="english").with_columns(
        setting=pl.lit("intermediate"), arm=pl.lit("stage"), intermediate_seed=pl.lit(None, dtype=pl.Int64)
    )
    both = pl.concat([predictions, intermediate])
    assert baseline_arm(both) == "none"
    assert transfer_gains(accuracy(both), baseline="none").equals(
        transfer_gains(accuracy(predictions), baseline="none")
    )


def test_a_gain_is_the_difference_from_the_baseline_of_the_same_target_seed() -> None:
    predictions = make_predictions()
    gains = transfer_gains(accuracy(predictions), baseline="none")
    assert dict(gains.schema) == GAINS
    assert sorted(gains["arm"].unique()) == ["english", "mixed"]
    cell = gains.filter(run="mixed-1", language="sw").row(0, named=True)
    ours, theirs = (right(predictions, run=run, language="sw") for run in ("mixed-1", "none-1"))
    assert cell["gain"] == pytest.approx(100 * (ours.sum() - theirs.sum()) / 60)
    assert cell["baseline"] == "none"


def test_pairing_looks_at_the_seed_and_not_at_the_step() -> None:
    scores = accuracy(make_predictions())
    stepped = scores.with_columns(pl.when(pl.col("arm") == "none").then(7).otherwise(9).cast(pl.Int64).alias("step"))
    assert transfer_gains(stepped, baseline="none")["gain"].equals(transfer_gains(scores, baseline="none")["gain"])


def test_a_run_without_a_baseline_of_its_seed_drops_out() -> None:
    scores = accuracy(make_predictions(seeds=(0, 1, 2))).filter(
        (pl.col("arm") != "none") | (pl.col("target_seed") != 1)
    )
    assert sorted(transfer_gains(scores, baseline="none")["target_seed"].unique()) == [0, 2]


def test_runs_with_other_intermediate_seeds_share_a_baseline_run() -> None:
    scores = accuracy(make_predictions(seeds=(0,)))
    other = scores.filter(arm="english").with_columns(
        run=pl.lit("english-5"), intermediate_seed=pl.lit(5).cast(pl.Int64)
    )
    gains = transfer_gains(pl.concat([scores, other]), baseline="none").filter(arm="english", language="th")
    assert gains["run"].to_list() == ["english-0", "english-5"]
    assert gains["gain"].n_unique() == 1


def test_two_baseline_runs_of_one_seed_are_refused() -> None:
    scores = accuracy(make_predictions(seeds=(0,)))
    again = scores.filter(arm="none").with_columns(run=pl.lit("none-again"))
    with pytest.raises(ResultsError, match="several runs with target seed 0"):
        transfer_gains(pl.concat([scores, again]), baseline="none")


def test_gains_need_a_baseline() -> None:
    with pytest.raises(ResultsError, match="no scores of the baseline 'other'; the arms here are english, mixed, none"):
        transfer_gains(accuracy(make_predictions()), baseline="other")


def test_only_intermediate_checkpoints_are_no_arms_at_all() -> None:
    rows = make_predictions().with_columns(setting=pl.lit("intermediate"))
    with pytest.raises(ResultsError, match="no predictions of runs on a target, so there are no arms to compare"):
        baseline_arm(rows)
