"""`doctor`: one page on this machine that one can paste into an issue."""

import json
from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.options import DataRoot
from xfer_bench.cli.status import Layout
from xfer_bench.errors import XferBenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xfer_bench.doctor import Diagnosis

_WIDTH = 100


def doctor(
    data_root: DataRoot = None,
    output: Annotated[Layout, typer.Option("--format", help="How it is printed.")] = Layout.TABLE,
) -> None:
    """Print what matters of this machine: versions, devices, precision, threads, folders, network, data.

    Paste it into an issue: tokens, passwords and the like are never shown, and your home is `~`. Nothing is asked of
    the network. The exit code is 1 when something is broken, and the last line says what.
    """
    from xfer_bench.doctor import diagnose

    found = diagnose(data_root=data_root)
    if output is Layout.JSON:
        typer.echo(json.dumps(_value(found), indent=2, ensure_ascii=False))
    else:
        for line in _lines(found):
            typer.echo(line)
    broken = found.of("broken")
    if broken:
        raise XferBenchError(f"broken: {'; '.join(fact.reason for fact in broken)}")


def _lines(found: "Diagnosis") -> "Iterator[str]":
    width = max(len(fact.name) for fact in found.facts)
    for section, facts in groupby(found.facts, key=lambda fact: fact.section):
        yield section
        for fact in facts:
            head = f"  {fact.name.ljust(width)}  "
            yield fill(
                fact.value,
                _WIDTH,
                initial_indent=head,
                subsequent_indent=" " * len(head),
                break_long_words=False,
                break_on_hyphens=False,
            )
    yield ""
    warnings = found.of("warning")
    yield from (f"warning: {fact.reason}" for fact in warnings)
    if not warnings and not found.of("broken"):
        yield "all is well"


def _value(found: "Diagnosis") -> dict[str, object]:
    sections = {
        section: {fact.name: fact.value for fact in facts}
        for section, facts in groupby(found.facts, key=lambda fact: fact.section)
    }
    return {
        "ok": not found.of("broken"),
        **sections,
        "warnings": [fact.reason for fact in found.of("warning")],
        "broken": [fact.reason for fact in found.of("broken")],
    }
