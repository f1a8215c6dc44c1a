"""What a model's results file says in the layout of lm-evaluation-harness: scores, means of groups, settings.

Accuracies are fractions here, as the layout has them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from xfer_bench import __version__

_SETTINGS = ["run", "step", "arm", "setting", "target", "intermediate_seed", "target_seed", "precision", "weights"]
_SOURCE = "xfer-bench"
_VERSION = f"{_SOURCE} {__version__}"
FILTER = "none"  # the harness names the answers that no filter changed so


@dataclass(frozen=True, kw_only=True)
class Score:
    """A task's result. group: what it is averaged in, if anything; hash: of its documents, prompts and targets."""

    name: str
    group: str | None
    right: int
    items: int
    clusters: int
    hash: str
    settings: Mapping[str, Any]

    @property
    def accuracy(self) -> float:
        """As a fraction."""
        return self.right / self.items

    @property
    def stderr(self) -> float | None:
        """Standard error of the mean of the items' 0 and 1, from their sample variance; none for one item."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / (self.items - 1)) if self.items > 1 else None


def page_of(rows: pl.DataFrame, scores: Sequence[Score], *, model: str, folder: str, time: datetime) -> dict[str, Any]:
    """The content of a results file.

    rows: PREDICTIONS of one model. scores: of its tasks. model, folder: its name, and the folder's.
    """
    groups = _groups(scores)
    means = {group: _mean(group, members) for group, members in groups.items()}
    named = [*groups, *(one.name for one in scores)]
    settings = {name: only(rows, name) for name in _SETTINGS}
    return {
        "results": {**means, **{one.name: _result(one) for one in scores}},
        **({"groups": means} if means else {}),
        "group_subtasks": {group: [one.name for one in members] for group, members in groups.items()},
        "configs": {one.name: _config(one) for one in scores},
        "versions": dict.fromkeys(named, _VERSION),
        "n-shot": dict.fromkeys(named, 0),
        "higher_is_better": {name: {"acc": True} for name in named},
        # Under a limit the rest of the split was never seen, so its size is not known here.
        "n-samples": {one.name: {"original": one.items, "effective": one.items} for one in scores},
        "config": {
            "model": _SOURCE,
            "model_args": {"pretrained": model, "dtype": settings["precision"]},
            "model_dtype": settings["precision"],
            "model_sha": settings["weights"],
            "xfer_bench": {"version": __version__, **settings, "seen": _seen(rows)},
        },
        "date": time.timestamp(),
        "model_source": _SOURCE,
        "model_name": model,
        "model_name_sanitized": folder,
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "task_hashes": {one.name: one.hash for one in scores},
    }


def _groups(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Several languages of one task, by its name; none where the name is that of a task already."""
    names = {one.name for one in scores}
    found: dict[str, list[Score]] = {}
    for one in scores:
        if one.group is not None and one.group not in names:
            found.setdefault(one.group, []).append(one)
    return {group: members for group, members in found.items() if len(members) > 1}


def _result(score: Score) -> dict[str, Any]:
    return {
        "name": score.name,
        "alias": score.name,
        "sample_len": score.items,
        f"acc,{FILTER}": score.accuracy,
        f"acc_stderr,{FILTER}": "N/A" if score.stderr is None else score.stderr,
    }


def _mean(group: str, scores: Sequence[Score]) -> dict[str, Any]:
    """The mean over all items of a group, and its standard error from the pooled variance of its tasks.

    Pooled variance: https://en.wikipedia.org/wiki/Pooled_variance, as the harness has it for means weighted by size.
    Not this package's average, which weighs languages alike and leaves English out.
    """
    items = sum(one.items for one in scores)
    variances = [one.items * one.stderr**2 for one in scores if one.stderr is not None]
    pooled = sum((one.items - 1) * variance for one, variance in zip(scores, variances, strict=False))
    whole = len(variances) == len(scores)
    return {
        "alias": group,
        "name": group,
        "sample_len": items,
        f"acc,{FILTER}": sum(one.right for one in scores) / items,
        f"acc_stderr,{FILTER}": math.sqrt(pooled / (items - len(scores)) / items) if whole else "N/A",
        "sample_count": {f"acc,{FILTER}": items},
    }


def _config(score: Score) -> dict[str, Any]:
    return {
        "task": score.name,
        **({"dataset_path": score.settings["repository"]} if "repository" in score.settings else {}),
        "dataset_name": score.settings["language"],
        "test_split": score.settings["split"],
        "output_type": "multiple_choice",
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "repeats": 1,
        "should_decontaminate": False,
        "metadata": {
            "version": _VERSION,
            **score.settings,
            "clusters": score.clusters,
            "acc_stderr": "of independent items; ignores clusters",
        },
    }


def only(rows: pl.DataFrame, name: str) -> Any:
    """The value that all rows have, or the list of those they have."""
    values = rows[name].unique(maintain_order=True).to_list()
    return values[0] if len(values) == 1 else values


def _seen(rows: pl.DataFrame) -> list[str]:
    return sorted(rows.filter("seen_in_intermediate")["language"].unique())
