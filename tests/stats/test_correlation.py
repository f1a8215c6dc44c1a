from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import scipy.stats

from tests.predictions import make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.metrics import accuracy, transfer_gains
from xfer_bench.stats.association import COEFFICIENTS, Coefficient
from xfer_bench.stats.correlation import correlate, leave_one_out, pool, relate
from xfer_bench.stats.evidence import Evidence, How

ARMS = {"none": 0.0, **{f"arm{place}": 0.3 * place for place in range(7)}}


def evidence(
    x: npt.ArrayLike, y: npt.ArrayLike, *, draws: npt.ArrayLike | None = None, tasks: Sequence[str] | None = None
) -> Evidence:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return Evidence(
        x=x,
        y=y,
        tasks=tuple(tasks or [f"task{place}" for place in range(len(x))]),
        cells=("one",) * len(x),
        draws=np.tile(y, (9, 1)) if draws is None else np.asarray(draws, dtype=float),
    )


@pytest.mark.parametrize("method", COEFFICIENTS)
def test_r_and_interval_are_those_of_scipy_in_every_resample(method: Coefficient) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 12))
    draws = y + generator.normal(0, 0.3, (300, 12))
    ours = correlate(evidence(x, y, draws=draws), how=How(method=method))
    theirs: dict[str, Callable[..., Any]] = {
        "pearson": scipy.stats.pearsonr,
        "spearman": scipy.stats.spearmanr,
        "kendall": scipy.stats.kendalltau,
    }
    each = np.array([theirs[method](x, row).statistic for row in [y, *draws]])
    assert ours.r == pytest.approx(each[0])
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(each[1:], [0.025, 0.975])))


def test_exact_relation_has_no_width() -> None:
    found = correlate(evidence(np.arange(5.0), 2 * np.arange(5.0)))
    assert (found.r, found.low, found.high) == pytest.approx((1, 1, 1))


def test_few_points_have_no_correlation() -> None:
    found = correlate(evidence([0, 1], [0, 1]))
    assert (found.r, found.low, found.p_value, found.n_points) == (None, None, None, 2)
    assert found.reason == "2 points are too few; a correlation needs 3"


def test_what_does_not_vary_does_not_correlate() -> None:
    x, flat = np.arange(4.0), np.full(4, 0.1)
    assert correlate(evidence(flat, x)).reason == "the intermediate measures do not vary"
    assert correlate(evidence(x, flat)).reason == "the gains do not vary"
    assert correlate(evidence(x, x, draws=np.tile(flat, (9, 1)))).reason == "the gains vary in no resample"
    apart = replace(evidence(x, x), cells=(0, 1, 2, 3))
    assert correlate(apart, within_cells=True).reason == (
        "the intermediate measures do not vary within any baseline run"
    )


def test_resamples_without_an_r_are_counted_and_left_out() -> None:
    x = np.arange(4.0)
    found = correlate(evidence(x, x, draws=[x, np.ones(4), x, x]))
    assert (found.low, found.high, found.undefined) == pytest.approx((1, 1, 0.25))


def test_few_tasks_have_no_p_value() -> None:
    x = np.arange(10.0)
    tasks = ["a", "b", "c", "d", "e"] * 2
    assert correlate(evidence(x, x, tasks=tasks)).p_value is None
    assert correlate(evidence(x, x, tasks=[*tasks[:-1], "f"])).p_value is not None


def test_p_permutes_tasks_and_not_points() -> None:
    # Six tasks of ten points each: points would say p < .001, but there are only 6! orders of tasks.
    generator = np.random.default_rng(1)
    tasks = np.repeat(np.arange(6), 10)
    x, y = tasks + generator.normal(0, 0.1, 60), tasks + generator.normal(0, 0.1, 60)
    found = correlate(evidence(x, y, tasks=[f"task{task}" for task in tasks]))
    means = [[side[tasks == task].mean() for task in range(6)] for side in (x, y)]
    assert found.r_tasks == pytest.approx(scipy.stats.pearsonr(*means).statistic)
    assert found.p_exact
    assert found.p_value is not None
    assert found.p_value >= 1 / 720


