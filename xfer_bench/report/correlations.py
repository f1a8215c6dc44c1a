"""Correlations as text: of intermediate with target gains, and of arms between targets and languages."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from textwrap import fill
from typing import Any

import polars as pl

from xfer_bench import __version__
from xfer_bench.report.tables import (
    WIDTH,
    Format,
    Settings,
    as_json,
    block,
    counted,
    escaped,
    footnotes,
    interval_head,
    p_text,
)
from xfer_bench.stats.agreement import Agreement
from xfer_bench.stats.correlation import Correlation, Pooled, Relation, Without
from xfer_bench.stats.evidence import FEWEST_TASKS, How
from xfer_bench.stats.points import Measure
from xfer_bench.stats.reliability import Reliability

_MEASURES: dict[Measure, str] = {"gain": "intermediate gain", "above chance": "intermediate accuracy above chance"}
_COLUMNS = {
    "kind": pl.String,
    "where": pl.String,
    "measure": pl.String,
    "gain": pl.String,
    "first": pl.String,
    "second": pl.String,
    "r": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p_value": pl.Float64,
    "p_exact": pl.Boolean,
    "r_tasks": pl.Float64,
    "n_points": pl.Int64,
    "n_runs": pl.Int64,
    "n_tasks": pl.Int64,
    "n_arms": pl.Int64,
    "undefined": pl.Float64,
    "over": pl.String,
    "method": pl.String,
    "level": pl.Float64,
    "reason": pl.String,
}


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Everything that `xfer-bench correlate` found. notes: lines of the caller's own for below the tables."""

    relations: tuple[Relation, ...]
    pooled: Pooled | None
    languages: tuple[Agreement, ...]
    targets: Agreement | None
    notes: tuple[str, ...] = ()

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """Those between languages, then that between targets."""
        return (*self.languages, *([] if self.targets is None else [self.targets]))


def correlation_settings(how: How, *, baseline: str, resamples: int, seed: int) -> Settings:
    """What someone else needs to get the same correlations: the `settings` of a table."""
    return {
        "baseline": baseline,
        "method": how.method,
        "interval": "boot:pct",
        "resamples": resamples,
        "over": how.drawn,
        "clusters": "joint",
        "seed": seed,
        "level": how.level,
        "version": __version__,
    }


def render_correlations(found: Correlations, *, format: Format, settings: Settings) -> str:
    """Correlations as text; the table is at most 100 columns wide, and ends without a line break."""
    if format == "json":
        rows = [
            *({"kind": "relation", **asdict(one)} for one in found.relations),
            *([] if found.pooled is None else [{"kind": "pooled", **asdict(found.pooled)}]),
            *(asdict(one) for one in found.agreements),
        ]
        return as_json("correlations", rows, settings)
    if format == "csv":
        return correlation_frame(found).write_csv().rstrip("\n")
    parts: list[str] = []
    for relation in found.relations:
        parts += [_relation_table(relation, format), _lines(_relation_notes(relation), format)]
    if found.pooled is not None:
        parts += [_pooled_table(found.pooled, format), _lines([_about_tasks(found.pooled.correlation)], format)]
    for one in found.agreements:
        parts.append(_agreement_table(one, format))
    return "\n\n".join([*(part for part in parts if part), footnotes([*_notes(found), *found.notes], settings, format)])


def correlation_frame(found: Correlations) -> pl.DataFrame:
    """One row per correlation. kind: `points`, `within`, `corrected`, `without` (a task, in `second`), `pooled`,
    `pooled without`, `languages` and `targets` (a pair), and the means of one with the others.
    """  # fmt: skip
    return pl.DataFrame([*_flat(found)], schema=_COLUMNS, orient="row")


