"""Checkpoints along a stage: ordinary, labelled, the same set after every interruption, and never too many."""

import multiprocessing
import os
import shutil
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForMultipleChoice, AutoTokenizer

from tests.training.one_stage import Stages, Stop, equal, stopping_at, weights
from xfer_bench.errors import TrainingError
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.lineage import labels_of
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.sweep import Evaluator
from xfer_bench.recipes import Every, Recipe
from xfer_bench.results import Results
from xfer_bench.training.checkpoints import Checkpoint, read_lineage
from xfer_bench.training.keeping import Kept, accuracies, best_step, disk_use, keeping, selects
from xfer_bench.training.logs import LOG

ALL = Every(every=1)
# The ten development items of the small study are enough to select on.
MEASURED: dict[str, Any] = {"minimum_development": 1, "evaluate_every": 1}
SELECTING: dict[str, Any] = {"selection": "best", **MEASURED}
# Steps so small that no answer changes: the first is the best.
FLAT: dict[str, Any] = {"learning_rate": 1e-7, **SELECTING}
# Ten steps whose accuracies rise and fall.
BUMPY: dict[str, Any] = {"learning_rate": 1e-2, "epochs": 2, **MEASURED}


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return Stages.made(tmp_path)


def along(checkpoint: Checkpoint) -> dict[int, Path]:
    kept = Kept(folder=checkpoint.path)
    return {step: kept.path(step) for step in kept.steps()}


@settings(max_examples=200, deadline=None)
@given(steps=st.integers(1, 5_000), every=st.integers(1, 700), at_most=st.integers(1, 40), chosen=st.booleans())
def test_steps_are_evenly_spaced_and_never_too_many(steps: int, every: int, at_most: int, chosen: bool) -> None:
    recipe = Recipe(keep=Every(every=every), keep_at_most=at_most, selection="best" if chosen else "last")
    found = keeping(recipe, steps=steps, development=1_000)
    assert found.most == len(found.steps) <= at_most
    possible = [step for step in range(every, steps + 1, every) if chosen or step < steps]
    if len(possible) <= at_most:
        assert list(found.steps) == possible
    else:
        assert set(found.steps) < set(possible)
        assert len(found.steps) >= at_most // 2
    distances = {b - a for a, b in pairwise((0, *found.steps))}
    assert len(distances) <= 1


@pytest.mark.parametrize(
    ("keep", "selection", "steps", "best", "last"),
    [
        ("result", "last", (), False, False),
        ("result", "best", (), False, False),
        ("last", "last", (), False, False),
        ("last", "best", (), False, True),
        ("best", "last", (), True, False),
        ("best", "best", (), False, False),
        ("all", "last", (20, 40), False, False),
        ("all", "best", (30, 60), False, False),
    ],
)
def test_what_the_recipe_s_words_mean(keep: Any, selection: Any, steps: Any, best: bool, last: bool) -> None:
    recipe = Recipe(keep=keep, selection=selection, save_every=20, evaluate_every=30)
    found = keeping(recipe, steps=60, development=recipe.minimum_development)
    assert (found.steps, found.best, found.last) == (steps, best, last)
    assert found.most == len(steps) + best + last
    # With too few development items the last step is the result, and nothing is the best.
    few = keeping(recipe, steps=60, development=recipe.minimum_development - 1)
    assert not selects(recipe, development=recipe.minimum_development - 1)
    assert (few.steps, few.best, few.last) == ((20, 40) if keep == "all" else (), False, False)


def test_the_best_step_is_the_earliest_of_the_most_accurate() -> None:
    def entry(step: int, accuracy: float) -> dict[str, float]:
        return {"step": step, "eval_accuracy": accuracy}

    assert best_step([]) is None
    assert best_step([{"step": 10, "loss": 1.0}]) is None
    history = [entry(10, 0.4), {"step": 15, "loss": 0.5}, entry(20, 0.6), entry(30, 0.6), entry(40, 0.5)]
    assert best_step(history) == 20
    assert accuracies(history) == {10: 0.4, 20: 0.6, 30: 0.6, 40: 0.5}


def test_what_a_killed_process_left_is_dropped(tmp_path: Path) -> None:
    kept = Kept(folder=tmp_path)
    kept.drop(1)
    assert kept.steps() == ()
    for name in ("10", "2", ".3.abcd"):
        (tmp_path / "steps" / name).mkdir(parents=True)
    assert kept.steps() == (2, 10)
    kept.drop(10)
    assert [entry.name for entry in (tmp_path / "steps").iterdir()] == ["2"]
    kept.drop(2)
    assert not (tmp_path / "steps").exists()


