from dataclasses import replace

import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from xfer_bench.report.appendix import arm_table, rank_table, seed_tables, seeds_of
from xfer_bench.report.ranks import rank_settings
from xfer_bench.report.sheets import Number, Sheet
from xfer_bench.report.training import trained
from xfer_bench.stats.outcomes import pairings
from xfer_bench.stats.ranking import rank


@pytest.fixture(scope="module")
def predictions() -> pl.DataFrame:
    return make_predictions()


def names(sheet: Sheet) -> list[str]:
    return [one.name for one in sheet.columns]


def texts(row: tuple[object, ...]) -> list[object]:
    return [cell.text if isinstance(cell, Number) else cell for cell in row]


def test_arms_tell_what_they_were_trained_on(predictions: pl.DataFrame) -> None:
    sheet = arm_table(trained(predictions, make_stages(predictions)), seeds_of(predictions))
    assert names(sheet) == [
        "arm or target",
        "trained on",
        "languages",
        "runs",
        "examples",
        "steps",
        "tokens (k)",
        "seeds",
    ]
    assert [texts(row) for row in sheet.blocks[0].rows] == [
        ["none", None, "", "2", "", "", "", "0 1"],
        ["english", "english_task", "en", "2", "400", "50", "10.0", "0 1"],
        ["mixed", "mixed_task", "en", "2", "400", "50", "10.0", "0 1"],
    ]
    assert [texts(row) for row in sheet.blocks[1].rows] == [["xcopa", "xcopa", "en", "2", "400", "50", "10.0", "0 1"]]


def test_an_arm_that_is_the_same_before_two_targets_has_one_row(predictions: pl.DataFrame) -> None:
    more = pl.concat([predictions, predictions.with_columns(target=pl.lit("xnli"), task=pl.lit("xnli"))])
    stages = make_stages(more)
    sheet = arm_table(trained(more, stages), seeds_of(more))
    assert [row[0] for row in sheet.rows] == ["none", "english", "mixed", "xcopa", "xnli"]
    longer = pl.when((pl.col("target") == "xnli") & (pl.col("role") == "intermediate")).then(99).otherwise("steps")
    other = arm_table(trained(more, stages.with_columns(steps=longer.cast(pl.Int64))), seeds_of(more))
    assert [row[0] for row in other.blocks[0].rows][1:3] == ["english (xcopa)", "english (xnli)"]


def test_what_differs_between_runs_has_its_range_and_what_is_unknown_is_absent(predictions: pl.DataFrame) -> None:
    stages = make_stages(predictions).with_columns(
        steps=pl.col("steps") + pl.col("target_seed") * 10, tokens=pl.lit(None, dtype=pl.Int64)
    )
    row = arm_table(trained(predictions, stages), seeds_of(predictions)).blocks[0].rows[1]
    steps, tokens = row[5:7]
    assert isinstance(steps, Number)
    assert (steps.text, steps.interval) == ("55", "[50, 60]")
    assert tokens is None


def test_seeds_are_named_once_where_they_are_the_same(predictions: pl.DataFrame) -> None:
    assert seeds_of(predictions)["xcopa", "CO", "mixed"] == "0 1"
    other = predictions.with_columns(intermediate_seed=pl.col("intermediate_seed") + 5)
    assert seeds_of(other)["xcopa", "CO", "mixed"] == "5 6 / 0 1"
    assert seeds_of(other)["xcopa", "CO", "none"] == "0 1"


def test_every_run_has_its_row(predictions: pl.DataFrame) -> None:
    stages = make_stages(predictions)
    several = list(pairings(predictions, baseline="none"))
    (sheet,) = seed_tables(several, stages, collapsed={"mixed-1"})
    assert names(sheet)[:5] == ["arm", "seeds", "learnt", "unseen accuracy", "unseen gain"]
    assert [texts(row)[:2] for row in sheet.rows] == [
        ["english", "0"],
        ["english", "1"],
        ["mixed", "0"],
        ["mixed", "1"],
    ]
    right = (pl.col("label") == pl.col("prediction")).mean()
    rows = predictions.filter(pl.col("language").is_in(["et", "sw"]), target_seed=1)
    after, before = (100 * rows.filter(arm=arm).select(right).item() for arm in ("mixed", "none"))
    accuracy, gain = sheet.rows[-1][3:5]
    assert isinstance(accuracy, Number)
    assert isinstance(gain, Number)
    assert (accuracy.value, gain.value) == pytest.approx((after, after - before))
    assert accuracy.marks == "†"
    learnt = stages.filter(run="mixed-1", role="intermediate")["development_accuracy"].item()
    assert isinstance(sheet.rows[-1][2], Number)
    assert sheet.rows[-1][2].value == learnt
    assert "†: collapsed" in " ".join(sheet.caption)


def test_a_run_whose_stages_nothing_tells_has_no_number(predictions: pl.DataFrame) -> None:
    several = list(pairings(predictions, baseline="none"))
    (sheet,) = seed_tables(several, make_stages(predictions).clear(), collapsed=())
    assert all(row[2] is None for row in sheet.rows)


def test_ranks_show_groups_and_the_ranks_that_an_arm_may_have(predictions: pl.DataFrame) -> None:
    rankings = rank(predictions, resamples=199)
    settings = rank_settings(baseline="none", resamples=199, seed=0)
    sheet = rank_table(rankings, settings=settings)
    assert sheet.blocks[0].title == "xcopa: unseen"
    first = rankings[0].ranks[0]
    assert texts(sheet.rows[0])[0] == first.arm
    assert texts(sheet.rows[0])[3] == f"{first.gain:+.1f}"
    sure = replace(
        rankings[0], ranks=(replace(first, rank_low=1, rank_high=1), replace(first, rank_low=1, rank_high=3))
    )
    assert [row[1] for row in rank_table([sure], settings=settings).rows] == ["1", "1 (1–3)"]


def test_ranks_over_a_handful_of_clusters_are_called_uncertain(predictions: pl.DataFrame) -> None:
    rankings = rank(predictions, resamples=199)
    settings = rank_settings(baseline="none", resamples=199, seed=0)
    few = [replace(one, n_clusters=3) for one in rankings]
    assert "3 clusters are too few" in " ".join(rank_table(few, settings=settings).caption)
    assert "too few" not in " ".join(rank_table(rankings, settings=settings).caption)
