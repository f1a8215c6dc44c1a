"""The record of a results folder: what is known, and what is not."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.predictions import make_checkpoints, make_data, make_predictions
from xfer_bench.report.record import record_of, render_record, short_record, torn_record
from xfer_bench.results import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Thai rows are told of two runs of six, Chinese ones of all, and the other languages of none."""
    predictions = make_predictions(languages=("en", "th", "zh"))
    results = Results(tmp_path)
    told = predictions.filter((pl.col("language") == "zh") | ((pl.col("language") == "th") & (pl.col("arm") == "none")))
    results.add(predictions)
    results.add(told, data=make_data(told, revision="local"))
    none = predictions.filter(arm="none")
    results.add_checkpoints(make_checkpoints(none))
    foreign = make_checkpoints(predictions.filter(arm="mixed")).with_columns(model=pl.lit(""), lineage=pl.lit(""))
    results.add_checkpoints(foreign)
    return results


def test_a_line_says_where_rows_are_from_and_of_how_many_runs(results: Results) -> None:
    lines = render_record(record_of(results), as_json=False).splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if "| some/rows" in line]
    assert [(one[2], one[4], one[6], one[7]) for one in cells] == [
        ("th", "local", "thathathatha", "2"),
        ("zh", "local", "zhazhazhazha", "6"),
    ]
    assert "not recorded, for up to 6 runs: xcopa test in en, th" in lines
    assert lines[-1] == "4 checkpoints: 2 began with starter, 2 without a lineage"


def test_json_holds_every_number_and_lineage(results: Results) -> None:
    told = json.loads(render_record(record_of(results), as_json=True))
    assert [(one["language"], one["rows"], one["runs"]) for one in told["data"]] == [("th", 60, 2), ("zh", 60, 6)]
    assert [(one["language"], one["runs"]) for one in told["unrecorded"]] == [("en", 6), ("th", 4)]
    assert {one["run"]: one["lineage"] for one in told["checkpoints"]} == {
        "mixed-0": None, "mixed-1": None, "none-0": {"key": "k"}, "none-1": {"key": "k"},
    }  # fmt: skip


def test_folders_of_earlier_versions_have_an_empty_one(tmp_path: Path) -> None:
    Results(tmp_path).add(make_predictions(seeds=(0,)))
    text = render_record(record_of(Results(tmp_path)), as_json=False)
    assert text == ("not recorded, for up to 3 runs: xcopa test in en, et, sw, th, zh\n\nno checkpoint is recorded")


def test_in_short_it_is_a_digest_a_split_that_changes_with_the_rows() -> None:
    predictions = make_predictions(seeds=(0,))
    one, same, other = (short_record(make_data(predictions, mark=mark)) for mark in ("a", "a", "b"))
    assert one == same != other
    assert one.startswith("rows: xcopa test ")
    assert len(one) == len("rows: xcopa test ") + 8
    assert short_record(make_data(predictions).clear()) == ""


def test_rows_that_runs_differ_in_are_warned_of() -> None:
    predictions = make_predictions(seeds=(0,), languages=("th", "zh"))
    one, other = (make_data(predictions, mark=mark) for mark in ("a", "b"))
    assert torn_record(one) == ""
    assert torn_record(pl.concat([one, other.filter(language="zh")])).startswith(
        "caution: runs are of different rows of xcopa test in zh, "
    )
