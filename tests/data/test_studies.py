"""Every study that comes along can be planned: its tasks, languages, settings and budgets fit together."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.sources.invented import invented_mirror
from tests.toy import tiny_checkpoint
from xfer_bench.cli import app
from xfer_bench.sources.embedded import study_file
from xfer_bench.study import Study
from xfer_bench.tasks import TASKS

STUDIES = sorted(path.stem for path in study_file("quickstart").parent.glob("*.toml"))
# Made small enough for a mirror of a few rows: what they ask of the real sets is checked where those are.
SMALL = {
    "xcopa-xnli-starter": [
        "budget={hold='examples',amount=32,upsample=true}",
        "arms.3.stages.0.parts.3.examples=22",
        "targets.1.train.0.examples=20",
        *(f"arms.{arm}.stages.0.examples=30" for arm in (1, 4, 5)),
        *(f"arms.{arm}.stages.0.parts.{part}.examples=30" for arm, parts in ((2, 2), (3, 3)) for part in range(parts)),
    ],
    "english-vs-multilingual": [
        "budget={hold='examples',amount=32,upsample=true}",
        *(f"arms.{arm}.stages.0.examples=30" for arm in (4, 5)),
    ],
    "xcopa-steps-starter": ["budget={hold='examples',amount=32,upsample=true}", "arms.1.stages.0.examples=30"],
    "xcopa-starter": [f"arms.{arm}.stages.0.examples=20" for arm in (1, 2, 3)],
}  # fmt: skip


def _tasks(study: Study) -> set[str]:
    named = {part.task for arm in study.arms for stage in arm.stages for part in stage.sets}
    named |= {stage.mlm.task for arm in study.arms for stage in arm.stages if stage.mlm}
    for target in study.targets:
        named |= {target.task, *(part.task for stage in target.train for part in stage.sets)}
        named |= set(TASKS[target.task].settings.get(target.training_setting, ()))
    return {name for name in named if not name.startswith("quickstart")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model"), ["abcdefghijklmnopqrstuvwxyz 0123456789"])


@pytest.mark.parametrize("name", STUDIES)
def test_an_example_study_is_planned(name: str, model: Path, tmp_path: Path) -> None:
    study = Study.from_toml(study_file(name))
    invented_mirror(tmp_path / "mirror", *sorted(_tasks(study)))
    (tmp_path / "mirror").mkdir(exist_ok=True)
    models = f"models=['{model}']" if study.models else f"model='{model}'"
    changes = [models, "trim_vocabulary=false", *SMALL.get(name, [])]
    command = ["run", name, "-o", str(tmp_path / "out"), "--data-root", str(tmp_path / "mirror"), "--dry-run"]
    done = CliRunner().invoke(app, [*command, *(part for change in changes for part in ("--set", change))])
    assert done.exit_code == 0, done.output
    for arm in study.arms:
        assert arm.name in done.output
    for target in study.targets:
        assert f"evaluation: {target.task} ({target.setting})" in done.output
    assert not (tmp_path / "out").exists()


def test_the_question_is_asked_with_controls_of_the_same_budget(model: Path) -> None:
    study = Study.from_toml(study_file("english-vs-multilingual"))
    assert [one.name for one in study.per_model()] == [
        f"{study.name}-xlm-roberta-base",
        f"{study.name}-xlm-roberta-large",
    ]
    assert {one.arm for one in study.primary} == {"multilingual", "paws-7"}
    controls = {name for arm in study.arms for name in arm.english_for}
    assert controls == {"multilingual", "multilingual+mlm", "paws-7"}


def test_the_arms_of_the_documentation_are_a_study(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    head = 'name = "s"\nmodel = "m"\n[[targets]]\ntask = "xcopa"\nsetting = "CO-TLV"\n'
    (tmp_path / "study.toml").write_text("\n".join([head, *blocks]), encoding="utf-8")
    study = Study.from_toml(tmp_path / "study.toml")
    assert len(study.arms) == len(re.findall(r"^\[\[arms\]\]", page, flags=re.MULTILINE)) == 9
    assert study.budget is not None
    assert study.seeds.apart("target", 2) == (2, 7)
    missing = {part.task for arm in study.arms for stage in arm.stages for part in stage.sets} - TASKS.keys()
    assert not missing
