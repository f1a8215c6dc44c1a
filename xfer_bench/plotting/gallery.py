"""The gallery: the standard figures of one results folder, each with its numbers as CSV and its caption as text."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.parquet import check_writable, write_together
from xfer_bench.plotting import (
    accuracy_by_language,
    gain_heatmap,
    gains_by_arm_and_language,
    gains_by_language,
    intermediate_vs_target,
    power,
    ranking,
    seeds,
    trajectories,
)
from xfer_bench.plotting.style import FONT, PNG_DPI, Columns, Page, Style, figure_style
from xfer_bench.plotting.subject import Order, Subject, subject_of
from xfer_bench.results import Results
from xfer_bench.stats.estimates import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Report: TypeAlias = Callable[[str], None]
Format: TypeAlias = Literal["pdf", "png", "svg"]

# Readers of an SVG bring their own fonts; Verdana is as wide as the one that everything was measured with.
_SVG_FONTS = f"'{FONT}', Verdana, sans-serif"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One figure of the gallery. why_not: why a folder may have no numbers for it."""

    title: str
    numbers: Callable[[Subject], pl.DataFrame]
    figure: Callable[[pl.DataFrame, Page], Figure]
    caption: Callable[[pl.DataFrame], str]
    why_not: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """One figure as files in memory. numbers: what is drawn. pages: by format. alt: for those who cannot see it."""

    name: str
    title: str
    caption: str
    numbers: pl.DataFrame
    pages: Mapping[str, bytes]
    alt: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "gain_heatmap": Kind(
            title=gain_heatmap.TITLE,
            numbers=gain_heatmap.gain_heatmap_numbers,
            figure=gain_heatmap.gain_heatmap_figure,
            caption=gain_heatmap.gain_heatmap_caption,
            why_not="English is the only language",
        ),
        "gains_by_arm_and_language": Kind(
            title=gains_by_arm_and_language.TITLE,
            numbers=gains_by_arm_and_language.gains_by_arm_and_language_numbers,
            figure=gains_by_arm_and_language.gains_by_arm_and_language_figure,
            caption=gains_by_arm_and_language.gains_by_arm_and_language_caption,
            why_not="there are no languages",
        ),
        "gains_by_language": Kind(
            title=gains_by_language.TITLE,
            numbers=gains_by_language.gains_by_language_numbers,
            figure=gains_by_language.gains_by_language_figure,
            caption=gains_by_language.gains_by_language_caption,
            why_not="there are no languages",
        ),
        "accuracy_by_language": Kind(
            title=accuracy_by_language.TITLE,
            numbers=accuracy_by_language.accuracy_by_language_numbers,
            figure=accuracy_by_language.accuracy_by_language_figure,
            caption=accuracy_by_language.accuracy_by_language_caption,
            why_not="no run has a partner",
        ),
        "intermediate_vs_target": Kind(
            title=intermediate_vs_target.TITLE,
            numbers=intermediate_vs_target.intermediate_vs_target_numbers,
            figure=intermediate_vs_target.intermediate_vs_target_figure,
            caption=intermediate_vs_target.intermediate_vs_target_caption,
            why_not="no compared run has an intermediate stage with a development accuracy",
        ),
        "trajectories": Kind(
            title=trajectories.TITLE,
            numbers=trajectories.trajectories_numbers,
            figure=trajectories.trajectories_figure,
            caption=trajectories.trajectories_caption,
            why_not="no training has predictions of several steps (keep checkpoints along a stage, and evaluate them)",
        ),
        "seeds": Kind(
            title=seeds.TITLE,
            numbers=seeds.seeds_numbers,
            figure=seeds.seeds_figure,
            caption=seeds.seeds_caption,
            why_not="there are no runs",
        ),
        "ranking": Kind(
            title=ranking.TITLE,
            numbers=ranking.ranking_numbers,
            figure=ranking.ranking_figure,
            caption=ranking.ranking_caption,
            why_not="there are no arms",
        ),
        "power": Kind(
            title=power.TITLE,
            numbers=power.power_numbers,
            figure=power.power_figure,
            caption=power.power_caption,
            why_not="no arm differs from the baseline on any item",
        ),
    }
)


def ignore(message: str) -> None:
    """Report to nobody."""


