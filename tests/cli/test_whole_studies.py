"""Studies through the command line to the end: selection on the target language, several models."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.small_study import STUDY, small_mirror, small_model
from xfer_bench.cli import app


@pytest.fixture
def study(tmp_path: Path) -> Path:
    small_mirror(tmp_path / "mirror")
    small_model(tmp_path / "model")
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(model=small_model(tmp_path / "model")))
    return path


def said(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return " ".join(done.output.split())


def test_selection_on_the_target_language_is_run_and_labelled(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    change = ("--set", 'targets.0.setting="CO-TLV"', "--set", "seeds={}", "--set", 'targets.0.languages=["et","zh"]')
    printed = said("run", study, "-o", out, "--data-root", tmp_path / "mirror", *change)
    label = "selected on target-language validation (not zero-shot)"
    assert label in printed
    rows = json.loads(CliRunner().invoke(app, ["compare", str(out / "results"), "--format", "json"]).stdout)
    assert label in json.dumps(rows)
    # Chosen among the steps that the last stage kept, each scored on both splits.
    steps = {path.name for path in (out / "checkpoints").glob("*/steps/*")}
    assert len(steps) > 1


def test_every_model_has_a_study_of_its_own(study: Path, tmp_path: Path) -> None:
    other = small_model(tmp_path / "other")
    out = tmp_path / "out"
    text = study.read_text().replace(f'model = "{tmp_path / "model"}"', f'models = ["{tmp_path / "model"}", "{other}"]')
    study.write_text(text)
    command = ("run", study, "-o", out, "--data-root", tmp_path / "mirror", "--set", "seeds={}")
    said(*command, "--set", 'arms=[{name="none"}]', "--dry-run")
    said("train", *command[1:], "--set", 'arms=[{name="none"}]')
    both = said("status", out)
    assert both.count("1 runs: 1 trained") == 2
    for name in ("model", "other"):
        assert "1 runs: 1 trained" in said("status", out / name)
        assert len(list((out / name / "checkpoints").glob("*/lineage.json"))) == 1
