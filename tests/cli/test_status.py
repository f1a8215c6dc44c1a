"""How far a study is, told from its folder alone: what is done, running, failed or left, and how long that takes."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.small_study import small_study
from xfer_bench.cli.status import status, status_lines
from xfer_bench.durable import write_json
from xfer_bench.errors import ResultsError, StudyError
from xfer_bench.pipeline import Place, Prepared, evaluate_study, train_study
from xfer_bench.progress import Update
from xfer_bench.status import PLAN, Status, record, status_of
from xfer_bench.training.checkpoints import LINEAGE
from xfer_bench.training.locks import held, lock_of
from xfer_bench.training.outcomes import FAILED


class Stop(Exception):  # noqa: N818
    """Stands for an interruption at a moment of the test's choosing."""


def stand(place: Place) -> Status:
    return status_of(place.out, store=place.store, results=place.results)


def asked(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(status)
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Place]:
    """A study whose second stage of six was stopped at its third step, after a state at the second."""
    prepared, place = small_study(tmp_path_factory.mktemp("status"))
    record(prepared.plan, place.out)

    def stop(update: Update) -> None:
        if update.done == 3 and update.finished > 1:
            raise Stop

    with pytest.raises(Stop):
        train_study(prepared, place, progress=stop)
    return prepared, place


@pytest.fixture
def place(half: tuple[Prepared, Place], tmp_path: Path) -> Place:
    """The same output folder, which a test may change."""
    shutil.copytree(half[1].out, tmp_path / "out")
    return Place(out=tmp_path / "out")


def test_stages_are_done_begun_and_left(half: tuple[Prepared, Place], place: Place) -> None:
    found = stand(place)
    stages = half[0].plan.stages
    assert [stage.key for stage in found.stages] == [stage.key for stage in stages]
    assert [stage.state for stage in found.stages] == ["done", "begun", *["left"] * 4]
    done, begun, *left = found.stages
    assert (done.step, done.steps, done.left) == (5, 5, 0.0)
    assert done.seconds is not None
    assert (begun.step, begun.steps) == (2, 5)
    assert begun.saved is not None
    assert (found.runs, found.trained, found.scored) == (4, 1, 0)
    assert (found.study, found.others) == ("small", 0)
    assert found.bytes > found.unfinished_bytes > 0
    assert found.left == pytest.approx(sum(stage.left or 0.0 for stage in found.stages))
    assert all(stage.left for stage in (begun, *left))


def test_time_goes_by_the_characters_of_stages_on_the_same_task(place: Place) -> None:
    plan = json.loads((place.out / PLAN).read_text())
    found = stand(place)
    entries = {entry["key"]: entry for entry in plan["stages"]}
    copa = [stage for stage in found.stages if stage.task == "copa"]
    taken = sum(stage.seconds or 0.0 for stage in copa if stage.seconds)
    seen = sum(entries[stage.key]["bytes"] * stage.step / stage.steps for stage in copa if stage.seconds)
    for stage in copa[1:]:
        whole = entries[stage.key]["bytes"] * taken / seen
        assert stage.left == pytest.approx(whole * (1 - stage.step / stage.steps))
    # Twice as long a text takes twice as long, also on a task that nothing is known of yet.
    siqa = next(stage for stage in found.stages if stage.task == "siqa")
    assert siqa.left == pytest.approx(entries[siqa.key]["bytes"] * taken / seen)


def test_without_any_stage_nothing_tells_the_time(half: tuple[Prepared, Place], tmp_path: Path) -> None:
    fresh = Place(out=tmp_path / "fresh")
    record(half[0].plan, fresh.out)
    found = stand(fresh)
    assert {stage.state for stage in found.stages} == {"left"}
    assert found.left is None
    assert "training that is left: no stage has told yet how long one takes" in status_lines(found, now=0.0)


def test_a_failed_stage_blocks_those_after_it_and_costs_no_more_time(
    half: tuple[Prepared, Place], place: Place
) -> None:
    stage = next(one for one in half[0].plan.stages if one.role == "intermediate")
    work = place.store.work(stage.key)
    work.mkdir(parents=True)
    (work / FAILED).write_text(json.dumps({"reason": "the loss is nan at step 3"}))
    found = stand(place)
    failed = next(one for one in found.stages if one.key == stage.key)
    assert (failed.state, failed.reason, failed.left) == ("failed", "the loss is nan at step 3", 0.0)
    blocked = [one for one in found.stages if one.state == "blocked"]
    assert [one.key for one in blocked] == [
        one.key for one in half[0].plan.stages if one.parent is not None and one.parent.key == stage.key
    ]
    assert {one.left for one in blocked} == {0.0}
    text = asked(place.out).stdout
    assert f"failed {stage.key[:8]}: the loss is nan at step 3" in text
    assert "1 done, 1 begun, 1 failed, 1 blocked, 2 left" in text
    (work / FAILED).write_text("{")
    assert "failed.json cannot be read" in next(one for one in stand(place).stages if one.key == stage.key).reason


