"""The Hub, in processes of their own: its libraries read their settings from the environment when imported."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sources.local_hub import COMMIT, COPY_COMMIT, local_hub
from tests.sources.small_mirror import pairs

_SCRIPT = """
import json, logging, sys
from xfer_bench.errors import SourceError
from xfer_bench.sources import hub

for repository, config, split, column in json.loads(sys.argv[1]):
    try:
        answer = hub.read(repository, config=config, split=split, revision="", columns=("premise", column))
        print(json.dumps([answer.revision, answer.frame.to_dict(as_series=False)]))
    except SourceError as error:
        print(json.dumps(str(error)))
"""


def _ask(
    questions: list[tuple[str, str, str, str]], *, folder: Path, environment: dict[str, str]
) -> tuple[list[Any], str]:
    """What `hub.read` answers to each question in a fresh process, and what it wrote to the error stream."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    package = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(questions)],
        env={**kept, "HF_HOME": str(folder / "home"), "PYTHONPATH": package, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Any], str]:
    """The same questions, first to a Hub in reach, then with the network switched off."""
    folder = tmp_path_factory.mktemp("hub")
    questions = [
        ("some/pairs", "en", "test", "label"),
        ("some/script", "en", "test", "label"),
        ("some/absent", "en", "test", "label"),
        ("some/pairs", "xx", "test", "label"),
        ("some/pairs", "en", "train", "label"),
        ("some/pairs", "en", "test", "other"),
    ]
    with local_hub() as address:
        online, noise = _ask(questions, folder=folder, environment={"HF_ENDPOINT": address})
    offline, more = _ask([questions[0], questions[2]], folder=folder, environment={"HF_HUB_OFFLINE": "1"})
    return online, offline, noise + more


def test_rows_of_the_hub_come_with_their_commit(answers: tuple[list[Any], list[Any], str]) -> None:
    revision, columns = answers[0][0]
    assert revision == COMMIT
    assert columns == {name: pairs(6)[name] for name in ("premise", "label")}


def test_a_loading_script_is_replaced_by_the_parquet_copy(answers: tuple[list[Any], list[Any], str]) -> None:
    revision, columns = answers[0][1]
    assert revision == COPY_COMMIT
    assert columns["premise"] == pairs(9)["premise"]


def test_what_cannot_be_had_is_one_line_with_the_reason_and_the_remedy(
    answers: tuple[list[Any], list[Any], str],
) -> None:
    absent, configuration, split = answers[0][2:5]
    assert absent.startswith("some/absent (en, test) cannot be had from the Hub: ")
    assert "hf download --repo-type dataset some/absent" in absent
    assert "'xx' not found" in configuration
    assert '"train"' in split
    assert not any("\n" in line for line in (absent, configuration, split))


def test_a_missing_column_names_those_there_are(answers: tuple[list[Any], list[Any], str]) -> None:
    assert answers[0][5].endswith("on the Hub lacks the column 'other'; it has premise, hypothesis, label")


def test_offline_the_cached_rows_serve_and_the_rest_is_one_line(answers: tuple[list[Any], list[Any], str]) -> None:
    cached, absent = answers[1]
    assert cached == answers[0][0]
    assert absent.startswith("some/absent is not here and the network is switched off by HF_HUB_OFFLINE; fetch it")


def test_the_libraries_say_nothing(answers: tuple[list[Any], list[Any], str]) -> None:
    assert answers[2] == ""
