"""The schema of a study file says what the model says, in the form that editors of TOML read."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from typer.testing import CliRunner

from xfer_bench.cli.schema import schema, study_schema
from xfer_bench.errors import StudyError
from xfer_bench.recipes import RECIPES, Recipe
from xfer_bench.study import Study
from xfer_bench.tasks import TASKS

REPOSITORY = Path(__file__).resolve().parents[2]
STUDIES = sorted((REPOSITORY / "data" / "studies").glob("*.toml"))

GOOD = """name = "small"
model = "starter"
[[arms]]
name = "none"
[[arms]]
name = "both"
stages = ["siqa", { task = "my_own", languages = ["de"], examples = 30, recipe = { epochs = 2, keep = { every = 5 } } }]
[[targets]]
task = "xcopa"
setting = "CO"
[targets.recipe]
lora = { rank = 4 }
"""


def problems(text: str) -> list[str]:
    """What a validator of JSON schemas says of a study."""
    checked = study_schema()
    jsonschema.Draft7Validator.check_schema(checked)
    return [error.message for error in jsonschema.Draft7Validator(checked).iter_errors(tomllib.loads(text))]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_that_comes_along_fits(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


def test_a_stage_may_be_the_name_of_its_task_and_a_task_the_user_s_own(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(GOOD)
    assert Study.from_toml(tmp_path / "study.toml")
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('model = "starter"', 'modle = "starter"'),
        ('model = "starter"', 'model = "starter"\nhead = "new"'),
        ('model = "starter"', 'model = "starter"\nbase_recipe = "slow"'),
        ('model = "starter"', 'model = "starter"\nseeds = { target = [-1] }'),
        ('model = "starter"', "model = 3"),
        ("examples = 30", "examples = 0"),
        ("examples = 30", "exampels = 30"),
        ('"siqa",', "3,"),
        ('"siqa",', '{ languages = ["de"] },'),
        ("epochs = 2", "epochs = 0"),
        ("epochs = 2", 'micro_batch = "lots"'),
        ("every = 5", "each = 5"),
        ("lora = { rank = 4 }", "lora = { rank = 0 }"),
        ('setting = "CO"\n', ""),
        ('task = "xcopa"', 'task = "a b"'),
    ],
)
def test_what_a_study_may_not_say_does_not_fit(tmp_path: Path, old: str, new: str) -> None:
    assert old in GOOD
    wrong = GOOD.replace(old, new, 1)
    (tmp_path / "study.toml").write_text(wrong)
    with pytest.raises(StudyError):
        Study.from_toml(tmp_path / "study.toml")
    assert problems(wrong)


def parts(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, dict) else []), *(part for one in inner for part in parts(one))]


def test_every_key_of_a_recipe_says_what_the_named_recipes_do() -> None:
    recipe = study_schema()["definitions"]["Recipe"]
    assert recipe["properties"].keys() == Recipe.model_fields.keys()
    for name, field in recipe["properties"].items():
        assert "default" not in field
        assert re.search(r"\((.* in every named recipe|.* in .*fast.*)\)$", field["description"]), name
    assert recipe["properties"]["save_every"]["description"].startswith("optimiser steps between resumable states. (")
    assert "5e-05 in fast" in recipe["properties"]["learning_rate"]["description"]
    assert recipe["description"].startswith("How one stage is optimised")


def test_keys_are_described_by_the_docstrings() -> None:
    made = study_schema()
    assert made["properties"]["model"]["description"] == "`starter`, a local directory or a Hub id."
    assert made["properties"]["base_recipe"]["enum"] == sorted(RECIPES)
    target = made["definitions"]["Target"]["properties"]
    # Two keys that one sentence describes.
    assert target["split"]["description"] == target["languages"]["description"]
    assert target["task"]["anyOf"][0]["enum"] == sorted(TASKS)


def test_it_keeps_to_what_editors_of_toml_understand() -> None:
    made = study_schema()
    assert made["$schema"] == "http://json-schema.org/draft-07/schema#"
    for part in parts(made):
        assert "$defs" not in part
        assert "prefixItems" not in part
        # There is no null in TOML.
        assert part.get("type") != "null"
        assert part.get("default", "") is not None
        if "$ref" in part:
            assert part["$ref"].removeprefix("#/definitions/") in made["definitions"]


def test_it_is_printed_or_written(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(schema)
    printed = CliRunner().invoke(app, [], catch_exceptions=False)
    assert json.loads(printed.stdout) == study_schema()
    out = tmp_path / "study.schema.json"
    written = CliRunner().invoke(app, ["-o", str(out)], catch_exceptions=False)
    assert written.stdout == ""
    assert f"{out} written; begin a study beside it with the line `#:schema ./study.schema.json`" in written.stderr
    assert json.loads(out.read_text(encoding="utf-8")) == study_schema()
