"""What a gallery is about: one folder's runs and comparisons, with the facts that every figure needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.languages import in_pretraining, language
from xfer_bench.results import Results
from xfer_bench.stats.collapse import collapsed
from xfer_bench.stats.comparisons import comparison_frame
from xfer_bench.stats.controls import control_runs, without_controls
from xfer_bench.stats.estimates import AVERAGES, AVG_PUBLISHED, ENGLISH, Comparison, significant
from xfer_bench.stats.multiplicity import adjust
from xfer_bench.stats.standing import standing
from xfer_bench.tasks import TASKS

Order: TypeAlias = Literal["family", "script", "gain"]

TARGET = ("task", "variant", "split", "setting", "target")
PUBLISHED = "published"

_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A results folder as figures see it.

    predictions: one answer to each item, of arms without controls. every: all that the folder has, every step and
    split. gains: a row per comparison with a baseline, in the order of drawing; primary: those of the study's own
    question. arms: all that gains are of, sorted; their places decide how they look. collapsed: run to reason.
    pretrained: by language, whether the encoders' pretraining data have it; None where that is not known. models: the
    encoders. order: how languages are ordered. resamples, seed, level: of what is drawn.
    """

    predictions: pl.DataFrame
    every: pl.DataFrame
    stages: pl.DataFrame
    gains: pl.DataFrame
    primary: pl.DataFrame
    baseline: str
    arms: tuple[str, ...]
    collapsed: Mapping[str, str]
    pretrained: Mapping[str, bool | None]
    models: tuple[str, ...]
    order: Order
    resamples: int
    seed: int
    level: float

    def chance(self, task: str) -> float | None:
        """The accuracy of guessing, in points; None for a task that nothing is known of."""
        known = TASKS.get(task)
        if known is not None:
            return 100 * known.chance
        told = self.stages.filter((pl.col("role") == "target") & (pl.col("target") == task))["chance"].drop_nulls()
        return float(told[0]) if len(told) else None

    def placed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with the columns of TARGET, `arm` and `language`, with what each figure needs of them, sorted.

        place: of the language on its target, averages first. group: its family or script. arm_place: see `arms`.
        """
        # Both variants of a task have one order, and gains may be of one of them alone.
        keys = [*(name for name in TARGET if name != "variant"), "language"]
        known = self.gains.select(*keys, "place", "group", "language_name").unique(keys, keep="first")
        rows = frame.drop("place", "group", "language_name", strict=False).join(
            known, on=keys, how="left", nulls_equal=True
        )
        return self.with_facts(rows).sort(*TARGET, "place", "arm_place", nulls_last=True, maintain_order=True)

    def with_facts(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with `arm` and `language`, with the arm's place, what is known of pretraining, and the order's name."""
        return _with_facts(frame, arms=self.arms, pretrained=self.pretrained, models=self.models, order=self.order)

    def headline_variants(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Without rows of a task's published variant where the folder has another, repaired one."""
        others = [name for name in TARGET if name != "variant"]
        repaired = self.gains.filter(pl.col("variant") != PUBLISHED).select(*others, variant=pl.lit(PUBLISHED)).unique()
        return frame.join(repaired, on=TARGET, how="anti", nulls_equal=True, maintain_order="left")


def subject_of(
    results: Results, comparisons: Sequence[Comparison], *, seed: int = 0, order: Order = "family"
) -> Subject:
    """A folder with comparisons of the same runs. Raises ResultsError as `describe` does."""
    return describe(
        results.predictions(), results.stages(), comparisons, checkpoints=results.checkpoints(), seed=seed, order=order
    )


def describe(
    predictions: pl.DataFrame,
    stages: pl.DataFrame,
    comparisons: Sequence[Comparison],
    *,
    checkpoints: pl.DataFrame | None = None,
    seed: int = 0,
    order: Order = "family",
) -> Subject:
    """PREDICTIONS, STAGES, comparisons of them, and CHECKPOINTS where there are such, as figures see them.

    Controls are left out: they answer another question. Raises ResultsError without a comparison of an arm with the
    baseline, and for an order that is none.
    """
    if order not in get_args(Order):
        raise ResultsError(f"no order of languages named {order!r}; choose one of {', '.join(get_args(Order))}")
    arms = [one for one in comparisons if not one.control]
    against = [one for one in arms if not one.primary and one.language != AVG_PUBLISHED]
    if not against:
        raise ResultsError("no comparisons to draw; a figure needs an arm and a baseline with the same target seed")
    first = against[0]
    known = standing(predictions, stages).predictions
    known = without_controls(known, control_runs(stages))
    codes = sorted({code for one in against for code in one.languages})
    models = _models(checkpoints, known)
    names = tuple(sorted({one.arm for one in against}))
    pretrained = {code: _pretrained(models, code) for code in codes}
    gains = in_order(_tested(against, comparisons), order)
    return Subject(
        predictions=known,
        every=predictions,
        stages=stages,
        gains=_with_facts(gains, arms=names, pretrained=pretrained, models=models, order=order),
        primary=_tested([one for one in arms if one.primary], comparisons),
        baseline=first.baseline,
        arms=names,
        collapsed={one.run: one.reason for one in collapsed(stages)},
        pretrained=pretrained,
        models=models,
        order=order,
        resamples=first.resamples,
        seed=seed,
        level=first.level,
    )


def _with_facts(
    frame: pl.DataFrame,
    *,
    arms: Sequence[str],
    pretrained: Mapping[str, bool | None],
    models: Sequence[str],
    order: str,
) -> pl.DataFrame:
    places = {arm: place for place, arm in enumerate(arms)}
    return frame.with_columns(
        pl.col("arm").replace_strict(places, default=None, return_dtype=pl.Int64).alias("arm_place"),
        pl.col("language")
        .replace_strict(dict(pretrained), default=None, return_dtype=pl.Boolean)
        .alias("in_pretraining"),
        pl.lit(order).alias("order"),
        pl.lit(", ".join(models)).alias("models"),
    )


def _models(checkpoints: pl.DataFrame | None, predictions: pl.DataFrame) -> tuple[str, ...]:
    if checkpoints is None or checkpoints.is_empty():
        return ()
    mine = checkpoints.join(predictions.select("run").unique(), on="run", how="semi")
    named: list[str | None] = mine["model"].unique().to_list()
    return () if None in named else tuple(sorted(name for name in named if name))


def _pretrained(models: Sequence[str], code: str) -> bool | None:
    """Whether all encoders' data have it, or none's; None where they differ or one is not known."""
    answers = {in_pretraining(model, code) for model in models}
    return answers.pop() if len(answers) == 1 else None


def _tested(some: Sequence[Comparison], everything: Sequence[Comparison]) -> pl.DataFrame:
    """Comparisons as a table, with the name of the adjustment and whether the adjusted test says there is a gain."""
    if not some:
        return pl.DataFrame()
    return comparison_frame(some).with_columns(
        pl.lit(_adjustment(everything)).alias("adjusted"),
        pl.Series("significant", [significant(one) for one in some]),
    )


def _adjustment(comparisons: Sequence[Comparison]) -> str:
    """Which adjustment gave these adjusted p-values; a comparison does not say."""
    families: dict[str, list[Comparison]] = {}
    for one in comparisons:
        if not one.control:
            families.setdefault(one.family, []).append(one)
    for method in ("holm", "bh"):
        if all(
            all(one.p_adjusted is not None for one in some)
            and np.allclose(
                adjust([one.p_value for one in some], method=method),
                [one.p_adjusted or 0.0 for one in some],
            )
            for some in families.values()
        ):
            return _NAMES[method]
    return ""


def in_order(gains: pl.DataFrame, order: Order) -> pl.DataFrame:
    """With `place` and `group` of each language on its target, and `language_name`; sorted by target, place and arm.

    Averages come first and English next. Languages that nothing is known of come last.
    """
    rows: list[dict[str, Any]] = []
    for target, part in gains.partition_by(TARGET, as_dict=True, maintain_order=True).items():
        means = dict(part.group_by("language").agg(pl.col("gain").mean()).iter_rows())
        codes = sorted((code for code in means if code not in AVERAGES), key=lambda code: _key(code, means, order))
        names = [*(name for name in AVERAGES if name in means), *codes]
        rows += [
            {
                **dict(zip(TARGET, target, strict=True)),
                "language": name,
                "place": place,
                "group": "" if name in AVERAGES else _group(name, order),
                "language_name": _name(name),
            }
            for place, name in enumerate(names)
        ]
    found = gains.join(pl.DataFrame(rows), on=[*TARGET, "language"], how="left", nulls_equal=True)
    return found.sort(*TARGET, "place", "arm", maintain_order=True)


def _key(code: str, means: Mapping[str, float], order: Order) -> tuple[Any, ...]:
    if order == "gain":
        return code != ENGLISH, -means[code], code
    group = _group(code, order)
    return code != ENGLISH, not group, group, code


def _group(code: str, order: Order) -> str:
    if order == "gain" or code == ENGLISH:
        return ""
    found = language(code)
    if found is None:
        return ""
    return (found.family or found.name) if order == "family" else found.script


def _name(code: str) -> str:
    found = language(code)
    return code if found is None else found.name
