"""What an error costs is measured on the same weights, item by item."""

import numpy as np
import polars as pl
import pytest

from tests.predictions import make_predictions
from xfer_bench.errors import ResultsError
from xfer_bench.sources.repairs import repair_of
from xfer_bench.stats.defect import defect_frame, defects
from xfer_bench.stats.method import Method
from xfer_bench.stats.paired import paired_test
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import REPAIRED

FEW = Method(resamples=500)


def wrong(language: str) -> list[str]:
    repair = repair_of(TASKS["xcopa"])
    assert repair is not None
    return [str(item) for item in repair.items.get(("test", language), ())]


def both() -> pl.DataFrame:
    """In Thai every wrong item is right when it is repaired, in Swahili wrong; all other answers stay."""
    published = make_predictions(n_items=60, seeds=(0,)).with_columns(
        item=pl.col("item").str.to_integer().cast(pl.String), cluster=pl.col("cluster").str.to_integer().cast(pl.String)
    )
    answer = pl.col("prediction")
    for language, right in (("th", True), ("sw", False)):
        affected = (pl.col("language") == language) & pl.col("item").is_in(wrong(language))
        answer = pl.when(affected).then(pl.col("label") if right else 1 - pl.col("label")).otherwise(answer)
    return pl.concat([published, published.with_columns(variant=pl.lit(REPAIRED), prediction=answer)])


def test_the_change_is_that_of_the_wrong_items() -> None:
    found = {(one.language, one.wrong): one for one in defects(both(), method=FEW)}
    # English is no translation; the languages without errors have no wrong items.
    assert set(found) == {*((one, False) for one in ("avg", "th", "sw", "et", "zh")), ("th", True), ("sw", True)}
    assert list(found)[:2] == [("avg", False), ("th", False)]
    for language in ("et", "zh"):
        one = found[language, False]
        assert (one.change, one.low, one.high, one.p_value, one.published) == (0, 0, 0, 1, one.repaired)
    assert found["th", True].repaired == 100
    assert found["sw", True].repaired == 0
    # All answers turn one way, so that as many turn as the accuracy changes.
    assert all(one.turned == pytest.approx(abs(one.change)) for (code, _), one in found.items() if code != "avg")
    for language in ("th", "sw"):
        whole, part = found[language, False], found[language, True]
        assert part.n_items == len([item for item in wrong(language) if int(item) < 60])
        assert whole.change == pytest.approx(part.change * part.n_items / 60)
        assert whole.change == pytest.approx(whole.repaired - whole.published)
    mean = np.mean([found[language, False].change for language in ("et", "sw", "th", "zh")])
    assert found["avg", False].change == pytest.approx(mean)
    assert {one.checkpoints for one in found.values()} == {3}
    assert defect_frame([*found.values()]).height == 7


def test_intervals_are_those_of_the_paired_test() -> None:
    rows = both().filter(language="th")
    sides = [
        rows.filter(variant=variant)
        .with_columns(right=(pl.col("label") == pl.col("prediction")).cast(pl.Int8))
        .pivot(on="run", index="item", values="right", maintain_order=True)
        .sort("item")
        .drop("item")
        .to_numpy()
        for variant in ("repaired", "published")
    ]
    expected = paired_test(sides[0], sides[1], method=FEW)
    one = next(one for one in defects(both(), method=FEW) if (one.language, one.wrong) == ("th", False))
    assert (one.change, one.low, one.high, one.p_value) == pytest.approx(
        (expected.value, expected.low, expected.high, expected.p_value)
    )


def test_runs_of_one_checkpoint_count_once() -> None:
    again = both().with_columns(run=pl.col("run") + "-again", setting=pl.lit("SI"))
    assert defects(pl.concat([both(), again]), method=FEW) == defects(both(), method=FEW)


def test_checkpoints_with_one_variant_are_not_measured() -> None:
    alone = both().filter((pl.col("arm") != "none") | (pl.col("variant") == REPAIRED))
    assert {one.checkpoints for one in defects(alone, method=FEW)} == {2}
    with pytest.raises(ResultsError, match="no checkpoint has both variants of xcopa test"):
        defects(both().filter(variant=REPAIRED))


def test_items_that_some_checkpoint_lacks_are_refused() -> None:
    torn = both().filter((pl.col("arm") != "none") | (pl.col("language") != "th") | (pl.col("item") != "7"))
    with pytest.raises(ResultsError, match="score all of them on all"):
        defects(torn)


def test_a_task_without_a_repair_is_refused() -> None:
    with pytest.raises(ResultsError, match="xnli has no repaired variant"):
        defects(both(), task="xnli")
