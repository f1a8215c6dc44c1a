"""The plan of a study as lines of text, for `--dry-run`."""

from typing import Any

from xfer_bench.pipeline import Prepared, plan_table
from xfer_bench.training.checkpoints import Store

# What a device is assumed to sustain, for an estimate of the order of magnitude only (operations per second).
_RATES = {"two CPU cores": 1.5e11, "a data-centre GPU": 1.5e14}


def plan_lines(prepared: Prepared, store: Store) -> list[str]:
    """One line a stage, then the sums and a rough cost."""
    rows = plan_table(prepared, store)
    lines = [f"{'stage':16}  {'role':12}  {'data':28}  {'seed':>4}  {'examples':>8}  {'steps':>6}  {'after':16}  arms"]
    lines += [_line(row) for row in rows]
    left = [row for row in rows if not row["done"]]
    shared = sum(row["runs"] > 1 for row in rows)
    lines.append(
        f"{len(prepared.plan.runs)} runs, {len(rows)} stages ({shared} shared by several runs), "
        f"{len(rows) - len(left)} done, {sum(row['steps'] for row in left):,} steps left"
    )
    operations = sum(row["operations"] for row in left)
    if operations:
        times = ", ".join(f"{operations / rate / 60:,.1f} min on {name}" for name, rate in _RATES.items())
        lines.append(f"rough cost of the training that is left: {operations:.1e} operations, about {times}")
    for evaluation in prepared.plan.evaluations:
        lines.append(f"evaluation: {evaluation.task} {evaluation.split}, {len(evaluation.languages)} languages")
    return lines


def _line(row: dict[str, Any]) -> str:
    data = f"{row['task']} ({row['languages']})"
    notes = [row["arms"], *(["shared"] if row["runs"] > 1 else []), *(["done"] if row["done"] else [])]
    return (
        f"{row['key']:16}  {row['role']:12}  {data:28}  {row['seed']:>4}  {row['examples']:>8,}  {row['steps']:>6,}  "
        f"{row['after']:16}  {'; '.join(notes)}"
    )
