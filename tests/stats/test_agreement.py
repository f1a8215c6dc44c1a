from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats

from tests.predictions import make_predictions
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy, transfer_gains
from xfer_bench.stats.agreement import between_columns, between_languages, between_targets
from xfer_bench.stats.association import COEFFICIENTS, Coefficient

ARMS = {"none": 0.0, **{f"arm{place}": 0.4 * place for place in range(6)}}


def two_targets(*, arms_of_second: int = 6) -> pl.DataFrame:
    kept = dict(list(ARMS.items())[: arms_of_second + 1])
    return pl.concat(
        [
            make_predictions(effects=ARMS, task="xcopa", n_items=200),
            make_predictions(effects=kept, task="xnli", n_items=200, seed=9).with_columns(run=pl.col("run") + "x"),
        ]
    )


@pytest.mark.parametrize("method", COEFFICIENTS)
def test_between_columns_is_every_pair_of_columns(method: Coefficient) -> None:
    generator = np.random.default_rng(0)
    observed, draws = generator.normal(size=(8, 3)), generator.normal(size=(5, 8, 3))
    matrix, drawn = between_columns(draws, observed, method=method)
    theirs: dict[str, Callable[..., Any]] = {
        "pearson": scipy.stats.pearsonr,
        "spearman": scipy.stats.spearmanr,
        "kendall": scipy.stats.kendalltau,
    }
    assert matrix[0, 2] == matrix[2, 0] == pytest.approx(theirs[method](observed[:, 0], observed[:, 2]).statistic)
    assert drawn[3, 1, 0] == pytest.approx(theirs[method](draws[3, :, 1], draws[3, :, 0]).statistic)
    assert np.isnan(np.diag(matrix)).all()
    with pytest.raises(ResultsError, match="draws need"):
        between_columns(draws[:, :7], observed)


def test_languages_are_correlated_over_the_arms_gains() -> None:
    predictions = make_predictions(effects=ARMS, n_items=200)
    (found,) = between_languages(predictions, resamples=200)
    gains = (
        transfer_gains(accuracy(predictions), baseline="none").group_by("arm", "language").agg(pl.col("gain").mean())
    )
    table = gains.pivot("language", index="arm", values="gain")
    assert found.where == "xcopa test (CO)"
    assert len(found.pairs) == 10
    for pair in found.pairs:
        assert pair.r == pytest.approx(scipy.stats.pearsonr(table[pair.first], table[pair.second]).statistic)
        assert pair.low is not None
        assert pair.high is not None
        assert pair.low <= pair.high
        assert pair.n_arms == 6
    of_thai = [pair.r for pair in found.pairs if "th" in {pair.first, pair.second} and pair.r is not None]
    assert {mean.name: mean.r for mean in found.means}["th"] == pytest.approx(np.mean(of_thai))


def test_two_arms_have_no_correlation() -> None:
    (found,) = between_languages(make_predictions(), resamples=20)
    assert (found.pairs, found.reason) == ((), "2 arms are too few; a correlation over arms needs 3")


def test_one_language_and_one_target_have_nothing_to_agree_with() -> None:
    assert between_languages(make_predictions(languages=("sw",)), resamples=20) == []
    assert between_targets(make_predictions(), resamples=20) is None


def test_targets_are_correlated_over_the_arms_that_both_have() -> None:
    predictions = two_targets(arms_of_second=4)
    found = between_targets(predictions, resamples=100)
    assert found is not None
    (pair,) = found.pairs
    gains = (
        transfer_gains(accuracy(predictions), baseline="none")
        .filter(pl.col("language") != "en")
        .group_by("arm", "task")
        .agg(pl.col("gain").mean())
        .pivot("task", index="arm", values="gain")
        .drop_nulls()
    )
    assert pair.n_arms == 4
    assert pair.r == pytest.approx(scipy.stats.pearsonr(gains["xcopa"], gains["xnli"]).statistic)
    assert found.names == ("xcopa test (CO)", "xnli test (CO)")


def test_targets_with_too_few_arms_in_common_have_no_correlation() -> None:
    found = between_targets(two_targets(arms_of_second=2), resamples=20)
    assert found is not None
    assert found.reason == "2 arms are too few; a correlation over arms needs 3"


def test_identical_targets_agree_wholly() -> None:
    rows = make_predictions(effects=ARMS)
    twice = pl.concat([rows, rows.with_columns(setting=pl.lit("SI"), run=pl.col("run") + "SI")])
    found = between_targets(twice, resamples=50)
    assert found is not None
    assert (found.pairs[0].r, found.pairs[0].low, found.pairs[0].high) == pytest.approx((1, 1, 1))


def test_gains_that_do_not_vary_have_no_correlation() -> None:
    rows = make_predictions(effects=ARMS).with_columns(prediction=pl.col("label"))
    (found,) = between_languages(rows, resamples=20)
    assert {pair.r for pair in found.pairs} == {None}
    assert found.means == ()
