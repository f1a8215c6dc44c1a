import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from tests.predictions import make_predictions, right
from xfer_bench.errors import ResultsError
from xfer_bench.stats.bootstrap import cluster_sums, resample_means
from xfer_bench.stats.observed_power import ObservedPower, observe, observed_frame, observed_power
from xfer_bench.stats.outcomes import Pair, Pairing, pairings
from xfer_bench.stats.power import Spread, Wanted, power_of, seeds_needed, smallest_detectable


def one_pairing(predictions: pl.DataFrame) -> Pairing:
    (pairing,) = pairings(predictions, baseline="none")
    return pairing


def pick(observed: list[ObservedPower], *, arm: str, language: str) -> ObservedPower:
    (found,) = [one for one in observed if (one.arm, one.language) == (arm, language)]
    return found


def difference(predictions: pl.DataFrame, *, arm: str, seed: int, language: str) -> npt.NDArray[np.int64]:
    after = right(predictions, run=f"{arm}-{seed}", language=language)
    return np.asarray(after - right(predictions, run=f"none-{seed}", language=language))


def test_what_is_observed_by_hand() -> None:
    predictions = make_predictions(seeds=(0, 1, 2), n_items=200)
    found = pick(observe(predictions), arm="mixed", language="avg_unseen")
    by_run = np.array(
        [[difference(predictions, arm="mixed", seed=seed, language=code) for code in ("et", "sw")] for seed in range(3)]
    )
    assert (found.languages, found.n_items, found.n_clusters, found.n_seeds) == (("et", "sw"), 200, 200, 3)
    assert found.discordance == pytest.approx(np.mean(by_run != 0))
    assert found.gain == pytest.approx(100 * by_run.mean())
    # Pooled over seeds: the covariance of the two languages over their mean variance.
    parts = np.sum([np.cov(run) for run in by_run], axis=0)
    assert found.correlation == pytest.approx(2 * parts[0, 1] / (parts[0, 0] + parts[1, 1]))
    items = by_run.mean(axis=(0, 1))
    assert found.standard_error == pytest.approx(100 * items.std(ddof=1) / math.sqrt(200))
    assert found.smallest == pytest.approx(smallest_detectable(found.standard_error or 0))


