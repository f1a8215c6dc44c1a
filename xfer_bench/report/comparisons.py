"""Comparisons as text: the arms, what each gains over the other, and what may be said about it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from textwrap import fill
from typing import Any

import polars as pl

from xfer_bench import __version__
from xfer_bench.report.conventions import beside_notes
from xfer_bench.report.published import Besides, beside_rows, render_beside
from xfer_bench.report.sentences import sentence, target
from xfer_bench.report.tables import (
    WIDTH,
    Format,
    Settings,
    as_json,
    between,
    block,
    counted,
    escaped,
    footnotes,
    interval_head,
    p_text,
    points,
    signed,
)
from xfer_bench.report.training import Trained, render_training, training_notes, training_rows
from xfer_bench.stats.comparisons import PRIMARY, comparison_frame
from xfer_bench.stats.controls import controls_in_words
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_PUBLISHED, AVG_UNSEEN, Comparison
from xfer_bench.stats.method import Method

_MARK = "*"
_SHORT = {"percentile": "pct", "basic": "basic", "bca": "bca"}
# Tests that the name of the interval does not imply.
_NAMED = frozenset({"inversion", "permutation", "mcnemar", "mid-p", "sign flips"})
_DRAWN = frozenset({"bootstrap", "inversion", "permutation", "crossed bootstrap"})


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What is told beside comparisons.

    notes: lines of the caller's own for below the tables. collapsed: (arm, target) of collapsed runs. training: what
    the arms were trained on, for a table of its own. published: a model's published accuracies beside ours, likewise.
    """

    notes: tuple[str, ...] = ()
    collapsed: frozenset[tuple[str, str]] = frozenset()
    training: tuple[Trained, ...] = ()
    published: tuple[Besides, ...] = ()


_NOTHING = Beside()


def method_settings(comparisons: Sequence[Comparison], method: Method) -> Settings:
    """What someone else needs to get the same comparisons: the `settings` of a table."""
    test = comparisons[0].test
    arms = [one for one in comparisons if not one.control] or comparisons
    drawn = not method.random_effects or test == "sign flips"
    return {
        "baseline": next((one.baseline for one in comparisons if not one.primary), comparisons[0].baseline),
        "interval": _interval(test, method),
        "p": test.replace(" ", "-") if test in _NAMED else None,
        "resamples": method.resamples if drawn else None,
        "over": method.over,
        "clusters": "+".join(sorted({_cluster(one) for one in comparisons})),
        "seed": method.seed if drawn else None,
        "level": method.level,
        "adjust": None if method.adjust == "none" else f"{method.adjust}({_families(arms)})",
        "power": method.power,
        "version": __version__,
    }


def render(
    comparisons: Sequence[Comparison],
    *,
    format: Format,
    settings: Settings,
    beside: Beside = _NOTHING,
    simultaneous: bool = False,
) -> str:
    """Comparisons as text, in their order; the table is at most 100 columns wide, and ends without a line break.

    Controls have tables of their own, after the arms', and no sentence. simultaneous: the tables show the max-t
    intervals, which hold for a whole family together, where there are any.
    """
    if format == "json":
        return as_json("comparisons", [asdict(one) for one in comparisons], settings, more=_more(beside))
    if format == "csv":
        return _csv(comparisons, beside)
    parts: list[str] = []
    primary = [one for one in comparisons if one.primary]
    if primary:
        parts.append(_question(primary, simultaneous, format))
    rest = [one for one in comparisons if not one.primary and not one.control]
    for title, group in groupby(rest, key=_title):
        some = list(group)
        if _averages(some):
            parts.append(block(title, ["arm", "seeds", *_averages(some)], _arms(some), format))
        parts.append(
            block(
                f"gain over {some[0].baseline}" if _averages(some) else f"{title}, gain over {some[0].baseline}",
                _heads(some, simultaneous),
                [_row(one, simultaneous) for one in some],
                format,
            )
        )
    parts += _controls([one for one in comparisons if one.control], simultaneous, format)
    parts += render_training(beside.training, format)
    parts += render_beside(beside.published, format)
    power = float(settings["power"] or 0)
    parts += [
        _wrapped(sentence(one, power=power, collapsed=beside.collapsed), format) for one in primary or _headlines(rest)
    ]
    notes = [*_notes(comparisons, simultaneous, power), *training_notes(beside.training)]
    notes += [*beside_notes(beside.published), *beside.notes]
    return "\n\n".join([*parts, footnotes(notes, settings, format)])


