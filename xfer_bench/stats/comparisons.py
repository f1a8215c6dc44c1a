"""Arms against each other: gains, their intervals and p-values, over clusters drawn jointly, in declared families."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.metrics import baseline_arm, only_arm, targets_only, why_unpaired
from xfer_bench.stats.bootstrap import Floats
from xfer_bench.stats.estimates import AVERAGES, Comparison
from xfer_bench.stats.intervals import simultaneous
from xfer_bench.stats.measures import Measured, measure
from xfer_bench.stats.method import Method
from xfer_bench.stats.multiplicity import adjust
from xfer_bench.stats.outcomes import TARGET, pairings
from xfer_bench.stats.variants import BOTH, narrow
from xfer_bench.tasks.task import PUBLISHED, REPAIRED

PRIMARY = "primary"

_USUAL = Method()


def compare(
    predictions: pl.DataFrame,
    *,
    baseline: str | None = None,
    contrast: tuple[str, str] | None = None,
    primary: Iterable[tuple[str, str]] = (),
    method: Method = _USUAL,
    variant: str | None = None,
) -> list[Comparison]:
    """Each arm's gain over the baseline on each target, on average and per language.

    predictions: PREDICTIONS. baseline: an arm; by default the one without intermediate stages. contrast: (arm, other)
        instead, only these two, averaged over languages that neither has seen. primary: contrasts that the study
        named as its question; each comes first, by its headline average on every target. variant: of a task's rows,
        as `stats.variants.narrow` takes it: by default the repaired ones, where all runs have them.

    The gain is the mean over the arm's runs of their accuracy minus that of the baseline's run with the same target
    seed. Over items, the default, intervals are those of the bootstrap that draws clusters (the premise with its three
    items in XNLI, the item in XCOPA) jointly over languages, runs and arms: an item in 15 languages is one draw. They
    are then conditional on the seeds, and always on the languages and the intermediate tasks at hand.

    p-values are adjusted within families: the primary contrasts of all targets; each average's arms on all targets,
    and so the arms on targets of a single language; the languages of one arm on one target. A task's second variant
    has families of its own. McNemar's test is not defined for averages, and so neither for a primary contrast that is
    one.

    Sorted by target and arm; for each, `avg_unseen` (the headline), the other averages, then the languages. An average
    that would be over no language is absent. Raises ResultsError when runs differ in their languages or items, when no
    run has a partner, and where the method is not defined.
    """
    arms = None
    if contrast is not None:
        if baseline is not None:
            raise ResultsError("a contrast names both its arms; leave the baseline out")
        arms, baseline = [baseline_arm(predictions, name=contrast[0])], contrast[1]
    chosen = baseline_arm(predictions, name=baseline)
    if variant != BOTH and (variant is not None or predictions["variant"].n_unique() > 1):
        among = None if arms is None else [*arms, chosen]
        predictions = narrow(predictions, variant=variant, arms=among).predictions
    first = [
        replace(one, comparison=replace(one.comparison, primary=True))
        for arm, other in ([] if contrast else primary)
        for pairing in pairings(
            predictions, baseline=baseline_arm(predictions, name=other), arms=[baseline_arm(predictions, name=arm)]
        )
        for one in measure(pairing, method)
        # McNemar's test has no averages, and the first language that it has is not the study's question.
        if one.comparison.language == next(iter(pairing.averages))
    ]
    rest = [one for pairing in pairings(predictions, baseline=chosen, arms=arms) for one in measure(pairing, method)]
    if not rest:
        raise ResultsError(
            f"{why_unpaired(predictions, baseline=chosen)}{_remedy(predictions, arms=arms, baseline=chosen)}"
        )
    return _in_families([*first, *rest], method)


def _remedy(predictions: pl.DataFrame, *, arms: Sequence[str] | None, baseline: str) -> str:
    if only_arm(predictions) is not None:
        return ""
    # A baseline with several runs for a target seed has no single one for an arm without intermediate seeds.
    if arms and any(pairings(predictions, baseline=arms[0], arms=[baseline])):
        return f" that has its intermediate seed too; ask for it the other way round, as {baseline}:{arms[0]}"
    if predictions["variant"].n_unique() > 1:
        return ", over one variant of the task's rows; score them on both"
    if not _meet(predictions, arms=arms, baseline=baseline):
        return "; none shares even the task, split and setting: score both on the same"
    return "; train both with the same target seeds"


def _meet(predictions: pl.DataFrame, *, arms: Sequence[str] | None, baseline: str) -> bool:
    """Whether the baseline and another arm were scored on one target at all."""
    rows = targets_only(predictions).select(*TARGET, "arm").unique()
    others = rows.filter(pl.col("arm") != baseline if arms is None else pl.col("arm").is_in(arms))
    there = rows.filter(arm=baseline)
    return not others.join(there, on=TARGET, how="semi", nulls_equal=True).is_empty()


def comparison_frame(comparisons: Sequence[Comparison]) -> pl.DataFrame:
    """One row per comparison, one column per field; `languages` and `dropped_seeds` with spaces between."""
    rows = [
        {
            **asdict(one),
            "languages": " ".join(one.languages),
            "dropped_seeds": " ".join(map(str, one.dropped_seeds)),
        }
        for one in comparisons
    ]
    # A column that is nothing but None would have no type.
    maybe = ("accuracy_sd", "baseline_sd", "gain_sd", "df", "p_adjusted", "odds_ratio")
    types = {"seen": pl.Boolean, **dict.fromkeys((*maybe, "simultaneous_low", "simultaneous_high"), pl.Float64)}
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=types)


def _in_families(measured: Sequence[Measured], method: Method) -> list[Comparison]:
    """With what depends on how many tests a family has."""
    quantities: dict[tuple[str, ...], set[str]] = {}
    for one in measured:
        quantities.setdefault(_target(one.comparison), set()).add(one.comparison.language)
    alone = {target for target, names in quantities.items() if len(names) == 1}
    forms: dict[tuple[str, str], list[str]] = {}
    for one in measured:
        forms.setdefault((one.comparison.task, one.comparison.split), []).append(one.comparison.variant)
    families: dict[str, list[int]] = {}
    for place, one in enumerate(measured):
        variants = forms[one.comparison.task, one.comparison.split]
        second = one.comparison.variant != max(variants, key=_standing)
        families.setdefault(_family(one.comparison, alone, second=second), []).append(place)
    done: dict[int, Comparison] = {}
    for name, places in families.items():
        some = [measured[place] for place in places]
        p_adjusted = _adjusted([one.comparison.p_value for one in some], method)
        bounds = _simultaneous(some, method)
        for number, place in enumerate(places):
            low, high = (None, None) if bounds is None else (float(bounds[0][number]), float(bounds[1][number]))
            done[place] = replace(
                measured[place].comparison,
                family=name,
                family_size=len(places),
                p_adjusted=p_adjusted[number],
                simultaneous_low=low,
                simultaneous_high=high,
            )
    return [done[place] for place in range(len(measured))]


def _standing(variant: str) -> tuple[bool, bool]:
    """The variant with the highest one stands for its task where several are compared."""
    return variant == REPAIRED, variant == PUBLISHED


def _family(one: Comparison, alone: Collection[tuple[str, ...]], *, second: bool) -> str:
    """alone: targets that have a single quantity, which is then their headline. second: of a task's second variant."""
    beside = f" ({one.variant})" if second else ""
    if one.primary:
        return f"{PRIMARY}{beside}"
    if one.language in AVERAGES or _target(one) in alone:
        return f"{one.language} of arms and targets{beside}"
    special = [
        *([one.variant] if second or one.variant != PUBLISHED else []),
        *([f"after {one.target}"] if one.target != one.task else []),
    ]
    return " ".join(["languages of", one.arm, "on", one.task, one.split, one.setting, *special])


def _target(one: Comparison) -> tuple[str, ...]:
    return one.task, one.variant, one.split, one.setting, one.target


def _adjusted(p_values: Sequence[float], method: Method) -> list[float | None]:
    if method.adjust == "none":
        return [None] * len(p_values)
    return [float(p) for p in adjust(np.array(p_values), method=method.adjust)]


def _simultaneous(some: Sequence[Measured], method: Method) -> tuple[Floats, Floats] | None:
    columns = [one.draws for one in some if one.draws is not None]
    if len(columns) < len(some):
        return None
    observed = np.array([one.comparison.gain for one in some])
    low, high, _ = simultaneous(np.stack(columns, axis=-1), observed, level=method.level)
    return low, high
