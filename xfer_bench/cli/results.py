"""`figures`: drawn from a results folder alone; no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.compare import compared, of_folder
from xfer_bench.cli.options import RESAMPLES, Baseline, Folder, Resamples, Seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xfer_bench.results import Results
    from xfer_bench.stats.estimates import Comparison


def figures(
    results: Folder = Path("results"),
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Where to draw; by default beside the results.")
    ] = None,
    baseline: Baseline = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
) -> None:
    """Draw the figures as PDF and PNG, each with its numbers as CSV beside it."""
    from xfer_bench.results import Results
    from xfer_bench.stats.method import Method

    found = compared(of_folder(Results(results)), baseline=baseline, method=Method(resamples=resamples, seed=seed))
    folder = out if out is not None else results.resolve().parent / "figures"
    draw(Results(results), folder, found, seed=seed)


def draw(results: "Results", folder: Path, comparisons: "Sequence[Comparison]", *, seed: int = 0) -> None:
    """Draw the gallery and say where it is."""
    from xfer_bench.plotting.gallery import draw_gallery

    against_baseline = [one for one in comparisons if not one.primary and not one.control]
    written = draw_gallery(
        results, folder, comparisons=against_baseline, seed=seed, report=lambda line: typer.echo(line, err=True)
    )
    names = sorted({path.stem for path in written})
    typer.echo(f"figures in {folder}: {', '.join(names)} (PDF, PNG, and the numbers as CSV)")
