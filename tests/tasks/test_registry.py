import re
import subprocess
import sys

import pytest

from xfer_bench.errors import TaskError
from xfer_bench.tasks import TASKS, find
from xfer_bench.tasks.multiple_choice import XCOPA
from xfer_bench.tasks.nli import XNLI, XNLI_DEV
from xfer_bench.tasks.task import Task

EVERY = pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)


def test_a_task_is_found_by_its_name() -> None:
    assert find("xcopa") is XCOPA


def test_an_unknown_task_is_one_line_that_names_those_that_exist() -> None:
    with pytest.raises(TaskError) as caught:
        find("xnil")
    message = str(caught.value)
    assert message.startswith("no task named 'xnil'; choose one of ")
    assert all(name in message for name in TASKS)
    assert "\n" not in message


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TASKS["other"] = XNLI  # type: ignore[index]


@EVERY
def test_settings_name_registered_training_sets_of_the_same_format(task: Task) -> None:
    for chain in task.settings.values():
        assert chain
        assert all("train" in TASKS[name].splits for name in chain)
        assert TASKS[chain[-1]].format == task.format


@EVERY
def test_a_task_is_barred_before_targets_only_and_with_a_reason(task: Task) -> None:
    assert all(TASKS[target].settings and reason for target, reason in task.barred.items())


@EVERY
def test_languages_are_iso_codes_and_each_split_has_each_language_once(task: Task) -> None:
    assert all(re.fullmatch("[a-z]{2}", language) for language in task.languages)
    for split in task.splits:
        listed = [language for part in task.parts if part.split == split for language in part.languages]
        assert len(listed) == len(set(listed))


@EVERY
def test_what_has_no_twin_on_the_hub_names_its_upstream_and_commit(task: Task) -> None:
    for part in task.parts:
        expected = part.repository.startswith("extra/")
        assert bool(part.upstream) == expected
        if expected:
            assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+ @ [0-9a-f]{40}", part.upstream)


@EVERY
def test_every_task_states_its_licence_and_marks_non_commercial_ones(task: Task) -> None:
    assert task.licence
    assert ("NC" in task.licence or "non-commercial" in task.licence) == ("(non-commercial)" in task.licence)


@EVERY
def test_chance_is_a_fraction(task: Task) -> None:
    assert 0.2 <= task.chance <= 0.5 if task.format.labelled else task.chance == 0.0


def test_targets_are_the_tasks_with_settings() -> None:
    targets = {name for name, task in TASKS.items() if task.settings}
    assert targets == {"xnli", "xcopa", "quickstart_xnli", "quickstart_xcopa"}
    assert all(TASKS[name].parallel and "test" in TASKS[name].splits for name in targets)


def test_the_languages_of_the_targets() -> None:
    assert XCOPA.languages == ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh", "en")
    assert len(XNLI.languages) == 15
    assert XNLI_DEV.languages_of("train") == XNLI.languages
    assert len(TASKS["exams"].languages_of("train")) == 11


def test_leaking_training_sets_are_barred() -> None:
    assert "test items" in TASKS["kobest_copa"].barred["xcopa"]
    assert "xnli" in XNLI_DEV.barred
    assert "xcopa" not in XNLI_DEV.barred


def test_reading_the_registry_imports_no_heavy_library() -> None:
    script = (
        "import sys, xfer_bench.tasks, xfer_bench.sources.mixture;"
        "print(sorted({'torch', 'transformers', 'datasets', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
