import numpy as np
import polars as pl
import pytest
import scipy.stats

from tests.predictions import LANGUAGES, make_predictions, right
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy
from xfer_bench.stats.estimates import Score
from xfer_bench.stats.scores import score_intervals, tally, tally_intervals, tally_of


def pick(scores: list[Score], *, run: str, language: str) -> Score:
    (found,) = [one for one in scores if (one.run, one.language) == (run, language)]
    return found


def test_values_are_those_of_the_scores_table() -> None:
    predictions = make_predictions()
    table = accuracy(predictions)
    for score in score_intervals(predictions, resamples=20):
        rows = table.filter(pl.col("run") == score.run)
        chosen = (
            rows.filter(pl.col("language") != "en") if score.language == "avg" else rows.filter(language=score.language)
        )
        assert score.estimate.value == pytest.approx(chosen["accuracy"].mean())
        assert score.estimate.p_value is None


def test_the_average_comes_before_the_languages() -> None:
    scores = score_intervals(make_predictions(seeds=(0,)), resamples=20)
    assert [(one.arm, one.language) for one in scores] == [
        (arm, language) for arm in ("english", "mixed", "none") for language in ("avg", *LANGUAGES)
    ]


def test_interval_is_near_the_wilson_interval_for_independent_items() -> None:
    # scipy.stats.binomtest(...).proportion_ci(method="wilson"): another method for the same quantity.
    predictions = make_predictions(n_items=500, seeds=(0,))
    estimate = pick(score_intervals(predictions), run="none-0", language="th").estimate
    count = int(right(predictions, run="none-0", language="th").sum())
    wilson = scipy.stats.binomtest(count, 500).proportion_ci(method="wilson")
    assert estimate.low == pytest.approx(100 * wilson.low, abs=0.7)
    assert estimate.high == pytest.approx(100 * wilson.high, abs=0.7)


def test_items_of_one_premise_widen_the_interval() -> None:
    predictions = make_predictions(n_items=100, seeds=(0,), languages=["en"], effects={"none": 0})
    tripled = pl.concat([predictions.with_columns(item=pl.col("item") + suffix) for suffix in "abc"])
    alone, clustered = (score_intervals(rows, resamples=999)[0].estimate for rows in (predictions, tripled))
    assert (clustered.n_items, clustered.n_clusters) == (300, 100)
    assert (clustered.value, clustered.low, clustered.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_translations_are_drawn_together_in_the_average() -> None:
    predictions = make_predictions(n_items=200, seeds=(0,), languages=["th"], effects={"none": 0})
    copies = pl.concat([predictions.with_columns(language=pl.lit(code)) for code in ("th", "sw", "et")])
    scores = score_intervals(copies, resamples=500)
    alone = pick(scores, run="none-0", language="th").estimate
    together = pick(scores, run="none-0", language="avg").estimate
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


def test_languages_with_other_items_have_no_average() -> None:
    uneven = make_predictions(seeds=(0,), effects={"none": 0}).filter(
        (pl.col("language") != "th") | (pl.col("item") < "0050")
    )
    scores = score_intervals(uneven, resamples=20)
    assert {one.language: one.estimate.n_items for one in scores} == {
        "avg": 60,
        "en": 60,
        "et": 60,
        "sw": 60,
        "th": 50,
        "zh": 60,
    }


def test_an_empty_table_has_no_accuracy() -> None:
    with pytest.raises(ResultsError, match="no predictions"):
        score_intervals(make_predictions().clear())


def test_all_right_has_zero_width() -> None:
    perfect = make_predictions(seeds=(0,)).with_columns(prediction=pl.col("label"))
    for one in score_intervals(perfect, resamples=20):
        assert (one.estimate.low, one.estimate.value, one.estimate.high) == (100, 100, 100)
    assert np.isfinite([one.estimate.value for one in score_intervals(perfect, resamples=20)]).all()


def test_tallies_give_the_same_numbers_in_any_order() -> None:
    predictions = make_predictions()
    tallies = tally(predictions)
    expected = score_intervals(predictions, resamples=200, seed=3)
    assert tally_intervals(tallies, resamples=200, seed=3) == expected
    # One after another, as checkpoints are finished, whatever the order of their rows.
    shuffled = tally(predictions.sample(fraction=1, shuffle=True, seed=1))
    assert tally_intervals(reversed(tallies), resamples=200, seed=3) == expected
    assert tally_intervals(iter(shuffled), resamples=200, seed=3) == expected


def test_a_tally_is_all_that_the_answers_come_down_to() -> None:
    cell = make_predictions(n_items=12, seeds=(0,), languages=["th"], effects={"none": 0})
    clustered = cell.with_columns(cluster=(pl.int_range(pl.len()) // 3).cast(pl.String))
    names = {name: clustered[name][0] for name in ("task", "variant", "split", "arm", "run", "setting", "target")}
    names |= {"step": clustered["step"][0], "language": "th"}
    found = tally_of(clustered, names=names)
    right = (clustered["label"] == clustered["prediction"]).to_numpy()
    assert found.items == 12
    assert found.sizes.tolist() == [3, 3, 3, 3]
    assert found.right.tolist() == right.reshape(4, 3).sum(axis=1).tolist()
    (whole,) = tally(clustered)
    assert (found.names, found.items, found.rows) == (whole.names, whole.items, whole.rows)
    assert found.right.tolist() == whole.right.tolist()
    # Which items they are, not how they were answered, decides what is drawn together.
    assert found.rows == tally_of(clustered.with_columns(prediction=pl.col("label")), names=names).rows
    assert found.rows != tally_of(clustered.with_columns(cluster=pl.col("item")), names=names).rows


def test_a_tally_can_go_by_another_name() -> None:
    (found,) = tally(make_predictions(seeds=(0,), languages=["th"], effects={"none": 0}))
    other = found.named(run="another", step=7)
    (score,) = tally_intervals([other], resamples=20)
    assert (score.run, score.step, score.arm) == ("another", 7, "none")
    assert found.names["run"] == "none-0"


def test_an_item_that_comes_twice_is_no_tally() -> None:
    cell = make_predictions(seeds=(0,), languages=["th"], effects={"none": 0})
    with pytest.raises(ResultsError, match="has several predictions for item '0000' of xcopa test in 'th'"):
        tally(pl.concat([cell, cell.head(1)]))