def _flat(found: Correlations) -> Iterator[dict[str, Any]]:
    for one in found.relations:
        common = {"where": _where(one), "measure": one.measure, "gain": one.language, "n_runs": one.n_runs}
        yield _row({"kind": "points", **common, **asdict(one.correlation)})
        if one.within is not None:
            yield _row({"kind": "within", **common, **asdict(one.within)})
        about = {"method": one.correlation.method, "level": one.correlation.level, "over": one.correlation.over}
        yield _row({"kind": "corrected", **common, **about, **asdict(one.corrected)})
        for left in one.without:
            yield _row({"kind": "without", **common, **about, **asdict(left), "second": left.task})
    if found.pooled is not None:
        pooled = found.pooled
        common = {"where": "; ".join(pooled.targets), "measure": pooled.measure, "n_runs": pooled.n_runs}
        yield _row({"kind": "pooled", **common, **asdict(pooled.correlation)})
        for left in pooled.without:
            yield _row({"kind": "pooled without", **common, **asdict(left), "second": left.task})
    for matrix in found.agreements:
        shared = {"where": matrix.where, "method": matrix.method, "level": matrix.level, "over": "items"}
        for pair in matrix.pairs:
            yield _row({"kind": matrix.kind, **shared, **asdict(pair)})
        for mean in matrix.means:
            yield _row({"kind": f"{matrix.kind} mean", **shared, **asdict(mean), "first": mean.name})


def _row(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values.get(name) for name in _COLUMNS}


def _relation_table(one: Relation, format: Format) -> str:
    title = (
        f"{_where(one)}: gain of {one.language} against {_MEASURES[one.measure]}; "
        f"{counted(one.n_runs, 'run')} of {counted(len(one.points), 'intermediate stage')}"
    )
    rows = [_correlation_row("all points", one.correlation)]
    if one.within is not None:
        rows.append(_correlation_row("within baseline runs", one.within))
    if one.corrected.r is not None:
        mark = " (over 1)" if one.corrected.over_one else ""
        known = one.corrected
        rows.append([f"without item noise{mark}", "", "", _r(known.r), _interval(known.low, known.high), ""])
    if one.correlation.r is not None:
        rows += [_without_row(left, one.correlation.n_tasks) for left in one.without]
    return block(title, _heads(one.correlation.level), [[one.measure, *row] for row in rows], format)


def _pooled_table(pooled: Pooled, format: Format) -> str:
    runs = counted(pooled.n_runs, "run")
    title = f"all targets ({len(pooled.targets)}): gains against {_MEASURES[pooled.measure]}, {runs}"
    rows = [_correlation_row("within baseline runs", pooled.correlation)]
    rows += [_without_row(left, pooled.correlation.n_tasks) for left in pooled.without]
    return block(title, _heads(pooled.correlation.level), [[pooled.measure, *row] for row in rows], format)


def _heads(level: float) -> list[str]:
    # The measure comes first, since a line is drawn wherever the first column changes.
    return ["measure", "correlation", "points", "tasks", "r", interval_head(level), "p"]


def _correlation_row(name: str, one: Correlation) -> list[str]:
    counts = [str(one.n_points), str(one.n_tasks)]
    return [name, *counts, _r(one.r), _interval(one.low, one.high), p_text(one.p_value)]


def _without_row(left: Without, n_tasks: int) -> list[str]:
    return [f"without {left.task}", str(left.n_points), str(n_tasks - 1), _r(left.r), "", ""]


def _relation_notes(one: Relation) -> list[str]:
    found = one.correlation
    notes = [f"no r: {found.reason}." if found.reason else ""]
    if one.within is not None and one.within.reason:
        notes.append(f"no r within baseline runs: {one.within.reason}.")
    if found.r is not None:
        notes.append(
            f"reliability over items: gains {_reliability(one.gain_reliability)}, intermediate "
            f"{_reliability(one.measure_reliability)}."
        )
        if one.corrected.r is None:
            notes.append(f"not corrected for it: {one.corrected.reason}.")
        if one.corrected.over_one:
            notes.append("corrected beyond 1, which no correlation is: too much noise to correct for.")
    if found.undefined > 0:
        notes.append(f"{100 * found.undefined:.1f} % of the resamples have no r and are left out of the interval.")
    notes.append(_about_tasks(found))
    return [note for note in notes if note]


