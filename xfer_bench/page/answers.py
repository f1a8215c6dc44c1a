"""What the report says first: the question, and one sentence for each claim."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from xfer_bench.page.subject import Subject
from xfer_bench.report.sentences import sentence, target
from xfer_bench.report.tables import between, signed
from xfer_bench.stats.collapse import lame_arms
from xfer_bench.stats.estimates import AVERAGES, Comparison, significant


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One claim. verdict: `gain`, `loss` or `neither`. headline: of rows that stand for their task."""

    verdict: str
    arm: str
    against: str
    where: str
    gain: str
    interval: str
    sentence: str
    primary: bool
    headline: bool


def title(subject: Subject) -> str:
    """The title asked for, or one that names what was scored."""
    if subject.title:
        return subject.title
    names = list(dict.fromkeys(one.task for one in subject.comparisons))
    return f"Transfer gains on {_listed(names)}"


def question(subject: Subject) -> str:
    """What the study asked before it looked at any score; without such a question, what every study asks."""
    primary = dict.fromkeys((one.arm, one.baseline) for one in subject.comparisons if one.primary)
    if primary:
        return " ".join(f"Does {arm} gain over {other}?" for arm, other in primary)
    rest = [one for one in subject.comparisons if not one.control] or subject.comparisons
    return f"What do {_listed(list(dict.fromkeys(one.arm for one in rest)))} gain over {rest[0].baseline}?"


def answers(subject: Subject) -> tuple[Answer, ...]:
    """The primary contrasts, then the headline of each arm on each target; those of headline rows first."""
    primary = [one for one in subject.comparisons if one.primary]
    rest = _headlines([one for one in subject.comparisons if not one.primary and not one.control])
    asked = {_place(one) for one in primary}
    chosen = [*primary, *(one for one in rest if _place(one) not in asked)]
    lame = lame_arms(subject.collapsed)
    found = [
        Answer(
            verdict=verdict(one),
            arm=one.arm,
            against=one.baseline,
            where=f"{target(one)}, {one.language}",
            gain=signed(one.gain),
            interval=between(one.ci_low, one.ci_high),
            sentence=sentence(one, power=subject.method.power, collapsed=lame),
            primary=one.primary,
            headline=subject.is_headline(one.task, one.split, one.variant),
        )
        for one in chosen
    ]
    return tuple(sorted(found, key=lambda one: not one.headline))


def verdict(one: Comparison) -> str:
    """What the evidence supports, as one word."""
    if not significant(one):
        return "neither"
    return "gain" if one.gain > 0 else "loss"


def _headlines(comparisons: Sequence[Comparison]) -> Iterator[Comparison]:
    """The first of each arm on each target, where that is an average or the only language."""
    for _, group in groupby(comparisons, key=lambda one: (target(one), one.arm)):
        some = list(group)
        if some[0].language in AVERAGES or len(some) == 1:
            yield some[0]


def _place(one: Comparison) -> tuple[str, ...]:
    return target(one), one.arm, one.baseline, one.language


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
