"""`figures`: what is asked for is drawn, and what is no figure, format or width is refused in one line."""

from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.predictions import make_predictions, make_stages
from xfer_bench.results import Results


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    predictions = make_predictions(n_items=20, languages=("en", "et", "zh"))
    results = Results(tmp_path / "results")
    results.add(predictions)
    results.add_stages(make_stages(predictions))
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


def test_only_the_figures_asked_for_in_the_formats_asked_for(shell: Shell) -> None:
    asked = ("--only", "ranking,seeds", "--only", "trajectories", "--format", "svg", "--resamples", "100")
    code, out, err = shell.run("figures", *asked, "--style", "slides", "--columns", "1", "--order", "gain")
    assert code == 0
    assert "figures in figures: seeds, ranking (SVG; numbers as CSV, captions as text)" in out.replace(
        str(shell.folder) + "/", ""
    )
    assert err.startswith("no figure trajectories: no training has predictions of several steps")
    found = {path.name for path in (shell.folder / "figures").iterdir()}
    assert found == {f"{name}.{kind}" for name in ("seeds", "ranking") for kind in ("svg", "csv", "txt")}


def test_a_place_that_cannot_be_written_is_refused_before_any_result_is_read(shell: Shell) -> None:
    (shell.folder / "file").touch()
    for place in ("file", "file/below", "/proc/nowhere"):
        assert f"cannot write {place}/gain_heatmap.pdf: " in shell.refused("figures", "no-results", "-o", place)
    assert "no figure named 'heatmap'" in shell.refused("figures", "no-results", "--only", "heatmap")
    assert {path.name for path in shell.folder.iterdir()} == {"file", "results"}


def test_where_one_file_cannot_be_written_the_old_figures_stay(shell: Shell) -> None:
    few = ("--only", "ranking,seeds", "--format", "svg", "--resamples", "100")
    shell.said("figures", *few)
    folder = shell.folder / "figures"
    (folder / "seeds.svg").unlink()
    (folder / "seeds.svg").mkdir()
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    line = shell.refused("figures", *few, "--order", "gain", "--style", "slides")
    assert line.startswith("error: cannot write ")
    assert line.endswith("figures/seeds.svg: it is a folder")
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--only", "heatmap"), "error: no figure named 'heatmap'; choose among gain_heatmap, "),
        (("--format", "gif"), "error: no format of figures named 'gif'; choose among pdf, png, svg"),
        (("--format", ","), "error: no format of figures named ''; choose among pdf, png, svg"),
    ],
)
def test_what_is_none_is_refused(shell: Shell, arguments: tuple[str, ...], line: str) -> None:
    assert shell.refused("figures", *arguments, "--resamples", "100").startswith(line)
    assert not (shell.folder / "figures").exists()
