"""`compare` and `figures`: from a results folder alone; no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from xfer_bench.cli.options import Format

if TYPE_CHECKING:
    from xfer_bench.results import Results
    from xfer_bench.stats.estimates import Comparison

Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder.")]
Baseline: TypeAlias = Annotated[
    str | None,
    typer.Option("--baseline", metavar="ARM", help="The arm to compare with; by default the one with no stages."),
]
Resamples: TypeAlias = Annotated[int, typer.Option("--resamples", min=100, help="Draws of the bootstrap.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")]

_RESAMPLES = 10_000


def compare(
    results: Folder = Path("results"),
    baseline: Baseline = None,
    bootstrap: Annotated[
        bool, typer.Option("--bootstrap", help="Paired bootstrap over clusters of items (the default, and so far all).")
    ] = True,
    resamples: Resamples = _RESAMPLES,
    seed: Seed = 0,
    output: Annotated[Format, typer.Option("--format", help="How the comparisons are printed.")] = Format.TABLE,
) -> None:
    """Print each arm's gain over the baseline with the same target seed, per language and on average.

    The 95 % intervals draw clusters of items jointly over languages, arms and seeds.
    """
    from xfer_bench.results import Results

    del bootstrap
    print_comparisons(Results(results), baseline=baseline, resamples=resamples, seed=seed, output=output.value)


def figures(
    results: Folder = Path("results"),
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Where to draw; by default beside the results.")
    ] = None,
    baseline: Baseline = None,
    resamples: Resamples = _RESAMPLES,
    seed: Seed = 0,
) -> None:
    """Draw the figures as PDF and PNG, each with its numbers as CSV beside it."""
    from xfer_bench.results import Results

    folder = out if out is not None else results.resolve().parent / "figures"
    draw(Results(results), folder, baseline=baseline, resamples=resamples, seed=seed)


def print_comparisons(
    results: "Results",
    *,
    baseline: str | None = None,
    resamples: int = _RESAMPLES,
    seed: int = 0,
    output: Literal["table", "json", "csv", "markdown"] = "table",
) -> None:
    """Compare and print."""
    from xfer_bench.report.tables import bootstrap_settings, render

    comparisons = _compared(results, baseline=baseline, resamples=resamples, seed=seed)
    settings = bootstrap_settings(baseline=comparisons[0].baseline, resamples=resamples, seed=seed)
    typer.echo(render(comparisons, format=output, settings=settings))


def draw(
    results: "Results", folder: Path, *, baseline: str | None = None, resamples: int = _RESAMPLES, seed: int = 0
) -> None:
    """Draw the gallery and say where it is."""
    from xfer_bench.plotting.gallery import draw_gallery

    comparisons = _compared(results, baseline=baseline, resamples=resamples, seed=seed)
    written = draw_gallery(
        results, folder, comparisons=comparisons, seed=seed, report=lambda line: typer.echo(line, err=True)
    )
    names = sorted({path.stem for path in written})
    typer.echo(f"figures in {folder}: {', '.join(names)} (PDF, PNG, and the numbers as CSV)")


def _compared(results: "Results", *, baseline: str | None, resamples: int, seed: int) -> "list[Comparison]":
    from xfer_bench.stats.comparisons import compare as compared

    return compared(results.predictions(), baseline=baseline, resamples=resamples, seed=seed)
