"""The commands, end to end on a small study: what they print, what they leave behind, what they do not do twice."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.small_study import STUDY, small_mirror, small_model
from xfer_bench import __version__
from xfer_bench.cli import main

ARMS = {"none", "siqa"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a mirror, a study, and the output of `xfer-bench run`."""
    root = tmp_path_factory.mktemp("commands")
    small_mirror(root / "mirror")
    (root / "study.toml").write_text(STUDY.format(model=small_model(root / "model")))
    patch = pytest.MonkeyPatch()
    patch.setenv("XFER_BENCH_STORE", str(root / "store"))
    patch.setenv("XFER_BENCH_DATA", str(root / "mirror"))
    patch.chdir(root)
    patch.setattr("sys.argv", ["xfer-bench", "run", "study.toml", "-o", "out"])
    finish()
    patch.undo()
    return root


def finish() -> None:
    """Run the command in `sys.argv` to a successful end."""
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code


@pytest.fixture(autouse=True)
def there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XFER_BENCH_STORE", str(place / "store"))
    monkeypatch.setenv("XFER_BENCH_DATA", str(place / "mirror"))
    monkeypatch.chdir(place)


def said(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that succeeds prints."""
    monkeypatch.setattr("sys.argv", ["xfer-bench", *arguments])
    capsys.readouterr()
    finish()
    return capsys.readouterr().out


def test_run_leaves_checkpoints_results_and_figures(place: Path) -> None:
    out = place / "out"
    assert {path.name for path in out.iterdir()} == {"checkpoints", "results", "figures", "plan.json"}
    predictions = pl.read_parquet(out / "results" / "predictions" / "*.parquet")
    assert set(predictions["arm"]) == ARMS
    assert predictions.group_by("run", "variant", "language").len()["len"].to_list() == [20] * 24
    for name in ("gain_heatmap", "gains_by_language", "intermediate_vs_target"):
        assert all((out / "figures" / f"{name}.{kind}").stat().st_size for kind in ("pdf", "png", "csv"))


def test_a_second_run_recomputes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stamps() -> dict[Path, int]:
        files = [
            *(place / "out" / "checkpoints").rglob("*.safetensors"),
            *(place / "store" / "blocks").rglob("*.parquet"),
        ]
        return {file: file.stat().st_mtime_ns for file in files}

    before = stamps()
    printed = said(["run", "study.toml", "-o", "out"], monkeypatch, capsys)
    assert stamps() == before
    assert "xcopa (repaired) test, CO: 20 items in 20 clusters" in printed


def test_the_dry_run_trains_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = said(["train", "study.toml", "-o", "elsewhere", "--dry-run"], monkeypatch, capsys)
    assert "4 runs, 6 stages (0 shared by several runs), 0 done" in printed
    assert not (place / "elsewhere").exists()


def test_the_plan_is_printed_and_drawn(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = said(
        ["plan", "study.toml", "-o", "out", "--set", "seeds.target=[0, 7]", "--picture", "plan.svg"],
        monkeypatch,
        capsys,
    )
    whole = said(["plan", "study.toml", "-o", "out"], monkeypatch, capsys)
    done = [int(re.findall(r"4 runs, 6 stages .* (\d) done", page)[0]) for page in (printed, whole)]
    # What was trained with the seed that is left is still there.
    assert 0 < done[0] < done[1] == 6
    assert (place / "plan.svg").stat().st_size


def test_compare_as_json_says_what_was_compared_and_how(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = json.loads(said(["compare", "out/results", "--bootstrap", "--format", "json"], monkeypatch, capsys))
    first = answer["comparisons"][0]
    assert {
        "arm", "baseline", "task", "setting", "variant", "language", "n_items", "n_clusters", "n_seeds", "gain",
        "ci_low", "ci_high", "p_value",
    } <= set(first)  # fmt: skip
    assert (first["arm"], first["baseline"], first["task"], first["setting"]) == ("siqa", "none", "xcopa", "CO")
    assert first["n_seeds"] == 2
    assert {one["language"] for one in answer["comparisons"]} == {"avg_unseen", "avg", "et", "zh", "en"}
    assert answer["settings"]["resamples"] == 10_000
    assert answer["settings"]["seed"] == 0


def test_compare_as_csv_has_a_row_for_each_comparison(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(csv.DictReader(io.StringIO(said(["compare", "out/results", "--format", "csv"], monkeypatch, capsys))))
    assert [row["language"] for row in rows] == ["avg_unseen", "avg", "en", "et", "zh"]


def test_compare_repeats_itself_exactly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first = said(["compare", "out/results", "--seed", "3"], monkeypatch, capsys)
    assert said(["compare", "out/results", "--seed", "3"], monkeypatch, capsys) == first
    assert "seed:3" in first


def test_eval_scores_every_checkpoint_and_shares_what_is_stored(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "out/checkpoints", "-t", "xcopa", "-l", "et", "--variant", "published", "--format", "csv"]
    printed = said(command, monkeypatch, capsys)
    rows = list(csv.DictReader(io.StringIO(printed)))
    # Four target checkpoints, and the two of the intermediate stage, whose head fits too.
    assert len(rows) == 6
    assert {row["setting"] for row in rows} == {"CO", "intermediate"}
    assert (place / "results" / "predictions").is_dir()


def test_figures_go_beside_the_results(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said(["figures", "out/results", "-o", "drawn", "--resamples", "200"], monkeypatch, capsys)
    assert (place / "drawn" / "gain_heatmap.csv").is_file()


def test_tasks_lists_what_is_here_and_why_the_rest_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = {entry["name"]: entry for entry in json.loads(said(["tasks", "--json"], monkeypatch, capsys))["tasks"]}
    assert listed["siqa"]["rows"] == {"train": 60, "validation": 12}
    assert listed["ocnli"]["places"]["train"].startswith("unavailable: extra/ocnli has no loadable twin")
    assert listed["siqa_pt"]["machine_translated"]
    assert "xcopa: multiple_choice, target (CO, SI, SI+CO)" in said(["tasks"], monkeypatch, capsys)


def test_both_doors_lead_to_the_same_program() -> None:
    root = Path(__file__).resolve().parents[2]
    script = subprocess.run([sys.executable, root / "cli.py", "--version"], capture_output=True, text=True, check=True)
    module = [sys.executable, "-c", "from xfer_bench.cli import main; main()", "--version"]
    command = subprocess.run(module, capture_output=True, text=True, check=True)
    assert script.stdout == command.stdout == f"xfer-bench {__version__}\n"
