"""What statistics give: frozen values in points (0-100), ready to be printed, drawn or written as JSON."""

from dataclasses import dataclass

from xfer_bench.stats.bootstrap import smallest_p

AVG = "avg"
AVG_UNSEEN = "avg_unseen"
AVG_PUBLISHED = "avg_published"
AVERAGES = (AVG_UNSEEN, AVG, AVG_PUBLISHED)
ENGLISH = "en"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and how sure we are of it.

    value, low, high: points. p_value: two-sided, for the hypothesis that the value is nought; None where that is no
    question (an accuracy).
    """

    value: float
    low: float
    high: float
    level: float
    n_items: int
    n_clusters: int
    resamples: int
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """The accuracy of one run on one task in one language, or on average (`avg`: all its languages but English)."""

    arm: str
    run: str
    setting: str
    target: str
    step: int | None
    task: str
    variant: str
    split: str
    language: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An arm against another on one target: its runs minus the other's with the same target seeds.

    baseline: the arm that it is measured against. language: a code; `avg` (the mean over all languages but English),
        `avg_unseen` (over those of `avg` that neither this arm's intermediate data nor those of the arms compared with
        it contain) or `avg_published` (the benchmark's own convention); `languages` lists what went in.
    seen: the arm's intermediate data contain the language; None for an average.
    n_seeds: pairs of runs, all of which are averaged. dropped_seeds: target seeds that only one side has.
    accuracy, baseline_accuracy, gain, ci_low, ci_high, standard_error: points; the two `_sd` and `gain_sd` are over
        seeds, None with one.
    over: `items`, or `both` items and seeds. df: degrees of freedom of the t interval, None for the bootstrap's.
    p_value: two-sided, from `test`. p_adjusted: within the `family`, of `family_size` tests; None where there is none.
    simultaneous_low, simultaneous_high: points; the max-t interval that holds for the whole family together.
    smallest_detectable: the gain, in points, that such a comparison finds with the method's power.
    cohen_h: of the two accuracies. odds_ratio: of items won to items lost; None where none was lost.
    discordance: share (0-1) of answers in which the two sides differ.
    primary: named as the study's own question. caution: where such intervals are known to be off; empty elsewhere.
    control: where a side is a control on this target, which one, in STAGES' word (`more_target_data`); empty elsewhere.
    """

    arm: str
    baseline: str
    task: str
    setting: str
    variant: str
    split: str
    target: str
    language: str
    languages: tuple[str, ...]
    seen: bool | None
    n_items: int
    n_clusters: int
    n_seeds: int
    dropped_seeds: tuple[int | None, ...]
    accuracy: float
    accuracy_sd: float | None
    baseline_accuracy: float
    baseline_sd: float | None
    gain: float
    gain_sd: float | None
    ci_low: float
    ci_high: float
    standard_error: float
    df: float | None
    p_value: float
    p_adjusted: float | None = None
    family: str = ""
    family_size: int = 1
    simultaneous_low: float | None = None
    simultaneous_high: float | None = None
    smallest_detectable: float
    cohen_h: float
    odds_ratio: float | None
    discordance: float
    primary: bool = False
    over: str
    test: str
    level: float
    resamples: int
    caution: str = ""
    control: str = ""


def significant(one: Comparison) -> bool:
    """Whether its p-value, adjusted where it is, is below what its level allows, and could be with so few clusters."""
    p = one.p_value if one.p_adjusted is None else one.p_adjusted
    return p < 1 - one.level and not too_few(one)


def too_few(one: Comparison) -> bool:
    """Whether no test over its clusters could reject at its level; a t test does not see it."""
    return bool(smallest_p(one.n_clusters) >= 1 - one.level)
