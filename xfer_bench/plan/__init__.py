"""The plan: a study resolved, validated, every stage keyed by its content."""

from xfer_bench.plan.planner import plan, rows_of, stage_rows
from xfer_bench.plan.values import Data, Evaluation, Plan, Role, Run, Stage

__all__ = ["Data", "Evaluation", "Plan", "Role", "Run", "Stage", "plan", "rows_of", "stage_rows"]
