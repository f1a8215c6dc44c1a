"""`data provenance`: which rows the predictions of a results folder are of, and what its runs end in."""

from pathlib import Path
from typing import Annotated

import typer

from xfer_bench.cli.data_list import Form
from xfer_bench.cli.options import Folder


def provenance(
    results: Folder = Path("results"),
    form: Annotated[Form, typer.Option("--format", help="How it is printed; JSON holds every lineage.")] = Form.TABLE,
) -> None:
    """Print where the rows behind results came from: repository, revision, number of rows, fingerprint, licence.

    A revision is a commit; else `pinned` (a copy with exactly the rows that this version was written against),
    `local` (a copy that nobody vouches for), `embedded` or unknown. Folders of versions before 0.3 record nothing.
    """
    from xfer_bench.report.record import record_of, render_record
    from xfer_bench.results import Results

    typer.echo(render_record(record_of(Results(results)), as_json=form == Form.JSON))
