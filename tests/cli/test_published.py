"""`published`, and `compare --published`."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.shell import Shell
from tests.predictions import make_predictions
from xfer_bench.results import Results


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


def test_published_numbers_are_printed_with_their_sources(shell: Shell) -> None:
    page = shell.said("published", "--task", "xcopa", "--model", "XLM-R large", "--language", "avg")
    assert "68.69" in page
    assert "cambridgeltl/xcopa README.md @e2e9d7f" in page
    rows = json.loads(shell.said("published", "--task", "xcopa", "--metric", "all", "--format", "json"))["references"]
    assert {"learning_rate", "acc", "items"} <= {row["metric"] for row in rows}
    assert "of the task 'nothing'" in shell.refused("published", "--task", "nothing")


def test_the_figure_has_its_numbers_and_caption_beside_it(shell: Shell) -> None:
    assert "baselines.svg" in shell.said("published", "--figure", "baselines.svg")
    assert sorted(path.name for path in shell.folder.iterdir()) == ["baselines.csv", "baselines.svg", "baselines.txt"]
    assert pl.read_csv(shell.folder / "baselines.csv").height == 48
    assert "ends in .doc; use .pdf, .png, .svg" in shell.refused("published", "--figure", "baselines.doc")


def test_compare_puts_a_published_model_beside_the_arms(shell: Shell) -> None:
    Results(shell.folder / "results").add(make_predictions(n_items=20))
    asked = ("compare", "--published", "XLM-R large", "--resamples", "100")
    page = shell.said(*asked)
    assert "accuracy beside XLM-R-large as published" in page
    assert "was entered there for ht and qu" in " ".join(page.split())
    assert {row["who"] for row in json.loads(shell.said(*asked, "--format", "json"))["published"]} > {"none", "mixed"}
    assert "of a model 'BLOOM' on xcopa; there is" in shell.refused(
        "compare", "--published", "BLOOM", "--resamples", "100"
    )
