"""Anyone's per-item files become PREDICTIONS, or are refused in one line that says what is missing."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.predictions import make_predictions
from xfer_bench.answers import EVERYTHING, read_answers
from xfer_bench.errors import ResultsError
from xfer_bench.export.lm_eval import export_lm_eval
from xfer_bench.results import Results
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.paired import paired_test

RIGHT = {"a": [1, 0, 1, 1, 0, 1], "b": [1, 1, 1, 1, 0, 1]}


def write(folder: Path, name: str, **columns: list[object]) -> Path:
    path = folder / f"{name}.csv"
    pl.DataFrame(columns).write_csv(path)
    return path


def two(folder: Path) -> list[Path]:
    return [
        write(folder, name, item=[f"q{place}" for place in range(6)], correct=list(right))
        for name, right in RIGHT.items()
    ]


def test_two_files_are_the_paired_test_of_their_answers(tmp_path: Path) -> None:
    (found,) = [one for one in compare(read_answers(two(tmp_path)), baseline="a") if one.language == EVERYTHING]
    expected = paired_test(np.array(RIGHT["b"]), np.array(RIGHT["a"]))
    assert (found.arm, found.baseline) == ("b", "a")
    assert found.gain == pytest.approx(expected.value)
    assert (found.ci_low, found.ci_high, found.p_value) == pytest.approx(
        (expected.low, expected.high, expected.p_value)
    )


def test_labels_and_predictions_clusters_languages_and_seeds_are_taken_where_they_are(tmp_path: Path) -> None:
    rows: dict[str, list[object]] = {
        "item": [1, 2, 3, 4] * 4,
        "cluster": [*"xxyy"] * 4,
        "language": [*["de"] * 4, *["sw"] * 4] * 2,
        "seed": [*[0] * 8, *[1] * 8],
        "label": [0, 1, 2, 0] * 4,
    }
    paths = [
        write(tmp_path, "one", **rows, prediction=[0, 1, 1, 1] * 4),
        write(tmp_path, "two", **rows, prediction=[0, 1, 2, 1] * 4),
    ]
    found = compare(read_answers(paths), baseline="one")
    assert {(one.language, one.n_items, one.n_clusters, one.n_seeds) for one in found} >= {("sw", 4, 2, 2)}
    assert {one.gain for one in found} == {25.0}


def test_samples_of_lm_evaluation_harness_are_read(tmp_path: Path) -> None:
    # Its records, as of 0.4: doc_id, doc, target, resps, acc.
    paths = []
    for name, right in RIGHT.items():
        path = tmp_path / name / "samples_xcopa_th_2026-01-01.jsonl"
        path.parent.mkdir()
        records = [
            {"doc_id": place, "doc": {"premise": "p", "idx": place}, "target": "0", "acc": float(one)}
            for place, one in enumerate(right)
        ]
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        paths.append(path)
    predictions = read_answers(paths)
    assert predictions["arm"].unique(maintain_order=True).to_list() == [str(path.with_suffix("")) for path in paths]
    assert compare(predictions, baseline=str(paths[0].with_suffix("")))[0].gain == pytest.approx(100 / 6)


def test_what_we_export_comes_back_with_its_clusters(tmp_path: Path) -> None:
    predictions = make_predictions(items_per_cluster=3, seeds=(0,))
    Results(tmp_path / "results").add(predictions)
    export_lm_eval(Results(tmp_path / "results"), tmp_path / "out", time=datetime(2026, 1, 1, tzinfo=UTC))
    paths = [next((tmp_path / "out").glob(f"{run}*/samples_*th_*.jsonl")) for run in ("none-0", "mixed-0")]
    found = compare(read_answers(paths), baseline=str(paths[0].with_suffix("")))
    direct = [one for one in compare(predictions) if (one.arm, one.language) == ("mixed", "th")]
    (read,) = [one for one in found if one.language == "th"]
    assert (read.gain, read.ci_low, read.ci_high, read.n_clusters) == (
        direct[0].gain, direct[0].ci_low, direct[0].ci_high, 20,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"item": [1, 2]}, "lacks the column 'label'; it needs item and correct, or item, label and prediction"),
        ({"correct": [1, 0]}, "lacks the column 'item'"),
        ({"item": [1, 2], "correct": [1, 2]}, "has the answer 2 in `correct`; right is 1 and wrong is 0"),
        ({"item": [1, 2], "correct": [1, None]}, "right is 1 and wrong is 0"),
        ({"item": [], "correct": []}, "has no rows"),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path: Path, columns: dict[str, list[object]], says: str) -> None:
    odd = write(tmp_path, "odd", **columns)
    with pytest.raises(ResultsError, match=says) as error:
        read_answers([odd, *two(tmp_path)])
    assert "\n" not in str(error.value)
    assert "odd.csv" in str(error.value)


def test_files_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    first, second = two(tmp_path)
    with pytest.raises(ResultsError, match="is one file"):
        read_answers([first])
    with pytest.raises(ResultsError, match="given twice"):
        read_answers([first, first])
    for name, text in (("a.txt", "x"), ("b.jsonl", "{"), ("c.jsonl", "[1]"), ("d.jsonl", '{"doc_id": 1}')):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(ResultsError, match=name):
            read_answers([tmp_path / name, second])
    with pytest.raises(ResultsError, match=r"none\.csv cannot be read"):
        read_answers([tmp_path / "none.csv", second])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"item": [1, 2], "correct": [1, 0], "language": ["de", None]}, "odd.csv has a row without 'language'"),
        ({"item": [1, 2], "correct": [1, 0], "seed": [1, None]}, "odd.csv has a row without 'seed'"),
        ({"item": [1, 2], "correct": [1, 0], "cluster": [None, "x"]}, "odd.csv has a row without 'cluster'"),
        ({"item": [1, 2], "correct": [1, 0], "seed": ["x", "y"]}, "odd.csv: a column has the wrong type"),
    ],
)
def test_a_row_without_its_name_is_refused_with_its_file(
    tmp_path: Path, columns: dict[str, list[object]], says: str
) -> None:
    odd = write(tmp_path, "odd", **columns)
    with pytest.raises(ResultsError, match=says):
        read_answers([odd, *two(tmp_path)])


@pytest.mark.parametrize(
    "line", ['{"doc_id": 1, "acc": [1]}', '{"doc_id": 1, "acc": {"a": 1}}', "[" * 100_000, '{"doc_id": 1, "acc": null}']
)
def test_samples_that_are_no_answers_are_refused_in_one_line(tmp_path: Path, line: str) -> None:
    odd = tmp_path / "odd.jsonl"
    odd.write_text(line, encoding="utf-8")
    with pytest.raises(ResultsError, match=r"odd.jsonl (has the answer|cannot be read)") as refused:
        read_answers([odd, *two(tmp_path)])
    assert len(str(refused.value).splitlines()) == 1


def test_names_of_items_are_text_in_every_file(tmp_path: Path) -> None:
    paths = []
    for name, items in (("one", ["007", "12"]), ("other", ["007", "x"])):
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_text("item,correct\n" + "".join(f"{item},1\n" for item in items), encoding="utf-8")
    assert set(read_answers(paths)["item"]) == {"007", "12", "x"}


def test_a_file_does_not_say_what_its_system_has_seen(tmp_path: Path) -> None:
    found = compare(read_answers(two(tmp_path)), baseline="a")
    assert [(one.language, one.seen) for one in found] == [("avg", None), (EVERYTHING, None)]
