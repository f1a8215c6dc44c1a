"""`status`: how far a study is. No torch, no data, no model."""

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xfer_bench.cli.quantities import duration, size

if TYPE_CHECKING:
    from xfer_bench.pipeline import Place
    from xfer_bench.status import Stand, Status

_WIDTH = 100


class Layout(StrEnum):
    """How it is printed."""

    TABLE = "table"
    JSON = "json"


def status(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that `run` or `train` got as -o.")],
    output: Annotated[Layout, typer.Option("--format", help="How it is printed.")] = Layout.TABLE,
) -> None:
    """Print what of a study is done, running, failed and left, its disk use, and about how long the rest takes.

    A stage that is begun and not running was interrupted: the next `run` or `train` goes on with it. One that failed
    blocks those after it until --retry-failed. A study of several models has a folder for each of them in OUT.
    """
    from xfer_bench.status import status_of, studies_in

    found = [status_of(place.out, store=place.store, results=place.results) for place in map(_place, studies_in(out))]
    if output is Layout.JSON:
        values = [one.as_json() for one in found]
        typer.echo(json.dumps(values[0] if len(values) == 1 else values, indent=2))
        return
    for one in found:
        for line in status_lines(one, now=time.time()):
            typer.echo(line)


def _place(out: Path) -> "Place":
    from xfer_bench.pipeline import Place

    return Place(out=out)


def status_lines(found: "Status", *, now: float) -> list[str]:
    """A line a stage, then the sums. now: seconds since 1970."""
    rows = [_cells(stage, now) for stage in found.stages]
    widths = [max(len(row[place]) for row in [_HEAD, *rows]) for place in range(len(_HEAD))]
    lines = [_line(row, widths) for row in [_HEAD, *rows]]
    lines += [
        f"{stage.state} {stage.key[:8]}: {said}" for stage in found.stages if (said := stage.reason or stage.note)
    ]
    counts = ", ".join(
        f"{n} {state}"
        for state in ("done", "running", "begun", "failed", "blocked", "damaged", "left")
        if (n := found.count(state))
    )
    lines.append(f"{found.study}: {len(found.stages)} stages: {counts}")
    lines.append(f"{found.runs} runs: {found.trained} trained, {found.scored} scored in every language")
    lines.append(f"training that is left: {_rest(found)}")
    unfinished = f", {size(found.unfinished_bytes)} of it in unfinished stages" if found.unfinished_bytes else ""
    lines.append(f"disk: {size(found.bytes)}{unfinished}")
    if found.others:
        lines.append(f"{found.others} finished stages here belong to none of this study's runs")
    return lines


_HEAD = ("stage", "role", "data", "seed", "state", "steps", "time", "arms")


def _cells(stage: "Stand", now: float) -> tuple[str, ...]:
    languages = ",".join(stage.languages) if len(stage.languages) < 4 else f"{len(stage.languages)} languages"
    partly = stage.state in {"running", "begun", "failed"}
    steps = f"{stage.step:,} of {stage.steps:,}" if partly else f"{stage.step or stage.steps:,}"
    return (
        stage.key[:8],
        stage.role,
        f"{stage.task} ({languages})",
        str(stage.seed),
        stage.state,
        steps,
        _time(stage, now),
        ", ".join(stage.arms),
    )


def _time(stage: "Stand", now: float) -> str:
    if stage.state == "done":
        return duration(stage.seconds or 0.0)
    if stage.saved is not None:
        return f"saved {duration(max(0.0, now - stage.saved))} ago"
    return f"about {duration(stage.left)}" if stage.left else ""


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    right = {"seed", "steps"}
    cells = [
        cell.rjust(width) if name in right else cell.ljust(width)
        for cell, width, name in zip(row, widths, _HEAD, strict=True)
    ]
    line = "  ".join(cells).rstrip()
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _rest(found: "Status") -> str:
    if found.left is None:
        return "no stage has told yet how long one takes"
    if not found.left:
        return "none"
    known = sum(stage.seconds is not None for stage in found.stages)
    return f"about {duration(found.left)}, one stage after another, going by {known} that took their time here"
