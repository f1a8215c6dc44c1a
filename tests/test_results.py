import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_checkpoints, make_data, make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.frames import CHECKPOINTS, DATA, PREDICTIONS, STAGES, USES
from xfer_bench.results import Results, write_whole


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("run", "task", "language", "item")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path / "results")
    results.add(predictions)
    assert_frame_equal(in_order(results.predictions()), in_order(predictions))
    assert dict(results.predictions().schema) == PREDICTIONS


def test_one_line_of_polars_reads_it(tmp_path: Path) -> None:
    predictions = make_predictions()
    Results(tmp_path).add(predictions)
    assert_frame_equal(in_order(pl.read_parquet(tmp_path / "predictions" / "*.parquet")), in_order(predictions))


def test_there_is_one_file_per_run_task_split_and_variant(tmp_path: Path) -> None:
    Results(tmp_path).add(pl.concat([make_predictions(seeds=(0,)), make_predictions(seeds=(0,), task="xnli")]))
    assert files(tmp_path) == [
        f"predictions/{arm}-0-{task}-test-published.parquet"
        for arm in ("english", "mixed", "none")
        for task in ("xcopa", "xnli")
    ]


def test_languages_can_come_one_after_the_other(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path)
    for language in ("th", "en", "zh", "sw", "et"):
        results.add(predictions.filter(language=language))
    assert_frame_equal(in_order(results.predictions()), in_order(predictions))


def test_a_language_is_replaced_as_a_whole(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path)
    results.add(predictions)
    fewer = predictions.filter(pl.col("run") == "none-0", pl.col("language") == "th").head(5)
    results.add(fewer)
    again = results.predictions()
    assert_frame_equal(in_order(again.filter(run="none-0", language="th")), in_order(fewer))
    assert len(again) == len(predictions) - 55


def test_adding_twice_changes_nothing(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path)
    results.add(predictions)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    results.add(predictions.sample(fraction=1, shuffle=True, seed=1))
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@pytest.mark.parametrize("other", ["a/b", "a b", "a\n", "ä", ".a", "a_", "A/B", "a" * 400])
def test_odd_and_colliding_run_names_lose_nothing(tmp_path: Path, other: str) -> None:
    predictions = make_predictions(effects={"none": 0}, seeds=(0,))
    both = pl.concat([predictions.with_columns(run=pl.lit(run)) for run in ("a_b", "a" * 401, other)])
    results = Results(tmp_path / "[odd] *")
    results.add(both)
    assert_frame_equal(in_order(results.predictions()), in_order(both))
    assert all(not Path(name).name.startswith(".") for name in files(tmp_path))


def test_stages_of_a_run_are_replaced(tmp_path: Path) -> None:
    stages = make_stages(make_predictions())
    results = Results(tmp_path)
    results.add_stages(stages)
    results.add_stages(stages.filter(run="english-0").with_columns(seconds=pl.lit(9.0)))
    again = results.stages()
    assert dict(again.schema) == STAGES
    assert len(again) == len(stages)
    assert again.filter(run="english-0")["seconds"].to_list() == [9.0, 9.0]


def test_no_stages_are_an_empty_table(tmp_path: Path) -> None:
    assert dict(Results(tmp_path).stages().schema) == STAGES


def test_a_folder_without_predictions_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ResultsError, match=r"no predictions in .*; run `xfer-bench"):
            Results(folder).predictions()


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not a table at all, but some text"])
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, damage: bytes) -> None:
    results = Results(tmp_path)
    results.add(make_predictions())
    (tmp_path / "predictions" / "mixed-1-xcopa-test-published.parquet").write_bytes(damage)
    with pytest.raises(ResultsError, match=r"mixed-1-xcopa-test-published.parquet is damaged") as caught:
        results.predictions()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("column", "value"), [("label", 2), ("label", -1), ("prediction", 7)])
def test_an_answer_that_no_score_stands_for_is_named(tmp_path: Path, column: str, value: int) -> None:
    results = Results(tmp_path)
    predictions = make_predictions()
    results.add(predictions)
    (path, *_) = results.files()
    changed = pl.read_parquet(path)
    item, scores = changed["item"][1], len(changed["scores"][1])
    changed = changed.with_columns(
        pl.when(pl.int_range(pl.len()) == 1).then(pl.lit(value, pl.Int32)).otherwise(pl.col(column)).alias(column)
    )
    changed.write_parquet(path)
    with pytest.raises(
        ResultsError, match=f"the {column} of item '{item}' .* is {value}; .* between 0 and {scores - 1}"
    ):
        results.predictions()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(make_predictions())
    path = tmp_path / "predictions" / "none-0-xcopa-test-published.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ResultsError, match=r"none-0-xcopa-test-published.parquet is damaged"):
        results.predictions()


