"""The main table, arms against languages, and the list of all comparisons behind it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from xfer_bench.page.answers import verdict
from xfer_bench.page.subject import Subject
from xfer_bench.report.sentences import target
from xfer_bench.report.tables import between, counted, p_text, points, signed
from xfer_bench.stats.collapse import lame_arms
from xfer_bench.stats.controls import controls_in_words
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_PUBLISHED, AVG_UNSEEN, ENGLISH, Comparison, significant

_AVERAGES = {
    AVG_UNSEEN: "mean over languages that no compared arm's intermediate data contain: the headline",
    AVG: "mean over all languages but English",
    AVG_PUBLISHED: "the benchmark's own average",
}


@dataclass(frozen=True, kw_only=True)
class Head:
    """A column. kind: `average`, `unseen` or `seen` by some arm, or `english`. title: in words."""

    language: str
    title: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """An accuracy, its standard deviation over seeds, and its gain; the baseline has none. value: to sort by."""

    value: float
    accuracy: str
    spread: str
    gain: str
    interval: str
    verdict: str
    seen: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One arm. seeds: pairs of runs. note: what is special about it."""

    arm: str
    seeds: int
    note: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One target. items: what was answered, in words."""

    title: str
    items: str
    headline: bool
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison with all its numbers, as texts to read and values to sort by; `bar` are ends on a common scale."""

    target: str
    headline: bool
    arm: str
    against: str
    kind: str
    note: str
    one: Comparison
    verdict: str
    baseline: str
    accuracy: str
    gain: str
    interval: str
    p: str
    p_adjusted: str
    least: str
    bar: tuple[float, float, float, float]


def matrices(subject: Subject, *, named: Callable[[str], str]) -> tuple[Matrix, ...]:
    """A table for each target against its baseline; those whose rows stand for their task first."""
    rest = [one for one in subject.comparisons if not one.primary]
    groups = [list(group) for _, group in groupby(rest, key=lambda one: (target(one), one.control, one.baseline))]
    found = [_matrix(some, subject, named) for some in groups]
    return tuple(sorted(found, key=lambda one: not one.headline))


def lines(subject: Subject) -> tuple[Line, ...]:
    """Every comparison; a primary contrast is there once, as the comparison with the baseline where it is one."""
    rest = [one for one in subject.comparisons if not one.primary]
    there = {_place(one) for one in rest}
    chosen = [*(one for one in subject.comparisons if one.primary and _place(one) not in there), *rest]
    scale = _scale(chosen)
    kinds = _kinds(rest or chosen)
    found = [
        Line(
            target=target(one),
            headline=subject.is_headline(one.task, one.split, one.variant),
            arm=one.arm,
            against=one.baseline,
            kind=kinds.get(one.language, "unseen"),
            note=", ".join(_remarks(one)),
            one=one,
            verdict=verdict(one),
            baseline=points(one.baseline_accuracy),
            accuracy=points(one.accuracy),
            gain=f"{signed(one.gain)}{'*' if significant(one) else ''}",
            interval=between(one.ci_low, one.ci_high),
            p=p_text(one.p_value),
            p_adjusted=p_text(one.p_adjusted),
            # Where nothing varied, nobody knows.
            least=points(one.smallest_detectable) if one.standard_error else "",
            bar=(scale(0.0), scale(one.ci_low), scale(one.gain), scale(one.ci_high)),
        )
        for one in chosen
    ]
    return tuple(sorted(found, key=lambda one: not one.headline))


def kind_of(language: str, *, seen: bool) -> str:
    """What a language filter goes by."""
    if language in AVERAGES:
        return "average"
    return "english" if language == ENGLISH else "seen" if seen else "unseen"


def _kinds(comparisons: Iterable[Comparison]) -> dict[str, str]:
    seen: dict[str, bool] = {}
    for one in comparisons:
        seen[one.language] = seen.get(one.language, False) or bool(one.seen)
    return {language: kind_of(language, seen=value) for language, value in seen.items()}


def _matrix(some: Sequence[Comparison], subject: Subject, named: Callable[[str], str]) -> Matrix:
    first = some[0]
    kinds = _kinds(some)
    languages = list(kinds)
    rows: list[Row] = []
    for _, group in groupby(some, key=lambda one: one.arm):
        own = {one.language: one for one in group}
        one = next(iter(own.values()))
        before = tuple(_before(own[code]) if code in own else None for code in languages)
        plain = Row(arm=one.baseline, seeds=one.n_seeds, note="baseline", cells=before)
        if plain not in rows:
            # A baseline whose other seeds are used for another arm has a row for each.
            rows.insert(0, plain)
        cells = tuple(_cell(own[code]) if code in own else None for code in languages)
        rows.append(Row(arm=one.arm, seeds=one.n_seeds, note=_arm_note(one, subject), cells=cells))
    clusters = "" if first.n_clusters == first.n_items else f" in {counted(first.n_clusters, 'cluster')}"
    control = f" ({controls_in_words(first.control)})" if first.control else ""
    return Matrix(
        title=f"{target(first)}{control}",
        items=f"{counted(first.n_items, 'item')}{clusters} in each language",
        headline=subject.is_headline(first.task, first.split, first.variant),
        heads=tuple(Head(language=code, title=_AVERAGES.get(code) or named(code), kind=kinds[code]) for code in kinds),
        rows=tuple(rows),
    )


def _cell(one: Comparison) -> Cell:
    return Cell(
        value=one.accuracy,
        accuracy=points(one.accuracy),
        spread=points(one.accuracy_sd),
        gain=f"{signed(one.gain)}{'*' if significant(one) else ''}",
        interval=between(one.ci_low, one.ci_high),
        verdict=verdict(one),
        seen=bool(one.seen),
    )


def _before(one: Comparison) -> Cell:
    return Cell(
        value=one.baseline_accuracy,
        accuracy=points(one.baseline_accuracy),
        spread=points(one.baseline_sd),
        gain="",
        interval="",
        verdict="",
        seen=False,
    )


def _arm_note(one: Comparison, subject: Subject) -> str:
    return "collapsed runs" if (one.arm, one.target) in lame_arms(subject.collapsed) else ""


def _remarks(one: Comparison) -> Iterable[str]:
    if one.primary:
        yield "the study's question"
    if one.control:
        yield controls_in_words(one.control)
    if one.seen:
        yield "seen"
    if one.dropped_seeds:
        yield f"target seeds {', '.join(map(str, one.dropped_seeds))} on one side only, left out"


def _place(one: Comparison) -> tuple[str, ...]:
    return target(one), one.arm, one.baseline, one.language


def _scale(comparisons: Sequence[Comparison]) -> Callable[[float], float]:
    """From points to 0-100 across all intervals and nought."""
    least = min(0.0, *(one.ci_low for one in comparisons))
    most = max(0.0, *(one.ci_high for one in comparisons))
    width = (most - least) or 1.0
    return lambda value: round(2 + 96 * (value - least) / width, 2)
