"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

DataRoot: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        envvar="XFER_BENCH_DATA",
        help="A local mirror of data sets: DIR/OWNER/NAME is used where it exists, the Hub otherwise.",
    ),
]


Folder: TypeAlias = Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder.")]
Baseline: TypeAlias = Annotated[
    str | None,
    typer.Option("--baseline", metavar="ARM", help="The arm to compare with; by default the one with no stages."),
]
Resamples: TypeAlias = Annotated[int, typer.Option("--resamples", min=100, help="Draws of the bootstrap.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")]
Level: TypeAlias = Annotated[float, typer.Option("--level", help="Of the intervals.")]

RESAMPLES = 10_000


OwnTasks: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option("--tasks", metavar="FILE", help="A TOML file that describes a task of your own; repeatable."),
]


class Precision(StrEnum):
    """Arithmetic of the forward pass."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class Split(StrEnum):
    """Splits that are evaluated."""

    VALIDATION = "validation"
    TEST = "test"


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
