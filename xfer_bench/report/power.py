"""Smallest detectable gains as text, before and after a study: a table, Markdown, CSV and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from textwrap import fill
from typing import Any

import polars as pl

from xfer_bench import __version__
from xfer_bench.labels import MORE_TARGET_DATA
from xfer_bench.report.tables import WIDTH, Format, as_json, block, counted, escaped
from xfer_bench.stats.controls import controls_in_words
from xfer_bench.stats.observed_power import ObservedPower, observed_frame
from xfer_bench.stats.planned_power import PlannedPower
from xfer_bench.stats.power import FEWEST_SEEDS

_OBSERVED = ("arm", "seeds", "language", "differ", "corr.", "gain", "seed var", "smallest", "over both")
_NEEDED = ("arm", "language", "gain", "items", "seeds")
_PLANNED = ("mean over", "correlation", "discordance", "standard error", "smallest")
_NONE = "-"


def render_observed(
    observed: Sequence[ObservedPower],
    *,
    controls: Sequence[ObservedPower] = (),
    notes: Sequence[str] = (),
    format: Format = "table",
) -> str:
    """What a finished study could find, one table per target; with a wanted gain a second one of what it needs.

    At most 100 columns wide; JSON and CSV give every number in full. At least one row. controls: of arms that are
    controls, in tables of their own. notes: lines of the caller's own for below the tables.
    """
    marked = [("", one) for one in observed] + [(MORE_TARGET_DATA, one) for one in controls]
    if format == "json":
        return _json([{**asdict(one), "control": control} for control, one in marked], marked[0][1])
    if format == "csv":
        marks = pl.Series("control", [control for control, _ in marked])
        return observed_frame([one for _, one in marked]).with_columns(marks).write_csv().rstrip("\n")
    blocks = []
    for title, group in groupby(marked, key=_marked_title):
        some = [one for _, one in group]
        blocks.append(block(title, _OBSERVED, [_observed_row(one) for one in some], format))
        if some[0].wanted_gain is not None:
            needed = [
                [one.arm, one.language, f"{one.gain:+.1f}", _count(one.items_needed), _count(one.seeds_needed)]
                for one in some
            ]
            wanted = f"needed to find {some[0].wanted_gain:g} points with {_power(some[0])}"
            blocks.append(block(wanted, _NEEDED, needed, format))
    first = marked[0][1]
    about = [
        f"smallest: the gain in points that is found with {_power(first)}, these seeds given;",
        f"over both: over items and seeds, from {FEWEST_SEEDS} seeds on;",
        "differ: % of items on which just one of the two is right; corr.: of their differences in two",
        "languages; seed var: of the gain from seed to seed beyond what items explain, in points squared,",
        "which below 0 counts as 0",
    ]
    if first.wanted_gain is not None:
        about.append("items: with these seeds; seeds: with these items, over both; -: unknown, or no number does")
    return "\n\n".join([*blocks, _footnotes([*about, *notes], _signature(first), format)])


def render_planned(planned: Sequence[PlannedPower], *, format: Format = "table") -> str:
    """What a study could find before it is made, one table per benchmark, as `render_observed` does it."""
    if format == "json":
        return _json([asdict(one) for one in planned], planned[0])
    if format == "csv":
        return pl.DataFrame([asdict(one) for one in planned], infer_schema_length=None).write_csv().rstrip("\n")
    heads = list(_PLANNED)
    notes = [
        f"smallest: the gain in points that is found with {_power(planned[0])};",
        "discordance: share of items on which just one of the two systems is right;",
        "correlation: of an item's differences between languages; a mean over languages needs it",
    ]
    if planned[0].wanted_gain is not None:
        heads += ["items", "seeds"] if planned[0].seed_sd else ["items"]
        notes.append(f"{' and '.join(heads[5:])}: needed to find {planned[0].wanted_gain:g} points; -: no number does")
    if not planned[0].seed_sd:
        notes.append("conditional on the seeds, which --seeds and --seed-sd let vary")
    blocks = [
        block(title, heads, [_planned_row(one)[: len(heads)] for one in group], format)
        for title, group in groupby(planned, key=_planned_title)
    ]
    return "\n\n".join([*blocks, _footnotes(notes, _signature(planned[0]), format)])


def _marked_title(marked: tuple[str, ObservedPower]) -> str:
    control, one = marked
    return f"{_observed_title(one)}; {controls_in_words(control)}" if control else _observed_title(one)


def _observed_title(one: ObservedPower) -> str:
    variant = "" if one.variant == "published" else f" ({one.variant})"
    after = "" if one.target == one.task else f" after {one.target}"
    clusters = "" if one.n_clusters == one.n_items else f" in {counted(one.n_clusters, 'cluster')}"
    return (
        f"{one.task}{variant} {one.split}{after}, setting {one.setting}: {counted(one.n_items, 'item')}{clusters}, "
        f"baseline {one.baseline}"
    )


def _observed_row(one: ObservedPower) -> list[str]:
    return [
        one.arm,
        str(one.n_seeds),
        one.language,
        f"{100 * one.discordance:.1f}",
        "" if one.correlation is None else f"{one.correlation:.2f}",
        f"{one.gain:+.1f}",
        "" if one.seed_variance is None else f"{one.seed_variance:.2f}",
        _points(one.smallest),
        _points(one.smallest_both),
    ]


def _planned_title(one: PlannedPower) -> str:
    items = f"{one.benchmark}'s {counted(one.items, 'item')}" if one.benchmark else counted(one.items, "item")
    return items if one.seeds is None else f"{items}, {one.seeds} seeds with an sd of {one.seed_sd:g} points"


def _planned_row(one: PlannedPower) -> list[str]:
    return [
        "one language" if one.languages == 1 else f"{one.languages} languages",
        "" if one.correlation is None else f"{one.correlation:g}",
        f"{one.discordance:g}",
        f"{one.standard_error:.2f}",
        _points(one.smallest),
        _count(one.items_needed),
        _count(one.seeds_needed),
    ]


def _points(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"


def _count(value: int | None) -> str:
    return _NONE if value is None else f"{value:,}"


def _power(one: ObservedPower | PlannedPower) -> str:
    return f"{100 * one.power:g} % power at {100 * one.level:g} %, two-sided"


def _signature(one: ObservedPower | PlannedPower) -> str:
    """What someone else needs to get the same numbers, as one short line."""
    source = "observed" if isinstance(one, ObservedPower) else "planned"
    return f"power:{one.power:g}|level:{one.level:g}|test:two-sided normal, t over both|from:{source}|v{__version__}"


def _footnotes(notes: Sequence[str], signature: str, format: Format) -> str:
    if format == "markdown":
        return "  \n".join([*map(escaped, notes), f"`{signature}`"])
    return "\n".join([*(fill(note, WIDTH, subsequent_indent="  ") for note in notes), signature])


def _json(rows: Sequence[Mapping[str, Any]], first: ObservedPower | PlannedPower) -> str:
    return as_json("power", rows, {"power": first.power, "level": first.level, "version": __version__})