def test_a_table_of_something_else_is_named(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(make_predictions())
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "predictions" / "other.parquet")
    with pytest.raises(ResultsError, match=r"other.parquet is no results file of this version: .*lacks the column"):
        results.predictions()


def test_types_that_convert_without_loss_are_read(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path)
    results.add(predictions)
    path = tmp_path / "predictions" / "none-0-xcopa-test-published.parquet"
    pl.read_parquet(path).cast({"label": pl.Int64}).write_parquet(path)
    assert_frame_equal(in_order(results.predictions()), in_order(predictions))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResultsError, match=r"cannot write .*: "):
        Results(tmp_path / "file").add(make_predictions())


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    # A limit on the size of files fails in the middle of the write, as a full disk does.
    write_whole(tmp_path / "table", b"old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from xfer_bench.results import write_whole;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "write_whole(Path(sys.argv[1]), b'x' * 100_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "table")], capture_output=True, text=True, check=False
    )
    assert "ResultsError: cannot write" in done.stderr
    assert files(tmp_path) == ["table"]
    assert (tmp_path / "table").read_bytes() == b"old"


def marks_of(predictions: pl.DataFrame, mark: str = "a") -> dict[tuple[str, str, str, str, str, int | None], str]:
    return dict.fromkeys(
        predictions.select("run", "task", "split", "variant", "language", "step").unique().rows(), mark
    )


def test_what_was_added_with_marks_is_held(tmp_path: Path) -> None:
    predictions = make_predictions()
    results = Results(tmp_path / "[odd] *")
    marks = marks_of(predictions)
    assert not results.holds(marks)
    results.add(predictions, marks=marks)
    assert results.holds(marks)
    assert results.holds(dict(list(marks.items())[:3]))
    assert results.holds({})
    assert not results.holds(marks_of(predictions, "b"))
    assert not results.holds(marks | {("none-0", "xcopa", "test", "published", "fr", None): "a"})
    assert not results.holds({("another", "xcopa", "test", "published", "th", None): "a"})


def test_marks_go_with_the_rows_that_they_were_given_for(tmp_path: Path) -> None:
    predictions = make_predictions(seeds=(0,))
    results = Results(tmp_path)
    marks = marks_of(predictions)
    results.add(predictions, marks=marks)
    thai = predictions.filter(language="th")
    others = {cell: mark for cell, mark in marks.items() if cell[4] != "th"}
    # Other rows in the place of some of them, by somebody who gives no marks.
    results.add(thai.head(5))
    assert not results.holds(marks_of(thai.head(5)))
    assert results.holds(others)
    results.add(thai, marks=marks_of(thai, "b") | {("none-0", "xcopa", "test", "published", "sw", None): "b"})
    assert results.holds(others | marks_of(thai, "b"))


@pytest.mark.parametrize("damage", ["gone", "cut", "text", "of another program"])
def test_marks_of_a_file_that_is_no_longer_ours_hold_nothing(tmp_path: Path, damage: str) -> None:
    predictions = make_predictions(seeds=(0,), effects={"none": 0})
    results = Results(tmp_path)
    results.add(predictions, marks=marks_of(predictions))
    (path,) = (tmp_path / "predictions").iterdir()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "text":
        path.write_text("not a table")
    else:
        pl.read_parquet(path).write_parquet(path)
    assert not results.holds(marks_of(predictions))
    if damage in {"gone", "of another program"}:
        results.add(predictions, marks=marks_of(predictions))
        assert results.holds(marks_of(predictions))


def test_marks_are_no_part_of_the_predictions(tmp_path: Path) -> None:
    predictions = make_predictions()
    Results(tmp_path / "a").add(predictions, marks=marks_of(predictions))
    Results(tmp_path / "b").add(predictions)
    assert_frame_equal(Results(tmp_path / "a").predictions(), Results(tmp_path / "b").predictions())


