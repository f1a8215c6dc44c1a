"""`report`: one file from a results folder, with what was asked for in it."""

from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.page.subjects import answered, results_in, texts_in
from tests.page.unpacked import Parsed
from xfer_bench.frames import CONTRASTS

FEW = ("--resamples", "200", "--only", "gain_heatmap")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XFER_BENCH_DATA", raising=False)
    return Shell(tmp_path, monkeypatch, capsys)


def test_a_folder_becomes_one_file(shell: Shell) -> None:
    results_in(shell.folder / "results", answered(), answered(variant="repaired"))
    said = shell.said("report", "-o", "out/mine.html", "--title", "Mine", *FEW)
    assert said.startswith("report in out/mine.html: ")
    parsed = Parsed((shell.folder / "out" / "mine.html").read_bytes())
    assert "Mine" in parsed.text
    assert [one["variant"] for one in parsed.facts["benches"]] == ["published", "repaired"]
    assert not parsed.facts["texts"]


def test_texts_come_from_the_data_root(shell: Shell) -> None:
    results_in(shell.folder / "results", answered())
    texts_in(shell.folder / "mirror")
    shell.said("report", "--with-texts", "--data-root", "mirror", *FEW)
    parsed = Parsed((shell.folder / "report.html").read_bytes())
    assert len([name for name in parsed.scripts if name.startswith("blob-texts")]) == 5


def test_the_question_that_the_study_named_is_asked(shell: Shell) -> None:
    import polars as pl

    results = results_in(shell.folder / "results", answered())
    results.declare(pl.DataFrame([("mixed", "english")], schema=CONTRASTS, orient="row"))
    shell.said("report", *FEW)
    assert "Does mixed gain over english?" in Parsed((shell.folder / "report.html").read_bytes()).text


def test_what_cannot_be_written_or_read_is_one_line(shell: Shell) -> None:
    results_in(shell.folder / "results", answered())
    (shell.folder / "taken").mkdir()
    assert "taken is a folder" in shell.refused("report", "-o", "taken", *FEW)
    assert "no predictions in nowhere" in shell.refused("report", "nowhere", *FEW)
    assert "no folder" in shell.refused("report", "--with-texts", "--data-root", "nowhere", *FEW)
    (shell.folder / "mirror" / "cambridgeltl" / "xcopa").mkdir(parents=True)
    assert "cambridgeltl/xcopa" in shell.refused("report", "--with-texts", "--data-root", "mirror", *FEW)
    assert not (shell.folder / "report.html").exists()


def test_a_place_that_cannot_be_written_is_refused_before_any_result_is_read(shell: Shell) -> None:
    (shell.folder / "file").touch()
    for place in ("file/report.html", "/proc/nowhere/report.html"):
        assert f"cannot write {place}: " in shell.refused("report", "no-results", "-o", place)
    assert "no predictions in no-results" in shell.refused("report", "no-results", "-o", "not/yet/report.html")
    assert [path.name for path in shell.folder.iterdir()] == ["file"]
