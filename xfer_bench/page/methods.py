"""How the numbers came about: design, training, evaluation and statistics, every setting with its value."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import polars as pl

from xfer_bench.errors import CheckpointError
from xfer_bench.page.subject import Subject
from xfer_bench.report.tables import signature
from xfer_bench.report.training import Trained, trained, training_notes
from xfer_bench.stats.estimates import AVG_UNSEEN
from xfer_bench.training.checkpoints import Store, read_lineage

_INTERVALS = {
    "boot:pct": "percentile intervals of the bootstrap",
    "boot:basic": "basic intervals of the bootstrap",
    "boot:bca": "BCa intervals of the bootstrap",
    "crossed-boot:pct": "percentile intervals of the bootstrap crossed over items and seeds",
    "random-effects:t": "t intervals of a two-way random-effects model of items and seeds",
}
_ADJUST = {"holm": "Holm's method", "bh": "Benjamini and Hochberg's method"}
_TESTS = {
    "bootstrap": "the paired bootstrap, centred on nought",
    "inversion": "inverting the bootstrap interval",
    "permutation": "exchanging the two sides' answers within clusters",
    "mcnemar": "McNemar's exact test",
    "mid-p": "McNemar's mid-p test",
    "random effects": "the t test of the random-effects model",
    "crossed bootstrap": "the crossed bootstrap",
    "sign flips": "flipping the signs of whole seeds",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the stages of some checkpoints were trained: every value of the recipe. stages: role and data, in words."""

    stages: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Methods:
    """paragraphs: prose. trained: what each arm was trained on, with `notes`. settings: name and value of each."""

    paragraphs: tuple[str, ...]
    trained: tuple[Trained, ...]
    notes: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    settings: tuple[tuple[str, str], ...]
    signature: str


def methods(subject: Subject, lineages: Sequence[Mapping[str, Any]]) -> Methods:
    """From the results alone. lineages: of the checkpoints, as far as the results hold them."""
    arms = trained(subject.predictions, subject.stages)
    return Methods(
        paragraphs=(_design(subject, lineages), _evaluation(subject), _statistics(subject)),
        trained=arms,
        notes=tuple(training_notes(arms)),
        recipes=tuple(_recipes(lineages)),
        settings=tuple((name, str(value)) for name, value in subject.settings.items() if value is not None),
        signature=signature(subject.settings),
    )


def lineages_of(checkpoints: pl.DataFrame) -> tuple[dict[str, Any], ...]:
    """The lineages in CHECKPOINTS that can be read, in their order; what is no lineage is left out."""
    found = []
    for text in checkpoints["lineage"]:
        try:
            value = json.loads(text or "null")
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def ancestors_of(lineages: Sequence[Mapping[str, Any]], store: Store) -> tuple[Mapping[str, Any], ...]:
    """The lineages of the stages before these, each once, as far as their checkpoints still lie in the store."""
    keys = dict.fromkeys(str(parent.get("key")) for one in lineages for parent in one.get("parents") or [])
    found = []
    for key in keys:
        # A study may have dropped what it needs no more.
        with suppress(CheckpointError):
            found.append(read_lineage(store.path(key)))
    return tuple(found)


def _design(subject: Subject, lineages: Sequence[Mapping[str, Any]]) -> str:
    baseline = subject.settings["baseline"]
    rows = subject.predictions
    arms = sorted(rows["arm"].unique(), key=lambda arm: (arm != baseline, arm))
    seeds = _numbers(rows["target_seed"])
    before = _numbers(rows["intermediate_seed"])
    settings = _words(sorted({f"{setting} on {target}" for setting, target in rows.select("setting", "target").rows()}))
    models = sorted({str(one.get("origin", {}).get("name")) for one in lineages if one.get("origin")})
    start = f" from {_words(models)}" if models else ""
    return (
        f"{len(arms)} arms were compared: {_words([str(arm) for arm in arms])}; {baseline} is the baseline. A run is a "
        f"chain of stages{start}: the arm's intermediate stages, if it has any, then the target's own training data "
        f"({settings}). {rows['run'].n_unique()} runs were scored"
        f"{f', with target seeds {seeds}' if seeds else ''}{f' and intermediate seeds {before}' if before else ''}. "
        "Each run is measured against the baseline's run with the same target seed."
    )


def _evaluation(subject: Subject) -> str:
    places = ["task", "variant", "split"]
    parts = []
    groups = subject.predictions.partition_by(places, as_dict=True)
    for key in sorted(groups, key=str):
        task, variant, split = map(str, key)
        rows = groups[key]
        items, clusters = rows["item"].n_unique(), rows["cluster"].n_unique()
        drawn = f" in {clusters:,} clusters" if clusters != items else ""
        languages = sorted(map(str, rows["language"].unique()))
        parts.append(
            f"{task} ({variant} rows, {split}: {items:,} items{drawn} in {len(languages)} "
            f"language{'s' if len(languages) > 1 else ''}: {' '.join(languages)})"
        )
    precisions = sorted(map(str, subject.predictions["precision"].drop_nulls().unique()))
    arithmetic = f", with a forward pass in {_words(precisions)}" if precisions else ""
    select = subject.settings.get("select")
    chosen = f" Of several steps of a run, the rule `{select}` chose." if select else ""
    return (
        f"The runs were scored on {_words(parts)}{arithmetic}. Languages that an arm's intermediate data contain are "
        f"marked as seen.{chosen}"
    )


def _statistics(subject: Subject) -> str:
    settings, method = subject.settings, subject.method
    first = subject.comparisons[0]
    interval = _INTERVALS.get(str(settings["interval"]), str(settings["interval"]))
    drawn = f" ({method.resamples:,} resamples, seed {method.seed})" if settings["resamples"] else ""
    units = _words(str(settings["clusters"]).split("+"))
    what = (
        "Items and seeds vary together"
        if method.over == "both"
        else f"Clusters of items ({units}) are drawn jointly over languages, arms and seeds; seeds are held fixed"
    )
    adjusted = (
        f"p-values are adjusted by {_ADJUST[method.adjust]} within families: the study's primary contrasts, each "
        "average over arms and targets, and the languages of one arm on one target."
        if method.adjust in _ADJUST
        else "p-values are not adjusted for several tests."
    )
    headline = (
        f" The headline is {AVG_UNSEEN}, the mean over languages that no compared arm's intermediate data contain."
        if any(one.language == AVG_UNSEEN for one in subject.comparisons)
        else ""
    )
    return (
        f"Gains are differences in accuracy points, averaged over seeds, with {100 * method.level:g} % {interval}"
        f"{drawn}. {what}. p-values come from {_TESTS.get(first.test, first.test)}; {adjusted}{headline} A star marks "
        f"p below {1 - method.level:.2g} after adjustment. The least gain is the smallest that one such test would "
        f"find {100 * method.power:.0f} times in 100. Computed by xfer-bench {settings['version']}."
    )


def _recipes(lineages: Sequence[Mapping[str, Any]]) -> Iterator[Recipe]:
    """Each distinct recipe with the stages that it trained."""
    stages: dict[tuple[tuple[str, str], ...], dict[str, None]] = {}
    for one in lineages:
        recipe = one.get("recipe")
        if isinstance(recipe, dict):
            values = tuple((str(name), _value(value)) for name, value in recipe.items())
            stages.setdefault(values, {})[f"{one.get('role', 'stage')} {one.get('task', '')}".strip()] = None
    for values, names in stages.items():
        yield Recipe(stages=_words(sorted(names)), values=values)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _numbers(values: pl.Series) -> str:
    return _words([str(value) for value in values.drop_nulls().unique().sort()])


def _words(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
