"""The plan: a study resolved, validated, every stage keyed by its content."""

from xfer_bench.plan.planner import plan
from xfer_bench.plan.rows import PartRows, part_rows, rows_of
from xfer_bench.plan.values import BYTES_PER_TOKEN, Data, Evaluation, Plan, Role, Run, Stage

__all__ = [
    "BYTES_PER_TOKEN",
    "Data",
    "Evaluation",
    "PartRows",
    "Plan",
    "Role",
    "Run",
    "Stage",
    "part_rows",
    "plan",
    "rows_of",
]
