"""`compare`: what each arm gains over another, from a results folder or anyone's per-item files; no torch."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.given import Given, OnSplit, OnVariant, Select, Variant, compared, of_folder
from xfer_bench.cli.options import RESAMPLES, Baseline, Format, Level, Resamples, Seed, Split
from xfer_bench.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xfer_bench.stats.estimates import Comparison
    from xfer_bench.stats.method import IntervalName, Method, Test

__all__ = ["By", "Given", "compare", "compared", "of_folder", "show"]


class Over(StrEnum):
    """What is drawn."""

    ITEMS = "items"
    BOTH = "both"


class Adjust(StrEnum):
    """For how many tests a family has."""

    HOLM = "holm"
    BH = "bh"
    NONE = "none"


class Interval(StrEnum):
    """Bootstrap intervals."""

    PCT = "pct"
    BASIC = "basic"
    BCA = "bca"


_INTERVALS: "dict[Interval, IntervalName]" = {
    Interval.PCT: "percentile",
    Interval.BASIC: "basic",
    Interval.BCA: "bca",
}


# Tests of single languages.
_SINGLE = frozenset({"mcnemar", "mid-p"})
_TARGET = ("task", "variant", "split", "setting", "target")


class By(StrEnum):
    """How fine the tables are."""

    AVERAGE = "average"
    LANGUAGE = "language"


def compare(
    results: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RESULTS]", help="A results folder, or two or more per-item files (.csv, .jsonl)."),
    ] = None,
    baseline: Baseline = None,
    contrast: Annotated[str | None, typer.Option("--contrast", metavar="A:B", help="Only arm A against arm B.")] = None,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="p of the paired bootstrap: the default over items; crossed over both.")
    ] = False,
    inversion: Annotated[bool, typer.Option("--inversion", help="p by inverting the bootstrap interval.")] = False,
    permutation: Annotated[
        bool, typer.Option("--permutation", help="p by exchanging labels in clusters; over both, signs of seeds.")
    ] = False,
    mcnemar: Annotated[bool, typer.Option("--mcnemar", help="Exact p for one pair of runs by language.")] = False,
    mid_p: Annotated[bool, typer.Option("--mid-p", help="McNemar's mid-p, less conservative.")] = False,
    interval: Annotated[Interval, typer.Option("--interval", help="Of the bootstrap over items.")] = Interval.PCT,
    over: Annotated[Over, typer.Option("--over", help="Draw items, or items and seeds.")] = Over.ITEMS,
    adjust: Annotated[Adjust, typer.Option("--adjust", help="For several tests in a family.")] = Adjust.HOLM,
    select: Select = None,
    split: OnSplit = None,
    variant: OnVariant = None,
    across: Annotated[
        bool, typer.Option("--across-variants", help="Compare runs on different variants where they share none.")
    ] = False,
    simultaneous: Annotated[
        bool, typer.Option("--simultaneous", help="Show intervals that hold for a whole family together (max-t).")
    ] = False,
    by: Annotated[By, typer.Option("--by", help="Show averages only, or languages too.")] = By.AVERAGE,
    training: Annotated[
        bool, typer.Option("--training", help="Add what each arm was trained on: examples, optimiser steps, tokens.")
    ] = False,
    published: Annotated[
        str | None,
        typer.Option("--published", metavar="MODEL", help="Add a model's published accuracies beside the arms'."),
    ] = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
    level: Level = 0.95,
    output: Annotated[
        Format, typer.Option("--format", help="How it is printed; JSON and CSV hold everything.")
    ] = Format.TABLE,
) -> None:
    """Print each arm's gain over the baseline with the same target seed, on average and by language.

    Clusters of items are drawn jointly over languages, arms and seeds. The contrasts that the study named as its
    question come first; p-values are adjusted within families. With files, the first one is the baseline.
    """
    from xfer_bench.stats.method import Method

    method = Method(
        over=over.value,
        test=_test(
            {
                "bootstrap": bootstrap,
                "inversion": inversion,
                "permutation": permutation,
                "mcnemar": mcnemar,
                "mid-p": mid_p,
            }
        ),
        interval=_INTERVALS[interval],
        adjust=adjust.value,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    if simultaneous and method.random_effects:
        raise ResultsError(
            "simultaneous intervals come from resamples, of which random effects have none; add --bootstrap, or leave "
            "--simultaneous out"
        )
    arms = _arms(contrast)
    places = results or [Path("results")]
    if len(places) == 1 and not places[0].is_file():
        from xfer_bench.results import Results

        # Published numbers are of the rows as published.
        asked = Variant.PUBLISHED if published is not None and variant is None and not across else variant
        given = of_folder(Results(places[0]), select=select, split=split, variant=asked, across=across, arms=arms)
    else:
        _check_files(select=select, split=split, variants=variant is not None or across, training=training)
        given = _of_files(places)
        baseline = baseline if baseline or contrast else given.predictions["arm"][0]
    found = compared(given, baseline=baseline, contrast=arms, method=method)
    if arms:
        # The others are left out on purpose.
        given = replace(given, predictions=given.predictions.filter(given.predictions["arm"].is_in(arms)), primary=())
    show(found, given, method, output=output, by=by, simultaneous=simultaneous, training=training, published=published)


def _check_files(*, select: str | None, split: Split | None, variants: bool, training: bool) -> None:
    if select is not None:
        raise ResultsError("--select chooses among steps of a results folder's runs; files have none")
    if split is not None:
        raise ResultsError("--split chooses among a results folder's splits; files have none")
    if variants:
        raise ResultsError("--variant and --across-variants choose among a results folder's rows; files have one form")
    if training:
        raise ResultsError("--training shows a results folder's stages; of files nothing is known")


def _of_files(places: list[Path]) -> Given:
    from xfer_bench.answers import read_answers

    folders = [place for place in places if place.is_dir()]
    if folders:
        joined = "; `xfer-bench merge` joins results folders into one" if folders == places else ""
        raise ResultsError(f"{folders[0]} is a folder; give one results folder, or per-item files only{joined}")
    return Given(predictions=read_answers(places))


def show(
    found: "list[Comparison]",
    given: Given,
    method: "Method",
    *,
    output: Format = Format.TABLE,
    by: By = By.AVERAGE,
    simultaneous: bool = False,
    training: bool = False,
    published: str | None = None,
) -> None:
    """Print comparisons. Tables by average leave the languages out wherever an average is there.

    training: with a table of what each arm was trained on. published: a model whose published accuracies stand beside.
    """
    from xfer_bench.report.comparisons import Beside, method_settings, render
    from xfer_bench.report.published import beside as beside_published
    from xfer_bench.report.training import trained
    from xfer_bench.stats.estimates import AVERAGES

    settings = {**method_settings(found, method), "select": given.select}
    settings["collapsed"] = ", ".join(sorted({arm for arm, _ in given.collapsed})) or None
    alone = _alone(given, found)
    beside = Beside(
        notes=(*given.notes, *alone),
        collapsed=given.collapsed,
        training=trained(given.predictions, given.stages) if training and given.stages is not None else (),
        published=() if published is None else beside_published(found, published),
    )
    given.tell(output, *alone)
    averaged = {_target(one) for one in found if one.language in AVERAGES}
    if by is By.AVERAGE and output in {Format.TABLE, Format.MARKDOWN}:
        found = [one for one in found if one.language in AVERAGES or _target(one) not in averaged]
    typer.echo(render(found, format=output.value, settings=settings, beside=beside, simultaneous=simultaneous))


def _target(one: "Comparison") -> tuple[str, ...]:
    return tuple(str(getattr(one, name)) for name in _TARGET)


def _alone(given: Given, found: "Sequence[Comparison]") -> list[str]:
    """What was asked or is in the results, and is in no comparison: else it would be missing without a word."""
    from xfer_bench.metrics import targets_only

    compared_arms = {(*_target(one), arm) for one in found for arm in (one.arm, one.baseline)}
    targets: dict[tuple[str, ...], set[str]] = {}
    for *target, arm in targets_only(given.predictions).select(*_TARGET, "arm").unique().iter_rows():
        if (*map(str, target), arm) not in compared_arms:
            targets.setdefault(tuple(map(str, target)), set()).add(arm)
    answered = {(one.arm, one.baseline) for one in found if one.primary}
    controls = set() if given.controls is None else {*given.controls["arm"]}
    unanswered = [
        f"the study's own question, {arm} against {other}, has no row here: "
        f"{_why_not(found, [name for name in (arm, other) if name in controls])}"
        for arm, other in given.primary
        if (arm, other) not in answered
    ]
    return unanswered + [
        f"not compared on {target[0]}{'' if target[1] == 'published' else f' ({target[1]})'} {target[2]}, {target[3]}, "
        f"as no run has a partner: {', '.join(sorted(arms))}"
        for target, arms in sorted(targets.items())
    ]


def _why_not(found: "Sequence[Comparison]", controls: "Sequence[str]") -> str:
    if controls:
        return f"{' and '.join(controls)} {'are controls' if len(controls) > 1 else 'is a control'} there"
    return "no run has a partner" if found[0].test not in _SINGLE else "an average has no such test"


def _test(asked: "Mapping[Test, bool]") -> "Test | None":
    tests = [test for test, wanted in asked.items() if wanted]
    if len(tests) > 1:
        raise ResultsError(f"--{tests[0]} and --{tests[1]} are two tests; ask for one at a time")
    return tests[0] if tests else None


def _arms(contrast: str | None) -> tuple[str, str] | None:
    if contrast is None:
        return None
    arm, colon, other = contrast.partition(":")
    if not (arm and colon and other) or arm == other:
        raise ResultsError(f"--contrast {contrast!r} names no two arms; write A:B for arm A against arm B")
    return arm, other
