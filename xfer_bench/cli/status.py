"""`status`: how far a study is. No torch, no data, no model."""

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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
    blocks those after it until --retry-failed.
    """
    from xfer_bench.pipeline import Place
    from xfer_bench.status import status_of

    place = Place(out=out)
    found = status_of(place.out, store=place.store, results=place.results)
    if output is Layout.JSON:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    for line in status_lines(found, now=time.time()):
        typer.echo(line)


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
    unfinished = f", {_size(found.unfinished_bytes)} of it in unfinished stages" if found.unfinished_bytes else ""
    lines.append(f"disk: {_size(found.bytes)}{unfinished}")
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
        return _duration(stage.seconds or 0.0)
    if stage.saved is not None:
        return f"saved {_duration(max(0.0, now - stage.saved))} ago"
    return f"about {_duration(stage.left)}" if stage.left else ""


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
    return f"about {_duration(found.left)}, one stage after another, going by {known} that took their time here"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