def _more(beside: Beside) -> dict[str, list[dict[str, Any]]]:
    """Flat rows of what stands beside the comparisons, by kind; kinds without any are absent."""
    rows = {"training": training_rows(beside.training), "published": beside_rows(beside.published)}
    return {kind: some for kind, some in rows.items() if some}


def _csv(comparisons: Sequence[Comparison], beside: Beside) -> str:
    """One row a comparison; with anything beside them a column `kind`, and below them that kind's rows."""
    table = comparison_frame(comparisons)
    more = _more(beside)
    if more:
        others = {kind: pl.DataFrame(rows, infer_schema_length=None) for kind, rows in more.items()}
        kinds = [part.select(pl.lit(kind).alias("kind"), pl.all()) for kind, part in
                 {"comparison": table, **others}.items()]  # fmt: skip
        table = pl.concat(kinds, how="diagonal_relaxed")
    return table.write_csv().rstrip("\n")


def _controls(comparisons: Sequence[Comparison], simultaneous: bool, format: Format) -> list[str]:
    """A table for each target that has controls, marked as what it is."""
    return [
        block(
            f"{_title(some[0])}; {controls_in_words(some[0].control)}, gain over {some[0].baseline}",
            _heads(some, simultaneous),
            [_row(one, simultaneous) for one in some],
            format,
        )
        for some in (list(group) for _, group in groupby(comparisons, key=lambda one: (_title(one), one.control)))
    ]


def _question(primary: Sequence[Comparison], simultaneous: bool, format: Format) -> str:
    """The primary contrasts; both arms' accuracies stand in the tables below it."""
    averages = list(dict.fromkeys(one.language for one in primary))
    # A target whose languages are all seen has another headline than the others.
    several = len(averages) > 1
    rows = [
        [
            target(one),
            f"{one.arm} - {one.baseline}",
            *([one.language] if several else []),
            *_gain(one, simultaneous),
        ]
        for one in primary
    ]
    heads = ["target", "contrast", *(["language"] if several else []), *_gain_heads(primary, simultaneous)]
    title = f"primary contrast{'s' if len(primary) > 1 else ''}{'' if several else f', {averages[0]}'}"
    return block(title, heads, rows, format)


def _heads(some: Sequence[Comparison], simultaneous: bool) -> list[str]:
    return ["arm", "language", "other", "arm's", *_gain_heads(some, simultaneous)]


def _gain_heads(some: Sequence[Comparison], simultaneous: bool) -> list[str]:
    interval = interval_head(some[0].level)
    heads = ["gain", f"joint {interval}" if simultaneous else interval, "p"]
    return [*heads, *(["p adj"] if some[0].p_adjusted is not None else []), "least"]


def _row(one: Comparison, simultaneous: bool) -> list[str]:
    language = f"{one.language} {_MARK}" if one.language == AVG_UNSEEN else one.language
    name = language + (" (seen)" if one.seen else "")
    return [one.arm, name, points(one.baseline_accuracy), points(one.accuracy), *_gain(one, simultaneous)]


def _gain(one: Comparison, simultaneous: bool) -> list[str]:
    joint = between(one.simultaneous_low, one.simultaneous_high)
    least = (2 if one.test == "inversion" else 1) / (one.resamples + 1) if one.test in _DRAWN else 0.0
    return [
        signed(one.gain),
        joint if simultaneous else between(one.ci_low, one.ci_high),
        p_text(one.p_value, least=least),
        *([p_text(one.p_adjusted, least=least)] if one.p_adjusted is not None else []),
        # Where nothing varied, nobody knows.
        points(one.smallest_detectable) if one.standard_error else "",
    ]


