import csv
import io
from itertools import pairwise
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


def test_what_cannot_be_written_is_refused_before_any_result_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, line in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "main.csv", "cannot write"),
        (tmp_path / "main.doc", "use .md, .csv, .tex"),
    ):
        done = CliRunner().invoke(app, ["main", str(tmp_path / "no-results"), "-o", str(place)])
        assert isinstance(done.exception, ResultsError)
        assert line in str(done.exception)


@pytest.mark.parametrize("name", ["languages", "seeds", "ranks"])
@pytest.mark.parametrize("folder", ["xcopa-starter", "xcopa-xnli-starter"])
def test_every_row_of_a_csv_tells_its_target(name: str, folder: str) -> None:
    rows = list(csv.DictReader(io.StringIO(said(name, COMMITTED / folder, "--format", "csv"))))
    own = {tuple(row[key] for key in ("task", "variant", "split", "setting", "target")) for row in rows}
    if folder == "xcopa-starter":
        assert own == {("xcopa", "published", "test", "CO", "xcopa")}
    else:
        assert own == {("xcopa", "repaired", "test", "CO", "xcopa"), ("xnli", "published", "test", "NLI", "xnli")}


@pytest.mark.parametrize("name", ["main", "languages", "arms", "seeds", "ranks"])
def test_heads_of_a_csv_are_unique_and_say_no_word_twice(name: str) -> None:
    heads = said(name, COMMITTED / "xcopa-xnli-starter", "--format", "csv").splitlines()[0]
    (names,) = csv.reader([heads])
    assert len(set(names)) == len(names)
    for head in names:
        assert not any(one == two for one, two in pairwise(head.split())), head


def test_heads_of_a_csv_name_arm_and_quantity() -> None:
    (row, *_) = csv.DictReader(io.StringIO(said("languages", COMMITTED / "xcopa-starter", "--format", "csv")))
    assert {"none accuracy", "siqa accuracy", "siqa gain", "siqa gain p", "siqa gain low"} <= row.keys()
    (row, *_) = csv.DictReader(io.StringIO(said("main", COMMITTED / "xcopa-starter", "--format", "csv")))
    assert row["xcopa (published, test, CO) avg accuracy"] == "56.054545454545455"
    page = said("languages", COMMITTED / "xcopa-starter")
    assert "| language | none accuracy | siqa accuracy | siqa gain |" in page


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
