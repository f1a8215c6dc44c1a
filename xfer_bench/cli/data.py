"""`data …`: where the rows come from, bringing them here, and what is wrong with them."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.data_list import Form, list_sources
from xfer_bench.cli.data_prefetch import prefetch
from xfer_bench.cli.data_provenance import provenance
from xfer_bench.cli.options import DataRoot, OwnTasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xfer_bench.audit.lengths import TokenCounter
    from xfer_bench.audit.neighbours import Vectors
    from xfer_bench.progress import Progress, Update
    from xfer_bench.sources.source import Sources
    from xfer_bench.tasks import Task

app = typer.Typer(help="What lies behind the numbers: the rows.", no_args_is_help=True)

STARTER = "starter"


class LeastGrade(StrEnum):
    """Which findings are listed."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


app.command("list")(list_sources)
app.command("prefetch")(prefetch)
app.command("provenance")(provenance)


@app.callback()
def data() -> None:
    """What lies behind the numbers: the rows."""


@app.command("audit")
def audit(
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="By default every task whose rows are here.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="How it is printed.")] = Form.TABLE,
    examples: Annotated[bool, typer.Option("--examples/--no-examples", help="Show the text of one row each.")] = True,
    least_grade: Annotated[
        LeastGrade, typer.Option("--grade", help="List findings of this grade and graver ones.")
    ] = LeastGrade.NOTE,
    tokenizers: Annotated[
        list[str] | None,
        typer.Option("--tokenizer", metavar="MODEL", help="Count what its tokens would cut: `starter`, or a folder."),
    ] = None,
    max_length: Annotated[
        int, typer.Option("--max-length", min=8, help="Tokens of a sequence, for --tokenizer.")
    ] = 128,
    neighbours: Annotated[
        bool,
        typer.Option("--neighbours", help="Look for training rows that are test items in another language (minutes)."),
    ] = False,
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="MODEL", help="For --neighbours: `starter`, or a folder.")
    ] = STARTER,
    least: Annotated[float, typer.Option("--least", min=0, max=1, help="Cosine from which on they are listed.")] = 0.88,
    data_root: DataRoot = None,
    own: OwnTasks = None,
) -> None:
    """Look for what is wrong with the rows: counts, labels, duplicates, damage, translations, leaks.

    Without names: every task whose rows are on this machine; named tasks are fetched from the Hub where they are not.
    The exit code is 4 when there are errors, 3 when there are warnings, else 0.
    """
    from xfer_bench.audit.audit import Request
    from xfer_bench.audit.audit import audit as run
    from xfer_bench.audit.findings import Finding, exit_code
    from xfer_bench.audit.tables import render_audit
    from xfer_bench.sources.source import Sources, resolve_data_root
    from xfer_bench.tasks import find
    from xfer_bench.tasks.own import load_tasks

    known = load_tasks(own or ())
    sources = Sources(data_root=resolve_data_root(data_root))
    request = Request(
        names=tuple(dict.fromkeys(find(name, among=known).name for name in tasks or _here(known, sources))),
        download=bool(tasks),
        counters=tuple(_counter(model) for model in dict.fromkeys(tokenizers or ())),
        max_length=max_length,
        vectors=_vectors(encoder) if neighbours else None,
        least=least,
    )
    entries = list(run(request, tasks=known, sources=sources, progress=_progress()))
    typer.echo(render_audit(entries, as_json=form == Form.JSON, examples=examples, least=least_grade.value))
    for line in known.problems:
        typer.echo(f"warning: {line}", err=True)
    sys.exit(exit_code(entry for entry in entries if isinstance(entry, Finding)))


def _here(known: "Mapping[str, Task]", sources: "Sources") -> list[str]:
    """The tasks of which some split is on this machine."""
    places = ("embedded", "mirror")
    return [
        name for name, task in known.items() if any(sources.availability(task, one) in places for one in task.splits)
    ]


def _progress() -> "Progress":
    """One line that says what is being looked at, on a terminal only."""
    from xfer_bench.progress import silent

    if not sys.stderr.isatty():
        return silent

    def show(update: "Update") -> None:
        typer.echo(f"\r\x1b[K{update.finished:.0f} of {update.pieces:.0f}: {update.piece}", err=True, nl=False)
        if update.finished + 1 >= update.pieces:
            typer.echo("\r\x1b[K", err=True, nl=False)

    return show


def _folder(model: str) -> Path:
    from xfer_bench.models.starter import starter_folder

    return starter_folder() if model == STARTER else Path(model)


def _counter(model: str) -> "TokenCounter":
    from xfer_bench.models.token_counts import TokenCounts

    return TokenCounts.of(_folder(model), name=model)


def _vectors(model: str) -> "Vectors":
    from functools import partial

    from xfer_bench.models.sentences import sentence_vectors

    return partial(sentence_vectors, _folder(model))
