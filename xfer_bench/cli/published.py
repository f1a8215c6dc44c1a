"""`published`: numbers of others, with their sources."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.options import Format
from xfer_bench.errors import ResultsError

if TYPE_CHECKING:
    import polars as pl

_SUFFIXES = (".pdf", ".png", ".svg")


def published(
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only this task.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Only this model, or those whose names contain it.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="CODE", help="Only this language; `avg` for printed averages.")
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Which metric; `all` for everything.")
    ] = "acc",
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw bars by language and model (.pdf, .png or .svg) instead."),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TABLE,
) -> None:
    """Print numbers that others published, with their sources; `entered` marks what stands in for a measurement."""
    from xfer_bench.published import references
    from xfer_bench.report.references import render_references

    if figure is not None:
        _draw(references(task or "xcopa", model=model, language=language), figure)
        return
    found = references(task, model=model, language=language, metric=None if metric == "all" else metric)
    typer.echo(render_references(found, format=output.value))


def _draw(found: "pl.DataFrame", path: Path) -> None:
    """The figure, its numbers as CSV and its caption as text, side by side."""
    from io import BytesIO

    import polars as pl

    from xfer_bench.durable import write_bytes
    from xfer_bench.plotting.published import published_caption, published_figure, published_numbers
    from xfer_bench.plotting.style import PNG_DPI, paper_style

    if path.suffix not in _SUFFIXES:
        raise ResultsError(f"--figure {path}: the name ends in {path.suffix or 'nothing'}; use {', '.join(_SUFFIXES)}")
    # Of a model in several tables the figure's own values are measured in all languages.
    digitised = found.filter(pl.col("reading") == "digitised")
    numbers = published_numbers(found if digitised.is_empty() else digitised)
    page = BytesIO()
    with paper_style():
        published_figure(numbers).savefig(page, format=path.suffix[1:], dpi=PNG_DPI)
    write_bytes(path, page.getvalue())
    write_bytes(path.with_suffix(".csv"), numbers.write_csv().encode())
    write_bytes(path.with_suffix(".txt"), f"{published_caption(numbers)}\n".encode())
    typer.echo(f"{path}, with its numbers and caption beside it (.csv, .txt)")
