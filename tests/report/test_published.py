"""Published accuracies beside ours: what is shown, and that the conventions that differ are spelled out."""

from dataclasses import replace

import polars as pl
import pytest

from tests.predictions import make_predictions
from xfer_bench.errors import ResultsError
from xfer_bench.published import references
from xfer_bench.report.comparisons import Beside, method_settings, render
from xfer_bench.report.conventions import beside_notes
from xfer_bench.report.published import beside, beside_rows, render_beside
from xfer_bench.report.references import render_references
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.method import Method
from xfer_bench.tasks import TASKS

FEW = Method(resamples=100)


def comparisons(task: str = "xcopa", **more: object) -> list[Comparison]:
    made = make_predictions(
        effects={"none": 0.0, "english": 0.4}, languages=TASKS[task].languages_of("test"), n_items=20, task=task
    )
    return compare(made.with_columns(pl.lit(value).alias(name) for name, value in more.items()), method=FEW)


XCOPA = comparisons()


def cells(page: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if "|" in line]


def test_ours_and_theirs_stand_by_language() -> None:
    known = beside(XCOPA, "XLM-R large")
    (page,) = render_beside(known, "table")
    table = {row[1]: row[2:] for row in cells(page)}
    ours = {one.language: one for one in XCOPA}
    assert table["et"] == [f"{ours['et'].baseline_accuracy:.1f}", f"{ours['et'].accuracy:.1f}", "71.4", "71.4"]
    assert table["ht"][2:] == ["[50.0]", "52.8"]
    assert table["en"][2:] == ["", "84.2"]
    assert table["avg"][1:] == [f"{ours['avg'].accuracy:.1f}", "68.69", ""]
    # Over the nine languages that both tables measured: (755.6 - 100) / 9.
    assert table["avg of 9"][2:] == ["72.8", "72.8"]
    assert max(map(len, page.splitlines())) <= 100


def test_where_only_an_average_is_published_it_stands_beside_the_benchmarks_own() -> None:
    xnli = comparisons("xnli")
    known = beside(xnli, "X-STILTs")
    (page,) = render_beside(known, "table")
    own = next(one for one in xnli if one.language == "avg_published")
    assert cells(page)[1] == ["average", "avg", f"{own.baseline_accuracy:.1f}", f"{own.accuracy:.1f}", "80.4"]
    assert "English counts on either side" in " ".join(beside_notes(known))


def test_only_the_data_as_published_are_compared_with_published_numbers() -> None:
    repaired = comparisons(variant="repaired")
    assert len(beside([*XCOPA, *repaired], "XLM-R large")) == 1
    with pytest.raises(ResultsError, match="scored on the variant repaired only"):
        beside(repaired, "XLM-R large")


def test_refusals_say_what_there_is() -> None:
    own = [replace(one, task="quickstart_xcopa") for one in XCOPA]
    with pytest.raises(ResultsError, match="no accuracy is published here of quickstart_xcopa"):
        beside(own, "XLM-R large")
    with pytest.raises(ResultsError, match="of a model 'BLOOM' on xcopa; there is Human"):
        beside(XCOPA, "BLOOM")
    # X-STILTs are published on XNLI only, which is enough.
    assert [known.one.task for known in beside([*XCOPA, *comparisons("xnli")], "X-STILTs")] == ["xnli"]


def test_every_format_has_both() -> None:
    told = Beside(published=beside(XCOPA, "XLM-R large"))
    settings = method_settings(XCOPA, FEW)
    for format in ("table", "markdown"):
        page = render(XCOPA, format=format, settings=settings, beside=told)
        assert "beside XLM-R-large as published" in page
    table = pl.read_csv(render(XCOPA, format="csv", settings=settings, beside=told).encode())
    assert set(table["kind"]) == {"comparison", "published"}
    rows = beside_rows(told.published)
    assert {row["reading"] for row in rows} == {"ours", "printed", "entered", "digitised"}
    assert all(row["source"] for row in rows if row["reading"] != "ours")


def test_references_are_printed_with_their_sources() -> None:
    found = references("xcopa", model="XLM-R large", language="ht", metric="acc").filter(table="leaderboard")
    page = render_references(found, format="table")
    assert cells(page)[1] == ["XLM-R-large", "setting not named there", "test", "ht", "50", "entered"]
    assert "[1] cambridgeltl/xcopa README.md @e2e9d7f" in page
    assert render_references(found, format="csv").splitlines()[0].startswith("source,table,model")
    assert '"reading": "entered"' in render_references(found, format="json")
    assert r"\[1\] cambridgeltl/xcopa" in render_references(found, format="markdown")