def _about_tasks(one: Correlation) -> str:
    if one.p_value is not None:
        how = "all orders" if one.p_exact else "random orders"
        return f"p: {how} of the averages of {one.n_tasks} intermediate tasks, whose r is {_r(one.r_tasks)}."
    if one.n_tasks < FEWEST_TASKS:
        tasks = "1 intermediate task" if one.n_tasks == 1 else f"{one.n_tasks} intermediate tasks"
        return (
            f"{tasks}: nothing can be inferred about intermediate tasks, so there is no p-value (from {FEWEST_TASKS} "
            "tasks on); what is said is about these points alone."
        )
    return ""


def _reliability(one: Reliability) -> str:
    return f"unknown ({one.reason})" if one.value is None else f"{_r(one.value)} ({one.method})"


def _agreement_table(one: Agreement, format: Format) -> str:
    where = f" of {one.where}" if one.where else ""
    title = f"arms' gains between {one.kind}{where}"
    if one.reason:
        return _lines([f"{title}: no correlations; {one.reason}."], format)
    if not one.means:
        return _lines([f"{title}: no correlations; no two places have gains that vary."], format)
    if one.kind == "targets":
        rows = [[pair.first, pair.second, str(pair.n_arms), _r(pair.r), _interval(pair.low, pair.high)]
                for pair in one.pairs]  # fmt: skip
        return block(title, ["target", "other", "arms", "r", interval_head(one.level)], rows, format)
    arms = str(max((pair.n_arms for pair in one.pairs), default=0))
    rows = [[arms, mean.name, _r(mean.r), _interval(mean.low, mean.high), _least(one, mean.name)] for mean in one.means]
    heads = ["arms", "language", "mean r", interval_head(one.level), "least alike"]
    return block(f"{title}: mean r with the others", heads, rows, format)


def _least(one: Agreement, name: str) -> str:
    """The language with the lowest r, and that."""
    own = [(pair.r, pair.second if pair.first == name else pair.first)
           for pair in one.pairs if name in {pair.first, pair.second} and pair.r is not None]  # fmt: skip
    r, other = min(own)
    return f"{other} ({_r(r)})"


def _notes(found: Correlations) -> list[str]:
    notes = []
    if found.relations or found.pooled:
        notes += [
            "points: intermediate stages, the mean of the runs that go on from each; without TASK: leaving it out",
            "within baseline runs: the mean of the points with the same baseline runs taken off both sides",
            "noise of items pulls r and its interval towards 0; without item noise: corrected (Spearman 1904)",
        ]
    if found.agreements:
        notes.append("between languages and targets: for these arms and seeds; intervals are for one r each")
    pairs = [pair for one in found.agreements if one.method == "pearson" for pair in one.pairs if pair.r is not None]
    if pairs and min(pair.n_arms for pair in pairs) < FEWEST_TASKS:
        # Of three independent points r has the density 1 / (pi sqrt(1 - r^2)): half of it beyond .71.
        notes.append("an r over few arms is mostly chance: over 3, half of all random ones lie beyond .71 either way")
    return notes


def _where(one: Relation) -> str:
    variant = "" if one.variant == "published" else f" ({one.variant})"
    after = "" if one.target == one.task else f" after {one.target}"
    return f"{one.task}{variant} {one.split}{after}, setting {one.setting}"


def _lines(lines: Sequence[str], format: Format) -> str:
    if format == "markdown":
        return "  \n".join(map(escaped, lines))
    return "\n".join(fill(line, WIDTH) for line in lines)


def _r(value: float | None) -> str:
    """Two decimals, no nought before the point, and the sign."""
    if value is None:
        return "-"
    text = f"{value:+.2f}"
    return text[0] + text[2:] if text[1:3] == "0." else text


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{_r(low)}, {_r(high)}]"
