"""`merge` and `export` as commands: what they print and leave behind, and one line for bad input."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_predictions
from xfer_bench.cli import main
from xfer_bench.results import Results

KEY = ["run", "language", "item"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders, `a` and `b`, of two machines: one arm is in both."""
    predictions = make_predictions(seeds=(0,), n_items=12)
    Results(tmp_path / "a").add(predictions.filter(pl.col("arm") != "mixed"))
    Results(tmp_path / "b").add(predictions.filter(pl.col("arm") != "english"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that succeeds prints."""
    monkeypatch.setattr("sys.argv", ["xfer-bench", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    return capsys.readouterr().out.rstrip("\n")


def refused(
    arguments: Sequence[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The one line of a command that must fail; it leaves everything as it was."""
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    monkeypatch.setattr("sys.argv", ["xfer-bench", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert stop.value.code == 1
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    return lines[0]


def test_merged_folders_compare_as_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = said(["merge", "a", "b", "-o", "both"], monkeypatch, capsys)
    assert line == "180 predictions of 3 runs in both; 60 rows were in several folders, and agree"
    expected = make_predictions(seeds=(0,), n_items=12).sort(KEY)
    assert_frame_equal(Results(place / "both").predictions().sort(KEY), expected)
    assert "mixed" in said(["compare", "both", "--resamples", "100"], monkeypatch, capsys)


def test_folders_without_common_rows_say_less(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Results(place / "c").add(make_predictions(effects={"more": 0.1}, seeds=(0,), n_items=12))
    assert said(["merge", "a", "c", "-o", "new/out"], monkeypatch, capsys) == "180 predictions of 3 runs in new/out"


def test_every_format_holds_every_prediction(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(["export", "a", "--format", "lm-eval", "-o", "lm"], monkeypatch, capsys) == (
        "120 samples of 2 models in lm"
    )
    assert said(["export", "a", "--format", "jsonl", "-o", "a.jsonl"], monkeypatch, capsys) == (
        "120 predictions in a.jsonl"
    )
    assert said(["export", "a", "--format", "csv", "-o", "a.csv"], monkeypatch, capsys) == "120 predictions in a.csv"
    samples = [line for path in (place / "lm").glob("*/samples_*.jsonl") for line in path.read_text().splitlines()]
    assert len(samples) == len((place / "a.jsonl").read_text().splitlines()) == pl.read_csv(place / "a.csv").height
    right = sum(json.loads(line)["acc"] for line in samples)
    ours = Results(place / "a").predictions()
    assert right == (ours["label"] == ours["prediction"]).sum()


def test_an_export_loads_nothing_heavy(place: Path) -> None:
    program = (
        "import sys; from xfer_bench.cli import main; sys.argv = ['xfer-bench', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    for arguments in (["merge", "a", "b", "-o", "both"], ["export", "a", "--format", "lm-eval", "-o", "lm"]):
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=place)
        assert done.stdout.splitlines()[-1] == "[]"


class TestMerge:
    def test_folders_that_disagree(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = make_predictions(effects={"none": 0.0}, seeds=(0,), n_items=12, languages=("sw",), seed=9)
        Results(place / "b").add(other.with_columns(weights=pl.lit("others")))
        line = refused(["merge", "a", "b", "-o", "both"], place, monkeypatch, capsys)
        assert line == (
            "error: the folders disagree: run 'none-0', xcopa test in 'sw', item '0000' has weights 'none-0' in a and "
            "'others' in b (the first of 12 conflicts); a run may come from several folders where they agree, so leave "
            "out the wrong folder or name its run differently"
        )

    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (["a", "-o", "both"], "nothing to merge in 1 results folder; name two or more"),
            (["a", "./a", "-o", "both"], "a is named twice"),
            (["a", "nowhere", "-o", "both"], "no results folder nowhere"),
            (["a", "file", "-o", "both"], "no results folder file"),
            (["a", "empty", "-o", "both"], "no predictions in empty"),
            (["a", "b", "-o", "b"], "b is there already; give a new name, or an empty folder"),
            (["a", "b", "-o", "file"], "file is there already"),
            (["a", "b", "-o", "file/both"], "cannot write file/both: "),
        ],
    )
    def test_what_cannot_be_merged(
        self,
        place: Path,
        arguments: list[str],
        part: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (place / "file").write_text("mine")
        (place / "empty").mkdir()
        assert part in refused(["merge", *arguments], place, monkeypatch, capsys)

    def test_a_damaged_file(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = place / "b" / "predictions" / "mixed-0-xcopa-test-published.parquet"
        file.write_bytes(file.read_bytes()[:-9])
        line = refused(["merge", "a", "b", "-o", "both"], place, monkeypatch, capsys)
        assert "b/predictions/mixed-0-xcopa-test-published.parquet is damaged" in line


class TestExport:
    @pytest.mark.parametrize("layout", ["lm-eval", "jsonl", "csv"])
    @pytest.mark.parametrize(
        ("results", "out", "part"),
        [
            ("nowhere", "out", "no results folder nowhere"),
            ("file", "out", "no results folder file"),
            ("empty", "out", "no predictions in empty"),
            ("a", "file", "file is there already; give a new name"),
            ("a", "file/out", "cannot write file/out: "),
            ("a", "b", "b is "),
        ],
    )
    def test_what_cannot_be_exported(
        self,
        place: Path,
        layout: str,
        results: str,
        out: str,
        part: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (place / "file").write_text("mine")
        (place / "empty").mkdir()
        assert part in refused(["export", results, "--format", layout, "-o", out], place, monkeypatch, capsys)
