"""`tasks`: what there is to train on and to evaluate, and whether its rows can be had here."""

from typing import Annotated

import typer

from xfer_bench.cli.options import DataRoot


def tasks(
    data_root: DataRoot = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tasks: format, languages, splits, licence, source, and what is unavailable here and why."""
    from xfer_bench.report.catalogue import catalogue, render_catalogue
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.tasks import TASKS

    sources = Sources(data_root=resolve_data_root(data_root))
    typer.echo(render_catalogue(catalogue(TASKS, sources), as_json=as_json))
