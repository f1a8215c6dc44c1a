"""Progress on the error stream: the whole, the piece in hand, and an estimate of what is left."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from xfer_bench.progress import Progress as Report
from xfer_bench.progress import Update

_LOG_EVERY = 30.0


@contextmanager
def shown() -> Iterator[Report]:
    """A callback that draws two bars on a terminal or in a notebook, or writes a line now and then elsewhere."""
    console = Console(stderr=True)
    # In a notebook rich needs the widgets.
    if not (console.is_terminal or (console.is_jupyter and find_spec("ipywidgets"))):
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.whole = bars.add_task("", total=None)
        self.piece = bars.add_task("", total=None, visible=False)
        self.shown = ("", "")

    def __call__(self, update: Update) -> None:
        if update.whole != self.shown[0]:
            self.bars.reset(self.whole)
        if update.piece != self.shown[1]:
            self.bars.reset(self.piece)
        self.shown = (update.whole, update.piece)
        self.bars.update(self.whole, description=update.whole, completed=update.finished, total=update.pieces or None)
        self.bars.update(
            self.piece,
            description=f"  {update.piece}",
            completed=update.done,
            total=update.total or None,
            visible=bool(update.piece),
        )


class _Lines:
    def __init__(self) -> None:
        self.began: dict[str, tuple[float, float]] = {}
        # What is quickly done says nothing.
        self.last = time.monotonic()

    def __call__(self, update: Update) -> None:
        now = time.monotonic()
        start, already = self.began.setdefault(update.whole, (now, update.finished))
        if now - self.last < _LOG_EVERY or not update.pieces:
            return
        self.last = now
        share = 100 * update.finished / update.pieces
        left = _left(update, gone=update.finished - already, seconds=now - start)
        sys.stderr.write(f"{update.whole} {share:.0f} %: {update.piece}{left}\n")
        sys.stderr.flush()


def _left(update: Update, *, gone: float, seconds: float) -> str:
    # What comes before a piece's first step is no measure of its pace: a piece has to be done, or a tenth of a few.
    if gone < min(1.0, 0.1 * update.pieces) or seconds <= 0:
        return ""
    return f", about {(update.pieces - update.finished) * seconds / gone / 60:.0f} min left"
