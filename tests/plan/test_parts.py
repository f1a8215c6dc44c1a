"""Stages of several training sets, their shares, their heads and their budgets."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from tests.small_study import small_mirror
from xfer_bench.errors import StudyError
from xfer_bench.plan import Plan, Stage, plan
from xfer_bench.plan.mixing import epoch_of, shares_of
from xfer_bench.recipes import Every, Recipe
from xfer_bench.sources.source import Sources
from xfer_bench.study import Apart, Arm, Budget, MlmSpec, PartSpec, Seeds, StageSpec, Study, Target
from xfer_bench.tasks import TASKS

NONE = Arm(name="none")
CO = Target(task="xcopa", setting="CO", languages=("et", "en"))
BOTH = (PartSpec(task="siqa"), PartSpec(task="lingnli"))
TEXT = MlmSpec(task="tatoeba_text", languages=("et", "zh"), share=0.25)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(data_root=small_mirror(tmp_path_factory.mktemp("mirror")))


def planned(sources: Sources, *stages: StageSpec, target: Target = CO, **values: Any) -> Plan:
    arms = (NONE, Arm(name="arm", stages=stages), *values.pop("more", ()))
    study = Study(name="s", model="m", arms=arms, targets=(target,), **values)
    return plan(study, tasks=TASKS, sources=sources, origin="model", source="code")


def stage_of(found: Plan, arm: str = "arm") -> Stage:
    return next(run.stages[0] for run in found.runs if run.arm == arm)


@pytest.mark.parametrize(
    ("how", "shares"),
    [
        ({}, [100 / 400, 300 / 400]),
        ({"sampling": "capped", "cap": 200}, [1 / 3, 2 / 3]),
        ({"sampling": "temperature", "temperature": 2.0}, [10 / (10 + 300**0.5), 300**0.5 / (10 + 300**0.5)]),
        ({"sampling": "temperature", "temperature": 1.0}, [0.25, 0.75]),
        ({"sampling": "temperature", "temperature": 3.0, "cap": 100}, [0.5, 0.5]),
        ({"sampling": "uniform"}, [0.5, 0.5]),
    ],
)
def test_shares_follow_the_sizes_as_the_sampling_says(how: dict[str, Any], shares: list[float]) -> None:
    spec = StageSpec(parts=BOTH, **how)
    assert shares_of(spec, [100, 300]) == pytest.approx(shares)
    mixed = StageSpec(parts=BOTH, mlm=TEXT, **how)
    assert shares_of(mixed, [100, 300]) == pytest.approx([*(0.75 * share for share in shares), 0.25])


def test_weights_are_shares() -> None:
    parts = (PartSpec(task="siqa", weight=1.0), PartSpec(task="lingnli", weight=3.0))
    assert shares_of(StageSpec(parts=parts, sampling="weighted"), [100, 100]) == pytest.approx([0.25, 0.75])


def test_an_epoch_is_every_labelled_example_up_to_the_cap_and_the_text_beside_them() -> None:
    assert epoch_of(StageSpec(parts=BOTH), [100, 300]) == 400
    assert epoch_of(StageSpec(parts=BOTH, sampling="capped", cap=200), [100, 300]) == 300
    assert epoch_of(StageSpec(parts=BOTH, mlm=TEXT), [100, 200]) == 400


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "either one training set, as task, or several, as parts"),
        ({"task": "siqa", "parts": BOTH}, "either one training set, as task, or several, as parts"),
        ({"parts": BOTH[:1]}, "a single training set is the stage's own"),
        ({"parts": BOTH, "examples": 5}, "examples: belongs to the parts"),
        ({"task": "siqa", "sampling": "uniform"}, "sampling: there are no parts"),
        ({"parts": BOTH, "sampling": "capped"}, "cap: goes with"),
        ({"parts": BOTH, "cap": 5}, "cap: goes with"),
        ({"parts": BOTH, "sampling": "temperature"}, "temperature: goes with"),
        ({"parts": BOTH, "sampling": "weighted"}, "weight: every part has one"),
        ({"parts": (BOTH[0], BOTH[0])}, "a part is given twice"),
        ({"task": "siqa", "language_weights": {"en": 1.0}, "language_temperature": 2.0}, "give one of them"),
        ({"task": "siqa", "language_weights": {"en": 1.0}, "languages": ("de",)}, "name different languages"),
    ],
)
def test_a_stage_that_says_two_things_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        StageSpec(**values)


def test_a_stage_of_several_parts_is_one_stage(sources: Sources) -> None:
    stage = stage_of(planned(sources, StageSpec(parts=BOTH, mlm=TEXT)))
    assert stage.task == "siqa+lingnli+tatoeba_text"
    assert stage.languages == ("en", "et", "zh")
    assert [part.head for part in stage.parts] == ["siqa", "lingnli", "mlm"]
    assert [part.share for part in stage.parts] == pytest.approx([0.75 * 60 / 150, 0.75 * 90 / 150, 0.25])
    assert stage.epoch == 200
    assert stage.parts[2].development_examples == 0
    others = [
        stage_of(planned(sources, spec)).key
        for spec in (
            StageSpec(parts=BOTH),
            StageSpec(parts=BOTH, sampling="uniform"),
            StageSpec(parts=BOTH[::-1]),
            StageSpec(parts=BOTH, heads="shared"),
            StageSpec(parts=BOTH, mlm=TEXT.model_copy(update={"share": 0.5})),
            StageSpec(parts=BOTH, mlm=TEXT.model_copy(update={"probability": 0.5})),
        )
    ]
    assert len({stage.key, *others}) == 7


def test_text_is_no_task_and_a_task_no_text(sources: Sources) -> None:
    with pytest.raises(StudyError, match="tatoeba_text is unlabelled text; give it as mlm"):
        planned(sources, StageSpec(task="tatoeba_text"))
    with pytest.raises(StudyError, match="siqa is no unlabelled text"):
        planned(sources, StageSpec(task="lingnli", mlm=MlmSpec(task="siqa", share=0.1)))


def test_one_head_is_carried_over_and_several_are_refused(sources: Sources) -> None:
    pair = (PartSpec(task="siqa"), PartSpec(task="siqa_pt"))
    last = [run.stages[-1] for run in planned(sources, StageSpec(parts=pair, heads="shared"), head="keep").runs]
    assert [stage.head for stage in last] == ["fresh", "keep"]
    with pytest.raises(StudyError, match=r"conflicting heads: .* one multiple_choice head over and this stage has 2"):
        planned(sources, StageSpec(parts=pair), head="keep")
    with pytest.raises(
        StudyError, match=r"conflicting heads: .* its first part over, which is no multiple_choice head"
    ):
        planned(sources, StageSpec(parts=BOTH[::-1]), head="keep")
    assert [run.stages[-1].head for run in planned(sources, StageSpec(parts=BOTH), head="keep").runs] == [
        "fresh",
        "keep",
    ]
    assert [run.stages[-1].head for run in planned(sources, StageSpec(parts=pair)).runs] == ["fresh", "fresh"]


@pytest.mark.parametrize("hold", ["examples", "steps"])
def test_a_budget_counts_every_part_and_the_text(sources: Sources, hold: Any) -> None:
    budget = Budget(hold=hold, amount=56 if hold == "examples" else 7)
    recipe = Recipe(batch_size=8)
    for spec in (StageSpec(task="siqa"), StageSpec(parts=BOTH), StageSpec(parts=BOTH, mlm=TEXT)):
        assert stage_of(planned(sources, spec, budget=budget, recipe=recipe)).steps == 7
    uneven = StageSpec(
        parts=(PartSpec(task="siqa", examples=54, weight=39.0), PartSpec(task="lingnli", weight=1.0)),
        sampling="weighted",
    )
    with pytest.raises(StudyError, match="55 examples of siqa, which has 54"):
        planned(sources, uneven, budget=budget, recipe=recipe)


def test_a_budget_of_tokens_ends_the_stage_by_tokens(sources: Sources) -> None:
    recipe = Recipe(batch_size=8)
    stage = stage_of(planned(sources, StageSpec(task="siqa"), budget=Budget(hold="tokens", amount=500), recipe=recipe))
    assert stage.recipe.max_tokens == 500
    assert stage.recipe.max_steps is None
    assert stage.most_steps == 60 // 8
    # A rough number until the sequences are cut into tokens.
    assert 1 <= stage.steps <= stage.most_steps
    with pytest.raises(StudyError, match=r"1,000,000 tokens, and its sequences have .* bytes"):
        planned(sources, StageSpec(task="siqa"), budget=Budget(hold="tokens", amount=10**6), recipe=recipe)
    again = Budget(hold="tokens", amount=10**6, upsample=True)
    assert stage_of(planned(sources, StageSpec(task="siqa"), budget=again, recipe=recipe)).recipe.epochs > 1000


def test_an_english_control_is_english_and_has_the_same_budget(sources: Sources) -> None:
    def control(*stages: StageSpec) -> Arm:
        return Arm(name="control", stages=stages, english_for=("arm",))

    spec = StageSpec(task="siqa_pt", examples=40)
    found = planned(sources, spec, more=(control(StageSpec(task="siqa", examples=40)),))
    assert not found.notes
    with pytest.raises(StudyError, match="it trains on pt; it must be English alone"):
        planned(sources, spec, more=(control(spec),))
    with pytest.raises(StudyError, match=r"it sees \d+ examples and the other \d+ examples; give both the same budget"):
        planned(sources, spec, more=(control(StageSpec(task="siqa", examples=60)),))
    with pytest.raises(ValidationError, match="english_for: 'other' is no other arm"):
        Study(name="s", model="m", arms=(Arm(name="a", stages=(spec,), english_for=("other",)),), targets=(CO,))


def test_a_multilingual_arm_without_a_control_is_told(sources: Sources) -> None:
    (note,) = planned(sources, StageSpec(task="siqa", mlm=TEXT)).notes
    assert "arm 'arm' is multilingual and has no English control" in note


def test_more_of_the_targets_own_data_is_a_control(sources: Sources) -> None:
    copa = planned(sources, StageSpec(task="copa"))
    assert {run.arm: run.control for run in copa.runs} == {"none": "", "arm": "more_target_data"}
    assert {run.control for run in planned(sources, StageSpec(task="lingnli")).runs} == {""}


def test_published_names_of_settings_are_ours(sources: Sources) -> None:
    named = CO.model_copy(update={"setting": "CO"})
    assert Target(task="xcopa", setting="CO-ZS", languages=("et", "en")) == named
    assert Target(task="xcopa", setting="SI+CO-ZS").setting == "SI+CO"


def test_selection_on_the_target_language_keeps_steps_and_scores_validation(sources: Sources) -> None:
    target = Target(task="xcopa", setting="CO-TLV", languages=("et", "zh"))
    found = planned(sources, StageSpec(task="siqa"), target=target, recipe=Recipe(batch_size=4))
    (evaluation,) = found.evaluations
    assert evaluation.splits == ("test", "validation")
    assert len(evaluation.fingerprints) == 4
    assert {run.setting for run in found.runs} == {"CO-TLV"}
    assert {run.stages[-1].recipe.keep for run in found.runs} == {Every(every=3)}
    assert {stage.recipe.keep for run in found.runs for stage in run.stages[:-1]} == {"result"}
    with pytest.raises(StudyError, match="CO-TLV selects on the validation items"):
        planned(sources, StageSpec(task="siqa"), target=target.model_copy(update={"split": "validation"}))


def test_seeds_set_apart_change_the_initialisation_or_the_order_alone(sources: Sources) -> None:
    seeds = Seeds(intermediate=(0, 1), target=(0, 1), order=Apart(intermediate=(5, 5), target=(7, 8)))
    found = planned(sources, StageSpec(task="siqa", examples=30), seeds=seeds)
    chains = [run.stages for run in found.runs if run.arm == "arm"]
    assert [[(one.initialisation_seed, one.data_seed) for one in chain] for chain in chains] == [
        [(0, 5), (0, 7)], [(1, 5), (1, 8)]
    ]  # fmt: skip
    # The rows are drawn with the order.
    assert len({chain[0].parts[0].fingerprint for chain in chains}) == 1
    with pytest.raises(ValidationError, match=r"order.target: 1 seeds for 2 target seeds; give as many"):
        Seeds(intermediate=(0, 1), target=(0, 1), order=Apart(target=(7,)))


def test_training_rows_that_are_evaluated_on_are_refused_by_their_content(tmp_path: Path) -> None:
    root = small_mirror(tmp_path / "mirror")
    test = pl.read_parquet(root / "extra/copa_test_gold/default/test-00000-of-00001.parquet")
    file = root / "aps/super_glue/copa/train-00000-of-00001.parquet"
    train = pl.read_parquet(file)
    leaked = test.head(3).with_columns(
        pl.col("premise").str.to_uppercase() + "!", idx=pl.Series([100, 101, 102], dtype=train.schema["idx"])
    )
    pl.concat([train, leaked.select(train.columns)]).write_parquet(file)
    leaking = Sources(data_root=root)
    with pytest.raises(StudyError, match=r"3 of its 43 rows of copa are items that xcopa is evaluated on"):
        planned(leaking, StageSpec(task="siqa"))
    assert planned(leaking, StageSpec(task="siqa"), allow_overlap=("copa",)).runs
    # What is not evaluated cannot leak.
    assert planned(leaking, StageSpec(task="siqa"), target=CO.model_copy(update={"languages": ("et",)})).runs


def test_a_study_of_several_models_is_a_study_for_each() -> None:
    study = Study(name="s", models=("owner/large", "base"), arms=(NONE,), targets=(CO,))
    assert [(one.name, one.model) for one in study.per_model()] == [("s-large", "owner/large"), ("s-base", "base")]
    assert study.per_model()[0].per_model() == study.per_model()[:1]
    for wrong in ({"model": "m", "models": ("n",)}, {}):
        with pytest.raises(ValidationError, match="one model as model, or several as models"):
            Study(name="s", arms=(NONE,), targets=(CO,), **wrong)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="it has 2 models; plan each of study"):
        plan(study, tasks=TASKS, sources=Sources(data_root=None), origin="o", source="c")
