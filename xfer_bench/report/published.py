"""Published accuracies beside our own, as rows and as tables of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.published import ACCURACY, PRINTED_AVERAGE, accuracies, references
from xfer_bench.report.sentences import target
from xfer_bench.report.tables import Format, block, points
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_PUBLISHED, Comparison
from xfer_bench.tasks import TASKS

_PUBLISHED = "published"
_OWN = ("task", "variant", "split", "setting", "target")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One model in one published table; values in points by language, `avg` the printed average where there is one.

    entered: languages for which the table has a number in place of a measurement.
    """

    model: str
    table: str
    source: str
    setting: str
    split: str
    digitised: bool
    values: Mapping[str, float]
    entered: frozenset[str]

    @property
    def head(self) -> str:
        """What it is called."""
        return f"{self.model}, {self.table}{' (digitised)' if self.digitised else ''}"

    @property
    def measured(self) -> dict[str, float]:
        """The values of single languages that are measurements."""
        return {code: self.values[code] for code in self.values if code not in {*self.entered, PRINTED_AVERAGE}}


@dataclass(frozen=True, kw_only=True)
class Besides:
    """One target of ours with what is published of one model.

    one: any comparison on the target. ours: arm to language (or average) to points. items: by language. averaged: the
    languages of our average, which follows the benchmark's convention on English.
    """

    one: Comparison
    ours: Mapping[str, Mapping[str, float]]
    items: Mapping[str, int]
    averaged: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """Of either side, sorted."""
        published = {code for column in self.columns for code in column.values}
        return tuple(sorted((published | {*self.items}) - {PRINTED_AVERAGE}))

    @property
    def placed(self) -> tuple[tuple[int, Column], ...]:
        """The columns with the numbers that stand for them in heads and notes."""
        return tuple(enumerate(self.columns, start=1))

    @property
    def common(self) -> tuple[str, ...]:
        """Languages of our average that every published table measured."""
        return tuple(code for code in self.averaged if all(code in column.measured for column in self.columns))


def beside(comparisons: Sequence[Comparison], model: str) -> tuple[Besides, ...]:
    """Each target that the model has published accuracies of, with them.

    Only what was scored on the data as published is set beside published numbers. Raises ResultsError when that
    leaves no target, or when on none of the tasks the name fits one model.
    """
    tasks = {one.task for one in comparisons}
    known = [task for task in sorted(tasks) if _is_published(task)]
    if not known:
        raise ResultsError(f"no accuracy is published here of {', '.join(sorted(tasks))}; see `xfer-bench published`")
    columns = _columns(known, model)
    found = [
        _besides(list(group), columns[key[0]])
        for key, group in groupby(sorted(comparisons, key=_key), key=_key)
        if key[0] in columns and key[1] == _PUBLISHED
    ]
    if not found:
        variants = sorted({one.variant for one in comparisons if one.task in columns})
        raise ResultsError(
            f"{', '.join(columns)}: scored on the variant {', '.join(variants)} only, and published numbers are of the "
            "data as published; evaluate and compare the variant published"
        )
    return tuple(found)


def columns_of(values: pl.DataFrame) -> tuple[Column, ...]:
    """REFERENCES of accuracies, a column for each model and table; printed tables before digitised figures."""
    found = []
    for (model, table), rows in values.partition_by("model", "table", as_dict=True, maintain_order=True).items():
        first = rows.row(0, named=True)
        found.append(
            Column(
                model=str(model),
                table=str(table),
                source=first["source"],
                setting=first["setting"],
                split=first["split"],
                digitised=bool((rows["reading"] == "digitised").all()),
                values=dict(rows.select("language", "value").iter_rows()),
                entered=frozenset(rows.filter(pl.col("reading") == "entered")["language"]),
            )
        )
    return tuple(sorted(found, key=lambda column: column.digitised))


