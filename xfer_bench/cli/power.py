"""`power`: what gains a study can find, before it is made and after."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.options import Format
from xfer_bench.errors import ResultsError

if TYPE_CHECKING:
    from xfer_bench.stats.planned_power import Expected
    from xfer_bench.stats.power import Wanted


def power(
    results: Annotated[
        Path | None, typer.Argument(metavar="RESULTS", help="A results folder; without one, before a study.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="ARM", help="As in `compare`; with RESULTS only.")
    ] = None,
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
        _before(expected, wanted, baseline=baseline, output=output)
    elif expected != Expected():
        raise ResultsError(
            "items, discordance, languages, correlation and seeds are observed in RESULTS; give RESULTS, or these"
        )
    else:
        _after(results, wanted, baseline=baseline, output=output)


def _before(expected: "Expected", wanted: "Wanted", *, baseline: str | None, output: Format) -> None:
    from xfer_bench.report.power import render_planned
    from xfer_bench.stats.planned_power import planned_power

    if baseline is not None:
        raise ResultsError("--baseline names an arm of RESULTS; give the results folder too")
    typer.echo(render_planned(planned_power(expected, wanted=wanted), format=output.value))


def _after(results: Path, wanted: "Wanted", *, baseline: str | None, output: Format) -> None:
    from xfer_bench.report.power import render_observed
    from xfer_bench.results import Results
    from xfer_bench.stats.observed_power import observe

    observed = observe(Results(results).predictions(), baseline=baseline, wanted=wanted)
    if not observed:
        raise ResultsError("no run shares its task, setting and target seed with a run of the baseline")
    typer.echo(render_observed(observed, format=output.value))
