"""What all analyses share: one folder of results to read, one place to draw into, one sentence to print."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from xfer_bench.errors import XferBenchError
from xfer_bench.plotting.style import paper_style
from xfer_bench.stats.estimates import Comparison

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "data" / "results"
COMMITTED = RESULTS / "xcopa-xnli-starter"


@contextmanager
def drawn(name: str, *, width: float = 3.3, height: float, numbers: pl.DataFrame | None = None) -> Iterator[Figure]:
    """A figure in the paper's style, which goes to runs/analyses/NAME.pdf, its numbers beside it as CSV; inches."""
    with paper_style():
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        place = ROOT / "runs" / "analyses" / f"{name}.pdf"
        place.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(place)
        if numbers is not None:
            numbers.write_csv(place.with_suffix(".csv"))


def by_target(found: list[Comparison]) -> list[list[Comparison]]:
    """Comparisons, target by target."""
    return [list(some) for _, some in groupby(found, key=lambda one: (one.task, one.variant, one.setting, one.target))]


def tell(claim: Callable[[Path], str], *, committed: Path = COMMITTED) -> None:
    """Print what a claim's function says of the folder named on the command line, or of the committed results."""
    try:
        sys.stdout.write(claim(Path(sys.argv[1]) if len(sys.argv) > 1 else committed) + "\n")
    except XferBenchError as error:
        sys.exit(str(error))
