"""A stage is trained once, is whole or absent, and does not depend on interruptions."""

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForMultipleChoice

from tests.small_study import small_study
from tests.training.one_stage import Stop, equal
from xfer_bench.errors import CheckpointError
from xfer_bench.pipeline import train_study
from xfer_bench.progress import Update
from xfer_bench.training.checkpoints import LINEAGE, MANIFEST, newest_state, read_lineage


def test_a_finished_stage_is_never_trained_again(tmp_path: Path) -> None:
    prepared, place = small_study(tmp_path)
    first = train_study(prepared, place)
    before = {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in place.store.folder.glob("[!.]*")}
    steps: list[Update] = []
    again = train_study(prepared, place, progress=steps.append)
    assert {name: one.path for name, one in first.items()} == {name: one.path for name, one in again.items()}
    assert before == {folder: (folder / "model.safetensors").stat().st_mtime_ns for folder in before}
    assert not [update for update in steps if update.done]


def test_a_checkpoint_is_ordinary_and_holds_no_pickle(tmp_path: Path) -> None:
    prepared, place = small_study(tmp_path)
    for checkpoint in train_study(prepared, place).values():
        names = {file.name for file in checkpoint.path.iterdir()}
        assert names >= {"config.json", "model.safetensors", "tokenizer.json", LINEAGE}
        assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
        _, report = AutoModelForMultipleChoice.from_pretrained(checkpoint.path, output_loading_info=True)
        assert not report["missing_keys"]
        lineage = read_lineage(checkpoint.path)
        assert lineage["runs"]
        assert lineage["parts"][0]["repository"] == "aps/super_glue"
        assert lineage["steps"] == 5
        assert lineage["examples"] == 40
        assert lineage["seeds"]["initialisation"] in {0, 1}


def test_an_interrupted_stage_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole_plan, whole = small_study(tmp_path / "whole")
    uninterrupted = train_study(whole_plan, whole)
    _, broken = small_study(tmp_path / "broken")

    def stop_once(update: Update) -> None:
        if update.done == 3 and not list(broken.store.folder.glob("stopped")):
            (broken.store.folder / "stopped").touch()
            raise Stop

    with pytest.raises(Stop):
        train_study(whole_plan, broken, progress=stop_once)
    resumed_at: list[float] = []
    finished = train_study(whole_plan, broken, progress=lambda update: resumed_at.append(update.done))
    assert next(done for done in resumed_at if done) == 3
    assert finished.keys() == uninterrupted.keys()
    assert all(equal(finished[run].path, uninterrupted[run].path) for run in finished)


def test_a_kill_at_any_moment_loses_no_finished_work(tmp_path: Path) -> None:
    prepared, whole = small_study(tmp_path / "whole")
    uninterrupted = train_study(prepared, whole)
    _, killed = small_study(tmp_path / "killed")
    context = multiprocessing.get_context("fork")
    for seconds in (1.0, 2.5, 4.0):
        process = context.Process(target=train_study, args=(prepared, killed))
        process.start()
        time.sleep(seconds)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    finished = train_study(prepared, killed)
    assert all(equal(finished[run].path, uninterrupted[run].path) for run in finished)


def test_a_state_that_lacks_a_file_is_not_resumed(tmp_path: Path) -> None:
    prepared, place = small_study(tmp_path)

    def stop(update: Update) -> None:
        if update.done == 5:
            raise Stop

    with pytest.raises(Stop):
        train_study(prepared, place, progress=stop)
    work = place.store.work(prepared.plan.stages[0].key)
    newest = newest_state(work)
    assert newest is not None
    assert newest[0].name == "checkpoint-4"
    (newest[0] / "rng_state.pth").unlink()
    older = newest_state(work)
    assert older is not None
    assert older[0].name == "checkpoint-2"
    # Nor one with a file that is not ours.
    (older[0] / "pytorch_model.bin").write_bytes(b"planted")
    assert newest_state(work) is None
    (older[0] / "pytorch_model.bin").unlink()
    assert newest_state(work) is not None
    (older[0] / MANIFEST).unlink()
    assert newest_state(work) is None


def test_two_arms_with_the_same_intermediate_stage_train_it_once(tmp_path: Path) -> None:
    prepared, _ = small_study(tmp_path)
    study = prepared.plan.study
    twin = study.arms[1].model_copy(update={"name": "twin"})
    from xfer_bench.pipeline import prepare

    both = prepare(study.model_copy(update={"arms": (*study.arms, twin)}), sources=prepared.sources)
    assert len(both.plan.runs) == 6
    assert len(both.plan.stages) == len(prepared.plan.stages)


def test_another_seed_data_or_recipe_is_another_stage(tmp_path: Path) -> None:
    prepared, _ = small_study(tmp_path)
    stage = prepared.plan.stages[0]
    others = [
        replace(stage, data_seed=7),
        replace(stage, initialisation_seed=7),
        replace(stage, recipe=stage.recipe.model_copy(update={"epochs": 2.0})),
        replace(stage, parts=(replace(stage.parts[0], fingerprint="0"),)),
        replace(stage, parts=(replace(stage.parts[0], share=0.5),)),
        replace(stage, epoch=7),
        replace(stage, source="0"),
        replace(stage, origin="0"),
        replace(stage, parent=prepared.plan.stages[1]),
    ]
    assert len({stage.key, *(other.key for other in others)}) == len(others) + 1
    assert replace(stage, role="intermediate").key == stage.key


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    prepared, place = small_study(tmp_path)
    checkpoint = next(iter(train_study(prepared, place).values()))
    file = checkpoint.path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"model\.safetensors has \d+ bytes, not \d+"):
        train_study(prepared, place)


def test_the_lineage_says_which_run_ends_in_it(tmp_path: Path) -> None:
    prepared, place = small_study(tmp_path)
    train_study(prepared, place)
    run = next(run for run in prepared.plan.runs if run.arm == "siqa")
    content = json.loads((place.store.path(run.stages[-1].key) / LINEAGE).read_text())
    assert content["runs"][0]["run"] == run.name
    assert content["parents"] == [{"key": run.stages[0].key, "task": "siqa"}]
    assert content["runs"][0]["seen"] == ["en"]