def test_a_stage_whose_lock_is_held_is_running(half: tuple[Prepared, Place], place: Place) -> None:
    begun, left = (place.store.work(half[0].plan.stages[position].key) for position in (1, 2))
    (begun / FAILED).write_text(json.dumps({"reason": "it is being tried again"}))
    with held(lock_of(begun)), held(lock_of(left)):
        found = stand(place)
        assert [stage.state for stage in found.stages] == ["done", "running", "running", *["left"] * 3]
        assert [stage.step for stage in found.stages[1:3]] == [2, 0]
        assert all(stage.left for stage in found.stages[1:])
        assert {stage.note for stage in found.stages[1:3]} == {f"process {os.getpid()} trains it now"}
        text = asked(place.out).stdout
    assert f"running {half[0].plan.stages[1].key[:8]}: process {os.getpid()} trains it now" in text
    assert "1 done, 2 running, 3 left" in text
    assert [stage.state for stage in stand(place).stages[1:3]] == ["failed", "left"]


def test_a_result_that_answers_everything_alike_is_done_and_said(half: tuple[Prepared, Place], place: Place) -> None:
    key = half[0].plan.stages[0].key
    file = place.store.path(key) / LINEAGE
    write_json(file, json.loads(file.read_text()) | {"development_majority": 100.0})
    assert stand(place).stages[0].state == "done"
    assert f"done {key[:8]}: collapsed: it answers every development item alike" in asked(place.out).stdout


def test_a_state_that_was_not_sealed_counts_for_nothing(half: tuple[Prepared, Place], place: Place) -> None:
    work = place.store.work(half[0].plan.stages[1].key)
    for manifest in work.rglob("manifest.json"):
        manifest.unlink()
    begun = stand(place).stages[1]
    assert (begun.state, begun.step, begun.saved) == ("begun", 0, None)


def test_a_damaged_checkpoint_is_said(half: tuple[Prepared, Place], place: Place) -> None:
    first = place.store.path(half[0].plan.stages[0].key)
    weights = first / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    damaged = stand(place).stages[0]
    assert (damaged.state, damaged.reason) == (
        "damaged",
        f"model.safetensors is not as it was written; remove {first}",
    )
    (first / "lineage.json").write_text("{}")
    assert stand(place).stages[0].state == "damaged"
    (first / "lineage.json").unlink()
    assert "no readable lineage.json" in stand(place).stages[0].reason


def test_a_finished_study_has_nothing_left(half: tuple[Prepared, Place], place: Place) -> None:
    checkpoints = train_study(half[0], place)
    assert (stand(place).trained, stand(place).scored) == (4, 0)
    evaluate_study(half[0], place, checkpoints)
    found = stand(place)
    assert (found.runs, found.trained, found.scored, found.left) == (4, 4, 4, 0.0)
    assert found.unfinished_bytes == 0
    lines = status_lines(found, now=0.0)
    assert "small: 6 stages: 6 done" in lines
    assert "4 runs: 4 trained, 4 scored in every language" in lines
    assert "training that is left: none" in lines
    # A study of fewer arms in the same folder: what is there besides is not its own.
    smaller = replace(half[0].plan, runs=tuple(run for run in half[0].plan.runs if run.arm == "none"))
    record(smaller, place.out)
    assert (stand(place).others, stand(place).runs) == (4, 2)
    file = next((place.out / "results" / "predictions").glob("*.parquet"))
    file.write_bytes(b"PAR1")
    with pytest.raises(ResultsError, match="its predictions cannot be read") as caught:
        stand(place)
    assert str(place.results.folder) in str(caught.value)


def test_the_table_is_at_most_a_hundred_columns_wide(half: tuple[Prepared, Place], place: Place) -> None:
    answer = asked(place.out)
    assert answer.exit_code == 0
    lines = answer.stdout.splitlines()
    assert lines[0].split() == ["stage", "role", "data", "seed", "state", "steps", "time", "arms"]
    assert "2 of 5" in lines[2]
    assert " ago" in lines[2]
    assert all(len(line) <= 100 for line in lines)
    wide = replace(stand(place).stages[0], arms=tuple(f"arm-{number}" for number in range(40)), task="t" * 30)
    crowded = replace(stand(place), stages=(wide,))
    assert all(len(line) <= 100 for line in status_lines(crowded, now=0.0))


def test_json_says_the_same(place: Place) -> None:
    value = json.loads(asked(place.out, "--format", "json").stdout)
    assert [stage["state"] for stage in value["stages"]] == ["done", "begun", *["left"] * 4]
    assert (value["runs"], value["study"]) == (4, "small")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no plan.json, so no study was begun here; give the folder that `run` or `train` got as -o"),
        ("{", "plan.json: cannot be read"),
        ("[]", "plan.json: cannot be read"),
        ('{"schema": 7}', "written by another version"),
    ],
)
def test_a_folder_without_a_study_is_one_line(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / PLAN).write_text(content)
    answer = asked(tmp_path)
    assert answer.exit_code == 1
    assert isinstance(answer.exception, StudyError)
    assert says in str(answer.exception)
    assert "\n" not in str(answer.exception)


def test_it_loads_no_model_library(place: Place) -> None:
    script = (
        "import sys, typer; from xfer_bench.cli.status import status;"
        f"sys.argv = ['status', {str(place.out)!r}]; app = typer.Typer(); app.command()(status);"
        "app(standalone_mode=False);"
        "print(sorted({'torch', 'transformers', 'datasets', 'scipy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