def beside_rows(targets: Sequence[Besides]) -> list[dict[str, Any]]:
    """One flat row an accuracy, ours and theirs; `who` is the arm, or the model and its table."""
    rows: list[dict[str, Any]] = []
    for known in targets:
        names = {name: getattr(known.one, name) for name in _OWN}
        for arm, values in known.ours.items():
            rows += [
                {**names, "who": arm, "language": code, "accuracy": value, "reading": "ours", "source": None}
                for code, value in values.items()
            ]
        for column in known.columns:
            named = {**names, "setting": column.setting, "split": column.split or None, "who": column.head}
            rows += [
                {
                    **named,
                    "language": code,
                    "accuracy": value,
                    "reading": _reading(column, code),
                    "source": column.source,
                }
                for code, value in column.values.items()
            ]
    return rows


def render_beside(targets: Sequence[Besides], format: Format) -> list[str]:
    """A table a target, with languages as rows."""
    tables = []
    for known in targets:
        heads = ["", "language", *known.ours, *(f"{one.model} [{place}]" for place, one in known.placed)]
        rows = [["average", *row] for row in _averages(known)]
        for code in known.languages:
            ours = [points(arm.get(code)) for arm in known.ours.values()]
            rows.append(["single", code, *ours, *(_cell(column, code) for column in known.columns)])
        names = " and ".join(dict.fromkeys(column.model for column in known.columns))
        tables.append(block(f"{target(known.one)}: accuracy beside {names} as published", heads, rows, format))
    return tables


def mean_over(values: Mapping[str, float], codes: Sequence[str]) -> float:
    """The mean of the values of these languages."""
    return sum(values[code] for code in codes) / len(codes)


def _is_published(task: str) -> bool:
    try:
        return task in TASKS and not references(task, metric=ACCURACY).is_empty()
    except ResultsError:
        return False


def _columns(tasks: Sequence[str], model: str) -> dict[str, tuple[Column, ...]]:
    """By task, of those that the model is published on."""
    found: dict[str, tuple[Column, ...]] = {}
    refused: list[ResultsError] = []
    for task in tasks:
        try:
            found[task] = columns_of(accuracies(task, model=model))
        except ResultsError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    return found


def _key(one: Comparison) -> tuple[str, ...]:
    return tuple(str(getattr(one, name)) for name in _OWN)


def _besides(some: Sequence[Comparison], columns: tuple[Column, ...]) -> Besides:
    names = {one.language for one in some}
    average = AVG_PUBLISHED if AVG_PUBLISHED in names else AVG
    ours: dict[str, dict[str, float]] = {}
    for one in some:
        if one.language == average or one.language not in AVERAGES:
            code = PRINTED_AVERAGE if one.language == average else one.language
            for arm, value in ((one.baseline, one.baseline_accuracy), (one.arm, one.accuracy)):
                ours.setdefault(arm, {}).setdefault(code, value)
    return Besides(
        one=some[0],
        ours=ours,
        items={one.language: one.n_items for one in some if one.language not in AVERAGES},
        averaged=next((one.languages for one in some if one.language == average), ()),
        columns=columns,
    )


def _reading(column: Column, code: str) -> str:
    return "entered" if code in column.entered else "digitised" if column.digitised else "printed"


def _cell(column: Column, code: str) -> str:
    if code not in column.values:
        return ""
    # Averages are printed with two decimals.
    value = column.values[code]
    text = f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"
    return f"[{text}]" if code in column.entered else text


def _averages(known: Besides) -> list[list[str]]:
    """The average of each side's own convention, and the one over what both sides measured, where that is another."""
    rows = [
        ["avg", *(points(arm.get(PRINTED_AVERAGE)) for arm in known.ours.values()),
         *(_cell(column, PRINTED_AVERAGE) for column in known.columns)]
    ]  # fmt: skip
    common = known.common
    if common:
        ours = [points(mean_over(arm, common)) for arm in known.ours.values()]
        rows.append([f"avg of {len(common)}", *ours, *(points(mean_over(one.values, common)) for one in known.columns)])
    return rows
