import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions import make_predictions
from xfer_bench.errors import ResultsError
from xfer_bench.stats.components import (
    Components,
    arm_components,
    mean_squares,
    pairing_components,
    pseudo_values,
    run_grid,
    variance_components,
)
from xfer_bench.stats.outcomes import Pairing, pairings

Floats = npt.NDArray[np.float64]


def crossed(*levels: int, seed: int = 5) -> Floats:
    """One number per cell, with an effect of each factor."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=levels)
    for axis, number in enumerate(levels):
        effect = generator.normal(0, 1 + axis, number)
        values = values + effect.reshape([number if other == axis else 1 for other in range(len(levels))])
    return values


def pairing_of(predictions: pl.DataFrame) -> Pairing:
    (found,) = pairings(predictions, baseline="none")
    return found


def test_mean_squares_are_those_of_statsmodels() -> None:
    # statsmodels.stats.anova.anova_lm of a fit with all interactions of two; what is left is the residual.
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    values = crossed(6, 4, 3)
    places = np.indices(values.shape).reshape(3, -1)
    frame = pd.DataFrame({"y": values.ravel(), **dict(zip("abc", places, strict=True))})
    theirs = anova_lm(ols("y ~ (C(a) + C(b) + C(c)) ** 2", frame).fit())
    ours, df = mean_squares(values[..., None])
    named = {"C(a)": (0,), "C(b)": (1,), "C(c)": (2,), "C(a):C(b)": (0, 1), "C(a):C(c)": (0, 2), "C(b):C(c)": (1, 2)}
    for name, effect in {**named, "Residual": (0, 1, 2)}.items():
        assert ours[effect][0] == pytest.approx(theirs.loc[name, "mean_sq"])
        assert df[effect] == theirs.loc[name, "df"]


def test_two_way_components_by_hand() -> None:
    # Row means 1.5 and 5.5, column means 2 and 5, grand mean 3.5: sums of squares 16, 9 and 4, each with one degree of
    # freedom; (16 - 4) / 2 = 6 and (9 - 4) / 2 = 2.5.
    found = variance_components(np.array([[1.0, 2.0], [3.0, 8.0]]), names=("cluster", "seed"))
    assert found == Components(
        names=("cluster", "seed", "residual"),
        estimates=(6.0, 2.5, 4.0),
        shares=(0.48, 0.2, 0.32),
        df=(1, 1, 1),
        mean_squares=(16.0, 9.0, 4.0),
    )


def test_three_way_names_and_degrees_of_freedom() -> None:
    found = variance_components(crossed(6, 4, 3))
    assert found.names == (
        "cluster", "seed", "language", "cluster x seed", "cluster x language", "seed x language", "residual",
    )  # fmt: skip
    assert found.df == (5, 3, 2, 15, 10, 6, 30)
    assert sum(share for share in found.shares if share is not None) == pytest.approx(1)


def test_estimates_are_unbiased() -> None:
    # 400 arrays from known components; all seven within 4 standard errors of their mean.
    generator = np.random.default_rng(11)
    truth = {(0,): 2.0, (1,): 0.5, (2,): 0.0, (0, 1): 1.0, (0, 2): 0.3, (1, 2): 0.0, (0, 1, 2): 3.0}
    shape = (12, 4, 3)
    found = []
    for _ in range(400):
        values = np.zeros(shape)
        for effect, variance in truth.items():
            part = [number if axis in effect else 1 for axis, number in enumerate(shape)]
            values += generator.normal(0, np.sqrt(variance), part)
        found.append(variance_components(values).estimates)
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - list(truth.values())) < 4 * error)


def test_a_negative_estimate_is_shown_as_such() -> None:
    # Seeds that agree exactly on average, while clusters within them do not.
    found = variance_components(np.array([[1.0, -1.0], [-1.0, 1.0]]), names=("cluster", "seed"))
    assert found.estimates == (-2.0, -2.0, 4.0)
    assert found.shares == (None, None, None)


def test_components_add_up_to_the_variance_of_the_mean() -> None:
    found = variance_components(crossed(8, 5), names=("cluster", "seed"))
    cluster, seed, residual = found.mean_squares
    added = found.estimates[0] / 8 + found.estimates[1] / 5 + found.estimates[2] / 40
    assert added == pytest.approx((cluster + seed - residual) / 40)


def test_columns_do_not_matter_to_each_other() -> None:
    values = np.random.default_rng(0).normal(size=(30, 4, 7))
    together, _ = mean_squares(values)
    alone, _ = mean_squares(values[..., [3]])
    assert all(together[effect][3] == pytest.approx(alone[effect][0]) for effect in alone)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 1, 4)), "at least 2 levels"),
        (np.full((3, 2, 4), np.nan), "NaN"),
        (np.ones((3, 4)), "one axis for each"),
    ],
)
def test_nonsense_is_refused(values: Floats, message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        variance_components(values)


def test_pseudo_values_of_equal_clusters_are_their_means() -> None:
    sums = np.random.default_rng(0).integers(0, 4, (10, 5, 2))
    assert np.allclose(pseudo_values(sums, np.full(10, 3)), sums / 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 20), st.floats(-5, 5))
def test_pseudo_values_average_to_the_mean_over_items(seed: int, clusters: int, better: float) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 5, clusters)
    sums = generator.integers(0, 4, (clusters, 2)).astype(float)
    values = pseudo_values(sums, sizes)
    assert np.allclose(values.mean(axis=0), sums.sum(axis=0) / sizes.sum())
    # A run that is better on every item alike is so in every cluster, whatever its size.
    assert np.allclose(pseudo_values(sums + better * sizes[:, None], sizes), values + better)


def test_runs_with_seeds_of_their_own_are_one_factor() -> None:
    for seeds, name in (
        ([(0, 0), (1, 1), (2, 2)], "seed"),
        ([(None, 3), (None, 4)], "target seed"),
        ([(7, 1), (7, 2)], "target seed"),
        ([(1, 0), (2, 0)], "intermediate seed"),
    ):
        names, places = run_grid(seeds)
        assert names == (name,)
        assert places.tolist() == list(range(len(seeds)))
    assert run_grid([(0, 0)])[1].shape == (1,)


def test_a_grid_of_seeds_is_two_factors_in_any_order() -> None:
    names, places = run_grid([(1, 5), (0, 4), (0, 5), (1, 4)])
    assert names == ("intermediate seed", "target seed")
    assert places.tolist() == [[1, 2], [3, 0]]


def test_runs_that_share_a_stage_without_a_whole_grid_are_refused() -> None:
    with pytest.raises(ResultsError, match="none has 1 and 0"):
        run_grid([(0, 0), (0, 1), (1, 1)])
    with pytest.raises(ResultsError, match="none has 0 and 2"):
        run_grid([(0, 0), (0, 1), (1, 2), (1, 3)])
    with pytest.raises(ResultsError, match="several runs have the intermediate seed 0 and the target seed 1"):
        run_grid([(0, 1), (0, 1), (1, 0)])
    with pytest.raises(ResultsError, match="no runs"):
        run_grid([])


def test_the_table_of_a_pairing() -> None:
    pairing = pairing_of(make_predictions(seeds=(0, 1, 2), items_per_cluster=3))
    table = pairing_components(pairing)
    assert [(one.quantity, one.arm) for one in table] == [
        ("accuracy", "none"), ("accuracy", "english"), ("accuracy", "mixed"), ("gain", "english"), ("gain", "mixed"),
    ]  # fmt: skip
    assert table[1].components.names[:4] == ("cluster", "seed", "language", "cluster x seed")
    # The baseline has no intermediate stage, so its seeds are target seeds.
    assert table[0].components.names[1] == "target seed"
    assert table[0].components.df[:3] == (19, 2, 4)


def test_gains_are_those_of_the_differences() -> None:
    pairing = pairing_of(make_predictions(seeds=(0, 1, 2), items_per_cluster=1))
    pairs = pairing.pairs_of("mixed")
    right = pairing.right.astype(float)
    by_hand = right[:, [pair.after for pair in pairs]] - right[:, [pair.before for pair in pairs]]
    found = arm_components(pairing, "mixed", quantity="gain").components
    assert found.estimates == pytest.approx(variance_components(100 * by_hand).estimates)


def test_factors_with_one_level_are_left_out() -> None:
    pairing = pairing_of(make_predictions(seeds=(0,)))
    assert arm_components(pairing, "mixed", quantity="gain").components.names == ("cluster", "language", "residual")


def test_an_arm_that_is_its_baseline_has_no_variance() -> None:
    same = make_predictions(effects={"none": 0.0}, seeds=(0, 1, 2))
    copy = same.with_columns(arm=pl.lit("copy"), run=pl.lit("copy-") + pl.col("run"), intermediate_seed=pl.lit(0))
    pairing = pairing_of(pl.concat([same, copy.cast(same.schema)]))
    found = arm_components(pairing, "copy", quantity="gain").components
    assert set(found.estimates) == {0.0}
    assert set(found.shares) == {None}


def test_a_grid_in_a_pairing_has_both_kinds_of_seeds() -> None:
    runs = [
        make_predictions(effects={"mixed": 0.8}, seeds=(first, second), seed=first * 10 + second).filter(
            pl.col("target_seed") == second
        ).with_columns(intermediate_seed=pl.lit(first, dtype=pl.Int64), run=pl.lit(f"mixed-{first}-{second}"))
        for first in (2, 3)
        for second in (0, 1)
    ]  # fmt: skip
    base = make_predictions(effects={"none": 0.0}, seeds=(0, 1))
    labels = base.select("item", "label").unique()
    shared = [run.drop("label").join(labels, on="item").select(base.columns) for run in runs]
    pairing = pairing_of(pl.concat([base, *shared]))
    names = arm_components(pairing, "mixed", quantity="gain").components.names
    assert names[:4] == ("cluster", "intermediate seed", "target seed", "language")
    with pytest.raises(ResultsError, match="arm 'mixed': 3 runs share"):
        pairing_components(pairing_of(pl.concat([base, *shared[:3]])))


def test_an_unknown_arm_is_named() -> None:
    with pytest.raises(ResultsError, match="no runs of an arm 'other'; there are none, english, mixed"):
        arm_components(pairing_of(make_predictions()), "other", quantity="gain")
