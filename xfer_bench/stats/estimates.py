"""What statistics give: frozen values in points (0-100), ready to be printed, drawn or written as JSON."""

from dataclasses import dataclass

AVG = "avg"
AVG_UNSEEN = "avg_unseen"
AVERAGES = (AVG_UNSEEN, AVG)
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
    """An arm against the baseline on one target: its runs minus the baseline's runs with the same target seeds.

    language: a code, `avg` (the mean over all languages but English) or `avg_unseen` (over those of `avg` that no
        compared arm's intermediate data contain); `languages` lists what went in.
    seen: the arm's intermediate data contain the language; None for an average.
    n_seeds: runs of the arm that have a baseline run, all of which are averaged.
    accuracy, baseline_accuracy, gain, ci_low, ci_high: points. p_value: two-sided.
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
    accuracy: float
    baseline_accuracy: float
    gain: float
    ci_low: float
    ci_high: float
    p_value: float
    level: float
    resamples: int


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """A correlation and its interval; `r`, `low` and `high` are None where there is none, and `reason` says why.

    p_value: two-sided, None with fewer than six intermediate tasks, whose choice nothing could then generalise.
    """

    r: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n_points: int
    n_tasks: int
    method: str
    level: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run: how well it learnt its intermediate task (above chance), and what that gained; both in points."""

    arm: str
    run: str
    intermediate_task: str
    intermediate_seed: int | None
    target_seed: int | None
    intermediate: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Intermediate accuracy against target gain over the runs of one target; `language` names the gain's average."""

    task: str
    setting: str
    variant: str
    split: str
    target: str
    language: str
    n_items: int
    n_clusters: int
    points: tuple[Point, ...]
    correlation: Correlation
