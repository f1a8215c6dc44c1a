"""`tasks`: what there is to train on and to evaluate, and whether its rows can be had here."""

from typing import Annotated

import typer

from xfer_bench.cli.options import DataRoot, OwnTasks


def tasks(
    data_root: DataRoot = None,
    own: OwnTasks = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tasks: format, languages, splits, licence, source, and what is unavailable here and why."""
    from xfer_bench.report.catalogue import catalogue, render_catalogue
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.tasks.own import load_tasks

    sources = Sources(data_root=resolve_data_root(data_root))
    known = load_tasks(own or ())
    typer.echo(render_catalogue(catalogue(known, sources), as_json=as_json))
    for line in known.problems:
        typer.echo(f"warning: {line}", err=True)
