"""`power`: what gains a study can find, before it is made and after."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.given import OnSplit, OnVariant, Select, of_folder
from xfer_bench.cli.options import Format
from xfer_bench.errors import ResultsError

if TYPE_CHECKING:
    from xfer_bench.cli.given import Given
    from xfer_bench.stats.planned_power import Expected
    from xfer_bench.stats.power import Wanted


def power(
    results: Annotated[
        Path | None, typer.Argument(metavar="RESULTS", help="A results folder; without one, before a study.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="ARM", help="As in `compare`; with RESULTS only.")
    ] = None,
    select: Select = None,
    split: OnSplit = None,
    variant: OnVariant = None,
    gain: Annotated[
        float | None, typer.Option("--gain", metavar="POINTS", help="Also how many items and seeds this gain needs.")
    ] = None,
    chance: Annotated[float, typer.Option("--power", help="Chance of finding the gain, from 0.5 to below 1.")] = 0.8,
    level: Annotated[float, typer.Option("--level", help="Of the two-sided test's interval.")] = 0.95,
    items: Annotated[int | None, typer.Option("--items", help="Before a study: instead of XCOPA's and XNLI's.")] = None,
    discordance: Annotated[
        float | None, typer.Option("--discordance", help="Share of items on which just one system is right.")
    ] = None,
    languages: Annotated[
        int | None, typer.Option("--languages", help="Parallel languages that the gain is averaged over.")
    ] = None,
    correlation: Annotated[
        float | None, typer.Option("--correlation", help="Of an item's differences between languages.")
    ] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="Pairs of runs, from 3; with --seed-sd.")] = None,
    seed_sd: Annotated[
        float | None, typer.Option("--seed-sd", metavar="POINTS", help="Of the gain from seed to seed.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How the table is printed.")] = Format.TABLE,
) -> None:
    """Print the smallest gain that a comparison finds with 80 % power, and what a wanted gain needs.

    With RESULTS from what was observed there; without, before a study: for XCOPA and XNLI, or for the one described.
    """
    from xfer_bench.results import Results
    from xfer_bench.stats.planned_power import Expected
    from xfer_bench.stats.power import Wanted

    expected = Expected(
        items=items,
        languages=languages,
        discordance=discordance,
        correlation=correlation,
        seeds=seeds,
        seed_sd=seed_sd,
    )
    wanted = Wanted(power=chance, level=level, gain=gain)
    if results is None:
        for name, value in (("baseline", baseline), ("select", select), ("split", split), ("variant", variant)):
            if value is not None:
                raise ResultsError(f"--{name} is about runs of RESULTS; give the results folder too")
        _before(expected, wanted, output=output)
    elif expected != Expected():
        raise ResultsError(
            "items, discordance, languages, correlation and seeds are observed in RESULTS; give RESULTS, or these"
        )
    else:
        given = of_folder(Results(results), select=select, split=split, variant=variant)
        _after(given, wanted, baseline=baseline, output=output)


def _before(expected: "Expected", wanted: "Wanted", *, output: Format) -> None:
    from xfer_bench.report.power import render_planned
    from xfer_bench.stats.planned_power import planned_power

    typer.echo(render_planned(planned_power(expected, wanted=wanted), format=output.value))


def _after(given: "Given", wanted: "Wanted", *, baseline: str | None, output: Format) -> None:
    from xfer_bench.metrics import baseline_arm, why_unpaired
    from xfer_bench.report.power import render_observed
    from xfer_bench.stats.observed_power import observe

    chosen = baseline_arm(given.predictions, name=baseline)
    ours, theirs = given.apart(reference=chosen)
    observed, controls = (
        [] if rows.is_empty() else observe(rows, baseline=chosen, wanted=wanted) for rows in (ours, theirs)
    )
    if not observed and not controls:
        raise ResultsError(why_unpaired(given.predictions, baseline=chosen))
    given.tell(output)
    typer.echo(render_observed(observed, controls=controls, notes=given.notes, format=output.value))
