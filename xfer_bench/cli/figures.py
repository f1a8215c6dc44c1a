"""`figures`: drawn from a results folder alone; no torch."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.given import compared, of_folder
from xfer_bench.cli.options import RESAMPLES, Baseline, Folder, Resamples, Seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xfer_bench.results import Results
    from xfer_bench.stats.estimates import Comparison


class Style(StrEnum):
    """Where figures go."""

    PAPER = "paper"
    SLIDES = "slides"


class Columns(StrEnum):
    """How wide a figure may be."""

    ONE = "1"
    TWO = "2"


class Order(StrEnum):
    """Of languages."""

    FAMILY = "family"
    SCRIPT = "script"
    GAIN = "gain"


def figures(
    results: Folder = Path("results"),
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only these; repeatable, or with commas."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="DIR", help="Where to draw; by default beside the results.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", metavar="LIST", help="Of pdf, png and svg, with commas between.")
    ] = "pdf,png",
    style: Annotated[Style, typer.Option("--style", help="For a paper, or larger for slides.")] = Style.PAPER,
    columns: Annotated[Columns, typer.Option("--columns", help="As wide as one column, or two.")] = Columns.TWO,
    order: Annotated[Order, typer.Option("--order", help="Of languages.")] = Order.FAMILY,
    baseline: Baseline = None,
    resamples: Resamples = RESAMPLES,
    seed: Seed = 0,
) -> None:
    """Draw the figures, each with its numbers as CSV and its caption as text beside it.

    gain_heatmap, gains_by_arm_and_language, gains_by_language, accuracy_by_language, intermediate_vs_target,
    trajectories, seeds, ranking and power. What a folder has no numbers for is left out, with the reason.
    """
    from xfer_bench.plotting.gallery import check_gallery, draw_gallery
    from xfer_bench.results import Results
    from xfer_bench.stats.method import Method

    # A study's results have its figures beside them.
    whole = results.resolve()
    place = out if out is not None else (whole.parent if whole.name == "results" else whole) / "figures"
    kinds = [one.strip().lower() for one in formats.split(",") if one.strip()]
    names = [name.strip() for some in only or () for name in some.split(",") if name.strip()]
    check_gallery(place, only=names, formats=kinds)
    folder = Results(results)
    found = compared(of_folder(folder), baseline=baseline, method=Method(resamples=resamples, seed=seed))
    written = draw_gallery(
        folder,
        place,
        comparisons=found,
        seed=seed,
        only=names,
        formats=kinds,
        style=style.value,
        columns=1 if columns is Columns.ONE else 2,
        order=order.value,
        report=_tell,
    )
    _sum_up(written, place, kinds)


def draw(results: "Results", folder: Path, comparisons: "Sequence[Comparison]", *, seed: int = 0) -> None:
    """Draw the gallery and say where it is."""
    from xfer_bench.plotting.gallery import draw_gallery

    written = draw_gallery(results, folder, comparisons=comparisons, seed=seed, report=_tell)
    _sum_up(written, folder, ["pdf", "png"])


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _sum_up(written: "Sequence[Path]", folder: Path, formats: "Sequence[str]") -> None:
    names = dict.fromkeys(path.stem for path in written)
    kinds = ", ".join(kind.upper() for kind in dict.fromkeys(formats))
    typer.echo(f"figures in {folder}: {', '.join(names)} ({kinds}; numbers as CSV, captions as text)")