def draw_gallery(
    results: Results,
    folder: Path,
    *,
    comparisons: Sequence[Comparison],
    seed: int = 0,
    only: Collection[str] = (),
    formats: Collection[str] = ("pdf", "png"),
    style: Style = "paper",
    columns: Columns = 2,
    order: Order = "family",
    report: Report = ignore,
) -> list[Path]:
    """Draw figures into a folder, each as NAME.<format>, NAME.csv with what is drawn, and NAME.txt, its caption.

    comparisons: from `compare` on the same results; their baseline, level and number of resamples are also those of
        all else. seed: that of `compare`, so that all draw the same clusters.
    only: names of figures; by default all of `KINDS`. columns: how many a figure may be wide. order: of languages.
    report: called with one line for each figure that there is nothing to draw in.

    Returns the files written: all, or none when one of them cannot be. Raises ResultsError then, without comparisons,
    and for a name, format, style, width or order that is none.
    """
    page = _page(style, columns)
    wanted = _formats(formats)
    check_gallery(folder, only=only, formats=formats)
    files = {
        folder / f"{picture.name}.{suffix}": content
        for picture in _drawn(subject_of(results, comparisons, seed=seed, order=order), only, wanted, page, report)
        for suffix, content in {
            **picture.pages,
            "csv": picture.numbers.write_csv().encode(),
            "txt": f"{picture.title}. {picture.caption}\n".encode(),
        }.items()
    }
    write_together(files)
    return [*files]


def check_gallery(folder: Path, *, only: Collection[str] = (), formats: Collection[str] = ("pdf", "png")) -> None:
    """Refuse what `draw_gallery` would refuse of these, before anything is computed. Raises ResultsError."""
    suffixes = [*_formats(formats), "csv", "txt"]
    check_writable(*(folder / f"{name}.{suffix}" for name in _names(only) for suffix in suffixes))


def pictures(
    results: Results,
    *,
    comparisons: Sequence[Comparison],
    seed: int = 0,
    only: Collection[str] = (),
    formats: Collection[str] = ("svg",),
    style: Style = "paper",
    columns: Columns = 2,
    order: Order = "family",
) -> tuple[Picture, ...]:
    """The figures as `draw_gallery` draws them, in memory; those that there are no numbers for are absent."""
    page, wanted = _page(style, columns), _formats(formats)
    return tuple(_drawn(subject_of(results, comparisons, seed=seed, order=order), only, wanted, page, ignore))


def _drawn(
    subject: Subject, only: Collection[str], formats: Sequence[str], page: Page, report: Report
) -> Iterator[Picture]:
    for name in _names(only):
        kind = KINDS[name]
        try:
            numbers = kind.numbers(subject)
        except ResultsError as error:
            report(f"no figure {name}: {error}")
            continue
        if numbers.is_empty():
            report(f"no figure {name}: {kind.why_not}")
            continue
        caption = kind.caption(numbers)
        yield Picture(
            name=name,
            title=kind.title,
            caption=caption,
            numbers=numbers,
            pages=_pages(kind, numbers, name, formats, page),
            alt=f"{kind.title}: {caption.split('. ')[0].rstrip('.')}.",
        )


def _pages(kind: Kind, numbers: pl.DataFrame, name: str, formats: Sequence[str], page: Page) -> dict[str, bytes]:
    if not formats:
        return {}
    import matplotlib as mpl

    with figure_style(page.style), mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        # A name in a script that the font lacks shows boxes; that is seen in the figure.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure = kind.figure(numbers, page)
        figure.draw_without_rendering()
        # What the layout found fits every format; doing it again for each would take most of the time.
        figure.set_layout_engine("none")
        return {one: _page_of(figure, one) for one in formats}


def _page_of(figure: Figure, kind: str) -> bytes:
    """The canvas is asked itself: `savefig` would draw everything once more for its layout, which is there already."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = BytesIO()
    # Without a date in it, the same numbers give the same file.
    if kind == "png":
        figure.set_dpi(PNG_DPI)
        FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    elif kind == "pdf":
        FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None})  # type: ignore[no-untyped-call]
    else:
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    content = buffer.getvalue()
    return content.replace(f"'{FONT}'".encode(), _SVG_FONTS.encode()) if kind == "svg" else content


def _names(only: Collection[str]) -> list[str]:
    unknown = [name for name in only if name not in KINDS]
    if unknown:
        raise ResultsError(f"no figure named {unknown[0]!r}; choose among {', '.join(KINDS)}")
    return [name for name in KINDS if not only or name in only]


def _formats(formats: Collection[str]) -> list[str]:
    unknown = [name for name in formats if name not in get_args(Format)]
    if unknown or not formats:
        raise ResultsError(
            f"no format of figures named {unknown[0] if unknown else ''!r}; choose among {', '.join(get_args(Format))}"
        )
    return list(dict.fromkeys(formats))


def _page(style: Style, columns: Columns) -> Page:
    if style not in get_args(Style) or columns not in get_args(Columns):
        raise ResultsError(f"no page of style {style!r} and {columns} columns; there are paper and slides, and 1 and 2")
    return Page(style=style, columns=columns)
