"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from xfer_bench import __version__
from xfer_bench.cli import (
    cache,
    compare,
    components,
    correlate,
    data,
    doctor,
    evaluation,
    exchange,
    figures,
    lineage,
    power,
    published,
    rank,
    report,
    schema,
    status,
    study,
    table,
    tasks,
)
from xfer_bench.errors import XferBenchError

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

app = typer.Typer(
    name="xfer-bench",
    help="Intermediate-task training and zero-shot cross-lingual transfer: train, evaluate item by item, compare.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(study.run)
app.command("plan")(study.plan)
app.command("train")(study.train)
app.command("eval")(evaluation.evaluate)
app.command("compare")(compare.compare)
app.command("correlate")(correlate.correlate)
app.command("rank")(rank.rank)
app.command("components")(components.components)
app.command("power")(power.power)
app.command("figures")(figures.figures)
app.command("report")(report.report)
app.command("merge")(exchange.merge)
app.command("export")(exchange.export)
app.command("published")(published.published)
app.command("table")(table.table)
app.command("tasks")(tasks.tasks)
app.command("schema")(schema.schema)
app.command("status")(status.status)
app.command("lineage")(lineage.lineage)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")
app.add_typer(cache.app, name="cache")


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


_STOPPING = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = 0.01
# Typer has no public name for it, and brings its own click or uses the one that is installed, by its version.
_UsageError: Any = typer.BadParameter.__mro__[1]


class Stopped(BaseException):
    """A signal asked the program to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> None:
    """Run the program. What the package refuses to do is one line on the error stream and exit code 1.

    On SIGINT and SIGTERM what is finished is saved, and the exit code is the shell's (128 and the signal's number).
    """
    usual = sys.unraisablehook
    sys.unraisablehook = partial(_unraisable, usual)
    for number in _STOPPING:
        signal.signal(number, _stop)
    try:
        _run()
    except Stopped as stop:
        for number in (*_STOPPING, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        name = signal.Signals(stop.number).name
        typer.echo(f"stopped by {name}; the same command goes on where this one stopped", err=True)
        sys.stdout.flush()
        # At once: a usual exit would wait for a thread that loads the next checkpoint's weights.
        os._exit(128 + stop.number)
    finally:
        sys.unraisablehook = usual


def _run() -> None:
    try:
        # Typer's own way to say what was typed wrong is a box of five lines and exit code 2.
        code = app(standalone_mode=False)
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Then the help is the answer, and is printed already.
            _say(error.format_message())
            sys.exit(error.exit_code)
        _fail(_usage_line(error, sys.argv[1:]))
    except typer.Abort:
        _say("Aborted.")
        sys.exit(1)
    except (XferBenchError, OSError) as error:
        _fail(str(error))
    except RuntimeError as error:
        # As an OSError from Python 3.13 on.
        if not str(error).startswith("Symlink loop"):
            raise
        _fail(str(error))
    sys.exit(code)


def _fail(reason: str) -> NoReturn:
    _say(f"error: {' '.join(reason.split())}")
    sys.exit(1)


def _say(text: str) -> None:
    if text:
        typer.echo(text, err=True)


def _usage_line(error: Any, words: Sequence[str]) -> str:
    """What was typed wrong, what it was, what would be right, and where all of that is said. words: what was typed."""
    text = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    # Of a value that could not be converted only what it should be is said.
    for wrong in getattr(error.__cause__, "errors", list)()[:1]:
        if repr(wrong["input"]) not in text:
            text += f", got {wrong['input']!r}"
    command, at = app.info.name or "", typer.main.get_command(app)
    # Not the error's own context: where an option lacks its value it has none.
    for word in words:
        if word not in getattr(at, "commands", {}):
            break
        command, at = f"{command} {word}", at.commands[word]  # type: ignore[attr-defined]
    if text.startswith("No such command") and not text.endswith("?"):
        text += f"; choose one of {', '.join(at.commands)}"  # type: ignore[attr-defined]
    return f"{text[:1].lower()}{text[1:]}{'' if text.endswith('?') else ';'} see {command} --help"


def _stop(number: int, frame: object) -> None:  # noqa: ARG001 - the signature is Python's
    raise Stopped(number)


def _unraisable(usual: "Callable[[UnraisableHookArgs], object]", dropped: "UnraisableHookArgs") -> None:
    """Python drops what is raised in a finalizer, and a signal may come while one runs: then ask again at once."""
    stop = dropped.exc_value
    if isinstance(stop, Stopped):
        signal.signal(signal.SIGALRM, lambda _, frame: _stop(stop.number, frame))
        signal.setitimer(signal.ITIMER_REAL, _AT_ONCE)
    else:
        usual(dropped)
