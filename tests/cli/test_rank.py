import csv
import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.predictions import make_predictions, make_stages
from xfer_bench.cli.rank import rank
from xfer_bench.errors import ResultsError
from xfer_bench.results import Results

COMMITTED = Path(__file__).parents[2] / "data" / "results"

app = typer.Typer()
app.command()(rank)


def said(*arguments: object) -> str:
    """What the command prints where it succeeds."""
    done = CliRunner().invoke(app, ["--resamples", "200", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("name", ["xcopa-starter", "xcopa-xnli-starter"])
def test_the_baseline_is_ranked_and_the_table_fits(name: str) -> None:
    printed = said(COMMITTED / name)
    assert max(map(len, printed.splitlines())) <= 100
    assert any(line.split("|")[1].strip() == "none" for line in printed.splitlines() if line.count("|") == 6)
    assert printed.splitlines()[-1].startswith("rank:max-t|boot:pct|B:200|over:items|clusters:joint|seed:0|v")


def test_k_is_what_was_asked() -> None:
    found = json.loads(said(COMMITTED / "xcopa-starter", "--k", 2, "--k", 1, "--k", 7, "--format", "json"))
    ranking, regret = found["ranks"]
    assert (ranking["kind"], regret["kind"]) == ("ranking", "regret")
    assert [lost["k"] for lost in regret["lost"]] == [1, 2]
    assert {one["arm"] for one in ranking["ranks"]} == {"none", "siqa", "xnli-15", "xnli-en"}


def test_csv_has_a_row_for_each_arm_and_each_k() -> None:
    rows = list(csv.DictReader(io.StringIO(said(COMMITTED / "xcopa-starter", "--format", "csv"))))
    assert [row["kind"] for row in rows] == ["rank"] * 4 + ["regret"] * 3
    assert rows[-1]["picked"] == "xnli-en xnli-15 siqa"


def test_markdown_is_a_table(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path)
    results.add(predictions)
    results.add_stages(make_stages(predictions))
    printed = said(tmp_path, "--format", "markdown")
    assert "| group | arm | rank | may be | gain | 95 % interval | P(best) |" in printed
    assert "| best | k | tried | lost |" in printed


def test_an_arm_that_is_not_there_is_one_line() -> None:
    done = CliRunner().invoke(app, [str(COMMITTED / "xcopa-starter"), "--baseline", "other"])
    assert isinstance(done.exception, ResultsError)
    assert "no arm named 'other'" in str(done.exception)


def test_a_k_beyond_all_arms_is_told_and_left_out(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path)
    results.add(predictions)
    results.add_stages(make_stages(predictions))
    printed = said(tmp_path, "--k", 99)
    assert "--k 99 is left out: on no target are there as many arms with an intermediate measure" in printed
    assert "points lost" not in printed
    assert "--k 99 is left out" in said(tmp_path, "--k", 2, "--k", 99)


def test_ranks_over_a_handful_of_clusters_are_not_certain(tmp_path: Path) -> None:
    Results(tmp_path).add(make_predictions(effects={"none": -3.0, "mixed": 6.0}, n_items=3))
    assert "caution: 3 clusters are too few for a bootstrap: no rank, group or interval" in said(tmp_path)
