import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.shell import Shell
from xfer_bench.cli.data import app
from xfer_bench.sources.source import VARIABLE

EMBEDDED = ("quickstart_xcopa", "quickstart_copa")


@pytest.fixture(autouse=True)
def _without_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


def test_the_embedded_benchmark_is_sound() -> None:
    result = run(*EMBEDDED)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("quickstart_xcopa\n")
    assert result.output.splitlines()[-1].startswith("0 errors, 0 warnings")


def test_without_names_what_is_on_this_machine_is_audited() -> None:
    result = run("--format", "json")
    assert {one["task"] for one in json.loads(result.output)["sizes"]} >= set(EMBEDDED)


def test_the_exit_code_says_how_grave_it_is_and_texts_can_be_left_out(tmp_path: Path) -> None:
    from tests.audit.sheets import copa_rows
    from tests.sources.small_mirror import write

    rows = copa_rows(60)
    rows["label"] = [0] * 60
    rows["premise"][1] = "A secret text"
    write(tmp_path, "cambridgeltl/xcopa", {"th/test.parquet": rows})
    shown = run("xcopa", "--data-root", str(tmp_path))
    hidden = run("xcopa", "--data-root", str(tmp_path), "--no-examples", "--grade", "error")
    assert shown.exit_code == hidden.exit_code == 4
    assert "all 60 rows have the same label, 0: placeholders, not answers" in hidden.output
    assert "note:" not in hidden.output


def test_an_unknown_task_is_refused(shell: Shell) -> None:
    from xfer_bench.errors import TaskError

    result = run("nothing")
    assert isinstance(result.exception, TaskError)


def test_a_tokenizer_s_folder_can_be_named(shell: Shell) -> None:
    result = run(
        "quickstart_copa", "--tokenizer", str(shell.folder / "encoder"), "--max-length", "16", "--format", "json"
    )
    sizes = json.loads(result.output)["sizes"]
    assert all(one["truncated"] == {str(shell.folder / "encoder"): 1.0} for one in sizes)