def test_parts_are_those_of_the_two_way_analysis_of_variance() -> None:
    # Mean squares by their definitions: items, seeds and residual of the gains (items, seeds) in points.
    predictions = make_predictions(seeds=(0, 1, 2, 3), n_items=150)
    found = pick(observe(predictions, wanted=Wanted(gain=8)), arm="mixed", language="et")
    table = 100 * np.stack([difference(predictions, arm="mixed", seed=seed, language="et") for seed in range(4)], 1)
    n, k = table.shape
    rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    by_items = k * ((rows - table.mean()) ** 2).sum() / (n - 1)
    by_seeds = n * ((columns - table.mean()) ** 2).sum() / (k - 1)
    residual = ((table - rows - columns + table.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    assert found.seed_variance == pytest.approx((by_seeds - residual) / n)
    assert by_seeds > residual
    spread = Spread(
        items=(by_items - residual) / (n * k),
        seeds=(by_seeds - residual) / n,
        rest=residual / n,
        n_clusters=n,
        n_seeds=k,
    )
    assert found.smallest_both == pytest.approx(spread.smallest_detectable())
    assert found.seeds_needed == seeds_needed(8, spread)
    assert found.items_needed == math.ceil(n * ((found.smallest or 0) / 8) ** 2)


def test_standard_error_is_the_spread_of_the_bootstrap_over_clusters() -> None:
    pairing = one_pairing(make_predictions(n_items=300, items_per_cluster=3))
    for one in observed_power(pairing, over="items"):
        pairs = [pair for pair in pairing.pairs if pair.arm == one.arm]
        won = pairing.right[:, [pair.after for pair in pairs]] - pairing.right[:, [pair.before for pair in pairs]]
        sums, sizes = cluster_sums(
            won[:, :, pairing.places(one.languages)].mean(axis=(1, 2))[:, None], pairing.clusters
        )
        draws = 100 * resample_means(sums, sizes, resamples=4000, seed=0)
        assert one.n_clusters == 100
        assert one.standard_error == pytest.approx(draws.std(), rel=0.05)


def test_clusters_of_unequal_sizes_are_weighed_by_their_items() -> None:
    pairing = one_pairing(make_predictions(n_items=300))
    clusters = np.sort(np.random.default_rng(0).integers(80, size=300))
    (one, *_) = observed_power(replace(pairing, clusters=clusters))
    won = pairing.right[:, [pair.after for pair in pairing.pairs if pair.arm == one.arm]].astype(int)
    won -= pairing.right[:, [pair.before for pair in pairing.pairs if pair.arm == one.arm]]
    sums, sizes = cluster_sums(won[:, :, pairing.places(one.languages)].mean(axis=(1, 2))[:, None], clusters)
    draws = 100 * resample_means(sums, sizes, resamples=4000, seed=0)
    assert one.standard_error == pytest.approx(draws.std(), rel=0.06)


def test_languages_as_if_independent_would_promise_too_much() -> None:
    predictions = make_predictions(seeds=(0,), n_items=400)
    # Every language answers as one of them does, but for a few items.
    observed = observe(predictions)
    average = pick(observed, arm="mixed", language="avg")
    alone = [pick(observed, arm="mixed", language=code).standard_error or 0 for code in average.languages]
    apart = math.sqrt(np.mean(np.square(alone)) / len(alone))
    assert average.correlation is not None
    inflation = 1 + (len(alone) - 1) * average.correlation
    assert average.standard_error == pytest.approx(apart * math.sqrt(inflation))


def simulated(generator: np.random.Generator, *, items: int, seeds: int, seed_sd: float) -> Pairing:
    """One arm in one language whose gain varies from seed to seed by so many points, around 5."""
    gains = generator.normal(0.05, seed_sd / 100, seeds)
    before = generator.random((items, seeds)) < 0.6
    fixed = generator.random((items, seeds)) < (0.1 + gains) / 0.4
    after = np.where(before, generator.random((items, seeds)) < 1 - 0.1 / 0.6, fixed)
    pairs = tuple(
        Pair(arm="a", run=f"a-{k}", intermediate_seed=k, target_seed=k, after=k, before=seeds + k) for k in range(seeds)
    )
    return Pairing(
        task="made_up",
        variant="published",
        split="test",
        setting="CO",
        target="made_up",
        baseline="none",
        pairs=pairs,
        languages=("et",),
        seen=frozenset(),
        dropped={"a": ()},
        clusters=np.arange(items),
        right=np.concatenate([after, before], axis=1).astype(np.int8)[:, :, None],
    )


@pytest.mark.parametrize("seed_sd", [0.0, 3.0])
def test_seed_variance_is_unbiased_and_may_be_below_nought(seed_sd: float) -> None:
    generator = np.random.default_rng(4)
    found = [
        observed_power(simulated(generator, items=200, seeds=4, seed_sd=seed_sd), over="items")[0].seed_variance or 0
        for _ in range(400)
    ]
    assert np.mean(found) == pytest.approx(seed_sd**2, abs=4 * float(np.std(found)) / 20)
    assert min(found) < 0


def test_a_negative_seed_variance_counts_as_nought() -> None:
    generator = np.random.default_rng(0)
    studies = [simulated(generator, items=200, seeds=4, seed_sd=0.0) for _ in range(20)]
    found = [observed_power(study)[0] for study in studies]
    below = [one for one in found if (one.seed_variance or 0) < 0]
    assert below
    for one in below:
        # As over items, but for fewer degrees of freedom.
        assert one.smallest is not None
        assert one.smallest_both is not None
        assert one.smallest <= one.smallest_both < 2 * one.smallest


def test_what_a_study_promises_its_repetitions_keep() -> None:
    # The gain of 5 points and repetitions by the same design: the share of significant ones, within 3 points of what
    # the mean observed standard error predicts.
    generator = np.random.default_rng(6)
    found = [
        observed_power(simulated(generator, items=250, seeds=2, seed_sd=0.0), over="items")[0] for _ in range(1500)
    ]
    significant = np.mean([abs(one.gain) > 1.96 * (one.standard_error or 0) for one in found])
    error = float(np.mean([one.standard_error or 0 for one in found]))
    assert significant == pytest.approx(power_of(5, error), abs=0.03)


def test_one_seed_says_nothing_of_seeds_and_two_too_little() -> None:
    (one, *_) = observe(make_predictions(seeds=(0,)), wanted=Wanted(gain=9))
    assert (one.n_seeds, one.seed_variance, one.smallest_both, one.seeds_needed) == (1, None, None, None)
    assert one.items_needed is not None
    (two, *_) = observe(make_predictions(seeds=(0, 1), n_items=2000), wanted=Wanted(gain=20))
    assert (two.n_seeds, two.smallest_both) == (2, None)
    assert two.seed_variance is not None
    assert two.seeds_needed is not None


def test_runs_that_share_a_stage_or_a_baseline_are_one_seed() -> None:
    pairing = one_pairing(make_predictions(seeds=(0, 1, 2, 3), effects={"none": 0, "mixed": 0.5}))

    def seeds(intermediate: list[int | None], before: list[int]) -> int:
        pairs = tuple(
            replace(pair, intermediate_seed=seed, before=pairing.pairs[place].before)
            for pair, seed, place in zip(pairing.pairs, intermediate, before, strict=True)
        )
        return observed_power(replace(pairing, pairs=pairs))[0].n_seeds

    assert seeds([0, 1, 2, 3], [0, 1, 2, 3]) == 4
    assert seeds([0, 0, 1, 1], [0, 1, 2, 3]) == 2
    assert seeds([0, 1, 2, 3], [0, 0, 0, 1]) == 2
    assert seeds([0, 0, 1, 1], [0, 1, 0, 1]) == 1
    assert seeds([None, None, None, None], [0, 1, 2, 3]) == 4


def test_copies_of_a_run_are_no_new_seed() -> None:
    pairing = one_pairing(make_predictions(seeds=(0, 1, 2), effects={"none": 0, "mixed": 0.5}))
    twice = replace(pairing, pairs=tuple(pair for pair in pairing.pairs for _ in range(2)))
    for copied, one in zip(observed_power(twice), observed_power(pairing), strict=True):
        assert copied.n_seeds == one.n_seeds == 3
        assert (copied.gain, copied.standard_error, copied.smallest_both) == pytest.approx(
            (one.gain, one.standard_error, one.smallest_both)
        )


def test_identical_systems_say_nothing() -> None:
    predictions = make_predictions(effects={"none": 0}, seeds=(0, 1, 2))
    twin = predictions.with_columns(
        arm=pl.lit("twin"), run=pl.lit("twin-") + pl.col("run"), intermediate_seed=pl.col("target_seed")
    )
    for one in observe(pl.concat([predictions, twin]), wanted=Wanted(gain=2)):
        assert (one.gain, one.discordance, one.standard_error, one.seed_variance) == (0, 0, 0, 0)
        assert (one.smallest, one.smallest_both, one.items_needed, one.seeds_needed) == (None, None, None, None)
        assert one.correlation is None


def test_one_item_has_no_standard_error() -> None:
    for one in observe(make_predictions(n_items=1, seeds=(0, 1, 2)), wanted=Wanted(gain=2)):
        assert (one.standard_error, one.smallest, one.smallest_both, one.items_needed) == (None, None, None, None)


def test_all_right_against_all_wrong() -> None:
    pairing = one_pairing(make_predictions(seeds=(0, 1, 2)))
    answers = np.zeros_like(pairing.right)
    answers[:, [pair.after for pair in pairing.pairs]] = 1
    for one in observed_power(replace(pairing, right=answers)):
        assert one.gain == pytest.approx(100)
        assert one.discordance == 1
        assert one.standard_error == pytest.approx(0, abs=1e-9)
        assert one.smallest is None


def test_over_items_leaves_seeds_out() -> None:
    pairing = one_pairing(make_predictions(seeds=(0, 1, 2)))
    both, items = (observed_power(pairing, wanted=Wanted(gain=9), over=over) for over in ("both", "items"))
    assert all(one.smallest_both is not None for one in both)
    assert items == [replace(one, smallest_both=None, seeds_needed=None) for one in both]


def test_level_and_power_are_those_asked_for() -> None:
    predictions = make_predictions()
    (usual, *_), (strict, *_) = observe(predictions), observe(predictions, wanted=Wanted(power=0.9, level=0.99))
    assert strict.smallest == pytest.approx((usual.smallest or 0) / 2.80159 * (2.57583 + 1.28155), rel=1e-5)
    assert (strict.power, strict.level, usual.power, usual.level) == (0.9, 0.99, 0.8, 0.95)


def test_frame_has_a_row_per_cell() -> None:
    observed = observe(make_predictions())
    frame = observed_frame(observed)
    assert frame.height == len(observed)
    assert frame["languages"].to_list()[0] == "et sw"


def test_wrong_baseline_is_named() -> None:
    with pytest.raises(ResultsError, match="no arm named 'nobody'"):
        observe(make_predictions(), baseline="nobody")
