"""What each arm was trained on: examples, optimiser steps and tokens of its stages, from STAGES."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from xfer_bench.metrics import INTERMEDIATE
from xfer_bench.report.tables import Format, block
from xfer_bench.stats.controls import control_runs, controls_in_words

_AMOUNTS = ("examples", "steps", "tokens")
_KEY = ["run", "target"]
_ARM = ["target", "setting", "arm"]
_MOST_LANGUAGES = 4
_MILLION = 1e6
_THOUSAND = 1e3


@dataclass(frozen=True, kw_only=True)
class Span:
    """A number of each run: its mean over an arm's runs, the least and the most."""

    mean: float
    least: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What the stages of one role were trained on.

    tasks: each stage's, several training sets of one stage with + between, and stages in order with `, then `.
    languages: of all of them. examples, steps, tokens: sums over the stages; None where nothing tells.
    """

    tasks: str
    languages: tuple[str, ...]
    examples: Span | None
    steps: Span | None
    tokens: Span | None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One arm on one target. control: STAGES' word where it is one. intermediate: None without such stages."""

    target: str
    setting: str
    arm: str
    control: str
    runs: int
    intermediate: Amount | None
    final: Amount | None


def trained(predictions: pl.DataFrame, stages: pl.DataFrame) -> tuple[Trained, ...]:
    """Each arm on each target of PREDICTIONS, from the STAGES of its runs; arms that STAGES do not know are absent.

    Sorted by target, setting and arm, arms without intermediate stages first.
    """
    # The setting of the predictions also says how a step was chosen.
    runs = predictions.select(*_KEY, "setting", "arm").unique()
    known = runs.join(stages.drop("setting", "arm"), on=_KEY, how="inner", nulls_equal=True)
    controls = {(run, target): control for run, target, control in control_runs(stages).select(*_KEY, "control").rows()}
    found = []
    for (target, setting, arm), rows in known.partition_by(_ARM, as_dict=True).items():
        own = rows.sort("run", "position")
        found.append(
            Trained(
                target=str(target),
                setting=str(setting),
                arm=str(arm),
                control=next((controls[key] for key in own.select(_KEY).iter_rows() if key in controls), ""),
                runs=own["run"].n_unique(),
                intermediate=_amount(own.filter(pl.col("role") == INTERMEDIATE)),
                final=_amount(own.filter(pl.col("role") != INTERMEDIATE)),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.target, one.setting, one.intermediate is not None, one.arm)))


def training_rows(arms: Sequence[Trained]) -> list[dict[str, Any]]:
    """One flat row an arm and target, with every number in full."""
    return [
        {
            "target": one.target,
            "setting": one.setting,
            "arm": one.arm,
            "control": one.control,
            "runs": one.runs,
            **_flat("intermediate", one.intermediate),
            **_flat("target", one.final),
        }
        for one in arms
    ]


def render_training(arms: Sequence[Trained], format: Format) -> list[str]:
    """A table a target, with a line for each arm's intermediate stages and one for its target's."""
    heads = ["arm", "runs", "stages", "trained on", "languages", *_AMOUNTS]
    tables = []
    for (target, setting), group in groupby(arms, key=lambda one: (one.target, one.setting)):
        rows = [
            [_name(one), str(one.runs), role, *_shown(amount)]
            for one in group
            for role, amount in ((INTERMEDIATE, one.intermediate), ("target", one.final))
            if amount is not None
        ]
        tables.append(block(f"{target}, {setting}: what each arm was trained on", heads, rows, format))
    return tables


def training_notes(arms: Sequence[Trained]) -> list[str]:
    """What a reader needs below these tables; nothing without any."""
    if not arms:
        return []
    controls = sorted({one.control for one in arms if one.control})
    return [
        "examples are counted each time that they are seen; means over runs (least-most); of whole stages, also where "
        "an earlier step was chosen",
        *(controls_in_words(control) for control in controls),
    ]


def _amount(stages: pl.DataFrame) -> Amount | None:
    if stages.is_empty():
        return None
    runs = stages.group_by(_KEY, maintain_order=True).agg(
        pl.col("task").str.join(", then "),
        # A sum without one of its parts would be too small.
        *(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name) for name in _AMOUNTS),
    )
    return Amount(
        tasks=" or ".join(runs["task"].unique(maintain_order=True)),
        languages=tuple(stages["languages"].explode().drop_nulls().unique().sort()),
        **{name: _span(runs[name]) for name in _AMOUNTS},
    )


def _span(values: pl.Series) -> Span | None:
    if values.null_count():
        return None
    numbers = values.to_list()
    return Span(mean=sum(numbers) / len(numbers), least=min(numbers), most=max(numbers))


def _flat(name: str, amount: Amount | None) -> dict[str, Any]:
    spans: Mapping[str, Span | None] = {one: getattr(amount, one) if amount else None for one in _AMOUNTS}
    return {
        f"{name}_tasks": amount.tasks if amount else None,
        f"{name}_languages": " ".join(amount.languages) if amount else None,
        **{f"{name}_{one}": span.mean if span else None for one, span in spans.items()},
        **{f"{name}_{one}_least": span.least if span else None for one, span in spans.items()},
        **{f"{name}_{one}_most": span.most if span else None for one, span in spans.items()},
    }


def _name(one: Trained) -> str:
    return f"{one.arm} (control)" if one.control else one.arm


def _shown(amount: Amount) -> list[str]:
    languages = amount.languages
    some = " ".join(languages[:_MOST_LANGUAGES])
    more = f" ... ({len(languages)})" if len(languages) > _MOST_LANGUAGES else ""
    return [amount.tasks, some + more, _text(amount.examples), _text(amount.steps), _text(amount.tokens, short=True)]


def _text(span: Span | None, *, short: bool = False) -> str:
    if span is None:
        return ""
    number = _short if short else _whole
    mean, least, most = (number(value) for value in (span.mean, span.least, span.most))
    return mean if least == most else f"{mean} ({least}-{most})"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _short(value: float) -> str:
    """Of tokens, of which nobody reads the last digits."""
    if value >= _MILLION:
        return f"{value / _MILLION:.2f}M"
    return f"{value / _THOUSAND:.1f}k" if value >= 10 * _THOUSAND else f"{value:,.0f}"