def _arms(some: Sequence[Comparison]) -> list[list[str]]:
    """Each arm's mean over seeds and its sd; the baseline first, in the runs that the first arm is compared with."""
    names = _averages(some)
    rows = []
    for arm in dict.fromkeys(one.arm for one in some):
        own = {one.language: one for one in some if one.arm == arm}
        seeds, baseline = str(own[names[0]].n_seeds), own[names[0]].baseline
        rows.append([arm, seeds, *(_spread(own[name].accuracy, own[name].accuracy_sd) for name in names)])
        row = [baseline, seeds, *(_spread(own[name].baseline_accuracy, own[name].baseline_sd) for name in names)]
        if row not in rows:
            # A baseline whose other seeds are used for another arm has a row for each.
            rows.insert(0, row)
    return rows


def _averages(some: Sequence[Comparison]) -> list[str]:
    """Which averages there are, or the only language; none of several languages without an average."""
    names = {one.language for one in some}
    return [name for name in AVERAGES if name in names] or ([*names] if len(names) == 1 else [])


def _spread(mean: float, sd: float | None) -> str:
    return f"{mean:.1f}" if sd is None else f"{mean:.1f} sd {sd:.1f}"


def _wrapped(text: str, format: Format) -> str:
    return escaped(text) if format == "markdown" else fill(text, WIDTH)


def _headlines(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The first of each arm on each target, where that is an average or the only language."""
    found = []
    for _, group in groupby(comparisons, key=lambda one: (_title(one), one.arm)):
        some = list(group)
        found += some[:1] if _averages(some) else []
    return found


def _title(one: Comparison) -> str:
    return f"{target(one)}: {counted(one.n_items, 'item')} in {counted(one.n_clusters, 'cluster')}"


def _notes(comparisons: Sequence[Comparison], simultaneous: bool, power: float) -> list[str]:
    notes = ["gain: accuracy points over the other arm's runs with the same target seeds, mean of seeds"]
    named = {one.language for one in comparisons}
    if AVG_UNSEEN in named:
        notes.append(f"{_MARK} headline: mean over languages that no compared arm's intermediate data contain")
    if AVG in named:
        notes.append("avg: mean over all languages but English; (seen): in the arm's intermediate data")
    if AVG_PUBLISHED in named:
        notes.append("avg_published: the benchmark's own average")
    if any(one.control for one in comparisons):
        notes.append(
            "controls are compared apart: they are in no family, headline, rank or correlation of the arms; their "
            f"{AVG_UNSEEN} is over the languages that they and the other arm have not seen"
        )
    notes.append(f"least: the smallest gain that one test alone would find {100 * power:.0f} times in 100")
    if simultaneous:
        notes.append("joint intervals hold for all tests of a family together (max-t)")
    dropped = [
        f"{one.arm} against {one.baseline} on {target(one)}: target seed{'s' if len(one.dropped_seeds) > 1 else ''} "
        f"{', '.join(map(str, one.dropped_seeds))} on one side only, left out"
        for one in comparisons
        if one.dropped_seeds
    ]
    notes += dict.fromkeys(dropped)
    notes += sorted({f"caution: {one.caution}" for one in comparisons if one.caution})
    return notes


def _interval(test: str, method: Method) -> str:
    if method.random_effects:
        return "random-effects:t"
    return f"{'crossed-boot' if test == 'crossed bootstrap' else 'boot'}:{_SHORT[method.interval]}"


def _cluster(one: Comparison) -> str:
    if one.n_clusters == one.n_items:
        return "item"
    return "premise" if "xnli" in one.task else "cluster"


def _families(comparisons: Sequence[Comparison]) -> str:
    """How many tests a family has: of primary contrasts, of averages, of languages; where they differ, from and to."""
    kinds: dict[str, set[int]] = {}
    for one in comparisons:
        kind = PRIMARY if one.primary else "arms" if one.language in AVERAGES else "languages"
        kinds.setdefault(kind, set()).add(one.family_size)
    ranges = [(min(sizes), max(sizes)) for sizes in kinds.values()]
    return ",".join(str(least) if least == most else f"{least}-{most}" for least, most in ranges)
