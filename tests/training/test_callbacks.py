"""A stage stops where transformers' own callback would, also when it is interrupted after that."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from tests.training.one_stage import Stages, equal
from xfer_bench.progress import Update
from xfer_bench.training.callbacks import Stopping
from xfer_bench.training.keeping import Kept

SELECTING: dict[str, Any] = {"selection": "best", "minimum_development": 1}


@settings(max_examples=100, deadline=None)
@given(accuracies=st.lists(st.integers(0, 5), min_size=1, max_size=12), patience=st.integers(1, 4))
def test_it_stops_where_transformers_would(accuracies: list[int], patience: int) -> None:
    arguments = TrainingArguments(metric_for_best_model="accuracy", greater_is_better=True, report_to="none")
    theirs, state = EarlyStoppingCallback(patience), TrainerState()
    ours = Stopping(patience)
    history: list[dict[str, Any]] = []
    for place, accuracy in enumerate(accuracies):
        control = TrainerControl()
        theirs.on_evaluate(arguments, state, control, {"eval_accuracy": accuracy})
        state.best_metric = accuracy if state.best_metric is None else max(accuracy, state.best_metric)
        history += [{"step": 10 * place, "loss": 1.0}, {"step": 10 * place, "eval_accuracy": accuracy}]
        assert ours.over(history) == control.should_training_stop
        if control.should_training_stop:
            return


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"keep": "all", "save_every": 1},
        {**SELECTING, "evaluate_every": 2, "keep": "last"},
        # Steps so small that no answer changes: the second evaluation is no better than the first.
        {**SELECTING, "evaluate_every": 1, "patience": 1, "keep": "all", "learning_rate": 1e-7},
        {"lora": {"rank": 2}},
    ],
    ids=["plain", "all", "best", "patience", "lora"],
)
def test_a_stage_that_is_stopped_after_its_last_step_takes_no_other(tmp_path: Path, recipe: dict[str, Any]) -> None:
    stages = Stages.made(tmp_path)
    recipe = {"learning_rate": 1e-2, **recipe}
    whole = stages.train("whole", **recipe)
    if "patience" in recipe:
        assert whole.lineage["steps"] == 2
    # Everything is done but the result cannot come into its place.
    obstacle = stages.place("stopped").store.path(stages.prepared(**recipe).plan.stages[0].key)
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    with pytest.raises(OSError, match=obstacle.name):
        stages.train("stopped", **recipe)
    obstacle.unlink()
    seen: list[Update] = []
    resumed = stages.train("stopped", progress=seen.append, **recipe)
    assert not [update for update in seen if update.done]
    assert equal(resumed.path, whole.path)
    same = ("steps", "selected_step", "examples", "tokens", "development_accuracy", "kept")
    assert {name: resumed.lineage[name] for name in same} == {name: whole.lineage[name] for name in same}
    first, second = Kept(folder=whole.path), Kept(folder=resumed.path)
    assert first.steps() == second.steps()
    assert all(equal(first.path(step), second.path(step)) for step in first.steps())
