"""The published tables: their schema, our names in them, and the arithmetic that ties them together."""

from pathlib import Path

import polars as pl
import pytest

from xfer_bench.errors import ResultsError, SourceError
from xfer_bench.languages import in_pretraining
from xfer_bench.published import (
    ELSEWHERE,
    READINGS,
    REFERENCES,
    accuracies,
    folder,
    mean_accuracy,
    read_references,
    references,
)
from xfer_bench.tasks import TASKS

EVERYTHING = references()
CHART = pl.col("reading") == "digitised"


def test_every_file_has_the_schema() -> None:
    for file in folder().glob("*.csv"):
        assert file.read_text(encoding="utf-8").splitlines()[0] == ",".join(REFERENCES), file.name


def test_no_number_is_without_a_source_and_none_comes_twice() -> None:
    assert EVERYTHING.schema == pl.Schema(REFERENCES)
    for column in ("source", "table", "task", "language", "metric", "reading"):
        assert EVERYTHING.filter(pl.col(column) == "").is_empty(), column
    key = [column for column in REFERENCES if column not in {"value", "reading"}]
    assert EVERYTHING.filter(pl.struct(key).is_duplicated()).is_empty()
    assert set(EVERYTHING["reading"]) == set(READINGS)


def test_tasks_and_languages_are_ours() -> None:
    assert set(EVERYTHING["task"]) <= {*TASKS, *ELSEWHERE}
    assert not ELSEWHERE & {*TASKS}
    for task, code in EVERYTHING.select("task", "language").unique().iter_rows():
        assert code in {"avg", "all"} or code in (TASKS[task].languages if task in TASKS else ("en",)), (task, code)
    assert EVERYTHING["metric"].str.contains("^[a-z0-9_]+$").all()
    assert set(EVERYTHING["split"]) == {"test", "validation", ""}


def test_accuracies_are_points_and_those_on_xcopa_are_of_its_500_items() -> None:
    points = EVERYTHING.filter(pl.col("metric").is_in(["acc", "f1"]))
    assert points["value"].is_between(30, 100).all()
    single = points.filter((pl.col("task") == "xcopa") & (pl.col("split") == "test") & (pl.col("language") != "avg"))
    assert (single["value"] * 5 - (single["value"] * 5).round()).abs().max() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("model", "average"), [("Human", 97.60), ("RoBERTa-large", 76.05), ("XLM-R-large", 68.69), ("MAD-X-base", 60.94)]
)
def test_printed_averages_are_means_over_eleven_languages(model: str, average: float) -> None:
    # Averages as printed in the README of cambridgeltl/xcopa at e2e9d7f.
    rows = accuracies("xcopa", model=model).filter(table="leaderboard")
    assert rows.filter(language="avg")["value"].to_list() == [average]
    assert rows.height == 12
    assert mean_accuracy(rows) == pytest.approx(average, abs=0.06 if model == "MAD-X-base" else 0.006)


def test_digitised_bars_equal_what_the_readme_prints() -> None:
    rows = accuracies("xcopa", model="XLM-R-large")
    printed = rows.filter(reading="printed").filter(pl.col("language") != "avg").select("language", "value")
    bars = rows.filter(CHART).select("language", "value")
    assert printed.join(bars, on=["language", "value"], how="anti").is_empty()
    assert printed.height == 9
    # With the two bars in place of what was entered.
    assert mean_accuracy(bars.filter(pl.col("language") != "en")) == pytest.approx(69.13, abs=0.005)


def test_what_was_entered_is_what_the_model_never_saw() -> None:
    entered = EVERYTHING.filter(reading="entered").select("model", "language", "value").rows()
    assert {row for row in entered if row[0] == "XLM-R-large"} == {
        ("XLM-R-large", code, 50.0) for code in TASKS["xcopa"].languages if in_pretraining("XLM-R-large", code) is False
    }
    # Quechua could not be translated for the translate-test baseline.
    assert {row for row in entered if row[0] != "XLM-R-large"} == {("RoBERTa-large", "qu", 50.0)}


def test_the_counted_defect_of_xcopa() -> None:
    wrong = references("xcopa", metric="question_not_consensus").filter(
        (pl.col("split") == "test") & (pl.col("value") > 0)
    )
    assert dict(wrong.select("language", "value").iter_rows()) == {"th": 250, "tr": 51, "sw": 37, "id": 4, "it": 4}


def test_a_model_is_found_by_its_letters() -> None:
    names = {name: set(references(model=name)["model"]) for name in ("xlm-r large", "XLM", "MAD-X base", "mt5")}
    assert names == {
        "xlm-r large": {"XLM-R-large"},
        "XLM": {"XLM"},
        "MAD-X base": {"MAD-X-base"},
        "mt5": {"mT5-Small", "mT5-Base", "mT5-Large", "mT5-XL", "mT5-XXL"},
    }


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"task": "ycopa"}, "nothing is published here of the task 'ycopa'; there is bucc2018"),
        ({"task": "xcopa", "model": "GPT"}, "of a model 'GPT' on xcopa; there is Human, MAD-X-base, MultiUSE"),
        ({"task": "xnli", "language": "sw"}, "of the language 'sw'; there is avg, en"),
        ({"model": "-"}, "of a model '-'; there is"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(wanted: dict[str, str], says: str) -> None:
    with pytest.raises(ResultsError, match=says):
        references(**wanted)


def test_one_model_is_meant() -> None:
    with pytest.raises(ResultsError, match="names several published models: mT5"):
        accuracies("xnli", model="mt5")


def test_a_mean_is_over_single_values() -> None:
    with pytest.raises(ResultsError, match="several published values"):
        mean_accuracy(accuracies("xcopa", model="XLM-R-large"))
    with pytest.raises(ResultsError, match="no published value of a single language"):
        mean_accuracy(accuracies("xnli", model="X-STILTs"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "missing; looked in"),
        ("source,value\na,1\n", "its columns are not source, table"),
        (f"{','.join(REFERENCES)}\na,b,c,d,e,f,g,h,i,printed\n", "cannot be read"),
        (f"{','.join(REFERENCES)}\na,b,c,d,e,f,g,h,1,guessed\n", "a reading 'guessed'"),
        (f"{','.join(REFERENCES)}\na,b,c,d,e,f,g,h,,printed\n", "cannot be read"),
    ],
)
def test_damaged_tables_are_refused(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError, match=says):
        read_references(tmp_path)
