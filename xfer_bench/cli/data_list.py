"""`data list`: where rows come from, under which licence, and what to cite."""

from enum import StrEnum
from typing import Annotated

import typer

from xfer_bench.cli.options import DataRoot, OwnTasks


class Form(StrEnum):
    """How a list of the data is printed."""

    TABLE = "table"
    JSON = "json"


def list_sources(
    tasks: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="By default all.")] = None,
    form: Annotated[Form, typer.Option("--format", help="How it is printed.")] = Form.TABLE,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print what to cite, and nothing else.")] = False,
    data_root: DataRoot = None,
    own: OwnTasks = None,
) -> None:
    """List where rows come from: repository, pinned revision, licence, citation, rows, and the place they have here.

    Nothing is downloaded, and no row is read. What may not be used commercially is marked.
    """
    from xfer_bench.report.provenance import origins, render_bibtex, render_origins
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.tasks import find
    from xfer_bench.tasks.own import load_tasks

    known = load_tasks(own or ())
    chosen = [find(name, among=known) for name in dict.fromkeys(tasks or known)]
    found = origins(chosen, Sources(data_root=resolve_data_root(data_root)))
    typer.echo(render_bibtex(found) if bibtex else render_origins(found, as_json=form == Form.JSON))
