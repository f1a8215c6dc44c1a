"""The tables of a paper, from comparisons: the main one (arms by targets) and one of languages for each target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from xfer_bench.errors import ResultsError
from xfer_bench.languages import language as known_language
from xfer_bench.report.captions import sentences
from xfer_bench.report.findings import COLLAPSED, CONTROL, SEEN, SIGNIFICANT, Findings, target_heads
from xfer_bench.report.leaders import Leader, Target, target_of
from xfer_bench.report.sheets import Block, Cell, Column, Number, Sheet, slug
from xfer_bench.stats.estimates import AVERAGES, AVG, AVG_PUBLISHED, AVG_UNSEEN, ENGLISH, Comparison, significant
from xfer_bench.stats.outcomes import TARGET
from xfer_bench.tasks.task import PUBLISHED

_AVERAGES: Mapping[str, str] = {AVG_UNSEEN: "unseen", AVG: "avg", AVG_PUBLISHED: "published avg"}


def main_table(findings: Findings) -> Sheet:
    """Arms by targets: gains of the headline average, of all languages but English and in English.

    The first row is the baseline's accuracy; the study's own contrasts come last. Raises ResultsError when there is
    nothing to show.
    """
    if not findings.arms:
        raise ResultsError("a main table shows gains over the baseline, and there is no comparison with one")
    heads = target_heads(findings.targets)
    places = [(target, name) for target in findings.targets for name in _shown_averages(findings.arms, target)]
    columns = [
        Column("arm", text=True) if place is None else Column(_AVERAGES.get(place[1], place[1]), group=heads[place[0]])
        for place in [None, *places]
    ]
    before = _baseline_rows(findings)
    below = [one for one in findings.comparisons if one.primary]
    blocks = [
        Block(rows=tuple((_named(findings, note or "accuracy"), *_found(cells, places)) for note, cells in before)),
        Block(rows=tuple((arm, *_found(cells, places)) for arm, cells in _gain_rows(findings.arms, findings, _arm))),
    ]
    if below:
        # Only the headline was asked.
        rows = tuple((pair, *_found(cells, places, "")) for pair, cells in _gain_rows(below, findings, _contrast))
        blocks.append(Block(title="the study's own question", rows=rows))
    return Sheet(
        name="main",
        title=f"Gains in accuracy over {findings.baseline}",
        columns=tuple(columns),
        blocks=tuple(blocks),
        caption=sentences(findings, _shown(findings.comparisons, places)),
        settings=findings.settings,
    )


def language_tables(findings: Findings) -> tuple[Sheet, ...]:
    """For each target its languages by arms: accuracies and gains, averages first, and what arms have seen apart."""
    heads = target_heads(findings.targets)
    taken: dict[str, int] = {}
    return tuple(
        _language_table(target, findings, heads[target], _unique(slug("languages", *_special(target)), taken))
        for target in findings.targets
    )


def marked(one: Comparison, findings: Findings, *, arms: bool = True) -> Number:
    """The gain of a comparison as a cell. arms: mark it where the language is seen, and the leaders."""
    marks = SIGNIFICANT if significant(one) else ""
    marks += SEEN if arms and one.seen else ""
    marks += COLLAPSED if {(one.arm, one.target), (one.baseline, one.target)} & findings.collapsed else ""
    marks += CONTROL if one.control else ""
    leads = Leader(target=target_of(one), language=one.language, arm=one.arm) in findings.leaders
    shows, error = findings.uncertainty == "interval", findings.uncertainty == "se"
    return Number(
        value=one.gain,
        name="gain",
        signed=True,
        low=one.ci_low if shows else None,
        high=one.ci_high if shows else None,
        error=one.standard_error if error else None,
        marks=marks,
        best=leads and arms and not one.control,
        more=(("accuracy", one.accuracy), ("p", one.p_value), ("p adjusted", one.p_adjusted)),
    )


# Cells by target and language.
_Cells: TypeAlias = dict[tuple[Target, str], Cell]


def _language_table(target: Target, findings: Findings, head: str, name: str) -> Sheet:
    some = [one for one in findings.arms if target_of(one) == target]
    arms = tuple(dict.fromkeys(one.arm for one in some))
    gains = dict(_gain_rows(some, findings, _arm))
    accuracies: dict[str, _Cells] = {arm: {} for arm in arms}
    for one in some:
        accuracies[one.arm][target, one.language] = Number(value=one.accuracy)
    before = _baseline_rows(findings, some)
    columns = [Column("language", text=True), *(Column("accuracy", group=_named(findings, note)) for note, _ in before)]
    columns += [Column(part, group=arm) for arm in arms for part in ("accuracy", "gain")]

    def row(language: str) -> tuple[Cell, ...]:
        cells = [own.get((target, language)) for _, own in before]
        for arm in arms:
            cells += [accuracies[arm].get((target, language)), _alone(gains[arm].get((target, language)))]
        return (_language(language), *cells)

    blocks = [Block(title=title, rows=tuple(map(row, those))) for title, those in _language_blocks(some)]
    return Sheet(
        name=name,
        title=f"Accuracies and gains over {findings.baseline} by language: {head}",
        columns=tuple(columns),
        blocks=tuple(blocks),
        caption=sentences(findings, some),
        settings=findings.settings,
    )


def _alone(cell: Cell) -> Cell:
    """The gain without the accuracy, which has a column of its own."""
    return replace(cell, more=cell.more[1:]) if isinstance(cell, Number) else cell


def _language_blocks(some: Sequence[Comparison]) -> list[tuple[str, list[str]]]:
    names = list(dict.fromkeys(one.language for one in some))
    averages = [name for name in AVERAGES if name in names]
    seen = {one.language for one in some if one.seen}
    languages = sorted(set(names) - set(averages), key=lambda code: (code != ENGLISH, code))
    if not seen:
        blocks = [("", averages), ("", languages)]
    else:
        blocks = [
            ("", averages),
            ("in no arm's intermediate data", [code for code in languages if code not in seen]),
            ("in some arm's intermediate data", [code for code in languages if code in seen]),
        ]
    return [(title, those) for title, those in blocks if those]


def _language(name: str) -> str:
    known = known_language(name)
    return _AVERAGES.get(name, name if known is None else f"{known.name} ({name})")


def _shown_averages(comparisons: Sequence[Comparison], target: Target) -> list[str]:
    """The headline and English; all languages but English too, where these are others."""
    own = {one.language: one.languages for one in comparisons if target_of(one) == target and not one.control}
    own = own or {one.language: one.languages for one in comparisons if target_of(one) == target}
    names = [name for name in (AVG_UNSEEN, AVG, ENGLISH) if name in own] or list(own)
    alike = own.get(AVG) == own.get(AVG_UNSEEN)
    return [name for name in names if name != AVG or not alike]


def _shown(comparisons: Sequence[Comparison], places: Sequence[tuple[Target, str]]) -> list[Comparison]:
    return [one for one in comparisons if (target_of(one), one.language) in places]


def _arm(one: Comparison) -> str:
    return one.arm


def _contrast(one: Comparison) -> str:
    return f"{one.arm} − {one.baseline}"


def _gain_rows(
    comparisons: Sequence[Comparison], findings: Findings, name: Callable[[Comparison], str]
) -> list[tuple[str, _Cells]]:
    rows: dict[str, _Cells] = {}
    for one in comparisons:
        cells = rows.setdefault(name(one), {})
        cells[target_of(one), one.language] = marked(one, findings, arms=name is _arm)
    return list(rows.items())


def _baseline_rows(findings: Findings, comparisons: Sequence[Comparison] | None = None) -> list[tuple[str, _Cells]]:
    """The accuracies that gains are measured against, and whose, where arms are paired with other runs of it."""
    given = findings.arms if comparisons is None else comparisons
    arms: dict[str, dict[tuple[Target, str], Comparison]] = {}
    for one in [one for one in given if not one.control] or given:
        arms.setdefault(one.arm, {})[target_of(one), one.language] = one
    rows: list[tuple[list[str], dict[tuple[Target, str], Comparison]]] = []
    for arm, own in arms.items():
        names, cells = next((row for row in rows if _fits(own, row[1])), ([], {}))
        if not names:
            rows.append((names, cells))
        names.append(arm)
        cells |= {place: one for place, one in own.items() if place not in cells}
    return [
        (f"paired with {', '.join(names)}" if number else "", {at: _before(one, findings) for at, one in own.items()})
        for number, (names, own) in enumerate(rows)
    ]


def _named(findings: Findings, note: str) -> str:
    return f"{findings.baseline} ({note})" if note else findings.baseline


def _fits(own: Mapping[tuple[Target, str], Comparison], row: Mapping[tuple[Target, str], Comparison]) -> bool:
    return all(row[place].baseline_accuracy == one.baseline_accuracy for place, one in own.items() if place in row)


def _before(one: Comparison, findings: Findings) -> Number:
    return Number(
        value=one.baseline_accuracy,
        name="accuracy",
        marks=COLLAPSED if (one.baseline, one.target) in findings.collapsed else "",
        best=Leader(target=target_of(one), language=one.language, arm=one.baseline) in findings.leaders,
    )


def _found(cells: _Cells, places: Sequence[tuple[Target, str]], other: Cell = None) -> tuple[Cell, ...]:
    return tuple(cells.get(place, other) for place in places)


def _special(target: Target) -> list[str]:
    task, variant, split, setting, trained = target
    return [task, *([variant] if variant != PUBLISHED else []), split, setting, *([trained] if trained != task else [])]


def _unique(name: str, taken: dict[str, int]) -> str:
    """Two targets whose names differ by signs alone have two labels all the same."""
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else f"{name}-{taken[name]}"


def with_target_columns(sheet: Sheet, *targets: Target) -> Sheet:
    """For programs: the target in columns before each row, one for all blocks or one for each."""
    each = targets * len(sheet.blocks) if len(targets) == 1 else targets
    blocks = tuple(
        replace(block, rows=tuple((*target, *row) for row in block.rows))
        for block, target in zip(sheet.blocks, each, strict=True)
    )
    return replace(sheet, columns=(*(Column(name, text=True) for name in TARGET), *sheet.columns), blocks=blocks)


def with_full_heads(sheet: Sheet, targets: Sequence[Target]) -> Sheet:
    """For programs: with all that there is to a target in the heads of its columns."""
    heads = {
        head: f"{task} ({', '.join([*about, *([f'after {trained}'] if trained != task else [])])})"
        for (task, *about, trained), head in target_heads(targets).items()
    }
    return replace(sheet, columns=tuple(replace(one, group=heads.get(one.group, one.group)) for one in sheet.columns))
