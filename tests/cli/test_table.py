import csv
import io
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from tests.predictions import make_predictions
from xfer_bench.cli.table import table
from xfer_bench.errors import ResultsError
from xfer_bench.results import Results

COMMITTED = Path(__file__).parents[2] / "data" / "results"

app = typer.Typer()
app.command()(table)


def said(*arguments: object) -> str:
    """What the command prints where it succeeds."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--resamples", "100"], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize(
    ("name", "format"),
    [("main", "markdown"), ("languages", "latex"), ("arms", "csv"), ("seeds", "latex"), ("ranks", "csv")],
)
def test_every_table_is_printed(name: str, format: str) -> None:
    page = said(name, COMMITTED / "xcopa-starter", "--format", format)
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(page)))
        assert rows
        assert all(None not in row for row in rows)
    else:
        assert ("| --- |" if format == "markdown" else rf"\label{{tab:{name}") in page


def test_a_file_gets_the_format_of_its_name(tmp_path: Path) -> None:
    place = COMMITTED / "xcopa-starter"
    assert said("main", place, "-o", tmp_path / "main.tex") == ""
    assert (tmp_path / "main.tex").read_text(encoding="utf-8").startswith("% xfer-bench")
    said("main", place, "-o", tmp_path / "main.csv")
    assert (tmp_path / "main.csv").read_text(encoding="utf-8").splitlines()[1].startswith(",none (accuracy),")
    said("main", place, "-o", tmp_path / "main")
    assert (tmp_path / "main").read_text(encoding="utf-8").startswith("**Gains")


def test_the_signature_tells_how_to_get_the_same_numbers() -> None:
    page = said("main", COMMITTED / "xcopa-starter", "--adjust", "bh", "--seed", "3", "--uncertainty", "se")
    assert page.splitlines()[-1].startswith("`boot:pct|B:100|over:items|clusters:item|seed:3|bh(")
    assert "±" in page


def test_results_without_stages_have_no_table_of_arms(tmp_path: Path) -> None:
    Results(tmp_path).add(make_predictions())
    done = CliRunner().invoke(app, ["arms", str(tmp_path)])
    assert isinstance(done.exception, ResultsError)
    assert "hold no stages" in str(done.exception)


def test_the_headline_is_the_repaired_variant(tmp_path: Path) -> None:
    Results(tmp_path).add(make_predictions())
    Results(tmp_path).add(make_predictions(seed=9).with_columns(variant=pl.lit("repaired")))
    assert "xcopa (repaired): test split, the repaired variant" in said("main", tmp_path)
    assert "xcopa: test split, as published" in said("main", tmp_path, "--variant", "published")
    both = said("main", tmp_path, "--variant", "both")
    assert "xcopa (published) avg" in both
    assert "xcopa (repaired) avg" in both
