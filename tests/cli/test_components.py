"""`components`: the mean squares' table, from a results folder."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.shell import Shell
from tests.predictions import make_predictions, right
from xfer_bench.results import Results
from xfer_bench.stats.components import variance_components


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    Results(tmp_path / "results").add(make_predictions())
    return Shell(tmp_path, monkeypatch, capsys)


def test_every_factor_of_every_arm_has_its_row(shell: Shell) -> None:
    page = shell.said("components")
    assert page.splitlines()[0] == "xcopa test (CO)"
    assert max(map(len, page.splitlines())) <= 100
    for name in ("cluster", "seed", "language", "cluster x seed", "cluster x language", "seed x language", "residual"):
        assert sum(f"| {name} " in line for line in page.splitlines()) >= 4
    assert page.splitlines()[-1].startswith("anova:mean-squares|v")


def test_json_and_csv_hold_what_the_statistics_say(shell: Shell) -> None:
    rows = json.loads(shell.said("components", "--format", "json"))["components"]
    predictions = make_predictions()
    gains = [
        [
            right(predictions, run=f"mixed-{seed}", language=code)
            - right(predictions, run=f"none-{seed}", language=code)
            for code in ("en", "et", "sw", "th", "zh")
        ]
        for seed in (0, 1)
    ]
    expected = variance_components(100.0 * np.moveaxis(np.array(gains), 2, 0))
    mine = [row["estimate"] for row in rows if (row["arm"], row["quantity"]) == ("mixed", "gain")]
    assert mine == pytest.approx(expected.estimates)
    assert min(mine) < 0  # shown as it comes out
    table = [*csv.DictReader(io.StringIO(shell.said("components", "--format", "csv")))]
    assert [float(row["estimate"]) for row in table] == [row["estimate"] for row in rows]


def test_without_pairs_there_is_one_line(shell: Shell) -> None:
    Results(shell.folder / "alone").add(make_predictions(effects={"none": 0.0}))
    assert "only the arm 'none' is in these results" in shell.refused("components", "alone")
    Results(shell.folder / "alone").add(make_predictions(effects={"siqa": 0.0}, seeds=(5,)))
    assert "no run shares its task, setting and target seed" in shell.refused(
        "components", "alone", "--baseline", "none"
    )
