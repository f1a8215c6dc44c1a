"""Each prediction is one line, with nothing lost."""

import json
from io import BytesIO
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_data, make_predictions
from xfer_bench.errors import ResultsError
from xfer_bench.export.rows import export_rows
from xfer_bench.frames import PREDICTIONS
from xfer_bench.results import Results, slices

FORMATS: tuple[Literal["jsonl", "csv"], ...] = ("jsonl", "csv")
KEY = ["run", "task", "language", "item"]


def mixed() -> pl.DataFrame:
    """Two and three scores a row, full float32s, nulls, and names that need quotes."""
    two = make_predictions(effects={"none": 0.0, 'a, "b"\nc': 0.1}, n_items=9).with_columns(
        scores=pl.concat_list(pl.int_range(pl.len()).sqrt().cast(pl.Float32), pl.lit(-0.1, dtype=pl.Float32))
    )
    three = make_predictions(effects={"ä": 0.2}, task="xnli", n_items=9).with_columns(
        scores=pl.lit([1e-8, 2.5, -3.25e7], dtype=pl.List(pl.Float32)), step=pl.lit(12, dtype=pl.Int64)
    )
    return pl.concat([two, three])


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = Results(tmp_path / "results")
    results.add(mixed())
    return results


def test_json_lines_hold_every_column(results: Results, tmp_path: Path) -> None:
    count = export_rows(results, tmp_path / "out.jsonl", format="jsonl")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == count == mixed().height
    assert all(list(json.loads(line)) == list(PREDICTIONS) for line in lines)
    again = pl.read_ndjson(tmp_path / "out.jsonl", schema=PREDICTIONS)
    assert_frame_equal(again.sort(KEY), mixed().sort(KEY))


def test_a_csv_is_flat_and_has_one_header(results: Results, tmp_path: Path) -> None:
    count = export_rows(results, tmp_path / "out.csv", format="csv")
    table = pl.read_csv(tmp_path / "out.csv", schema_overrides={"item": pl.String, "cluster": pl.String})
    assert table.height == count == mixed().height
    names = list(PREDICTIONS)
    place = names.index("scores")
    assert table.columns == [*names[:place], "score_0", "score_1", "score_2", *names[place + 1 :]]
    scores = pl.concat_list(pl.col("score_0", "score_1", "score_2").cast(pl.Float32)).list.drop_nulls()
    again = table.with_columns(scores=scores).select(pl.col(name).cast(kind) for name, kind in PREDICTIONS.items())
    assert_frame_equal(again.sort(KEY), mixed().sort(KEY))


@pytest.mark.parametrize("rows", [1, 7, 18, 10_000])
def test_a_file_in_slices_is_the_file(results: Results, rows: int) -> None:
    for path in results.files():
        parts = list(slices(path, rows=rows))
        assert max(part.height for part in parts) <= rows
        assert_frame_equal(pl.concat(parts), pl.read_parquet(path))


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_there_is_never_overwritten(results: Results, tmp_path: Path, format: Literal["jsonl", "csv"]) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ResultsError, match="out is there already; give a new name"):
        export_rows(results, tmp_path / "out", format=format)
    assert (tmp_path / "out").read_text() == "mine"
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResultsError, match=f"folder is a folder; give the name of a new file for {format}"):
        export_rows(results, tmp_path / "folder", format=format)


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_file_leaves_no_output(results: Results, tmp_path: Path, format: Literal["jsonl", "csv"]) -> None:
    last = results.files()[-1]
    last.write_bytes(last.read_bytes()[:-50])
    with pytest.raises(ResultsError, match=f"{last.name} is damaged"):
        export_rows(results, tmp_path / "out", format=format)
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


@pytest.mark.parametrize("format", FORMATS)
def test_no_rows_are_no_file(tmp_path: Path, format: Literal["jsonl", "csv"]) -> None:
    folder = tmp_path / "results" / "predictions"
    folder.mkdir(parents=True)
    with pytest.raises(ResultsError, match="no predictions in"):
        export_rows(Results(tmp_path / "results"), tmp_path / "out", format=format)
    empty = BytesIO()
    mixed().clear().write_parquet(empty)
    (folder / "empty.parquet").write_bytes(empty.getvalue())
    with pytest.raises(ResultsError, match="its 1 files have no rows"):
        export_rows(Results(tmp_path / "results"), tmp_path / "out", format=format)
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


def test_a_file_that_cannot_be_written_is_one_line(results: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResultsError, match=r"cannot write .*file/out: .*file is a file") as caught:
        export_rows(results, tmp_path / "file" / "out", format="csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", FORMATS)
def test_which_rows_a_prediction_is_of_goes_along_where_it_is_told(
    tmp_path: Path, format: Literal["jsonl", "csv"]
) -> None:
    predictions = make_predictions(effects={"none": 0.0}, n_items=9)
    results = Results(tmp_path / "results")
    thai = predictions.filter(language="th")
    results.add(predictions, data=make_data(thai))
    export_rows(results, tmp_path / "out", format=format)
    table = pl.read_ndjson(tmp_path / "out") if format == "jsonl" else pl.read_csv(tmp_path / "out")
    assert table.columns[-3:] == ["repository", "revision", "fingerprint"]
    told = table.filter(pl.col("fingerprint").is_not_null())
    assert set(told["language"]) == {"th"}
    assert told.height == thai.height
    assert set(told["repository"]) == {"some/rows"}
    assert set(told["fingerprint"]) == set(make_data(thai)["fingerprint"])