def test_a_kept_checkpoint_is_ordinary_whole_and_of_its_step(stages: Stages) -> None:
    checkpoint = stages.train("kept", keep=ALL)
    # The last of the five steps is the result.
    assert list(along(checkpoint)) == [1, 2, 3, 4]
    for step, folder in along(checkpoint).items():
        names = {file.name for file in folder.iterdir()}
        # The log is the whole stage's.
        assert names | {LOG} == {file.name for file in checkpoint.path.iterdir() if file.is_file()}
        assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
        assert folder.stat().st_mode == checkpoint.path.stat().st_mode
        _, report = AutoModelForMultipleChoice.from_pretrained(folder, output_loading_info=True)
        assert not any(report[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        AutoTokenizer.from_pretrained(folder)
        lineage = read_lineage(folder)
        assert (lineage["steps"], lineage["selected_step"], lineage["examples"]) == (step, step, 8 * step)
        assert lineage["key"] == checkpoint.lineage["key"]
        assert lineage["sizes"]["model.safetensors"] == (folder / "model.safetensors").stat().st_size
    tokens = [read_lineage(folder)["tokens"] for folder in (*along(checkpoint).values(), checkpoint.path)]
    assert tokens == sorted(set(tokens))
    assert [one["steps"] for one in checkpoint.lineage["kept"]] == [1, 2, 3, 4]
    # Every step moved the weights.
    folders = [*along(checkpoint).values(), checkpoint.path]
    assert not any(equal(a, b) for a, b in pairwise(folders))


def test_a_kept_checkpoint_has_the_weights_of_its_step(stages: Stages) -> None:
    kept = along(stages.train("kept", keep=ALL))
    with pytest.raises(Stop):
        stages.train("states", progress=stopping_at(5), save_every=2)
    work = stages.place("states").store.work(stages.prepared(save_every=2).plan.stages[0].key)
    for step in (2, 4):
        # A state holds every head that the stage trains; this one has one.
        state = {
            name.removeprefix("models.0."): weight for name, weight in weights(work / f"checkpoint-{step}").items()
        }
        result = weights(kept[step])
        assert state.keys() == result.keys()
        assert all(torch.equal(state[name], result[name]) for name in result)


@pytest.mark.parametrize(
    "recipe",
    [{"keep": "all", "save_every": 1}, {"keep": "best", "minimum_development": 1, "evaluate_every": 2}],
    ids=["all", "best"],
)
def test_keeping_never_changes_the_result(stages: Stages, recipe: dict[str, Any]) -> None:
    # With dropout: an evaluation that drew random numbers would.
    assert equal(stages.train("none", save_every=recipe.get("save_every", 2)).path, stages.train("kept", **recipe).path)


def test_the_best_step_stays_beside_the_last(stages: Stages) -> None:
    kept = along(stages.train("best", keep="best", **BUMPY))
    everything = stages.train("all", keep=ALL, selection="best", **BUMPY)
    measured = {step: read_lineage(folder)["development_accuracy"] for step, folder in along(everything).items()}
    measured[everything.lineage["selected_step"]] = everything.lineage["development_accuracy"]
    assert measured.keys() == set(range(1, 11))
    best = min(step for step in measured if measured[step] == max(measured.values()))
    assert best == everything.lineage["selected_step"]
    # Where the last step is the best the result is both.
    assert list(kept) == [best] * (best < 10)
    for step, folder in kept.items():
        assert equal(folder, everything.path)
        assert read_lineage(folder)["development_accuracy"] == measured[step]


def test_the_last_step_stays_beside_the_best(stages: Stages) -> None:
    selected = stages.train("best", keep="last", **FLAT)
    assert selected.lineage["selected_step"] == 1
    assert list(along(selected)) == [5]
    plain = stages.train("plain", learning_rate=FLAT["learning_rate"])
    assert equal(along(selected)[5], plain.path)
    assert not equal(selected.path, plain.path)
    # Stopped early, the last step is an earlier one.
    stopped = stages.train("stopped", keep="last", patience=2, **FLAT)
    assert stopped.lineage["steps"] == 3
    assert list(along(stopped)) == [3]
    assert equal(stopped.path, selected.path)


@pytest.mark.parametrize(
    "recipe",
    [
        {"keep": ALL},
        {"keep": "all", "save_every": 2},
        {"keep": "best", **BUMPY},
        {"keep": "last", **SELECTING, "learning_rate": 1e-2},
        {"keep": ALL, **FLAT, "patience": 3},
    ],
    ids=["every", "all", "best", "last", "patience"],
)
def test_an_interrupted_stage_ends_with_the_same_checkpoints(stages: Stages, recipe: dict[str, Any]) -> None:
    whole = stages.train("whole", **recipe)
    # At 3 the state of 2 is there; half-written drafts and checkpoints beyond the state too.
    for stop in (1, 3):
        with pytest.raises(Stop):
            stages.train("stopped", progress=stopping_at(stop), **recipe)
    work = stages.place("stopped").store.work(stages.prepared(**recipe).plan.stages[0].key)
    (work / "finished" / "steps" / ".4.draft").mkdir(parents=True)
    (work / "finished" / "steps" / "9").mkdir()
    (work / "finished" / "half.bin").write_bytes(b"half")
    resumed = stages.train("stopped", **recipe)
    assert along(resumed).keys() == along(whole).keys()
    assert all(equal(along(resumed)[step], folder) for step, folder in along(whole).items())
    assert equal(resumed.path, whole.path)
    assert resumed.lineage["selected_step"] == whole.lineage["selected_step"]
    assert resumed.lineage["kept"] == whole.lineage["kept"]
    names = [sorted(str(file.relative_to(one.path)) for file in one.path.rglob("*")) for one in (whole, resumed)]
    assert names[0] == names[1]


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_same_checkpoints(stages: Stages) -> None:
    recipe: dict[str, Any] = {"keep": ALL, "lora": {"rank": 2}, "save_every": 1, "epochs": 4}
    whole = stages.train("whole", **recipe)
    context = multiprocessing.get_context("fork")
    killed = 0
    for seconds in (0.5, 0.8, 1.1, 1.4, 1.7, 2.0, 2.3, 2.6):
        process = context.Process(target=stages.train, args=("killed",), kwargs=recipe)
        process.start()
        time.sleep(seconds)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            killed += 1
        process.join()
    assert killed > 2
    finished = stages.train("killed", **recipe)
    assert along(finished).keys() == along(whole).keys() == set(range(1, 20))
    assert all(equal(along(finished)[step], folder) for step, folder in along(whole).items())
    assert equal(finished.path, whole.path)


def test_eval_finds_them_and_knows_their_run_and_step(stages: Stages) -> None:
    checkpoint = stages.train("kept", keep=Every(every=2))
    (run,) = stages.prepared(keep=Every(every=2)).plan.runs
    found = discover([str(checkpoint.path / "steps")])
    assert len(found) == 2
    for one in found:
        (labels,) = labels_of(one, weights="0" * 64, task="xcopa")
        assert labels["run"] == run.name
        assert labels["step"] == int(one.path.name)
        assert (labels["arm"], labels["setting"], labels["target_seed"]) == ("none", "CO", 0)
    evaluator = Evaluator(sources=stages.sources, store=stages.root / "store", devices="cpu")
    results = Results(stages.root / "results")
    ask = Ask(tasks=("xcopa",), languages=("et", "zh"), limit=5, variants=("published",))
    for one in (*found, *discover([str(checkpoint.path)])):
        done = evaluator.evaluate([one], ask, results=results)
        assert not done.failed
    counted = results.predictions().group_by("run", "step", "language").len().sort("step", "language")
    assert counted.rows() == [(run.name, step, language, 5) for step in (2, 4, 5) for language in ("et", "zh")]


def test_the_disk_that_they_take_is_known_before_and_after(stages: Stages) -> None:
    recipe: dict[str, Any] = {"keep": ALL, "keep_at_most": 2}
    checkpoint = stages.train("kept", **recipe)
    assert list(along(checkpoint)) == [2, 4]
    stage = stages.prepared(**recipe).plan.stages[0]
    most = keeping(stage.recipe, steps=stage.steps, development=10).most
    assert most == 2
    size = disk_use(along(checkpoint)[2])
    assert abs(Kept(folder=checkpoint.path).bytes - most * size) < 100
    assert disk_use(checkpoint.path) > Kept(folder=checkpoint.path).bytes
    assert disk_use(checkpoint.path / "absent") == 0
    # Nothing needs them: whoever wants the room back may remove them.
    shutil.rmtree(checkpoint.path / "steps")
    assert stages.train("kept", **recipe).path == checkpoint.path


def test_a_store_may_be_moved_while_a_stage_is_half_done(stages: Stages) -> None:
    # The best state is one from before the move.
    recipe: dict[str, Any] = {**FLAT, "keep": ALL}
    whole = stages.train("whole", **recipe)
    with pytest.raises(Stop):
        stages.train("here", progress=stopping_at(4), **recipe)
    stages.place("here").out.rename(stages.place("there").out)
    moved = stages.train("there", **recipe)
    assert moved.lineage["selected_step"] == whole.lineage["selected_step"] == 1
    assert equal(moved.path, whole.path)
    assert along(moved).keys() == along(whole).keys()


def test_a_best_state_that_is_damaged_is_never_taken_for_the_result(stages: Stages) -> None:
    recipe: dict[str, Any] = {**FLAT, "keep": ALL}
    best = stages.train("whole", **recipe).lineage["selected_step"]
    with pytest.raises(Stop):
        stages.train("stopped", progress=stopping_at(5), **recipe)
    work = stages.place("stopped").store.work(stages.prepared(**recipe).plan.stages[0].key)
    file = work / f"checkpoint-{best}" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(TrainingError, match=rf"the best state \(.*checkpoint-{best}\) is damaged; remove "):
        stages.train("stopped", **recipe)
