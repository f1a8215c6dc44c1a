"""A budget of tokens shows no example twice unless the study says that it may."""

import pytest

from tests.small_study import small_mirror
from xfer_bench.errors import TrainingError
from xfer_bench.models.encoding import Sequences
from xfer_bench.plan import Stage, plan
from xfer_bench.recipes import Recipe
from xfer_bench.sources.source import Sources
from xfer_bench.study import Arm, Budget, PartSpec, StageSpec, Study, Target
from xfer_bench.tasks import TASKS
from xfer_bench.training.batches import Batches, Mixture
from xfer_bench.training.material import order_for

TOKENS = 10  # of every sequence
SIQA, LINGNLI = 60, 90


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(data_root=small_mirror(tmp_path_factory.mktemp("mirror")))


def stage_of(sources: Sources, weights: tuple[float, float], budget: Budget) -> Stage:
    parts = tuple(PartSpec(task=name, weight=one) for name, one in zip(("siqa", "lingnli"), weights, strict=True))
    arm = Arm(name="arm", stages=(StageSpec(parts=parts, sampling="weighted"),))
    target = Target(task="xcopa", setting="CO", languages=("et", "en"))
    study = Study(
        name="s",
        model="m",
        arms=(Arm(name="none"), arm),
        targets=(target,),
        recipe=Recipe(batch_size=8),
        budget=budget,
    )
    found = plan(study, tasks=TASKS, sources=sources, origin="model", source="code")
    return next(run.stages[0] for run in found.runs if run.arm == "arm")


def mixture() -> Mixture:
    def batches(items: int, choices: int, name: str) -> Batches:
        sequences = Sequences(
            input_ids=[[5] * TOKENS] * (items * choices), type_ids=None, counts=[choices] * items, truncated=0
        )
        return Batches(sequences=sequences, labels=[0] * items, task_format=TASKS[name].format, pad_id=0)

    return Mixture(parts=(batches(SIQA, 3, "siqa"), batches(LINGNLI, 1, "lingnli")), heads=("siqa", "lingnli"))


def test_a_budget_of_tokens_is_reached_by_its_last_batch(sources: Sources) -> None:
    order = order_for(stage_of(sources, (1, 1), Budget(hold="tokens", amount=1000)), mixture(), "stage")
    tokens = [3 * TOKENS if item < SIQA else TOKENS for item in order]
    assert sum(tokens) >= 1000 > sum(tokens[:-8])
    assert len(set(order)) == len(order)


def test_a_set_whose_share_of_the_tokens_is_more_than_it_has_is_refused(sources: Sources) -> None:
    # 2,700 tokens are there: 1,800 + 900. But nearly all are asked of the set that has 900 of them.
    budget = Budget(hold="tokens", amount=1200)
    with pytest.raises(
        TrainingError, match=r"1,200 tokens lingnli has a share of 1\d\d examples, and it has 90; lower"
    ):
        order_for(stage_of(sources, (1, 39), budget), mixture(), "stage")
    again = budget.model_copy(update={"upsample": True})
    order = order_for(stage_of(sources, (1, 39), again), mixture(), "stage")
    assert len(order) > len(set(order)) >= LINGNLI
