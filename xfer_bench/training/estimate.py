"""How fast a stage trains here, measured on its first steps."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xfer_bench.plan import PartRows, Stage, rows_of
from xfer_bench.progress import Update
from xfer_bench.sources.source import Rows
from xfer_bench.training.fitting import fit
from xfer_bench.training.stages import Workshop, start

# The first steps find memory and warm caches; the others are timed.
_WARM, _TIMED = 2, 4
_SCORED = 8


@dataclass(frozen=True, kw_only=True)
class Rate:
    """seconds: that the timed steps took; text_bytes: that they saw; steps: how many they were."""

    seconds: float
    text_bytes: float
    steps: int

    @property
    def per_byte(self) -> float:
        """Seconds a character, by which other stages' times are estimated."""
        return self.seconds / self.text_bytes


def measured_rate(stage: Stage, *, workshop: Workshop) -> Rate:
    """Train the first steps of a stage without a parent, by the very code that trains it, and forget the result.

    Raises what training raises.
    """
    steps = min(_WARM + _TIMED, stage.steps)
    batch = stage.recipe.batch_size
    short = stage.recipe.model_copy(
        update={"max_steps": steps, "max_tokens": None, "selection": "last", "keep": "result", "save_every": 10 * steps}
    )
    brief = replace(stage, recipe=short, role="target")
    rows = [_first(one, steps * batch) for one in rows_of(stage, workshop.tasks, workshop.sources)]
    times: dict[int, float] = {0: time.monotonic()}

    def note(update: Update) -> None:
        times.setdefault(int(update.done), time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / ".work" / "probe"
        work.mkdir(parents=True)
        fit(brief, start(brief, workshop), tasks=workshop.tasks, rows=rows, work=work, progress=note)
    warm = min(_WARM, steps - 1)
    timed = steps - warm
    return Rate(
        seconds=times[steps] - times[warm],
        text_bytes=timed * batch * stage.bytes_per_example,
        steps=timed,
    )


def _first(rows: PartRows, examples: int) -> PartRows:
    """As many training items as the steps may see, and hardly any that are only scored."""
    held_out = rows.development
    return PartRows(training=_head(rows.training, examples), development=held_out and _head(held_out, _SCORED))


def _head(rows: Rows, count: int) -> Rows:
    return replace(rows, frame=rows.frame.head(count))


def longest(stages: Sequence[Stage]) -> Stage | None:
    """The stage without a parent that sees most; None where there is none."""
    roots = [stage for stage in stages if stage.parent is None]
    return max(roots, key=lambda stage: stage.steps * stage.recipe.batch_size * stage.bytes_per_example, default=None)
