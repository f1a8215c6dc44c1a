"""A request and what it took, as lines of text."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from xfer_bench.cli.quantities import duration

if TYPE_CHECKING:
    from xfer_bench.evaluation.cache import PredictionStore
    from xfer_bench.evaluation.request import Cell, Request
    from xfer_bench.evaluation.sweep import Evaluated


def request_lines(asked: "Request", store: "PredictionStore") -> Iterator[str]:
    """What is in the store and what would be scored, by checkpoint and task, with about how long it takes."""
    from xfer_bench.evaluation.estimate import seconds_for

    todo = set(map(id, asked.missing))
    whole: float | None = 0.0
    for (name, task), group in groupby(asked.cells, key=lambda cell: (cell.checkpoint.name, cell.column.task.name)):
        cells = list(group)
        missing = [cell for cell in cells if id(cell) in todo]
        yield f"{name}: {task} {cells[0].column.split}, {cells[0].precision}: {_counts(cells, missing)}"
        if missing:
            seconds = seconds_for(cells[0], sum(cell.sequences for cell in missing), store)
            whole = None if whole is None or seconds is None else whole + seconds
    sequences = sum(cell.sequences for cell in asked.missing)
    if not sequences:
        time = "nothing to score"
    elif whole is None:
        time = f"{sequences:,} sequences to score; no speed was measured yet on this machine"
    else:
        time = f"{sequences:,} sequences to score, about {duration(whole)}"
    yield f"{len(asked.cells)} columns, {len(asked.cells) - len(asked.missing)} cached; {time}"
    yield from (f"skipped: {reason}" for reason in asked.skipped)


def precision_lines(asked: "Request", store: "PredictionStore") -> Iterator[str]:
    """How far bf16 is from fp32 on a sample of each checkpoint's items."""
    from xfer_bench.evaluation.precision import disagreement
    from xfer_bench.evaluation.request import by_variant

    for both in asked.by_scorer():
        # Of a repaired variant nearly all rows are those of the published one.
        cells = by_variant(both)[0]
        first = cells[0]
        found = disagreement(first.checkpoint, first.identity, [cell.column for cell in cells], store)
        share = 100 * found.differing / found.items
        yield (
            f"{first.checkpoint.name}: {first.column.task.name} {first.column.split}, {found.items} items of "
            f"{len(cells)} languages: bf16 answers {found.differing} otherwise than fp32 ({share:.1f} %); accuracy "
            f"{100 * found.right_fp32 / found.items:.1f} in fp32, {100 * found.right_bf16 / found.items:.1f} in bf16; "
            f"scores differ by at most {found.largest:.2g}; {'near enough' if found.passes else 'not near enough'} "
            "to be the default on a GPU"
        )


def account_lines(done: "Evaluated") -> Iterator[str]:
    """What the scoring took: one line a checkpoint that was scored, and what came from the store."""
    for one in done.accounts:
        padding = 100 * (one.padded - one.tokens) / one.padded if one.padded else 0.0
        path = one.path if one.path == "packed" else f"{one.path} ({one.reason})"
        rate = one.distinct / one.seconds if one.seconds else 0.0
        ties = f"; {one.ties} ties" if one.ties else ""
        yield (
            f"{one.checkpoint}: {one.precision}, {path}: {one.sequences:,} sequences, {one.distinct:,} different, "
            f"{one.tokens:,} tokens, padding {padding:.1f} %; {duration(one.seconds)}, {rate:,.0f} a second; "
            f"{one.all - one.seconds:.1f} s besides{ties}"
        )
    yield f"{done.cells} columns, {done.cells - done.scored} from the store"


def _counts(cells: "list[Cell]", missing: "list[Cell]") -> str:
    items = sum(cell.column.items for cell in cells)
    lacking = sum(cell.missing for cell in missing)
    languages = dict.fromkeys(cell.column.language for cell in cells)
    variants = dict.fromkeys(cell.column.task.variant for cell in cells)
    among, there = f"{len(languages)} languages", "cached"
    if len(variants) > 1:
        among, there = f"{among}, {' and '.join(variants)}", "cached or the same in both"
    if not missing:
        return f"{among}, all {items:,} items cached"
    todo = dict.fromkeys(cell.column.language for cell in missing)
    named = f" ({', '.join(todo)})" if len(todo) < len(languages) else ""
    return f"{among}, {items - lacking:,} of {items:,} items {there}, {lacking:,} to score{named}"
