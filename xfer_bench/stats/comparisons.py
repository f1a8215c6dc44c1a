"""Arms against the baseline: gains, their intervals and p-values, over clusters drawn jointly."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import baseline_arm
from xfer_bench.stats.bootstrap import Numbers, cluster_sums, p_value, percentile_interval, resample_means
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.outcomes import Pairing, pairings


def compare(
    predictions: pl.DataFrame,
    *,
    baseline: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> list[Comparison]:
    """Each arm's gain over the baseline on each target, on average and per language.

    The gain is the mean over the arm's runs of their accuracy minus that of the baseline's run with the same target
    seed. Intervals are percentile intervals of the bootstrap that draws clusters (the premise with its three items in
    XNLI, the item in XCOPA) jointly over languages, runs and arms: an item in 15 languages is one draw. They are
    conditional on the seeds, the languages and the intermediate tasks at hand.

    Sorted by target and arm; for each, `avg_unseen` (the headline), `avg`, then the languages. An average that would
    be over no language is absent. Raises ResultsError when runs differ in their languages or items, and when no run
    has a baseline run.
    """
    chosen = baseline_arm(predictions, name=baseline)
    comparisons = [
        comparison
        for pairing in pairings(predictions, baseline=chosen)
        for comparison in _compare(pairing, resamples=resamples, seed=seed, level=level)
    ]
    if not comparisons:
        raise ResultsError(
            f"no run shares its task, setting and target seed with a run of the baseline {chosen!r}; "
            "train both with the same target seeds"
        )
    return comparisons


def comparison_frame(comparisons: Sequence[Comparison]) -> pl.DataFrame:
    """One row per comparison, one column per field; `languages` as codes with spaces between."""
    rows = [{**asdict(one), "languages": " ".join(one.languages)} for one in comparisons]
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"seen": pl.Boolean})


def _compare(pairing: Pairing, *, resamples: int, seed: int, level: float) -> list[Comparison]:
    cells = [(arm, name, languages) for arm in pairing.arms for name, languages in pairing.averages.items()]
    # Whole numbers of right answers; dividing by runs and languages comes after drawing, which is therefore exact.
    counted = [_count(pairing, arm=arm, languages=languages) for arm, _, languages in cells]
    after, before, divisors = (np.stack(column, axis=-1) for column in zip(*counted, strict=True))
    sums, sizes = cluster_sums(after - before, pairing.clusters)
    draws = resample_means(sums, sizes, resamples=resamples, seed=seed) / divisors
    gains = sums.sum(axis=0) / sizes.sum() / divisors
    low, high = percentile_interval(draws, level=level)
    p_values = p_value(draws, gains)
    n_items = len(pairing.clusters)
    return [
        Comparison(
            arm=arm,
            baseline=pairing.baseline,
            task=pairing.task,
            setting=pairing.setting,
            variant=pairing.variant,
            split=pairing.split,
            target=pairing.target,
            language=name,
            languages=languages,
            seen=(arm, name) in pairing.seen if languages == (name,) else None,
            n_items=n_items,
            n_clusters=len(sizes),
            n_seeds=sum(pair.arm == arm for pair in pairing.pairs),
            accuracy=float(100 * after[:, place].sum() / n_items / divisors[place]),
            baseline_accuracy=float(100 * before[:, place].sum() / n_items / divisors[place]),
            gain=float(100 * gains[place]),
            ci_low=float(100 * low[place]),
            ci_high=float(100 * high[place]),
            p_value=float(p_values[place]),
            level=level,
            resamples=resamples,
        )
        for place, (arm, name, languages) in enumerate(cells)
    ]


def _count(pairing: Pairing, *, arm: str, languages: tuple[str, ...]) -> tuple[Numbers, Numbers, Numbers]:
    """Per item, how many runs of the arm were right in these languages, how many of the baseline; and of how many."""
    pairs = [pair for pair in pairing.pairs if pair.arm == arm]
    places = pairing.places(languages)
    after = pairing.right[:, [pair.after for pair in pairs]][:, :, places].sum(axis=(1, 2), dtype=np.int64)
    before = pairing.right[:, [pair.before for pair in pairs]][:, :, places].sum(axis=(1, 2), dtype=np.int64)
    return after, before, np.array(len(pairs) * len(places))
