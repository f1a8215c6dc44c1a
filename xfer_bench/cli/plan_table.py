"""The plan of a study as lines of text, for `plan` and `--dry-run`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xfer_bench.cli.quantities import duration, size
from xfer_bench.costs import StageCost, checkpoint_bytes, costs_of
from xfer_bench.pipeline import Prepared
from xfer_bench.training.checkpoints import Store

if TYPE_CHECKING:
    from xfer_bench.training.estimate import Rate

# What a device is assumed to sustain, for an estimate of the order of magnitude only (operations per second).
_RATES = {"two CPU cores": 1.5e11, "a data-centre GPU": 1.5e14}
_SHORT = 8
_HEAD = ("stage", "role", "data", "seed", "examples", "steps", "seen", "~tokens", "after", "arms")
_RIGHT = {"seed", "examples", "steps", "seen", "~tokens"}


def plan_lines(prepared: Prepared, store: Store, *, rate: "Rate | None" = None) -> list[str]:
    """One line a stage, then the sums and what they cost.

    rate: as measured on this machine; without one the cost is a rough one.
    """
    costs = costs_of(prepared.plan, origin=Path(prepared.origin.path), store=store)
    rows = [_cells(cost, prepared.origin.name) for cost in costs]
    widths = [max(len(row[place]) for row in (_HEAD, *rows)) for place in range(len(_HEAD))]
    lines = [_line(row, widths) for row in (_HEAD, *rows)]
    lines += dict.fromkeys(line for cost in costs for line in _parts(cost))
    left = [cost for cost in costs if not cost.done]
    shared = sum(cost.runs > 1 for cost in costs)
    lines.append(
        f"{len(prepared.plan.runs)} runs, {len(costs)} stages ({shared} shared by several runs), "
        f"{len(costs) - len(left)} done, {sum(cost.stage.steps for cost in left):,} steps left"
    )
    lines += _time(left, rate)
    lines += _disk(prepared, costs, store)
    for evaluation in prepared.plan.evaluations:
        lines.append(
            f"evaluation: {evaluation.task} ({evaluation.setting}) {' and '.join(evaluation.splits)}, "
            f"{len(evaluation.languages)} languages"
        )
    lines += [
        f"control: {arm} before {target} is but more of the target's own data, and stays out of headlines"
        for arm, target in dict.fromkeys((run.arm, run.target) for run in prepared.plan.runs if run.control)
    ]
    return [*lines, *(f"note: {note}" for note in prepared.plan.notes)]


def _cells(cost: StageCost, origin: str) -> tuple[str, ...]:
    stage = cost.stage
    languages = ",".join(stage.languages) if len(stage.languages) < 5 else f"{len(stage.languages)} languages"
    translated = ", translated" if any(part.machine_translated for part in stage.parts) else ""
    notes = [", ".join(cost.arms), *(["shared"] if cost.runs > 1 else []), *(["done"] if cost.done else [])]
    return (
        stage.key[:_SHORT],
        stage.role,
        f"{stage.task} ({languages}{translated})",
        str(stage.data_seed),
        f"{stage.examples:,}",
        f"{stage.steps:,}",
        f"{cost.seen:,}",
        f"{cost.tokens:,.0f}",
        stage.parent.key[:_SHORT] if stage.parent else origin,
        "; ".join(notes),
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if name in _RIGHT else cell.ljust(width)
        for cell, width, name in zip(row, widths, _HEAD, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _parts(cost: StageCost) -> list[str]:
    """The shares of a stage's training sets, where there are several."""
    stage = cost.stage
    if len(stage.parts) == 1:
        return []
    shares = [
        f"{part.task} {part.share:.0%} ({f'head {part.head}' if part.mlm is None else 'words guessed'}; each of its "
        f"{part.examples:,} examples {part.seen_of(stage):.2g} times)"
        for part in stage.parts
    ]
    return [f"{', '.join(cost.arms)}: {'; '.join(shares)}"]


def _time(left: Sequence[StageCost], rate: "Rate | None") -> list[str]:
    if not left:
        return []
    if rate is not None:
        seconds = rate.per_byte * sum(cost.text_bytes for cost in left)
        return [
            f"training that is left: about {duration(seconds)} on this machine, one stage after another "
            f"({rate.steps} steps took {rate.seconds:.1f} s)"
        ]
    operations = sum(cost.operations for cost in left)
    if not operations:
        return []
    times = ", ".join(f"{operations / rate / 60:,.1f} min on {name}" for name, rate in _RATES.items())
    return [f"rough cost of the training that is left: {operations:.1e} operations, about {times} (--probe measures)"]


def _disk(prepared: Prepared, costs: Sequence[StageCost], store: Store) -> list[str]:
    one = checkpoint_bytes(Path(prepared.origin.path), prepared.plan.stages, store)
    if not one:
        return []
    count = sum(cost.checkpoints for cost in costs)
    less = ", less when its vocabulary is trimmed" if prepared.plan.study.trim_vocabulary else ""
    # Two resumable states of the stage that is trained: the weights, and two moments of each.
    return [f"disk: {count} checkpoints of {size(one)}{less}: {size(count * one)}, and {size(6 * one)} while training"]
