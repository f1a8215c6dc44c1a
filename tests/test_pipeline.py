"""A study from its text to its results, and again for nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.small_study import small_study
from xfer_bench import pipeline
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.sweep import Evaluator
from xfer_bench.frames import PREDICTIONS, STAGES, conform
from xfer_bench.metrics import accuracy
from xfer_bench.pipeline import Place, Prepared, evaluate_study, prepare, train_study
from xfer_bench.progress import Update
from xfer_bench.recipes import Recipe
from xfer_bench.study import Arm, Seeds, StageSpec
from xfer_bench.training.checkpoints import LINEAGE


class Stop(Exception):  # noqa: N818
    """An interruption at a moment of the test's choosing."""


@pytest.fixture(scope="module", autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XFER_BENCH_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Place]:
    """The small study, run from its text to its results."""
    prepared, place = small_study(tmp_path_factory.mktemp("study"))
    assert not any(place.store.find(stage) for stage in prepared.plan.stages)
    evaluate_study(prepared, place, train_study(prepared, place))
    return prepared, place


def changed(prepared: Prepared, **values: object) -> Prepared:
    """The same study with other values, planned over the same rows."""
    return prepare(prepared.plan.study.model_copy(update=values), sources=prepared.sources)


def test_every_run_is_scored_in_every_language_on_the_same_items(finished: tuple[Prepared, Place]) -> None:
    prepared, place = finished
    predictions = place.results.predictions()
    assert predictions.equals(conform(predictions, PREDICTIONS))
    runs = {run.name for run in prepared.plan.runs}
    assert len(runs) == 4
    cells = predictions.group_by("run", "variant", "language").agg(pl.col("item").sort())
    assert set(cells.select("run", "variant", "language").rows()) == {
        (run, variant, one) for run in runs for variant in ("published", "repaired") for one in ("et", "zh", "en")
    }
    assert cells["item"].n_unique() == 1
    assert cells["item"].list.len().to_list() == [20] * 24


def test_predictions_carry_the_labels_of_their_run(finished: tuple[Prepared, Place]) -> None:
    prepared, place = finished
    predictions = place.results.predictions()
    for run in prepared.plan.runs:
        mine = predictions.filter(run=run.name)
        labels = ("arm", "setting", "target", "intermediate_seed", "target_seed", "step")
        expected = (run.arm, "CO", "xcopa", run.intermediate_seed, run.target_seed, 5)
        assert mine.select(labels).unique().rows() == [expected]
        seen = mine.filter("seen_in_intermediate")["language"].unique().to_list()
        assert seen == ([] if run.arm == "none" else ["en"])
    assert accuracy(predictions)["accuracy"].is_between(0, 100).all()


def test_stages_say_what_was_trained(finished: tuple[Prepared, Place]) -> None:
    prepared, place = finished
    stages = place.results.stages()
    assert stages.equals(conform(stages, STAGES))
    for run in prepared.plan.runs:
        mine = stages.filter(run=run.name).sort("position")
        assert mine["key"].to_list() == [stage.key for stage in run.stages]
        assert mine["task"].to_list() == (["copa"] if run.arm == "none" else ["siqa", "copa"])
        assert mine["role"].to_list() == [stage.role for stage in run.stages]
    chances = dict(stages.select("task", "chance").unique().iter_rows())
    assert chances == pytest.approx({"copa": 50, "siqa": 100 / 3})
    assert stages["development_accuracy"].is_between(0, 100).all()
    assert set(stages["development_items"]) == {10, 12}
    assert all(place.store.find(stage) for stage in prepared.plan.stages)


def test_a_second_run_trains_and_scores_nothing(finished: tuple[Prepared, Place]) -> None:
    prepared, place = finished
    before, stages = place.results.predictions(), place.results.stages()
    updates: list[Update] = []
    checkpoints = train_study(prepared, place, progress=updates.append)
    evaluate_study(prepared, place, checkpoints, progress=updates.append)
    assert not [update for update in updates if update.done]
    assert place.results.predictions().equals(before)
    assert place.results.stages().equals(stages)


