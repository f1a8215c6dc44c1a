"""Tasks from outside the package: found beside a study, registered by an installed package, used like ours."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.small_study import small_mirror, small_model
from tests.sources.small_mirror import write
from tests.tasks.descriptions import PAIRS, Write, pairs_mirror, writer
from xfer_bench.errors import TaskError
from xfer_bench.pipeline import Place, evaluate_study, prepare, train_study
from xfer_bench.plan import plan
from xfer_bench.sources.source import Sources
from xfer_bench.study import Arm, StageSpec, Study, Target
from xfer_bench.tasks import TASKS, find
from xfer_bench.tasks.own import load_tasks, task_files

REPOSITORY = Path(__file__).resolve().parents[2]

# Its invented rows are few sentences, which come again in the test split.
STUDY = """name = "own"
model = "{model}"
allow_overlap = ["two_nli"]
[recipe]
learning_rate = 1e-3
epochs = 1
batch_size = 8
precision = "fp32"
[[arms]]
name = "none"
[[arms]]
name = "siqa"
stages = [{{ task = "siqa", examples = 16 }}]
[[targets]]
task = "two_nli"
setting = "NLI"
"""


@pytest.fixture
def described(tmp_path: Path) -> Write:
    return writer(tmp_path)


class TestFiles:
    def test_a_name_that_is_taken_is_refused(self, described: Write) -> None:
        ours = described(PAIRS.replace('"two_nli"', '"xnli"', 1))
        with pytest.raises(TaskError, match=r"task.toml: the name 'xnli' is taken by xfer-bench itself; give the task"):
            load_tasks([ours])
        first, second = described(PAIRS, "a.toml"), described(PAIRS, "b.toml")
        with pytest.raises(TaskError, match=rf"b.toml: the name 'two_nli' is taken by {first}"):
            load_tasks([first, second])
        # Found beside the study and named on the command line.
        assert "two_nli" in load_tasks([first, first.parent / "." / "a.toml"])
        assert second.exists()

    def test_a_setting_ends_in_the_task_s_own_format(self, described: Write) -> None:
        with pytest.raises(TaskError, match=r"settings.NLI: ends in siqa, which is multiple_choice; its head cannot"):
            load_tasks([described(PAIRS.replace('["two_nli"]', '["two_nli", "siqa"]'))])
        assert load_tasks([described(PAIRS.replace('["two_nli"]', '["siqa", "elsewhere"]'))])["two_nli"].settings

    def test_files_beside_a_study_are_found(self, described: Write) -> None:
        study = described("", "study.toml")
        assert task_files(study) == ()
        found = [described(PAIRS, f"tasks/{name}.toml") for name in ("b", "a")]
        described("", "tasks/notes.txt")
        assert task_files(study) == (found[1], found[0])


def test_a_described_task_is_planned_trained_on_and_evaluated(tmp_path: Path, described: Write) -> None:
    mirror = pairs_mirror(small_mirror(tmp_path / "mirror"))
    tasks = load_tasks([described(PAIRS)])
    study = Study.from_toml(described(STUDY.format(model=small_model(tmp_path / "model")), "study.toml"))
    sources = Sources(data_root=mirror)
    prepared = prepare(study, sources=sources, tasks=tasks)
    assert [stage.task for run in prepared.plan.runs for stage in run.stages] == ["two_nli", "siqa", "two_nli"]
    place = Place(out=tmp_path / "out")
    evaluate_study(prepared, place, train_study(prepared, place))
    predictions = place.results.predictions()
    assert set(predictions["task"]) == {"two_nli"}
    assert dict(predictions.group_by("language").len().iter_rows()) == {"en": 2 * 29, "eu": 2 * 29}
    assert predictions["cluster"].n_unique() == 10
    assert set(place.results.stages()["task"]) == {"two_nli", "siqa"}


def install(root: Path, name: str, module: str, *, point: str = "mine = {module}:TASKS") -> None:
    """An installed distribution, as a package manager leaves it: a module, its metadata, its entry point."""
    (root / f"{name}_tasks.py").write_text(module)
    info = root / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[xfer_bench.tasks]\n{point.format(module=f'{name}_tasks')}\n")


GOOD = """
from dataclasses import replace
from xfer_bench.tasks import TASKS as OURS
ONE = replace(OURS["lingnli"], name="{name}")
TASKS = (ONE, replace(ONE, name="{name}_again"))
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for file in folder.glob("*_tasks.py"):
        sys.modules.pop(file.stem, None)


