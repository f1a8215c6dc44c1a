"""`merge` and `export`: results folders joined, and in the forms that other programs read; no torch."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.options import Folder


class Layout(StrEnum):
    """Forms that predictions are exported to."""

    LM_EVAL = "lm-eval"
    JSONL = "jsonl"
    CSV = "csv"


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Two or more results folders.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RESULTS", help="The new results folder.")],
) -> None:
    """Join results folders made on different machines into a new one; refuse folders that disagree.

    A row may be in several folders when its label, answer, weights and precision agree; it is taken once.
    """
    from xfer_bench.merge import merge as merged

    done = merged(folders, out)
    again = f"; {done.repeated:,} rows were in several folders, and agree" if done.repeated else ""
    typer.echo(f"{done.rows:,} predictions of {done.runs:,} runs in {out}{again}")


def export(
    results: Folder,
    layout: Annotated[
        Layout, typer.Option("--format", help="The files of lm-evaluation-harness, or one line a prediction.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="PATH", help="A new folder (lm-eval), or a new file (jsonl, csv).")
    ],
) -> None:
    """Write predictions in a form that other programs read. Texts are never written, only the items' names."""
    from xfer_bench.results import Results

    if layout is Layout.LM_EVAL:
        from datetime import datetime

        from xfer_bench.export.lm_eval import export_lm_eval

        done = export_lm_eval(Results(results), out, time=datetime.now())
        typer.echo(f"{done.samples:,} samples of {done.models:,} models in {out}")
        return
    from xfer_bench.export.rows import export_rows

    count = export_rows(Results(results), out, format="csv" if layout is Layout.CSV else "jsonl")
    typer.echo(f"{count:,} predictions in {out}")
