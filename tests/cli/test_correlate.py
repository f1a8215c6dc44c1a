import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from tests.predictions import make_predictions, make_stages
from xfer_bench.cli.correlate import correlate
from xfer_bench.errors import ResultsError
from xfer_bench.results import Results
from xfer_bench.stats.correlation import relate

COMMITTED = Path(__file__).parents[2] / "data" / "results"
ARMS = {"none": 0.0, **{f"arm[{place}]": 0.3 * place for place in range(7)}}

app = typer.Typer()
app.command()(correlate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two targets with seven arms, each with an intermediate task of its own, and three seeds."""
    results = Results(tmp_path_factory.mktemp("correlate") / "results")
    predictions = pl.concat(
        [
            make_predictions(effects=ARMS, seeds=(0, 1, 2), task=task, n_items=40).with_columns(
                run=pl.col("run") + task
            )
            for task in ("xcopa", "xnli")
        ]
    )
    results.add(predictions)
    results.add_stages(make_stages(predictions))
    return results.folder


def said(*arguments: object) -> str:
    """What the command prints where it succeeds."""
    done = CliRunner().invoke(app, ["--resamples", "100", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def refused(*arguments: object) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(done.exception, ResultsError)
    return str(done.exception)


def test_with_two_tasks_nothing_is_said_about_tasks() -> None:
    printed = said(COMMITTED / "xcopa-starter")
    words = " ".join(printed.split())
    assert "2 intermediate tasks: nothing can be inferred about intermediate tasks, so there is no p-value" in words
    assert "6 runs of 6 intermediate stages" in words
    assert "within baseline runs" in words
    assert "an r over few arms is mostly chance" in words
    assert printed.splitlines()[-1].startswith("pearson|boot:pct|B:100|over:items|clusters:joint|seed:0|v")


def test_one_arm_has_no_correlation(tmp_path: Path) -> None:
    known, one = Results(COMMITTED / "xcopa-starter"), Results(tmp_path / "one")
    one.add(known.predictions().filter(pl.col("arm").is_in(["none", "siqa"])))
    one.add_stages(known.stages().filter(pl.col("arm").is_in(["none", "siqa"])))
    words = " ".join(said(one.folder).split())
    assert "no r: 2 points are too few; a correlation needs 3." in words
    assert "1 intermediate task: nothing can be inferred" in words
    assert "1 arm is too few" in words


@pytest.mark.parametrize("options", [[], ["--over", "both", "--resample-tasks"], ["--method", "kendall"]])
def test_the_table_fits_and_names_its_method(folder: Path, options: list[str]) -> None:
    printed = said(folder, *options)
    assert max(map(len, printed.splitlines())) <= 100
    assert "without arm[3]_task" in printed
    assert "all targets (2)" in printed
    assert "random orders" in printed or "all orders of the averages of 7 intermediate tasks" in " ".join(
        printed.split()
    )
    over = "items+seeds+tasks" if "--over" in options else "items"
    assert f"over:{over}|" in printed
    assert printed.splitlines()[-1].startswith("kendall|" if "kendall" in options else "pearson|")


def test_json_has_the_numbers_in_full(folder: Path) -> None:
    found = json.loads(said(folder, "--format", "json", "--seed", "3"))
    kinds = [row["kind"] for row in found["correlations"]]
    assert kinds == ["relation", "relation", "pooled", "languages", "languages", "targets"]
    results = Results(folder)
    first = relate(results.predictions(), results.stages(), resamples=100, seed=3)[0]
    assert found["correlations"][0]["correlation"]["r"] == first.correlation.r
    assert found["correlations"][0]["correlation"]["low"] == first.correlation.low
    assert found["settings"]["method"] == "pearson"


def test_csv_has_a_row_for_each_correlation(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(said(folder, "--format", "csv"))))
    kinds = [row["kind"] for row in rows]
    assert kinds.count("points") == kinds.count("within") == kinds.count("corrected") == 2
    assert kinds.count("without") == 14
    assert kinds.count("pooled") == 1
    assert kinds.count("languages") == 2 * 10
    assert kinds.count("targets") == 1
    assert all(row["r"] for row in rows if row["kind"] in {"points", "languages"})


def test_markdown_escapes_names(folder: Path) -> None:
    printed = said(folder, "--format", "markdown")
    assert r"without arm\[3\]\_task" in printed
    assert printed.strip().endswith("`")


def test_without_stages_the_arms_are_still_compared(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(make_predictions(effects=ARMS, n_items=20))
    done = CliRunner().invoke(app, [str(tmp_path), "--resamples", "100"])
    assert "no compared run has an intermediate stage with a development accuracy" in done.stderr
    assert "arms' gains between languages" in done.stdout


def test_what_cannot_be_done_is_one_line(tmp_path: Path) -> None:
    starter = COMMITTED / "xcopa-starter"
    assert refused(starter, "--over", "both").startswith("seeds cannot be drawn from 2 target seeds")
    assert refused(starter, "--resample-tasks").startswith("tasks cannot be drawn from 2 intermediate tasks")
    assert "no predictions" in refused(tmp_path)
    assert "no arm named 'other'" in refused(starter, "--baseline", "other")


def test_one_language_without_stages_is_nothing_to_correlate(tmp_path: Path) -> None:
    Results(tmp_path).add(make_predictions(effects=ARMS, n_items=20, languages=("et",)))
    assert refused(tmp_path).endswith("with a development accuracy, and the gains are in one language")
