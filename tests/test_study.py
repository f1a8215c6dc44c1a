"""A study file is read as frozen values, and what is wrong with it is said with its line and key."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from xfer_bench.errors import StudyError
from xfer_bench.recipes import RECIPES, Every, Lora, Recipe
from xfer_bench.study import Seeds, Study

GOOD = """name = "small"
model = "starter"
head = "fresh"

[seeds]
intermediate = [0, 1]
target = [2, 3]

[recipe]
epochs = 1

[[arms]]
name = "none"

[[arms]]
name = "both"
stages = [
  "siqa",
  { task = "xnli_dev", languages = ["de"], examples = 30, recipe = { epochs = 2 } },
]

[[targets]]
task = "xcopa"
setting = "CO"

[targets.recipe]
learning_rate = 1e-4
"""


def read(folder: Path, text: str) -> Study:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return Study.from_toml(path)


def test_a_study_says_what_the_file_says(tmp_path: Path) -> None:
    study = read(tmp_path, GOOD)
    assert [arm.name for arm in study.arms] == ["none", "both"]
    assert [stage.task for stage in study.arms[1].stages] == ["siqa", "xnli_dev"]
    assert study.arms[1].stages[1].languages == ("de",)
    assert study.targets[0].recipe.learning_rate == 1e-4
    assert study.seeds.pairs() == ((0, 2), (1, 3))
    assert study.targets[0].split == "test"
    with pytest.raises(ValidationError, match="frozen"):
        study.name = "other"
    assert isinstance(hash(study), int)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('head = "fresh"', 'haed = "fresh"', 3, "haed: unknown key; allowed here: allow_overlap, arms, base"),
        ('head = "fresh"', 'head = "new"', 3, "head: Input should be 'fresh' or 'keep', got 'new'"),
        ('head = "fresh"', "trim_vocabulary = 1", 3, "trim_vocabulary: Input should be a valid boolean"),
        ("intermediate = [0, 1]", "intermediate = [0, 0]", 5, "seeds: the intermediate seed '0' is given twice"),
        ("intermediate = [0, 1]", "intermediate = [0]", 5, "seeds: 1 intermediate and 2 target seeds cannot be paired"),
        ("target = [2, 3]", "target = [2, -3]", 7, "seeds.target.1: Input should be greater than or equal to 0"),
        ("target = [2, 3]", "target = [2, 4294967296]", 7, "seeds.target.1: Input should be less than 4294967296"),
        ("epochs = 1\n", "epochs = 0\n", 10, "recipe.epochs: Input should be greater than 0, got 0"),
        ("epochs = 1\n", "epochs = inf\n", 10, "recipe.epochs: Input should be a finite number, got inf"),
        ("epochs = 1\n", "weight_decay = nan\n", 10, "recipe.weight_decay: Input should be a finite number, got nan"),
        ("epochs = 1\n", "epoch = 1\n", 10, "recipe.epoch: unknown key; allowed here: batch_size, determ"),
        ('name = "both"', 'name = "none"', 12, "arms: two arms are named 'none'"),
        ('name = "both"', 'name = "a b"', 16, "arms.1.name: String should match pattern"),
        ("examples = 30", "examples = 0", 19, "arms.1.stages.1.examples: Input should be greater than or equal to 1"),
        ("examples = 30", "exampels = 30", 19, "arms.1.stages.1.exampels: unknown key; allowed here: cap, ex"),
        ('languages = ["de"]', "languages = []", 19, "arms.1.stages.1.languages: Tuple should have at least 1 item"),
        ("epochs = 2 }", "epochs = true }", 19, "arms.1.stages.1.recipe.epochs: Input should be a valid number"),
        ('setting = "CO"\n', "", 22, "targets.0.setting: this key is required"),
        ("learning_rate = 1e-4", "lr = 1e-4", 27, "targets.0.recipe.lr: unknown key; allowed here: batch_size"),
        ("learning_rate = 1e-4", "learning_rate = 2", 27, "targets.0.recipe.learning_rate: Input should be less"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_and_key(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in GOOD
    with pytest.raises(StudyError) as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'study.toml'}:{line}: {says}")
    assert "\n" not in message


def test_a_second_error_is_counted(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"\(and 1 more\)$"):
        read(tmp_path, GOOD.replace("head", "haed").replace("epochs = 1\n", "epochs = 0\n"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "not TOML: Invalid value"),
        ('name = "a"\nname = "b"\n', "not TOML: Cannot overwrite a value"),
        ("", "name: this key is required (and 2 more)"),
        ('base_recipe = "slow"\n' + GOOD, ":1: base_recipe: no recipe named 'slow'; choose one of fast, phang2020"),
        (GOOD + '[[targets]]\ntask = "xcopa"\nsetting = "CO"\n', "the target 'xcopa (CO)' is given twice"),
    ],
)
def test_a_file_that_is_no_study_is_refused_on_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StudyError) as caught:
        read(tmp_path, text)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "study.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("payload", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, payload: bytes | None) -> None:
    path = tmp_path / "study.toml"
    if payload is not None:
        path.write_bytes(payload)
    with pytest.raises(StudyError, match=r"study\.toml: cannot be read as a study"):
        Study.from_toml(path)


def test_seeds_are_paired_or_crossed_and_0_is_one() -> None:
    assert Seeds().pairs() == ((0, 0),)
    assert Seeds(intermediate=(0, 1), target=(5, 6)).pairs() == ((0, 5), (1, 6))
    crossed = Seeds(intermediate=(0, 1), target=(0, 5, 6), pairing="crossed")
    assert crossed.pairs() == ((0, 0), (0, 5), (0, 6), (1, 0), (1, 5), (1, 6))


def test_only_the_fields_that_are_set_change_a_recipe(tmp_path: Path) -> None:
    study = read(tmp_path, GOOD)
    assert study.stage_recipe() == RECIPES["fast"].model_copy(update={"epochs": 1.0})
    target = study.stage_recipe(study.targets[0].recipe)
    assert target == RECIPES["fast"].model_copy(update={"epochs": 1.0, "learning_rate": 1e-4})
    # A later change wins, also when it says what the default says.
    assert study.stage_recipe(Recipe(epochs=5), Recipe(epochs=3)).epochs == 3
    assert study.stage_recipe(Recipe(batch_size=32)).batch_size == 32


# Source, number of epochs and values as in the table of published recipes (nyu-mll/jiant @daa5a25,
# scripts/benchmarks/xtreme/subscripts; google-research/xtreme @838c13b, scripts), for XLM-R large.
JIANT = {
    "effective_batch": 32, "micro_batch": 4, "grad_accum": 8, "max_seq_length": 256, "learning_rate": 1e-5,
    "warmup_proportion": 0.1, "eval_every_steps": 1000, "no_improvement_evals": 30, "early_stop_val_examples": 500,
}  # fmt: skip
XTREME = {
    "effective_batch": 32, "micro_batch": 2, "grad_accum": 16, "max_seq_length": 128, "learning_rate": 3e-5,
    "epochs": 5,
}  # fmt: skip
PUBLISHED = [
    ("phang2020", JIANT),  # intermediate tasks, of which the scripts say no number of epochs
    ("phang2020-xnli", JIANT | {"epochs": 2}),
    ("phang2020-pawsx", JIANT | {"epochs": 5}),
    ("xtreme-xnli", XTREME),
    ("xtreme-r-xcopa", XTREME),  # `siqa (before xcopa)` and `xcopa (COPA en train)` alike
]


@pytest.mark.parametrize(("name", "published"), PUBLISHED)
def test_the_named_recipes_hold_their_published_values(name: str, published: dict[str, float]) -> None:
    recipe = RECIPES[name]
    ours = {
        "effective_batch": recipe.batch_size,
        "max_seq_length": recipe.max_length,
        "learning_rate": recipe.learning_rate,
        "warmup_proportion": recipe.warmup,
        "eval_every_steps": recipe.evaluate_every,
        "no_improvement_evals": recipe.patience,
        "early_stop_val_examples": recipe.maximum_development,
        "epochs": recipe.epochs,
    }
    divided = {"micro_batch", "grad_accum"}
    assert {name: ours[name] for name in published.keys() - divided} == {
        name: value for name, value in published.items() if name not in divided
    }
    # How it was divided is a matter of their GPUs: here as memory allows, to the same batch.
    assert published["micro_batch"] * published["grad_accum"] == recipe.batch_size
    assert recipe.micro_batch == "auto"
    # Full fine-tuning of everything, and no smoothing.
    assert (recipe.freeze_embeddings, recipe.freeze_layers, recipe.lora, recipe.label_smoothing) == (False, 0, False, 0)


def test_what_the_programs_do_beside_their_options() -> None:
    # jiant keeps the best on the training task; train_xnli.sh says --save_only_best_checkpoint and --save_steps 100,
    # and run_xcopa.py saves once, when it is done. The decay is jiant's own; warm-up and decay of 0 are the defaults
    # of run_classify.py and of transformers 4.9.
    assert RECIPES["phang2020"].selection == "best"
    assert RECIPES["phang2020"].weight_decay == 0.01
    xnli, xcopa = RECIPES["xtreme-xnli"], RECIPES["xtreme-r-xcopa"]
    assert (xnli.selection, xnli.evaluate_every, xnli.patience) == ("best", 100, None)
    assert xnli.maximum_development == 2490  # all of XNLI's English development set
    assert xcopa.selection == "last"
    assert xnli.warmup == xcopa.warmup == xnli.weight_decay == xcopa.weight_decay == 0


def test_fast_is_for_small_encoders() -> None:
    fast = RECIPES["fast"]
    assert (fast.learning_rate, fast.batch_size, fast.epochs, fast.selection) == (5e-5, 16, 3.0, "last")
    assert fast.freeze_embeddings
    assert (fast.lora, fast.keep, fast.label_smoothing, fast.micro_batch) == (False, "result", 0, "auto")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("label_smoothing = 1.0", "recipe.label_smoothing: Input should be less than 1, got 1.0"),
        ("label_smoothing = -0.1", "recipe.label_smoothing: Input should be greater than or equal to 0, got -0.1"),
        ("freeze_layers = -1", "recipe.freeze_layers: Input should be greater than or equal to 0, got -1"),
        ("micro_batch = 0", 'recipe.micro_batch: micro_batch is a number of items from 1, or "auto"; got 0'),
        ("micro_batch = true", 'recipe.micro_batch: micro_batch is a number of items from 1, or "auto"; got True'),
        ('micro_batch = "all"', "recipe.micro_batch: micro_batch is a number of items from 1, or \"auto\"; got 'all'"),
        ("lora = true", "recipe.lora: lora is a table such as { rank = 8, alpha = 16 }, or false; got True"),
        ("lora = { rank = 0 }", "recipe.lora: rank: Input should be greater than or equal to 1, got 0"),
        ("lora = { alpha = 0 }", "recipe.lora: alpha: Input should be greater than 0, got 0"),
        ("lora = { alpha = inf }", "recipe.lora: alpha: Input should be a finite number, got inf"),
        ("lora = { dropout = 1.0 }", "recipe.lora: dropout: Input should be less than 1, got 1.0"),
        ("lora = { rnk = 4 }", "recipe.lora: unknown key 'rnk'; allowed here: alpha, dropout, rank, targets"),
        ("lora = { targets = [] }", "recipe.lora: targets: Tuple should have at least 1 item"),
        ('lora = { targets = ["a b"] }', "recipe.lora: targets.0: String should match pattern"),
        ('keep = "some"', 'recipe.keep: keep is "result", "last", "best", "all" or { every = n }; got \'some\''),
        ("keep = 5", 'recipe.keep: keep is "result", "last", "best", "all" or { every = n }; got 5'),
        ("keep = { every = 0 }", "recipe.keep: every: Input should be greater than or equal to 1, got 0"),
        ("keep = { each = 5 }", "recipe.keep: unknown key 'each'; allowed here: every"),
        ("keep = {}", "recipe.keep: every: this key is required"),
        ("keep_at_most = 0", "recipe.keep_at_most: Input should be greater than or equal to 1, got 0"),
    ],
)
def test_a_recipe_says_what_its_fields_may_be(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(StudyError) as caught:
        read(tmp_path, GOOD.replace("epochs = 1\n", f"{line}\n", 1))
    assert str(caught.value).startswith(f"{tmp_path / 'study.toml'}:10: {says}")
    assert "\n" not in str(caught.value)


def test_adapters_and_kept_steps_are_written_as_tables_and_taken_back(tmp_path: Path) -> None:
    lines = 'lora = { rank = 4, targets = ["query"] }\nkeep = { every = 50 }\nmicro_batch = "auto"\n'
    study = read(tmp_path, GOOD.replace("epochs = 1\n", lines))
    whole = study.stage_recipe()
    assert whole.lora == Lora(rank=4, alpha=16.0, targets=("query",))
    assert whole.keep == Every(every=50)
    without = study.stage_recipe(Recipe(lora=False, keep="result"))
    assert (without.lora, without.keep) == (False, "result")
    # One change replaces the table, and does not mend it.
    assert study.stage_recipe(Recipe(lora=Lora(rank=2))).lora == Lora(rank=2)
    assert isinstance(hash(study), int)


def test_how_a_batch_is_divided_and_who_is_told_decide_nothing() -> None:
    recipe = Recipe(lora=Lora(), keep=Every(every=5))
    for micro_batch in (1, 8, "auto"):
        assert recipe.model_copy(update={"micro_batch": micro_batch}).deciding() == recipe.deciding()
    assert recipe.model_copy(update={"report_to": ("tensorboard",)}).deciding() == recipe.deciding()
    assert recipe.deciding().keys() == Recipe.model_fields.keys() - {"micro_batch", "report_to"}
    assert json.loads(json.dumps(recipe.deciding()))["lora"]["rank"] == 8
    for field, value in (("lora", False), ("keep", "all"), ("label_smoothing", 0.1), ("batch_size", 8)):
        assert recipe.model_copy(update={field: value}).deciding() != recipe.deciding()


def test_an_accumulation_is_judged_on_the_whole_recipe(tmp_path: Path) -> None:
    study = read(tmp_path, GOOD.replace("epochs = 1\n", "batch_size = 15\n"))
    # 5 divides the study's 15, though not the default of a recipe by itself.
    assert study.stage_recipe(Recipe(micro_batch=5)).micro_batch == 5
    with pytest.raises(StudyError, match="recipe as a whole: micro_batch 4 does not divide batch_size 15"):
        study.stage_recipe(Recipe(micro_batch=4))
    with pytest.raises(StudyError, match=r":9: recipe: micro_batch 4 does not divide batch_size 6"):
        read(tmp_path, GOOD.replace("epochs = 1\n", "batch_size = 6\nmicro_batch = 4\n"))


def test_the_primary_contrast_names_two_arms_of_the_study(tmp_path: Path) -> None:
    named = read(tmp_path, GOOD + '\n[[primary]]\narm = "both"\nagainst = "none"\n')
    assert [(one.arm, one.against) for one in named.primary] == [("both", "none")]
    for arm, against, says in (
        ("other", "none", "no arm named 'other'; the arms are none, both"),
        ("both", "both", "'both' cannot be compared with itself"),
    ):
        with pytest.raises(StudyError, match=says):
            read(tmp_path, f'{GOOD}\n[[primary]]\narm = "{arm}"\nagainst = "{against}"\n')
    with pytest.raises(StudyError, match=r"study.toml:\d+: primary.0.than: unknown key; allowed here: against, arm"):
        read(tmp_path, GOOD + '\n[[primary]]\narm = "both"\nagainst = "none"\nthan = "x"\n')


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "none"', 'name = "none"\nsizes = [5]', "sizes: there is no stage that could have them"),
        ('name = "both"', 'name = "both"\nsizes = [5]', "sizes and a stage's own examples say two things"),
        ('head = "fresh"', 'head = "fresh"\nbudget = { hold = "hours", amount = 3 }', "budget.hold: Input should be"),
        ('head = "fresh"', 'head = "fresh"\nbudget = { hold = "steps", amount = 0 }', "budget.amount: Input should be"),
    ],
)
def test_budgets_and_sweeps_that_mean_nothing_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        read(tmp_path, GOOD.replace(old, new, 1))
