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
