"""What the statistics' commands are given: a results folder with one answer to each item, and facts of its runs.

`compare`, `correlate`, `rank`, `components` and `power` read a folder through here, so that they mean the same runs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from xfer_bench.cli.options import Format, Split
from xfer_bench.errors import ResultsError

if TYPE_CHECKING:
    import polars as pl

    from xfer_bench.results import Results
    from xfer_bench.stats.estimates import Comparison
    from xfer_bench.stats.method import Method


class Variant(StrEnum):
    """Which rows of a task that has repaired ones."""

    PUBLISHED = "published"
    REPAIRED = "repaired"
    BOTH = "both"


Select: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--select", metavar="RULE", help="Which step of each run: own, last, target or oracle; by default its result."
    ),
]
OnSplit: TypeAlias = Annotated[
    Split | None, typer.Option("--split", help="Only predictions on this split; by default test, where there are such.")
]
OnVariant: TypeAlias = Annotated[
    Variant | None,
    typer.Option(
        "--variant", help="Of a task with repaired rows; by default the repaired ones, where all runs have them."
    ),
]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is compared.

    stages: STAGES of the runs; None for files. controls: which runs are controls, as `stats.controls` has them.
    primary: (arm, against) of the study's question. collapsed: (arm, target) of runs that learnt nothing. notes: what a
    reader has to know of runs. select: the rule that chose among steps of runs.
    """

    predictions: "pl.DataFrame"
    stages: "pl.DataFrame | None" = None
    controls: "pl.DataFrame | None" = None
    primary: tuple[tuple[str, str], ...] = ()
    collapsed: frozenset[tuple[str, str]] = frozenset()
    notes: tuple[str, ...] = ()
    select: str | None = None

    def apart(self, *, reference: str, arms: list[str] | None = None) -> "tuple[pl.DataFrame, pl.DataFrame]":
        """Predictions of arms and of controls, each with the runs of the reference that they are measured against.

        Raises ResultsError where there is no other arm.
        """
        from xfer_bench.metrics import only_arm, why_unpaired

        if only_arm(self.predictions) is not None:
            raise ResultsError(why_unpaired(self.predictions, baseline=reference))
        if self.controls is None:
            return self.predictions, self.predictions.clear()
        from xfer_bench.stats.controls import apart

        return apart(self.predictions, self.controls, reference=reference, arms=arms)

    def tell(self, output: Format, *more: str) -> None:
        """Say the notes on the error stream where what is printed is for programs and cannot hold them."""
        if output in {Format.JSON, Format.CSV}:
            for note in (*self.notes, *more):
                typer.echo(f"note: {note}", err=True)


def variants_of(asked: Sequence[Variant] | None) -> tuple[str, ...]:
    """What `eval` takes: no names mean all."""
    return () if Variant.BOTH in (asked or ()) else tuple(one.value for one in asked or ())


def of_folder(
    results: "Results",
    *,
    select: str | None = None,
    split: Split | None = None,
    variant: Variant | None = None,
    across: bool = False,
    arms: Collection[str] | None = None,
) -> Given:
    """A results folder's predictions, question, controls and collapsed runs.

    select: a rule that chooses among steps of runs; without one each run stands for its own result. variant, across,
    arms: of a task's rows, as `stats.variants.narrow` takes them.
    """
    from xfer_bench.report.record import short_record, torn_record
    from xfer_bench.stats.collapse import collapsed, lame_arms
    from xfer_bench.stats.controls import control_runs
    from xfer_bench.stats.rules import Rule
    from xfer_bench.stats.standing import in_one_variant, twins
    from xfer_bench.stats.variants import narrow

    stages, data = results.stages(), results.data()
    known = in_one_variant(
        results.predictions(),
        stages,
        rule=None if select is None else Rule.from_text(select),
        split=None if split is None else split.value,
        choose=partial(narrow, variant=None if variant is None else variant.value, across=across, arms=arms),
    )
    predictions = known.predictions
    lame = collapsed(stages)
    there = {*predictions["arm"]}
    declared: list[tuple[str, str]] = [*results.contrasts().iter_rows()]
    return Given(
        predictions=predictions,
        stages=stages,
        controls=control_runs(stages),
        primary=tuple(contrast for contrast in declared if there.issuperset(contrast)),
        collapsed=lame_arms(lame),
        notes=(
            *known.notes,
            *twins(predictions),
            *filter(None, [short_record(data), torn_record(data)]),
            *(f"collapsed: {one.run} ({one.role} stage {one.task}): {one.reason}" for one in lame),
            *(
                f"the study's own question, {arm} against {other}, is open: there are no results of {lacking}"
                for arm, other in declared
                if (lacking := " and ".join(sorted({arm, other} - there)))
            ),
        ),
        select=select,
    )


def compared(
    given: Given, *, baseline: str | None, contrast: tuple[str, str] | None = None, method: "Method"
) -> "list[Comparison]":
    """The comparisons that the command prints; `figures` and `run` draw the same ones, of the variants that are given.

    Controls come last. They are compared apart, so that neither families nor averages of arms depend on them.
    """
    from xfer_bench.metrics import baseline_arm
    from xfer_bench.stats.comparisons import compare
    from xfer_bench.stats.variants import BOTH

    if contrast is not None and baseline is None:
        names = [baseline_arm(given.predictions, name=name) for name in contrast]
        arms, reference = names[:1], names[1]
    else:
        arms, reference = None, baseline_arm(given.predictions, name=baseline)
    ours, theirs = given.apart(reference=reference, arms=arms)
    there = {*ours["arm"]}
    found: list[Comparison] = []
    if theirs.is_empty() or (reference in there and len(there) > 1):
        primary = [one for one in given.primary if there.issuperset(one)]
        found = compare(ours, baseline=baseline, contrast=contrast, primary=primary, method=method, variant=BOTH)
    if not theirs.is_empty():
        try:
            against = baseline if contrast else reference
            found += _marked(compare(theirs, baseline=against, contrast=contrast, method=method, variant=BOTH), given)
        except ResultsError:
            # What cannot be compared is told below the table, if there is one.
            if not found:
                raise
    return found


def _marked(found: "list[Comparison]", given: Given) -> "list[Comparison]":
    """With the name of the control that either side is."""
    known = {} if given.controls is None else dict(_named(given.controls))
    return [
        replace(one, control=known.get((one.target, one.arm)) or known.get((one.target, one.baseline), ""))
        for one in found
    ]


def _named(controls: "pl.DataFrame") -> "list[tuple[tuple[str, str], str]]":
    return [
        ((target, arm), control) for target, arm, control in controls.select("target", "arm", "control").iter_rows()
    ]
