"""Where a method is known to be off: what the committed simulation (data/calibration.csv) found, as lines to print."""

from collections.abc import Iterator

from xfer_bench.stats.bootstrap import smallest_p

FEWEST_ITEMS = 500
FEWEST_SEEDS = 5
FEW_CLUSTERS = 50
REJECTED = 0.05


def expectation(method: str, *, n_clusters: int, n_seeds: int) -> str | None:
    """The line to print where the committed table (data/calibration.csv) shows that a method is off; None elsewhere.

    Below 6 clusters, which no table needs to show, it says that a test at 5 % cannot reject.

    method: a name from `trials.METHODS`, or as comparisons name their tests (`bootstrap`, `mcnemar`, `mid-p`, `sign
    flips`), in any case; one that the table does not have gets None. n_seeds: pairs of runs with seeds of their own; in
    a grid the smaller of the two numbers. Percentages are of 95 % intervals and of tests at 5 %.
    """
    return next(_cautions(method.lower(), n_clusters, n_seeds), None)


def uncertain_ranks(n_clusters: int) -> str | None:
    """The line to print with ranks where no test over so few clusters rejects at 5 %; resamples do not know."""
    if smallest_p(n_clusters) <= REJECTED:
        return None
    what = "no rank, group or interval over so few is certain; score more items"
    return f"{_too_few(n_clusters)} for a bootstrap: {what}"


def _too_few(n_clusters: int) -> str:
    return f"{n_clusters} cluster{' is' if n_clusters == 1 else 's are'} too few"


def _cautions(name: str, n_clusters: int, n_seeds: int) -> Iterator[str]:
    bootstrap = name in {"bootstrap", "percentile", "inversion", "basic", "bca"}
    crossed = name == "crossed bootstrap"
    if smallest_p(n_clusters) > REJECTED and (bootstrap or crossed):
        least = f"{float(smallest_p(n_clusters)):.4g} or more" if n_clusters > 1 else "1"
        yield (
            f"{_too_few(n_clusters)} for a bootstrap: its intervals are far too narrow, and its p is held at {least}, "
            "as flipping the signs of so few can give no smaller one; score more items"
        )
    if smallest_p(n_clusters) > REJECTED and name == "random effects":
        yield f"{_too_few(n_clusters)} to tell how items vary; score more items"
    if bootstrap and n_clusters < FEW_CLUSTERS:
        yield (
            f"{n_clusters} clusters are few for a bootstrap: simulated intervals covered 91 and 93 % at 10 and 20 "
            "clusters, and p rejected 8 and 7 % without a gain; --permutation held its level"
        )
    if name == "bca" and n_clusters < FEWEST_ITEMS:
        yield "BCa with few items and accuracies near 100: simulated intervals covered 93 % at 100"
    if name == "basic" and n_clusters < FEWEST_ITEMS:
        yield "basic intervals with few items and accuracies near 100: simulated ones covered 88 % at 100"
    if name == "random effects" and n_seeds < FEWEST_SEEDS:
        yield f"{n_seeds} seeds: where seed variance dominates, simulated t tests with 3 seeds rejected 6 %, not 5 %"
    if crossed:
        yield (
            f"crossed bootstrap, {n_seeds} seeds: simulated intervals covered 98 % without seed variance, and 78, 86 "
            "and 91 % with 3, 5 and 10 seeds where it dominates"
        )
    if name in {"sign flips", "sign flips over seeds"}:
        yield (
            "flips of seeds' signs hold for these items only: over other items as well, simulated p rejected up to "
            "33 % where seeds vary little"
        )
