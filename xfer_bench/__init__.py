"""Intermediate-task training and zero-shot cross-lingual transfer: train, evaluate item by item, compare.

    from xfer_bench import Results, compare
    for comparison in compare(Results("runs/quickstart/results").predictions()):
        print(comparison.arm, comparison.language, comparison.gain, comparison.ci_low, comparison.ci_high)

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xfer_bench.errors import XferBenchError
    from xfer_bench.evaluation.sweep import Evaluator, evaluate
    from xfer_bench.metrics import accuracy, transfer_gains
    from xfer_bench.pipeline import Place, evaluate_study, prepare, run, train_study
    from xfer_bench.results import Results
    from xfer_bench.sources.source import Sources
    from xfer_bench.stats.comparisons import compare
    from xfer_bench.stats.scores import score_intervals
    from xfer_bench.study import Study
    from xfer_bench.tasks import TASKS

__version__ = "0.2.0"

_HOMES = {
    "Evaluator": "evaluation.sweep",
    "Place": "pipeline",
    "Results": "results",
    "Sources": "sources.source",
    "Study": "study",
    "TASKS": "tasks",
    "XferBenchError": "errors",
    "accuracy": "metrics",
    "compare": "stats.comparisons",
    "evaluate": "evaluation.sweep",
    "evaluate_study": "pipeline",
    "prepare": "pipeline",
    "run": "pipeline",
    "score_intervals": "stats.scores",
    "train_study": "pipeline",
    "transfer_gains": "metrics",
}

__all__ = [
    "TASKS",
    "Evaluator",
    "Place",
    "Results",
    "Sources",
    "Study",
    "XferBenchError",
    "__version__",
    "accuracy",
    "compare",
    "evaluate",
    "evaluate_study",
    "prepare",
    "run",
    "score_intervals",
    "train_study",
    "transfer_gains",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
