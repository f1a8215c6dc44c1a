"""How fast a stage trains is measured on its first steps, and nothing of them stays."""

from dataclasses import replace
from pathlib import Path

from tests.small_study import small_study
from xfer_bench.costs import checkpoint_bytes, costs_of
from xfer_bench.pipeline import probed
from xfer_bench.recipes import Every
from xfer_bench.training.estimate import longest


def test_the_longest_stage_is_probed_and_nothing_is_kept(tmp_path: Path) -> None:
    prepared, place = small_study(tmp_path)
    rate = probed(prepared, place)
    assert rate is not None
    assert rate.steps > 0
    assert rate.seconds > 0
    stage = longest(prepared.plan.stages)
    assert stage is not None
    assert rate.text_bytes == rate.steps * stage.recipe.batch_size * stage.bytes_per_example
    assert not place.out.exists()


def test_a_plan_counts_what_is_seen_and_what_is_kept(tmp_path: Path) -> None:
    prepared, place = small_study(tmp_path)
    costs = costs_of(prepared.plan, origin=tmp_path / "model", store=place.store)
    assert [cost.seen for cost in costs] == [cost.stage.steps * 8 for cost in costs]
    assert {cost.checkpoints for cost in costs} == {1}
    assert not any(cost.done for cost in costs)
    assert all(cost.operations > 0 for cost in costs)
    stage = costs[0].stage
    keeping = replace(stage, recipe=stage.recipe.model_copy(update={"keep": Every(every=2)}))
    run = replace(prepared.plan.runs[0], stages=(keeping,))
    kept = costs_of(replace(prepared.plan, runs=(run,)), origin=tmp_path / "model", store=place.store)
    assert [cost.checkpoints for cost in kept] == [1 + (stage.steps - 1) // 2]
    weights = (tmp_path / "model" / "model.safetensors").stat().st_size
    assert checkpoint_bytes(tmp_path / "model", prepared.plan.stages, place.store) == weights