def test_p_of_points_that_share_tasks_holds_its_level() -> None:
    # Tasks decide both sides, without any relation: treating points as independent would reject far too often.
    generator = np.random.default_rng(2)
    tasks = np.repeat(np.arange(7), 4)
    names = [f"task{task}" for task in tasks]
    ours, naive = [], []
    for _ in range(150):
        x, y = generator.normal(size=(2, 7))[:, tasks] + generator.normal(0, 0.2, size=(2, 28))
        ours.append(correlate(evidence(x, y, tasks=names), permutations=500).p_value)
        naive.append(scipy.stats.pearsonr(x, y).pvalue)
    # Standard error of a share of .05 among 150: .018
    assert np.mean(np.array(ours, dtype=float) <= 0.05) <= 0.05 + 3 * 0.018
    assert np.mean(np.array(naive) <= 0.05) > 0.3


def test_points_are_stages_with_their_gain_over_unseen_languages() -> None:
    predictions = make_predictions(seeds=(0, 1, 2))
    stages = make_stages(predictions)
    (relation,) = relate(predictions, stages, resamples=50)
    gains = transfer_gains(accuracy(predictions), baseline="none").filter(pl.col("language").is_in(["et", "sw"]))
    assert relation.language == "avg_unseen"
    assert [point.runs for point in relation.points] == [
        (f"{arm}-{seed}",) for arm in ("english", "mixed") for seed in range(3)
    ]
    for point in relation.points:
        (run,) = point.runs
        assert point.gain == pytest.approx(gains.filter(run=run)["gain"].mean())
        accurate = stages.filter(run=run, role="intermediate")["development_accuracy"].item()
        assert point.intermediate == pytest.approx(100 * (accurate - 50) / 50)
    x, y = zip(*[(point.intermediate, point.gain) for point in relation.points], strict=True)
    assert relation.correlation.r == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    assert relation.correlation.n_tasks == 2
    assert relation.correlation.p_value is None


def test_within_seeds_the_baselines_noise_does_not_count() -> None:
    # Shifting one seed's baseline moves the gains of all its points alike: r changes, r within seeds does not.
    predictions = make_predictions(effects=ARMS, seeds=(0, 1, 2))
    stages = make_stages(predictions)
    shifted = predictions.with_columns(
        prediction=pl.when((pl.col("run") == "none-1") & (pl.col("item") < "0020"))
        .then(1 - pl.col("label"))
        .otherwise("prediction")
    )
    (before,), (after,) = (relate(rows, stages, resamples=50) for rows in (predictions, shifted))
    assert before.within is not None
    assert after.within is not None
    assert before.correlation.r != pytest.approx(after.correlation.r, abs=1e-3)
    assert before.within.r == pytest.approx(after.within.r)
    assert before.within.within
    assert before.within.n_tasks == 7


def test_with_one_seed_there_is_nothing_to_take_off() -> None:
    predictions = make_predictions(effects=ARMS, seeds=(0,))
    (relation,) = relate(predictions, make_stages(predictions), resamples=20)
    assert relation.within is None


def test_leaving_a_task_out_leaves_its_points_out() -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 6))
    points = evidence(x, y, tasks=["a", "a", "b", "b", "c", "c"])
    found = {one.task: one.r for one in leave_one_out(points)}
    assert found["b"] == pytest.approx(scipy.stats.pearsonr(x[[0, 1, 4, 5]], y[[0, 1, 4, 5]]).statistic)
    assert leave_one_out(evidence(x[:4], y[:4], tasks=["a", "a", "b", "b"]))[0].r is None


def test_the_corrected_interval_holds_the_correlation_with_true_gains() -> None:
    # The measure says exactly how good each arm is, so without the noise of items r is 1: with gains of reliability
    # about .6 the plain interval, which noise pulls towards nought, never reaches it, and the corrected one does.
    generator = np.random.default_rng(4)
    held, plain, trials = 0, 0, 60
    for trial in range(trials):
        predictions, truth = _study(generator)
        (relation,) = relate(predictions, truth, resamples=400, seed=trial)
        # Unknown where the gains came out too much alike to correct at all: then nothing wrong is said.
        held += relation.corrected.high is None or relation.corrected.high > 0.999
        assert relation.correlation.high is not None
        plain += relation.correlation.high > 0.999
    assert held >= 0.95 * trials
    assert plain == 0


