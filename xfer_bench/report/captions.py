"""What a reader of a paper's table has to know, in sentences for below it."""

from collections.abc import Iterator, Mapping, Sequence

from xfer_bench.report.findings import COLLAPSED, CONTROL, SEEN, SIGNIFICANT, Findings, target_heads
from xfer_bench.report.leaders import RULE, target_of
from xfer_bench.report.tables import counted
from xfer_bench.stats.controls import controls_in_words
from xfer_bench.stats.estimates import AVG, AVG_PUBLISHED, AVG_UNSEEN, Comparison, significant
from xfer_bench.stats.variants import wrong_languages
from xfer_bench.tasks.task import PUBLISHED

_ADJUSTED: Mapping[str, str] = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


def sentences(findings: Findings, shown: Sequence[Comparison]) -> tuple[str, ...]:
    """The caption of a table of gains: what was measured, on what, how sure it is, and what each mark says."""
    return (
        f"Accuracy points; a gain is over the runs of {findings.baseline} with the same target seeds, mean of seeds.",
        *_averages(shown),
        *_data(findings, shown),
        *_uncertainty(findings, shown),
        *_marks(findings, shown),
        *_bold(findings, shown),
        *_warnings(shown),
    )


def _averages(shown: Sequence[Comparison]) -> Iterator[str]:
    names = {one.language for one in shown}
    if AVG_UNSEEN in names:
        yield "unseen, the headline: mean over the languages that no compared arm's intermediate data contain."
    if AVG in names:
        yield "avg: mean over all languages but English."
    if AVG_PUBLISHED in names:
        yield "published avg: the benchmark's own average, English among its languages."


def _data(findings: Findings, shown: Sequence[Comparison]) -> Iterator[str]:
    """What each target is, and once what all have in common."""
    heads = target_heads(findings.targets)
    targets = tuple(dict.fromkeys(map(target_of, shown)))
    known = {target: _facts([one for one in shown if target_of(one) == target]) for target in targets}
    common = [facts[0] for facts in zip(*known.values(), strict=True) if len(set(facts)) == 1]
    if len(targets) > 1 and common:
        yield f"All targets: {', '.join(common)}."
    for target, facts in known.items():
        own = [fact for fact in facts if len(targets) == 1 or fact not in common]
        if own:
            yield f"{heads[target]}: {', '.join(fact for fact in own if fact)}."


def _facts(some: Sequence[Comparison]) -> tuple[str, ...]:
    task, variant, split, setting, trained = target_of(some[0])
    first = next((one for one in some if one.language == AVG_UNSEEN and not one.control), None)
    clusters = "" if some[0].n_items == some[0].n_clusters else f" in {counted(some[0].n_clusters, 'cluster')}"
    return (
        f"{split} split",
        _rows(variant, [code for code in wrong_languages(task, split) if any(code in one.languages for one in some)]),
        f"setting {setting}" if trained == task else f"setting {setting} of {trained}",
        f"{counted(some[0].n_items, 'item')}{clusters}",
        _pairs(some),
        f"unseen: {' '.join(first.languages)}" if first else "",
    )


def _rows(variant: str, wrong: Sequence[str]) -> str:
    if variant != PUBLISHED:
        return f"the {variant} variant"
    return f"as published (rows known to be wrong in {' '.join(wrong)})" if wrong else "as published"


def _pairs(some: Sequence[Comparison]) -> str:
    least, most = min(one.n_seeds for one in some), max(one.n_seeds for one in some)
    if least == most:
        return f"{most} pair{'s' if most > 1 else ''} of runs an arm"
    return f"{least} to {most} pairs of runs an arm"


def _uncertainty(findings: Findings, shown: Sequence[Comparison]) -> Iterator[str]:
    over = "over items and seeds" if shown[0].over == "both" else "over items, for these seeds"
    if findings.uncertainty == "interval":
        yield f"[ ]: {100 * findings.level:g} % interval {over}."
    elif findings.uncertainty == "se":
        yield f"±: standard error {over}."


def _marks(findings: Findings, shown: Sequence[Comparison]) -> Iterator[str]:
    if any(map(significant, shown)):
        adjusted = next((name for key, name in _ADJUSTED.items() if _adjustment(findings).startswith(key)), "")
        how = f"adjusted in its family ({adjusted})" if adjusted else "not adjusted for other tests"
        yield f"{SIGNIFICANT}: p < {1 - findings.level:.2g}, {how}.".replace("0.", ".", 1)
    if any(one.seen for one in shown):
        yield f"{SEEN}: the arm's intermediate data contain the language."
    lame = sorted({arm for one in shown for arm in (one.arm, one.baseline) if (arm, one.target) in findings.collapsed})
    if lame:
        yield f"{COLLAPSED}: with collapsed runs, of {', '.join(lame)}."
    controls = sorted({one.control for one in shown if one.control})
    if controls:
        words = ", ".join(controls_in_words(one) for one in controls)
        yield f"{CONTROL}: {words}, compared apart, over the languages that it has not seen."


def _adjustment(findings: Findings) -> str:
    return str(findings.settings.get("adjust") or "")


def _bold(findings: Findings, shown: Sequence[Comparison]) -> Iterator[str]:
    rule = RULE.format(level=100 * findings.level, baseline=findings.baseline)
    places = {(target_of(one), one.language) for one in shown}
    some = any((one.target, one.language) in places for one in findings.leaders)
    yield f"{rule}." if some else f"{rule}; here no arm."


def _warnings(shown: Sequence[Comparison]) -> Iterator[str]:
    yield from dict.fromkeys(
        f"{one.arm}: target seed{'s' if len(one.dropped_seeds) > 1 else ''} "
        f"{', '.join(map(str, one.dropped_seeds))} on one side only, left out on {one.task}."
        for one in shown
        if one.dropped_seeds
    )
    # After the semicolon stands what to do on the command line.
    cautions = {one.caution.partition("; ")[0] for one in shown if one.caution}
    yield from (f"Caution: {caution}." for caution in sorted(cautions))
