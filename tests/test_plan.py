"""A study becomes runs, and runs share what is the same."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.small_study import small_mirror
from tests.sources.small_mirror import pairs, write
from xfer_bench.errors import StudyError, TaskError, XferBenchError
from xfer_bench.plan import Plan, part_rows, plan
from xfer_bench.recipes import Recipe
from xfer_bench.sources.mixture import Wanted
from xfer_bench.sources.source import Sources
from xfer_bench.study import Arm, Budget, Seeds, StageSpec, Study, Target
from xfer_bench.tasks import TASKS

NONE = Arm(name="none")
SIQA = Arm(name="siqa", stages=(StageSpec(task="siqa", examples=40),))
XNLI = Arm(name="xnli", stages=(StageSpec(task="xnli_dev", languages=("en", "de", "fr"), per_item="one"),))
CO = Target(task="xcopa", setting="CO", languages=("et", "en"))
STUDY = Study(
    name="s", model="m", arms=(NONE, SIQA), targets=(CO,), seeds=Seeds(intermediate=(0, 1), target=(0, 1))
)  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    root = small_mirror(tmp_path_factory.mktemp("mirror"))
    files = {f"{language}/validation.parquet": pairs(60, language=language) for language in ("en", "de", "fr")}
    return Sources(data_root=write(root, "facebook/xnli", files))


def planned(sources: Sources, study: Study = STUDY, *, origin: str = "model", source: str = "code") -> Plan:
    return plan(study, tasks=TASKS, sources=sources, origin=origin, source=source)


def changed(**values: object) -> Study:
    return STUDY.model_copy(update=values)


def test_runs_share_their_intermediate_stage(sources: Sources) -> None:
    seeds = Seeds(intermediate=(0, 1), target=(0, 1, 2), pairing="crossed")
    targets = (CO, CO.model_copy(update={"setting": "SI", "recipe": Recipe(epochs=1)}))
    plan = planned(sources, changed(seeds=seeds, targets=targets))
    runs = [run for run in plan.runs if run.arm == "siqa"]
    assert len(runs) == 2 * 3 * 2
    first = {run.intermediate_seed: run.stages[0] for run in runs}
    assert {run.stages[0].key for run in runs} == {stage.key for stage in first.values()}
    assert len(first) == 2
    # 2 intermediate; per setting 3 targets of the baseline and 6 after the intermediate stages.
    assert len(plan.stages) == 2 + 2 * (3 + 6)
    assert len(plan.runs_through(first[0])) == 6
    keys = [stage.key for stage in plan.stages]
    assert all(keys.index(stage.parent.key) < keys.index(stage.key) for stage in plan.stages if stage.parent)
    assert len({run.name for run in plan.runs}) == len(plan.runs)


def test_an_arm_that_trains_the_same_shares_the_whole_chain(sources: Sources) -> None:
    arms = (*STUDY.arms, Arm(name="again", stages=(StageSpec(task="siqa", examples=40, recipe=Recipe(epochs=3.0)),)))
    assert {stage.key for stage in planned(sources, changed(arms=arms)).stages} == {
        stage.key for stage in planned(sources).stages
    }


def test_the_baseline_has_no_intermediate_seed_and_runs_once_a_target_seed(sources: Sources) -> None:
    seeds = Seeds(intermediate=(0, 1), target=(0, 7), pairing="crossed")
    runs = [run for run in planned(sources, changed(seeds=seeds)).runs if run.arm == "none"]
    assert [(run.intermediate_seed, run.target_seed) for run in runs] == [(None, 0), (None, 7)]
    assert [len(run.stages) for run in runs] == [1, 1]
    assert all(run.stages[0].parent is None and run.seen == () for run in runs)


def test_seed_zero_is_a_seed(sources: Sources) -> None:
    runs = [run for run in planned(sources).runs if run.arm == "siqa"]
    assert [(run.intermediate_seed, run.target_seed) for run in runs] == [(0, 0), (1, 1)]
    assert [run.stages[0].initialisation_seed for run in runs] == [0, 1]
    assert ".i0.t0-" in runs[0].name
    # Forty of the sixty items, drawn by the seed.
    assert len({run.stages[0].parts[0].fingerprint for run in runs}) == 2
    assert len({run.stages[0].parts[0].development_fingerprint for run in runs}) == 1


@pytest.mark.parametrize(
    ("target", "task", "reason"),
    [
        ("xcopa", "kobest_copa", "Korean translations of COPA test items"),
        ("xnli", "xnli_dev", "its training items are XNLI's validation items"),
    ],
)
def test_a_task_that_would_leak_is_refused_with_its_reason(
    sources: Sources, target: str, task: str, reason: str
) -> None:
    setting = {"xcopa": "CO", "xnli": "NLI"}[target]
    aim = Target(task=target, setting=setting, split="validation", languages=("zh",) if target == "xcopa" else ("de",))
    leaking = Arm(name="leaking", stages=(StageSpec(task=task),))
    with pytest.raises(
        StudyError, match=rf"arm 'leaking', stage 1 \({task}\): may not come before {target}: .*{reason}"
    ):
        planned(sources, changed(arms=(leaking,), targets=(aim,)))
    itself = aim.model_copy(update={"train": (StageSpec(task=task),)})
    with pytest.raises(StudyError, match=rf"training set '{task}': may not come before {target}: .*{reason}"):
        planned(sources, changed(arms=(NONE,), targets=(itself,)))


def test_a_task_that_leaks_nowhere_else_is_allowed(sources: Sources) -> None:
    assert [run.arm for run in planned(sources, changed(arms=(XNLI,))).runs] == ["xnli", "xnli"]


def stages(*specs: StageSpec) -> dict[str, object]:
    return {"arms": (Arm(name="a", stages=specs),)}


def aimed(**values: object) -> dict[str, object]:
    return {"targets": (CO.model_copy(update=values),)}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (stages(StageSpec(task="cosmos")), r"arm 'a', stage 1 \(cosmos\): no task named 'cosmos'; choose one of c3, "),
        (
            stages(StageSpec(task="siqa"), StageSpec(task="siqa", languages=("de",))),
            r"arm 'a', stage 2 \(siqa\): siqa has no language 'de' in train; it has en$",
        ),
        (
            stages(StageSpec(task="siqa", per_item="one")),
            r"stage 1 \(siqa\): per_item = \"one\" needs a parallel task, and siqa is not$",
        ),
        (stages(StageSpec(task="xcopa")), r"stage 1 \(xcopa\): xcopa has no split 'train'; it has validation, test$"),
        (
            stages(StageSpec(task="siqa", recipe=Recipe(micro_batch=5))),
            r"stage 1 \(siqa\): recipe as a whole: micro_batch 5 does not divide batch_size 16$",
        ),
        (aimed(task="siqa"), r"target 'siqa': is a training set, not a target; targets are .*xcopa, xnli$"),
        (aimed(task="copas"), r"target 'copas': no task named 'copas'; choose one of "),
        (aimed(setting="OC"), r"target 'xcopa': no setting named 'OC'; choose one of CO, SI, SI\+CO, or list"),
        (aimed(languages=("et", "de")), r"target 'xcopa': xcopa has no language 'de' in test; it has et, ht, "),
        (aimed(train=(StageSpec(task="coppa"),)), r"target 'xcopa', training set 'coppa': no task named 'coppa'"),
    ],
)
def test_what_does_not_exist_is_said_on_one_line(sources: Sources, values: dict[str, object], says: str) -> None:
    with pytest.raises(StudyError, match=says) as caught:
        planned(sources, changed(**values))
    assert "\n" not in str(caught.value)


def test_more_items_than_there_are_are_refused_with_both_numbers(sources: Sources) -> None:
    with pytest.raises(TaskError, match=r"arm 'a', stage 1 \(siqa\): siqa: 61 examples asked for; train has 60"):
        planned(sources, changed(**stages(StageSpec(task="siqa", examples=61))))


def test_a_parallel_set_has_the_same_items_in_whatever_languages(sources: Sources) -> None:
    def items(*languages: str, per_item: str) -> list[str]:
        wanted = Wanted(languages=languages, per_item="one" if per_item == "one" else "all", examples=12)
        rows = part_rows(TASKS["xnli_dev"], wanted, sources=sources, seed=3, most=500)
        return sorted(rows.training.frame["item"].to_list())

    english = items("en", per_item="all")
    assert len(english) == 12
    assert items("de", per_item="all") == english
    assert items("en", "de", "fr", per_item="one") == english
    assert items("fr", "de", per_item="all") == sorted(english * 2)


def test_a_head_is_kept_only_where_the_formats_match(sources: Sources) -> None:
    arm = Arm(name="mixed", stages=(*XNLI.stages, *SIQA.stages))
    kept = planned(sources, changed(arms=(NONE, arm), head="keep"))
    heads = {run.arm: [stage.head for stage in run.stages] for run in kept.runs}
    # NLI first; siqa is another format; copa is siqa's; nothing precedes the baseline's stage.
    assert heads == {"none": ["fresh"], "mixed": ["fresh", "fresh", "keep"]}
    fresh = planned(sources, changed(arms=(NONE, arm)))
    assert {stage.head for stage in fresh.stages} == {"fresh"}
    common = {stage.key for stage in kept.stages} & {stage.key for stage in fresh.stages}
    assert len(common) == len(kept.stages) - 2


def test_a_trimmed_model_is_another_origin_and_knows_its_texts(sources: Sources) -> None:
    whole = planned(sources)
    trimmed = planned(sources, changed(trim_vocabulary=True))
    assert {stage.origin for stage in whole.stages} == {"model"}
    assert len({stage.origin for stage in trimmed.stages}) == 1
    assert not {stage.key for stage in whole.stages} & {stage.key for stage in trimmed.stages}
    elsewhere = planned(sources, changed(trim_vocabulary=True, **aimed(languages=("et", "zh"))))
    assert elsewhere.stages[0].origin != trimmed.stages[0].origin
    other = planned(sources, changed(trim_vocabulary=True), origin="other")
    assert other.stages[0].origin != trimmed.stages[0].origin


def test_seen_languages_are_those_of_the_intermediate_data(sources: Sources) -> None:
    arm = Arm(name="mixed", stages=(StageSpec(task="xnli_dev", languages=("fr", "de")), *SIQA.stages))
    seen = {run.arm: run.seen for run in planned(sources, changed(arms=(NONE, arm))).runs}
    # The target's own English training is not counted.
    assert seen == {"none": (), "mixed": ("de", "en", "fr")}


def test_recipes_are_laid_over_each_other_and_the_target_s_stays_with_the_target(sources: Sources) -> None:
    arm = Arm(name="a", stages=(StageSpec(task="siqa", recipe=Recipe(epochs=2)),))
    aim = CO.model_copy(
        update={"train": (StageSpec(task="copa", recipe=Recipe(epochs=7)),), "recipe": Recipe(epochs=6, batch_size=8)}
    )
    study = changed(arms=(arm,), targets=(aim,), recipe=Recipe(epochs=5, learning_rate=1e-4))
    first, last = planned(sources, study).runs[0].stages
    assert (first.recipe.epochs, first.recipe.batch_size, first.recipe.learning_rate) == (2, 16, 1e-4)
    assert (last.recipe.epochs, last.recipe.batch_size, last.recipe.learning_rate) == (7, 8, 1e-4)


def test_steps_are_whole_batches_within_the_limit(sources: Sources) -> None:
    stage = planned(sources).runs[0].stages[0]
    assert (stage.examples, stage.recipe.batch_size, stage.recipe.epochs) == (40, 16, 3.0)
    assert stage.steps == 120 // 16
    assert replace(stage, recipe=stage.recipe.model_copy(update={"max_steps": 5})).steps == 5
    assert replace(stage, recipe=stage.recipe.model_copy(update={"batch_size": 512})).steps == 1


def test_the_code_the_model_and_the_rows_are_part_of_every_key(sources: Sources, tmp_path: Path) -> None:
    before = {stage.key for stage in planned(sources).stages}
    assert before == {stage.key for stage in planned(sources).stages}
    assert not before & {stage.key for stage in planned(sources, source="other").stages}
    assert not before & {stage.key for stage in planned(sources, origin="other").stages}
    moved = Sources(data_root=small_mirror(tmp_path))
    assert before == {stage.key for stage in planned(moved).stages}
    held_out = tmp_path / "aps/super_glue/copa/validation-00000-of-00001.parquet"
    pl.read_parquet(held_out).with_columns(pl.col("premise") + "!").write_parquet(held_out)
    # The intermediate stages know nothing of COPA; of the targets every one is selected on other rows.
    common = before & {stage.key for stage in planned(moved).stages}
    assert common == {stage.key for stage in planned(sources).stages if stage.role == "intermediate"}


def test_an_evaluation_covers_every_language_by_default(sources: Sources) -> None:
    plan = planned(sources, changed(**aimed(languages=None, limit=3)))
    (evaluation,) = plan.evaluations
    assert evaluation.languages == TASKS["xcopa"].languages_of("test")
    assert len(set(evaluation.fingerprints)) == 12
    assert evaluation.limit == 3
    assert all(plan.evaluation_of(run) == evaluation for run in plan.runs)


def test_rows_that_are_not_there_are_said_so(sources: Sources) -> None:
    arm = Arm(name="a", stages=(StageSpec(task="xnli_dev", languages=("sw",)),))
    with pytest.raises(XferBenchError, match=r"arm 'a', stage 1 \(xnli_dev\): .*facebook/xnli"):
        planned(sources, changed(arms=(arm,)))


def test_development_items_are_capped_and_the_same_for_every_seed(sources: Sources) -> None:
    def held_out(*, seed: int, most: int) -> list[str]:
        wanted = Wanted(languages=("en",), examples=5)
        rows = part_rows(TASKS["siqa"], wanted, sources=sources, seed=seed, most=most)
        assert rows.development is not None
        names: list[str] = rows.development.frame["item"].to_list()
        return names

    assert len(held_out(seed=0, most=500)) == 12
    assert len(held_out(seed=0, most=7)) == 7
    assert held_out(seed=0, most=7) == held_out(seed=1, most=7)
    assert set(held_out(seed=0, most=7)) < set(held_out(seed=0, most=500))


def test_a_budget_gives_every_arm_the_same_number_of_steps(sources: Sources) -> None:
    twice = Arm(name="twice", stages=(StageSpec(task="siqa", examples=40), XNLI.stages[0]))
    arms = (NONE, SIQA, XNLI, twice)
    recipe = Recipe(batch_size=4, epochs=9)
    for hold, amount, steps in (("examples", 33, 8), ("steps", 8, 8)):
        study = changed(arms=arms, recipe=recipe, budget=Budget(hold=hold, amount=amount))  # type: ignore[arg-type]
        of_arm = {
            run.arm: [one for one in run.stages if one.role == "intermediate"] for run in planned(sources, study).runs
        }
        assert {arm: sum(stage.steps for stage in stages) for arm, stages in of_arm.items()} == {
            "none": 0, "siqa": steps, "xnli": steps, "twice": steps,
        }  # fmt: skip
        assert all(stage.recipe.max_steps == stage.steps for stages in of_arm.values() for stage in stages)


def test_a_budget_beyond_the_data_is_refused_unless_it_is_wanted(sources: Sources) -> None:
    arms, recipe = (NONE, SIQA), Recipe(batch_size=4)
    with pytest.raises(
        StudyError, match=r"its share of the budget is 44 examples of siqa, which has 40; .* upsample = true"
    ):
        planned(sources, changed(arms=arms, recipe=recipe, budget=Budget(hold="steps", amount=11)))
    more = changed(arms=arms, recipe=recipe, budget=Budget(hold="steps", amount=11, upsample=True))
    assert {run.stages[0].steps for run in planned(sources, more).runs if run.arm == "siqa"} == {11}
    with pytest.raises(StudyError, match="less than one step of 4 examples"):
        planned(sources, changed(arms=arms, recipe=recipe, budget=Budget(hold="examples", amount=3)))


def test_a_sweep_of_sizes_is_an_arm_for_each(sources: Sources) -> None:
    swept = Arm(name="siqa", stages=(StageSpec(task="siqa"),), sizes=(10, 20))
    runs = planned(sources, changed(arms=(NONE, swept))).runs
    sizes = {run.arm: run.stages[0].examples for run in runs if run.arm != "none"}
    assert sizes == {"siqa-10": 10, "siqa-20": 20}
