"""`power`, before a study and after: what it prints, and what it refuses."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from tests.predictions import make_predictions
from xfer_bench.cli.power import power
from xfer_bench.errors import ResultsError
from xfer_bench.results import Results
from xfer_bench.stats.observed_power import observe
from xfer_bench.stats.power import Wanted

APP = typer.Typer()
APP.command("power")(power)


def said(*arguments: str) -> str:
    """What a command that succeeds prints."""
    result = CliRunner().invoke(APP, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    """The line with which a command is refused."""
    with pytest.raises(ResultsError) as refusal:
        CliRunner().invoke(APP, arguments, catch_exceptions=False)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("power") / "results"
    two = [make_predictions(seeds=(0, 1, 2)), make_predictions(seeds=(0, 1, 2), task="xnli", items_per_cluster=3)]
    Results(folder).add(pl.concat(two))
    return str(folder)


def narrow(page: str) -> bool:
    return max(map(len, page.splitlines())) <= 100


def test_before_a_study_there_are_the_benchmarks() -> None:
    page = said()
    assert narrow(page)
    assert "XCOPA's 500 items\n" in page
    assert "XNLI's 5,010 items\n" in page
    assert [line.split("|")[-1].strip() for line in page.splitlines() if line.startswith("one language")] == [
        "5.6",
        "8.8",
        "1.8",
        "2.8",
    ]
    assert page.rstrip().splitlines()[-1].startswith("power:0.8|level:0.95|")


def test_before_a_study_options_describe_it() -> None:
    page = said(
        *("--items", "1000", "--discordance", "0.3", "--languages", "4", "--correlation", "0.2"),
        *("--seeds", "5", "--seed-sd", "0.8", "--gain", "4", "--power", "0.9"),
    )
    assert narrow(page)
    assert "1,000 items, 5 seeds with an sd of 0.8 points" in page
    assert "items and seeds: needed to find 4 points" in page
    assert len([line for line in page.splitlines() if line.startswith(("one language", "4 languages"))]) == 2
    assert "90 % power" in page


def test_after_a_study_there_is_a_table_per_target(results: str) -> None:
    page = said(results)
    assert narrow(page)
    assert "xcopa test, setting CO: 60 items, baseline none" in page
    assert "xnli test, setting CO: 60 items in 20 clusters, baseline none" in page
    assert "needed" not in page
    wanted = said(results, "--gain", "3")
    assert narrow(wanted)
    assert wanted.count("needed to find 3 points with 80 % power at 95 %, two-sided") == 2


def test_after_a_study_numbers_are_those_of_the_statistics(results: str) -> None:
    observed = observe(Results(results).predictions(), baseline="english", wanted=Wanted(gain=5, power=0.7, level=0.9))
    asked = ("--baseline", "english", "--gain", "5", "--power", "0.7", "--level", "0.9")
    page = json.loads(said(results, *asked, "--format", "json"))
    assert page["settings"] | {"version": ""} == {"power": 0.7, "level": 0.9, "version": ""}
    assert [(row["arm"], row["language"], row["smallest"], row["items_needed"]) for row in page["power"]] == [
        (one.arm, one.language, one.smallest, one.items_needed) for one in observed
    ]
    rows = list(csv.DictReader(io.StringIO(said(results, *asked, "--format", "csv"))))
    assert [float(row["smallest_both"]) for row in rows] == [one.smallest_both for one in observed]
    assert rows[0]["languages"].split() == list(observed[0].languages)


def test_other_formats_before_a_study() -> None:
    page = json.loads(said("--items", "500", "--discordance", "0.2", "--format", "json"))
    assert [round(row["smallest"], 1) for row in page["power"]] == [5.6]
    (row,) = csv.DictReader(io.StringIO(said("--items", "500", "--discordance", "0.2", "--format", "csv")))
    assert (row["items"], row["languages"]) == ("500", "1")
    page = said("--items", "500", "--format", "markdown")
    assert page.startswith("**500 items**\n\n| mean over |")
    assert page.rstrip().splitlines()[-1].startswith("`power:0.8|")


def test_markdown_after_a_study(results: str) -> None:
    page = said(results, "--format", "markdown", "--gain", "3")
    assert page.count("| arm | seeds | language |") == page.count("| arm | language | gain |") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--baseline", "none"), "--baseline is about runs of RESULTS"),
        (("--items", "-3"), "-3 items in 1 language are no study"),
        (("--discordance", "20"), "discordance of 20"),
        (("--power", "1.2"), "power of 1.2"),
        (("--level", "95"), "level of 95"),
        (("--gain", "-1"), "wanted gain of -1"),
        (("--seeds", "5"), "seed sd go together"),
        (("--items", "100", "--correlation", "0.1"), "2 or more"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(*arguments)


def test_bad_results_are_one_line(results: str, tmp_path: Path) -> None:
    assert "no predictions" in refused(str(tmp_path / "nowhere"))
    assert "no arm named 'nobody'" in refused(results, "--baseline", "nobody")
    assert "are observed in RESULTS" in refused(results, "--items", "10")
    alone = tmp_path / "alone"
    Results(alone).add(make_predictions(effects={"none": 0}))
    assert "only the arm 'none' is in these results" in refused(str(alone))
    Results(alone).add(make_predictions(effects={"siqa": 0}, seeds=(5,)))
    assert "no run shares its task" in refused(str(alone), "--baseline", "none")