def test_reading_results_needs_neither_torch_nor_matplotlib_nor_scipy() -> None:
    program = (
        "import sys; import xfer_bench.results, xfer_bench.stats.comparisons, xfer_bench.stats.scores,"
        " xfer_bench.stats.correlation, xfer_bench.stats.paired, xfer_bench.plotting.gallery, xfer_bench.report.tables;"
        "print(*{'torch', 'transformers', 'datasets', 'matplotlib', 'scipy', 'seaborn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_question_of_a_study_is_kept_and_replaced_as_a_whole(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert results.contrasts().is_empty()
    results.declare(pl.DataFrame({"arm": ["a", "a"], "against": ["b", "b"]}))
    assert results.contrasts().rows() == [("a", "b")]
    results.declare(pl.DataFrame({"arm": ["c"], "against": ["b"]}))
    assert results.contrasts().rows() == [("c", "b")]


def test_stages_of_earlier_versions_lack_what_was_not_measured_then(tmp_path: Path) -> None:
    stages = make_stages(make_predictions())
    stages.drop("initial_accuracy", "development_majority").write_parquet(tmp_path / "stages.parquet")
    read = Results(tmp_path).stages()
    assert read["initial_accuracy"].null_count() == read["development_majority"].null_count() == len(stages)


# Adds predictions, and is killed when a file of this folder is about to be replaced for the so manieth time.
KILLED = """
import json, os, sys
import polars as pl
from xfer_bench.results import Results
folder, count, marks, place, *files = sys.argv[1:]
seen = 0
def watch(event, arguments):
    global seen
    if event == "os.rename" and os.path.basename(os.path.dirname(arguments[1])) == folder:
        seen += 1
        if seen == int(count):
            os.kill(os.getpid(), 9)
sys.addaudithook(watch)
predictions, data = map(pl.read_parquet, files)
Results(place).add(predictions, marks={tuple(one): "b" for one in json.loads(marks)}, data=data)
"""


class TestData:
    """Which rows predictions are of."""

    def test_it_is_told_once_whatever_the_number_of_runs(self, tmp_path: Path) -> None:
        predictions = make_predictions()
        results = Results(tmp_path)
        results.add(predictions, data=make_data(predictions))
        assert_frame_equal(results.data(), make_data(predictions).sort("language"))
        assert dict(results.data().schema) == DATA
        assert dict(results.uses().schema) == USES
        assert results.uses().height == 6 * 5
        # Anyone reads it, beside the predictions.
        assert pl.read_parquet(tmp_path / "data" / "*.parquet").height == 6 * 5

    def test_folders_of_earlier_versions_tell_none(self, tmp_path: Path) -> None:
        predictions = make_predictions()
        results = Results(tmp_path)
        results.add(predictions, marks=marks_of(predictions))
        assert not (tmp_path / "data").exists()
        assert dict(results.data().schema) == DATA
        assert dict(results.checkpoints().schema) == CHECKPOINTS
        assert results.data().is_empty()
        assert results.checkpoints().is_empty()
        assert results.holds(marks_of(predictions))
        assert not results.holds(marks_of(predictions), with_data=True)
        results.add(predictions, marks=marks_of(predictions), data=make_data(predictions))
        assert results.holds(marks_of(predictions), with_data=True)

    def test_a_further_language_adds_to_it_and_a_repetition_does_not(self, tmp_path: Path) -> None:
        predictions = make_predictions()
        results = Results(tmp_path)
        for language in ("th", "en", "th", "en"):
            part = predictions.filter(language=language)
            results.add(part, data=make_data(part))
        assert results.data()["language"].to_list() == ["en", "th"]
        assert results.uses().height == 6 * 2

    def test_other_rows_in_the_place_of_some_are_said_to_be_others(self, tmp_path: Path) -> None:
        predictions = make_predictions()
        results = Results(tmp_path)
        results.add(predictions, data=make_data(predictions))
        one = predictions.filter(run="none-0", language="th")
        results.add(one, data=make_data(one, mark="b"))
        assert results.data()["language"].to_list() == ["en", "et", "sw", "th", "th", "zh"]
        # Once every run is of the new rows, nothing is said of the old ones any more.
        thai = predictions.filter(language="th")
        results.add(thai, data=make_data(thai, mark="b"))
        assert results.data()["language"].to_list() == ["en", "et", "sw", "th", "zh"]
        assert results.data().filter(language="th")["fingerprint"][0].startswith("thb")

    def test_of_rows_that_come_without_it_nothing_is_known(self, tmp_path: Path) -> None:
        predictions = make_predictions()
        results = Results(tmp_path)
        results.add(predictions, data=make_data(predictions))
        results.add(predictions.filter(language="th"))
        assert results.data()["language"].to_list() == ["en", "et", "sw", "zh"]

    def test_of_the_same_rows_the_commit_is_told_if_any_run_knows_it(self, tmp_path: Path) -> None:
        predictions = make_predictions()
        results = Results(tmp_path)
        for run, revision in (("none-0", "local"), ("none-1", "0" * 40), ("mixed-0", "pinned")):
            part = predictions.filter(run=run)
            results.add(part, data=make_data(part, revision=revision))
        assert set(results.data()["revision"]) == {"0" * 40}
        assert results.data().height == 5

    def test_what_was_scored_is_told_without_the_predictions(self, tmp_path: Path) -> None:
        predictions = make_predictions()
        results = Results(tmp_path)
        results.add(predictions)
        scored = results.scored()
        assert scored.height == 6 * 5
        assert set(scored["run"]) == set(predictions["run"])

    @pytest.mark.parametrize(
        ("folder", "count", "marks"), [("data", 1, "a"), ("predictions", 1, "ab"), ("data", 2, "ab"), ("data", 3, "b")]
    )
    def test_a_kill_leaves_no_rows_under_the_name_of_others(
        self, tmp_path: Path, folder: str, count: int, marks: str
    ) -> None:
        predictions = make_predictions(seeds=(0,), effects={"none": 0})
        thai, results = predictions.filter(language="th"), Results(tmp_path / "results")
        results.add(predictions, marks=marks_of(predictions), data=make_data(predictions))
        other = thai.with_columns(prediction=1 - pl.col("prediction"))
        other.write_parquet(tmp_path / "new")
        make_data(other, mark="b").write_parquet(tmp_path / "data-of-new")
        cells = json.dumps([[*one] for one in marks_of(other, "b")])
        program = [sys.executable, "-c", KILLED, folder, str(count), cells, "results", "new", "data-of-new"]
        # There is no third time: it is finished then.
        assert subprocess.run(program, cwd=tmp_path, check=False).returncode == (0 if count == 3 else -9)
        told = results.uses().filter(language="th")["fingerprint"].to_list()
        among = results.uses(torn=True).filter(language="th")["fingerprint"].to_list()
        assert among == [make_data(thai, mark=mark)["fingerprint"].item() for mark in marks]
        assert told == (among if len(among) == 1 else [])
        assert results.data().filter(language="th").height == len(among)
        # The other languages are what they were, and the same call mends what is open.
        assert results.uses().height == 4 + len(told)
        assert results.holds(marks_of(other, "b"), with_data=True) == (count == 3)
        results.add(other, marks=marks_of(other, "b"), data=make_data(other, mark="b"))
        assert results.holds(marks_of(other, "b"), with_data=True)
        assert results.data().height == results.uses(torn=True).height == 5

    def test_nothing_is_told_of_unknown_rows_before_they_are_gone(self, tmp_path: Path) -> None:
        predictions = make_predictions(seeds=(0,), effects={"none": 0})
        results = Results(tmp_path / "results")
        results.add(predictions)
        predictions.write_parquet(tmp_path / "new")
        make_data(predictions).write_parquet(tmp_path / "data-of-new")
        program = [sys.executable, "-c", KILLED, "predictions", "1", "[]", "results", "new", "data-of-new"]
        assert subprocess.run(program, cwd=tmp_path, check=False).returncode == -9
        assert results.uses(torn=True).is_empty()

    @pytest.mark.parametrize("part", ["data/none-0-xcopa-test-published", "checkpoints/none-0"])
    def test_a_damaged_file_is_named(self, tmp_path: Path, part: str) -> None:
        predictions = make_predictions(seeds=(0,), effects={"none": 0})
        results = Results(tmp_path)
        results.add(predictions, data=make_data(predictions))
        results.add_checkpoints(make_checkpoints(predictions))
        (tmp_path / f"{part}.parquet").write_bytes(b"PAR1 and no more")
        with pytest.raises(ResultsError, match=f"{part}.parquet is damaged"):
            (results.data if part.startswith("data") else results.checkpoints)()


def test_checkpoints_of_a_run_and_step_are_replaced(tmp_path: Path) -> None:
    predictions = make_predictions(seeds=(0,))
    steps = pl.concat([predictions, predictions.with_columns(step=pl.lit(20, dtype=pl.Int64))])
    results = Results(tmp_path)
    results.add_checkpoints(make_checkpoints(steps))
    results.add_checkpoints(make_checkpoints(predictions, lineage='{"key": "other"}'))
    again = results.checkpoints()
    assert dict(again.schema) == CHECKPOINTS
    assert again["step"].to_list() == [None, 20] * 3
    assert again["lineage"].to_list() == ['{"key": "other"}', '{"key": "k"}'] * 3
    assert set(again["model"]) == {"starter"}