def _study(generator: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ten arms on 400 items with a chance of being right that their development accuracies say exactly."""
    chances = {"none": 0.5, **{f"arm{place}": 0.5 + 0.01 * place for place in range(10)}}
    rows = make_predictions(effects=dict.fromkeys(chances, 0.0), languages=("sw",), seeds=(0,), n_items=400)
    chance = rows["arm"].replace_strict(chances, return_dtype=pl.Float64).to_numpy()
    right = pl.Series(generator.random(len(rows)) < chance)
    predictions = rows.with_columns(prediction=pl.when(right).then("label").otherwise(1 - pl.col("label")))
    return predictions, make_stages(predictions).with_columns(
        development_accuracy=100 * pl.col("arm").replace_strict(chances, return_dtype=pl.Float64),
        development_items=pl.lit(10**9),
    )


def test_only_pearson_is_corrected() -> None:
    predictions = make_predictions(effects=ARMS)
    (relation,) = relate(predictions, make_stages(predictions), resamples=20, how=How(method="kendall"))
    assert relation.corrected.reason == "the correction is for Pearson's r, not for kendall"


def test_one_target_is_not_pooled() -> None:
    predictions = make_predictions(effects=ARMS)
    assert pool(predictions, make_stages(predictions), resamples=20) is None


def test_pooling_takes_off_each_targets_seeds() -> None:
    both = [
        make_predictions(effects=ARMS, task=task, seed=seed).with_columns(run=pl.col("run") + task)
        for task, seed in (("xcopa", 1), ("xnli", 2))
    ]
    predictions = pl.concat(both)
    stages = make_stages(predictions)
    found = pool(predictions, stages, resamples=200)
    assert found is not None
    x: list[float] = []
    y: list[float] = []
    for one in relate(predictions, stages, resamples=2):
        for seed in (0, 1):
            points = [point for point in one.points if point.target_seeds == (seed,)]
            values = np.array([[point.intermediate, point.gain] for point in points])
            left, right = (values - values.mean(axis=0)).T
            x += left.tolist()
            y += right.tolist()
    assert found.correlation.r == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    assert (found.correlation.n_points, found.correlation.n_tasks, found.n_runs) == (28, 7, 28)
    assert found.correlation.p_value is not None
    assert found.targets == ("xcopa test (CO)", "xnli test (CO)")
    assert [left.n_points for left in found.without] == [24] * 7


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


def test_the_same_seed_gives_the_same_correlations() -> None:
    predictions = make_predictions(effects=ARMS, seeds=(0, 1, 2))
    stages = make_stages(predictions)
    for how in (How(), How(over="both"), How(over="both", tasks=True)):
        assert relate(predictions, stages, resamples=50, how=how) == relate(predictions, stages, resamples=50, how=how)


def test_seeds_and_tasks_widen_the_interval() -> None:
    predictions = make_predictions(effects=ARMS, seeds=(0, 1, 2), n_items=2_000)
    stages = make_stages(predictions)
    widths = []
    for how in (How(), How(over="both"), How(over="both", tasks=True)):
        (relation,) = relate(predictions, stages, resamples=500, how=how)
        found = relation.correlation
        assert found.over == how.drawn
        assert found.high is not None
        assert found.low is not None
        widths.append(found.high - found.low)
        assert relation.corrected.low is None or how == How()
    assert widths == sorted(widths)


def test_too_few_seeds_or_tasks_are_refused() -> None:
    predictions = make_predictions(seeds=(0, 1))
    stages = make_stages(predictions)
    with pytest.raises(ResultsError, match="seeds cannot be drawn from 2 target seeds"):
        relate(predictions, stages, how=How(over="both"))
    with pytest.raises(ResultsError, match="tasks cannot be drawn from 2 intermediate tasks: nothing can be inferred"):
        relate(predictions, stages, how=How(tasks=True))
    with pytest.raises(ResultsError, match="no resampling over 'seeds'; choose one of items, both"):
        How(over="seeds")  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="no correlation named 'r'"):
        How(method="r")  # type: ignore[arg-type]