def test_an_added_arm_costs_only_itself(finished: tuple[Prepared, Place]) -> None:
    prepared, place = finished
    shorter = Arm(name="shorter", stages=(StageSpec(task="siqa", examples=8),))
    more = changed(prepared, arms=(*prepared.plan.study.arms, shorter))
    left = [stage for stage in more.plan.stages if place.store.find(stage) is None]
    assert [{run.arm for run in more.plan.runs_through(stage)} for stage in left] == [{"shorter"}] * 4


def test_runs_that_end_in_one_checkpoint_are_both_scored_and_neither_twice(
    finished: tuple[Prepared, Place], tmp_path: Path
) -> None:
    study = finished[0].plan.study
    target = study.targets[0].model_copy(update={"limit": 4})
    twice = changed(
        finished[0],
        seeds=Seeds(),
        arms=(Arm(name="none"), Arm(name="first", stages=(StageSpec(task="siqa"),))),
        targets=(target, target.model_copy(update={"setting": "SI+CO"})),
    )
    place = Place(out=tmp_path)
    # Social IQa before COPA is the arm `first` at CO, and the baseline's own training at SI+CO.
    checkpoints = train_study(twice, place)
    assert len({checkpoint.path for checkpoint in checkpoints.values()}) == len(twice.plan.runs) - 1
    evaluate_study(twice, place, checkpoints)
    cells = place.results.predictions().group_by("run", "variant", "language").len()
    assert cells.height == 4 * 2 * 3
    assert set(cells["len"]) == {4}


def test_a_study_that_is_stopped_half_way_leaves_checkpoints_that_know_their_runs(
    finished: tuple[Prepared, Place], tmp_path: Path
) -> None:
    place = Place(out=tmp_path)

    def stop(update: Update) -> None:
        if update.finished > 1:
            raise Stop

    prepared = changed(finished[0], arms=(Arm(name="none"),))
    with pytest.raises(Stop):
        train_study(prepared, place, progress=stop)
    lineages = [json.loads(file.read_text()) for file in place.store.folder.glob(f"[!.]*/{LINEAGE}")]
    assert [run["run"] for one in lineages for run in one["runs"]] == [prepared.plan.runs[0].name]


def test_a_study_in_one_call_goes_on_without_what_fails(finished: tuple[Prepared, Place], tmp_path: Path) -> None:
    study = finished[0].plan.study
    # Such a decay makes infinities of weights at its second step.
    hopeless = StageSpec(task="siqa", recipe=Recipe(weight_decay=1e30))
    arms = (Arm(name="none"), Arm(name="diverges", stages=(hopeless,)))
    study = study.model_copy(update={"arms": arms, "seeds": Seeds()})
    done = pipeline.run(study, out=tmp_path, data_root=finished[0].sources.data_root, progress=False)
    (failure,) = done.trained.failures
    assert failure.reason == "the weights are no longer numbers; lower the learning rate"
    assert [run.split(".")[0] for run in done.trained] == ["none"]
    assert [(run.split(".")[0], cause) for run, cause in done.trained.lost.items()] == [("diverges", failure)]
    assert set(done.results.predictions()["arm"]) == set(done.results.stages()["arm"]) == {"none"}
    again = pipeline.run(study, out=tmp_path, data_root=finished[0].sources.data_root, progress=False)
    assert again.trained.keys() == done.trained.keys()
    assert [one.earlier for one in again.trained.failures] == [True]


def test_a_trimmed_study_scores_its_own_texts_and_refuses_others(
    finished: tuple[Prepared, Place], tmp_path: Path
) -> None:
    prepared = changed(finished[0], trim_vocabulary=True, seeds=Seeds(), arms=(Arm(name="none"),))
    place = Place(out=tmp_path)
    checkpoints = train_study(prepared, place)
    evaluate_study(prepared, place, checkpoints)
    assert place.results.predictions().group_by("language", "variant").len()["len"].to_list() == [20] * 6
    (checkpoint,) = discover([str(place.store.folder)])
    assert checkpoint.covers == frozenset(prepared.plan.evaluations[0].fingerprints)
    ask = Ask(tasks=("xcopa",), languages=("tr",), variants=("published",))
    done = Evaluator(sources=prepared.sources).evaluate([checkpoint], ask, results=place.results)
    assert (done.cells, done.tallies) == (0, ())
    assert done.skipped == (f"{checkpoint.name}: its vocabulary was trimmed to other texts than xcopa test in tr",)