class TestEntryPoints:
    def test_installed_tasks_are_there_and_are_loaded_when_they_are_needed(self, site: Path) -> None:
        install(site, "alpha", GOOD.format(name="alpha"))
        tasks = load_tasks()
        assert find("xnli", among=tasks) is TASKS["xnli"]
        assert "alpha_tasks" not in sys.modules
        assert find("alpha", among=tasks).format is TASKS["xnli"].format
        assert "alpha_tasks" in sys.modules
        assert list(tasks) == [*TASKS, "alpha", "alpha_again"]
        assert (len(tasks), tasks.problems) == (len(TASKS) + 2, ())
        assert tasks.get("other") is None

    def test_a_single_task_will_do_and_may_be_given_twice(self, site: Path) -> None:
        install(site, "alpha", GOOD.format(name="alpha"), point="mine = {module}:ONE\nall = {module}:TASKS")
        tasks = load_tasks()
        assert set(tasks) - set(TASKS) == {"alpha", "alpha_again"}
        assert tasks.problems == ()

    @pytest.mark.parametrize(
        ("module", "says"),
        [
            ("import no_such_module", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
            ("OTHER = 1", "cannot be loaded: AttributeError: "),
            ("def", "cannot be loaded: SyntaxError: "),
            ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
            ("import polars as pl\npl.DataFrame({'a': [1]}).select('b')", "cannot be loaded: ColumnNotFoundError: "),
            ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
            ("TASKS = {'a': 1}", "gives a dict; it must be a Task or a sequence of Tasks"),
            ("TASKS = [1]", "gives a list; it must be a Task or a sequence of Tasks"),
            ("TASKS = 'xnli'", "gives a str; it must be a Task or a sequence of Tasks"),
        ],
    )
    def test_a_broken_one_is_a_line_that_names_its_distribution(self, site: Path, module: str, says: str) -> None:
        install(site, "broken", module)
        install(site, "alpha", GOOD.format(name="alpha"))
        tasks = load_tasks()
        assert find("xcopa", among=tasks) is TASKS["xcopa"]
        assert find("alpha", among=tasks).name == "alpha"
        (problem,) = tasks.problems
        assert problem.startswith(f"the entry point 'mine' of broken 1.2 (xfer_bench.tasks) {says}")
        with pytest.raises(TaskError) as caught:
            find("riddles", among=tasks)
        message = str(caught.value)
        assert message.startswith("no task named 'riddles'; choose one of alpha, alpha_again, c3, ")
        assert message.endswith(problem)
        assert "\n" not in message

    def test_a_name_that_is_taken_stays_what_it_was(self, site: Path, described: Write) -> None:
        install(site, "alpha", GOOD.format(name="xnli"))
        tasks = load_tasks()
        assert find("xnli_again", among=tasks)
        assert tasks["xnli"] is TASKS["xnli"]
        (problem,) = tasks.problems
        assert problem == (
            "the entry point 'mine' of alpha 1.2 (xfer_bench.tasks) gives a task 'xnli', and there is one already"
        )
        # The user's own file comes before what is installed.
        own = load_tasks([described(PAIRS.replace("two_nli", "xnli_again"))])
        assert own["xnli_again"].licence == "none"
        assert len(own.problems) == 2

    def test_of_two_with_one_name_neither_is_used(self, site: Path) -> None:
        install(site, "alpha", GOOD.format(name="same"))
        install(site, "beta", GOOD.format(name="same").replace("_again", "_more"))
        tasks = load_tasks()
        assert set(tasks) - set(TASKS) == {"same_again", "same_more"}
        with pytest.raises(
            TaskError, match=r"of alpha 1.2 .* and the entry point 'mine' of beta 1.2 .* neither is used"
        ):
            find("same", among=tasks)

    def test_an_installed_task_is_planned_in_a_fresh_process(self, site: Path, tmp_path: Path) -> None:
        install(site, "alpha", GOOD.format(name="alpha"))
        script = "from xfer_bench.tasks.own import load_tasks; print(load_tasks()['alpha'].languages)"
        answer = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{REPOSITORY}"},
        )  # fmt: skip
        assert answer.stdout.strip() == "('en',)"
        sources = Sources(data_root=small_mirror(tmp_path / "mirror"))
        arms = (Arm(name="none"), Arm(name="mine", stages=(StageSpec(task="alpha"),)))
        rows: dict[str, list[Any]] = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [0, 1, 2]}
        write(
            tmp_path / "mirror",
            "extra/lingnli",
            {f"default/{split}-0.parquet": rows for split in ("train", "validation")},
        )
        study = Study(name="s", model="m", arms=arms, targets=(Target(task="xcopa", setting="CO", languages=("en",)),))
        planned = plan(study, tasks=load_tasks(), sources=sources, origin="o", source="c")
        assert [stage.task for stage in planned.stages] == ["copa", "alpha", "copa"]
