"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

import sys
from typing import Annotated

import typer

from xfer_bench import __version__
from xfer_bench.cli import evaluation, results, study, tasks
from xfer_bench.errors import XferBenchError

app = typer.Typer(
    name="xfer-bench",
    help="Intermediate-task training and zero-shot cross-lingual transfer: train, evaluate item by item, compare.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(study.run)
app.command("train")(study.train)
app.command("eval")(evaluation.evaluate)
app.command("compare")(results.compare)
app.command("figures")(results.figures)
app.command("tasks")(tasks.tasks)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"xfer-bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Intermediate-task training and zero-shot cross-lingual transfer: train, evaluate item by item, compare."""


def main() -> None:
    """Run the program. What the package refuses to do is one line on the error stream and exit code 1."""
    try:
        app()
    except (XferBenchError, OSError) as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on where this one stopped", err=True)
        sys.exit(130)
