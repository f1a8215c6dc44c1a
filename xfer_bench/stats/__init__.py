"""Statistics on anyone's per-item answers: plain arrays in, frozen values out; points (0-100) and fractions as named.

    from xfer_bench import stats
    estimate = stats.paired_test(a, b, clusters=premises)   # two systems; (items,) or (items, languages) of 0 and 1
    print(estimate.value, estimate.low, estimate.high, estimate.p_value)

Names are loaded when they are first used: some need scipy, which takes most of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xfer_bench.stats.association import associate, permutation_test, within
    from xfer_bench.stats.bootstrap import cluster_sums, p_value, percentile_interval, resample_means
    from xfer_bench.stats.comparisons import compare
    from xfer_bench.stats.components import variance_components
    from xfer_bench.stats.correlation import correlate, relate
    from xfer_bench.stats.effects import cohen_h, discordant_odds, paired_effect
    from xfer_bench.stats.estimates import Comparison, Estimate, Score
    from xfer_bench.stats.intervals import interval, jackknife_means, p_by_inversion, pair_differences, simultaneous
    from xfer_bench.stats.mcnemar import mcnemar
    from xfer_bench.stats.method import Method
    from xfer_bench.stats.multinomial import multinomial_means
    from xfer_bench.stats.multiplicity import adjust, adjust_families, benjamini_hochberg, holm
    from xfer_bench.stats.paired import accuracies, paired_test
    from xfer_bench.stats.permutation import permutation_max_t, permutation_p
    from xfer_bench.stats.power import items_needed, paired_standard_error, power_of, seeds_needed, smallest_detectable
    from xfer_bench.stats.proportions import clopper_pearson, wilson
    from xfer_bench.stats.ranking import rank, rank_arms, regret
    from xfer_bench.stats.reliability import corrected, spearman_brown, split_half
    from xfer_bench.stats.scores import score_intervals
    from xfer_bench.stats.seeds import (
        crossed_bootstrap,
        crossed_random_effects,
        random_effects,
        seed_table,
        sign_flips,
    )
    from xfer_bench.stats.selection import select
    from xfer_bench.stats.standing import own_results, standing

_ROOMS = {
    "association": ("associate", "permutation_test", "within"),
    "bootstrap": ("cluster_sums", "p_value", "percentile_interval", "resample_means"),
    "comparisons": ("compare",),
    "components": ("variance_components",),
    "correlation": ("correlate", "relate"),
    "effects": ("cohen_h", "discordant_odds", "paired_effect"),
    "estimates": ("Comparison", "Estimate", "Score"),
    "intervals": ("interval", "jackknife_means", "p_by_inversion", "pair_differences", "simultaneous"),
    "mcnemar": ("mcnemar",),
    "method": ("Method",),
    "multinomial": ("multinomial_means",),
    "multiplicity": ("adjust", "adjust_families", "benjamini_hochberg", "holm"),
    "paired": ("accuracies", "paired_test"),
    "permutation": ("permutation_max_t", "permutation_p"),
    "power": ("items_needed", "paired_standard_error", "power_of", "seeds_needed", "smallest_detectable"),
    "proportions": ("clopper_pearson", "wilson"),
    "ranking": ("rank", "rank_arms", "regret"),
    "reliability": ("corrected", "spearman_brown", "split_half"),
    "scores": ("score_intervals",),
    "seeds": ("crossed_bootstrap", "crossed_random_effects", "random_effects", "seed_table", "sign_flips"),
    "selection": ("select",),
    "standing": ("own_results", "standing"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Comparison", "Estimate", "Method", "Score", "accuracies", "adjust", "adjust_families", "associate",
    "benjamini_hochberg", "clopper_pearson", "cluster_sums", "cohen_h", "compare", "corrected", "correlate",
    "crossed_bootstrap", "crossed_random_effects", "discordant_odds", "holm", "interval", "items_needed",
    "jackknife_means", "mcnemar", "multinomial_means", "own_results", "p_by_inversion", "p_value", "pair_differences",
    "paired_effect", "paired_standard_error", "paired_test", "percentile_interval", "permutation_max_t",
    "permutation_p", "permutation_test", "power_of", "random_effects", "rank", "rank_arms", "regret", "relate",
    "resample_means", "score_intervals", "seed_table", "seeds_needed", "select", "sign_flips", "simultaneous",
    "smallest_detectable", "spearman_brown", "split_half", "standing", "variance_components", "wilson", "within",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
