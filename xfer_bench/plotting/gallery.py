"""The gallery: the standard figures of one results folder, each as PDF and PNG with its numbers as CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.plotting.figures import (
    heatmap_figure,
    heatmap_numbers,
    languages_figure,
    languages_numbers,
    scatter_figure,
    scatter_numbers,
)
from xfer_bench.plotting.style import PNG_DPI, paper_style
from xfer_bench.results import Results, write_whole
from xfer_bench.stats.correlation import relate
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.evidence import How

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report = Callable[[str], None]


def ignore(message: str) -> None:
    """Report to nobody."""


def draw_gallery(
    results: Results,
    folder: Path,
    *,
    comparisons: Sequence[Comparison],
    seed: int = 0,
    report: Report = ignore,
) -> list[Path]:
    """Draws `gain_heatmap`, `gains_by_language` and `intermediate_vs_target` into the folder; the files written.

    comparisons: from `compare` on the same results; their baseline, level and number of resamples are also those of
        the correlation. seed: that of `compare`, so that both draw the same clusters.
    report: called with one line for each figure that there is nothing to draw in.

    Raises ResultsError without comparisons, or when a file cannot be written.
    """
    if not comparisons:
        raise ResultsError("no comparisons to draw; a figure needs an arm and a baseline with the same target seed")
    first = comparisons[0]
    relations = relate(
        results.predictions(),
        results.stages(),
        baseline=first.baseline,
        resamples=first.resamples,
        seed=seed,
        how=How(level=first.level),
    )
    figures = (
        ("gain_heatmap", heatmap_numbers(comparisons), heatmap_figure, "English is the only language"),
        ("gains_by_language", languages_numbers(comparisons), languages_figure, "there are no languages"),
        (
            "intermediate_vs_target",
            scatter_numbers(relations),
            scatter_figure,
            "no compared run has an intermediate stage with a development accuracy",
        ),
    )
    written: list[Path] = []
    for name, numbers, draw, why_not in figures:
        if numbers.is_empty():
            report(f"no figure {name}: {why_not}")
        else:
            written += _save(folder / name, numbers, draw)
    return written


def _save(stem: Path, numbers: pl.DataFrame, draw: Callable[[pl.DataFrame], Figure]) -> list[Path]:
    with paper_style():
        figure = draw(numbers)
        # Without a date in it, the same numbers give the same file.
        pages = {".pdf": _bytes(figure, "pdf", {"CreationDate": None}), ".png": _bytes(figure, "png", {})}
    pages[".csv"] = numbers.write_csv().encode()
    for suffix, page in pages.items():
        write_whole(stem.with_suffix(suffix), page)
    return [stem.with_suffix(suffix) for suffix in pages]


def _bytes(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()
