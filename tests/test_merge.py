"""Folders that agree become one; folders that disagree, or a merge that is stopped, leave nothing."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.predictions import make_checkpoints, make_data, make_predictions, make_stages
from xfer_bench.errors import ResultsError
from xfer_bench.merge import TOLERANCE, Merged, merge
from xfer_bench.results import Results

KEY = ["run", "task", "variant", "split", "language", "item", "step"]


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort(KEY)


def saved(folder: Path, predictions: pl.DataFrame) -> Path:
    Results(folder).add(predictions)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(folders: Sequence[Path], out: Path) -> str:
    """The one line of a merge that must fail, and leave no output behind and the folders as they were."""
    before = [contents(folder) for folder in folders]
    names = set(out.parent.iterdir())
    with pytest.raises(ResultsError) as caught:
        merge(folders, out)
    assert "\n" not in str(caught.value)
    assert set(out.parent.iterdir()) == names
    assert [contents(folder) for folder in folders] == before
    return str(caught.value)


@pytest.fixture
def predictions() -> pl.DataFrame:
    return make_predictions()


def test_runs_of_different_machines_come_together(tmp_path: Path, predictions: pl.DataFrame) -> None:
    arms = [saved(tmp_path / arm, predictions.filter(arm=arm)) for arm in ("none", "english", "mixed")]
    done = merge(arms, tmp_path / "all")
    assert done == Merged(runs=6, rows=predictions.height, repeated=0)
    assert_frame_equal(in_order(Results(tmp_path / "all").predictions()), in_order(predictions))


@pytest.mark.parametrize("seed", range(2))
def test_however_the_rows_are_dealt_out_the_whole_is_the_same(
    tmp_path: Path, predictions: pl.DataFrame, seed: int
) -> None:
    # Each row lies in one, two or all three folders.
    generator = np.random.default_rng(seed)
    dealt = generator.integers(1, 8, predictions.height)
    folders = [
        saved(tmp_path / str(bit), predictions.filter(pl.Series(dealt >> bit & 1 == 1)).sample(fraction=1, seed=seed))
        for bit in range(3)
    ]
    done = merge(folders, tmp_path / "all")
    assert done.rows == predictions.height
    assert done.repeated == sum(Results(folder).predictions().height for folder in folders) - predictions.height
    assert_frame_equal(in_order(Results(tmp_path / "all").predictions()), in_order(predictions))
    merge(folders[::-1], tmp_path / "reversed")
    merge(folders[1:], tmp_path / "two")
    merge([folders[0], tmp_path / "two"], tmp_path / "stepwise")
    assert contents(tmp_path / "all") == contents(tmp_path / "reversed") == contents(tmp_path / "stepwise")


def test_what_is_merged_is_what_one_machine_would_have_written(tmp_path: Path, predictions: pl.DataFrame) -> None:
    stages = make_stages(predictions)
    whole = saved(tmp_path / "whole", predictions)
    Results(whole).add_stages(stages)
    parts = []
    for arm in ("mixed", "none", "english"):
        parts.append(saved(tmp_path / arm, predictions.filter(arm=arm)))
        Results(parts[-1]).add_stages(stages.filter(arm=arm))
    merge(parts, tmp_path / "all")
    assert contents(tmp_path / "all") == contents(whole)
    assert (tmp_path / "all").stat().st_mode == whole.stat().st_mode


def test_scores_within_the_tolerance_agree_and_the_first_folder_s_are_kept(
    tmp_path: Path, predictions: pl.DataFrame
) -> None:
    near = predictions.with_columns(scores=pl.lit([0.0, 1.0 + 0.9 * TOLERANCE], dtype=pl.List(pl.Float32)))
    folders = [saved(tmp_path / "a", predictions), saved(tmp_path / "b", near)]
    merge(folders, tmp_path / "ab")
    merge(folders[::-1], tmp_path / "ba")
    assert_frame_equal(in_order(Results(tmp_path / "ab").predictions()), in_order(predictions))
    assert_frame_equal(in_order(Results(tmp_path / "ba").predictions()), in_order(near))


@pytest.mark.parametrize(
    "scores",
    [[0.0, 1.0 + 1.2 * TOLERANCE], [-2 * TOLERANCE, 1.0], [0.0], [0.0, 1.0, 0.0], [], None, [0.0, None]],
    ids=str,
)
def test_other_scores_are_a_conflict(
    tmp_path: Path, predictions: pl.DataFrame, scores: list[float | None] | None
) -> None:
    other = predictions.with_columns(scores=pl.lit(scores, dtype=pl.List(pl.Float32)))
    for folders in ("ab", "ba"):
        given = {"a": saved(tmp_path / "a", predictions), "b": saved(tmp_path / "b", other)}
        line = refusal([given[name] for name in folders], tmp_path / "out")
        assert "has scores [" in line or "and [" in line
        assert f"the first of {predictions.height:,} conflicts" in line


def test_a_score_that_is_no_number_agrees_with_nothing(tmp_path: Path, predictions: pl.DataFrame) -> None:
    other = predictions.with_columns(scores=pl.lit([float("nan"), 1.0], dtype=pl.List(pl.Float32)))
    folders = [saved(tmp_path / "a", other), saved(tmp_path / "b", predictions)]
    assert "has scores [nan, 1]" in refusal(folders, tmp_path / "out")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_in_lower_precision_the_answers_have_to_agree_and_the_scores_need_not(
    tmp_path: Path, predictions: pl.DataFrame, precision: str
) -> None:
    low = predictions.with_columns(precision=pl.lit(precision))
    off = low.with_columns(scores=pl.lit([0.0, 1.05], dtype=pl.List(pl.Float32)))
    folders = [saved(tmp_path / "a", low), saved(tmp_path / "b", off)]
    assert merge(folders, tmp_path / "out").repeated == predictions.height
    saved(tmp_path / "b", off.with_columns(prediction=1 - pl.col("prediction")))
    assert "has prediction" in refusal(folders, tmp_path / "again")


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("weights", "f" * 64, "weights 'english-0' in {a} and 'fffffffffffffffffffffff… in {b}"),
        ("label", 1, "label 0 in {a} and 1 in {b}"),
        ("prediction", 0, "prediction 1 in {a} and 0 in {b}"),
        ("cluster", "other", "cluster '0005' in {a} and 'other' in {b}"),
        ("precision", "bf16", "precision 'float32' in {a} and 'bf16' in {b}"),
        ("arm", "mixed", "arm 'english' in {a} and 'mixed' in {b}"),
        ("setting", "SI", "setting 'CO' in {a} and 'SI' in {b}"),
        ("target", "copa", "target 'xcopa' in {a} and 'copa' in {b}"),
        ("step", 5, "step none in {a} and 5 in {b}"),
        ("intermediate_seed", None, "intermediate_seed 0 in {a} and none in {b}"),
        ("target_seed", 3, "target_seed 0 in {a} and 3 in {b}"),
        ("seen_in_intermediate", True, "seen_in_intermediate False in {a} and True in {b}"),
    ],
)
def test_one_row_that_differs_is_named_and_nothing_is_written(
    tmp_path: Path, predictions: pl.DataFrame, column: str, value: str | int | bool | None, shown: str
) -> None:
    place = (pl.col("run") == "english-0") & (pl.col("language") == "sw") & (pl.col("item") == "0005")
    a = predictions.with_columns(
        label=pl.when(place).then(0).otherwise("label"), prediction=pl.when(place).then(1).otherwise("prediction")
    )
    b = a.with_columns(pl.when(place).then(pl.lit(value, dtype=a.schema[column])).otherwise(column).alias(column))
    folders = [saved(tmp_path / "a", a), saved(tmp_path / "b", b)]
    line = refusal(folders, tmp_path / "out")
    assert "run 'english-0', xcopa test in 'sw', item '0005' has" in line
    assert shown.format(a=folders[0], b=folders[1]) in line
    assert "(the only conflict)" in line


@pytest.mark.parametrize(("column", "value"), [("weights", "other"), ("precision", "bf16"), ("target_seed", 5)])
def test_a_run_is_one_thing_also_where_no_row_is_in_two_folders(
    tmp_path: Path, predictions: pl.DataFrame, column: str, value: str | int
) -> None:
    rest = predictions.filter(pl.col("language") != "en").with_columns(pl.lit(value).alias(column))
    folders = [saved(tmp_path / "a", predictions.filter(language="en")), saved(tmp_path / "b", rest)]
    line = refusal(folders, tmp_path / "out")
    assert f"run 'english-0', xcopa test in 'et', item '0000' has {column} " in line
    assert f"in {tmp_path / 'a'} and {value!r} in {tmp_path / 'b'} (the first of {rest.height:,} conflicts)" in line


def test_the_precision_may_differ_by_task(tmp_path: Path, predictions: pl.DataFrame) -> None:
    other = predictions.with_columns(task=pl.lit("xnli"), precision=pl.lit("bf16"))
    folders = [saved(tmp_path / "a", predictions), saved(tmp_path / "b", other)]
    assert merge(folders, tmp_path / "out").rows == 2 * predictions.height


def test_every_conflict_is_counted_and_the_two_folders_are_the_right_ones(
    tmp_path: Path, predictions: pl.DataFrame
) -> None:
    wrong = predictions.filter(run="mixed-1").with_columns(prediction=1 - pl.col("prediction"))
    folders = [
        saved(tmp_path / "first", predictions.filter(arm="none")),
        saved(tmp_path / "second", predictions.filter(arm="mixed")),
        saved(tmp_path / "third", pl.concat([predictions.filter(arm="english"), wrong])),
    ]
    line = refusal(folders, tmp_path / "out")
    assert f"in {tmp_path / 'second'} and" in line
    assert f"in {tmp_path / 'third'} (the first of {wrong.height} conflicts)" in line


def test_steps_of_one_run_stay_apart(tmp_path: Path, predictions: pl.DataFrame) -> None:
    steps = pl.concat(
        predictions.with_columns(step=pl.lit(step, dtype=pl.Int64), weights=pl.lit(f"at {step}")) for step in (1, 2, 3)
    )
    a = saved(tmp_path / "a", steps.filter(pl.col("step") < 3))
    b = saved(tmp_path / "b", steps.filter(pl.col("step") == 2))
    assert merge([a, b], tmp_path / "out").repeated == predictions.height
    assert_frame_equal(in_order(Results(tmp_path / "out").predictions()), in_order(steps.filter(pl.col("step") < 3)))
    assert "has weights 'at 1'" in refusal([a, saved(tmp_path / "c", steps.filter(step=3))], tmp_path / "again")


def test_stages_are_joined_and_their_keys_have_to_agree(tmp_path: Path, predictions: pl.DataFrame) -> None:
    stages = make_stages(predictions)
    folders = [saved(tmp_path / "a", predictions), saved(tmp_path / "b", predictions)]
    Results(folders[0]).add_stages(stages.filter(pl.col("arm") != "none"))
    Results(folders[1]).add_stages(stages.with_columns(seconds=pl.lit(7.0)))
    merge(folders, tmp_path / "out")
    joined = Results(tmp_path / "out").stages()
    assert joined.height == stages.height
    assert joined.filter(pl.col("seconds") == 7).height == stages.filter(arm="none").height
    Results(folders[1]).add_stages(stages.filter(run="english-1").with_columns(key=pl.lit("another")))
    line = refusal(folders, tmp_path / "again")
    assert "stage 0 of run 'english-1' (english_task) has the key 'english-1-0' in" in line
    assert "(the first of 2 conflicts)" in line


def test_an_item_that_one_folder_holds_twice_is_refused(tmp_path: Path, predictions: pl.DataFrame) -> None:
    a = saved(tmp_path / "a", predictions)
    file = a / "predictions" / "none-0-xcopa-test-published.parquet"
    (file.parent / "copy.parquet").write_bytes(file.read_bytes())
    b = saved(tmp_path / "b", predictions.filter(arm="english"))
    line = refusal([a, b], tmp_path / "out")
    assert "a holds run 'none-0', xcopa test in 'en', item '0000' more than once" in line


class TestRefused:
    def test_a_folder_that_is_not_there(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        a = saved(tmp_path / "a", predictions)
        assert "no results folder" in refusal([a, tmp_path / "nowhere"], tmp_path / "out")

    def test_a_folder_with_nothing_in_it(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        (tmp_path / "empty").mkdir()
        a = saved(tmp_path / "a", predictions)
        assert f"no predictions in {tmp_path / 'empty'}" in refusal([a, tmp_path / "empty"], tmp_path / "out")
        saved(tmp_path / "empty", predictions).joinpath("predictions").rename(tmp_path / "moved")
        (tmp_path / "empty" / "predictions").mkdir()
        predictions.clear().write_parquet(tmp_path / "empty" / "predictions" / "none.parquet")
        assert "its files have no rows" in refusal([a, tmp_path / "empty"], tmp_path / "out")

    @pytest.mark.parametrize("cut", [20, 2000, 6000])
    def test_a_damaged_file(self, tmp_path: Path, predictions: pl.DataFrame, cut: int) -> None:
        folders = [saved(tmp_path / "a", predictions.filter(arm="none")), saved(tmp_path / "b", predictions)]
        file = folders[1] / "predictions" / "mixed-1-xcopa-test-published.parquet"
        file.write_bytes(file.read_bytes()[:-cut])
        assert "mixed-1-xcopa-test-published.parquet is damaged" in refusal(folders, tmp_path / "out")

    def test_a_table_of_something_else(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        folders = [saved(tmp_path / "a", predictions.filter(arm="none")), saved(tmp_path / "b", predictions)]
        file = folders[1] / "predictions" / "other.parquet"
        pl.DataFrame({"a": [1]}).write_parquet(file)
        assert "other.parquet is no results file of this version" in refusal(folders, tmp_path / "out")
        pl.DataFrame({"run": ["x"]}).write_parquet(file)
        assert "other.parquet is no results file of this version" in refusal(folders, tmp_path / "out")

    def test_rows_without_a_run(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        nobody = predictions.with_columns(run=pl.lit(None, dtype=pl.String))
        folders = [saved(tmp_path / "a", predictions), saved(tmp_path / "b", nobody)]
        assert "has rows without a run" in refusal(folders, tmp_path / "out")

    def test_one_folder_alone_or_twice(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        a = saved(tmp_path / "a", predictions)
        (tmp_path / "link").symlink_to(a)
        assert "name two or more" in refusal([a], tmp_path / "out")
        assert "is named twice" in refusal([a, tmp_path / "link"], tmp_path / "out")

    def test_an_output_that_is_there(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        folders = [saved(tmp_path / name, predictions) for name in "abc"]
        for there in folders[1:]:  # one of those to be merged, and another
            assert "is there already; give a new name" in refusal(folders[:2], there)
        (tmp_path / "file").write_text("mine")
        assert "is there already" in refusal(folders, tmp_path / "file")
        assert (tmp_path / "file").read_text() == "mine"

    def test_an_output_that_cannot_be_written(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        folders = [saved(tmp_path / name, predictions) for name in "ab"]
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(ResultsError, match=r"cannot write .*out: .*file is a file"):
            merge(folders, tmp_path / "file" / "out")


def test_an_empty_folder_may_become_the_output(tmp_path: Path, predictions: pl.DataFrame) -> None:
    folders = [saved(tmp_path / name, predictions) for name in "ab"]
    (tmp_path / "out").mkdir()
    assert merge(folders, tmp_path / "out").repeated == predictions.height


MERGING = """
import sys
from xfer_bench.merge import merge
import xfer_bench.durable, xfer_bench.results, polars
print("go", flush=True)
merge(sys.argv[2:], sys.argv[1])
"""


def test_a_killed_merge_leaves_the_whole_output_or_none(tmp_path: Path, predictions: pl.DataFrame) -> None:
    folders = [saved(tmp_path / "a", predictions.filter(arm="none")), saved(tmp_path / "b", predictions)]
    merge(folders, tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    generator = np.random.default_rng(0)
    ends = set()
    for number in range(6):
        out = tmp_path / f"out {number}"
        command = [sys.executable, "-c", MERGING, str(out), *map(str, folders)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(generator.uniform(0, 0.12))
            process.kill()
        ends.add(out.exists())
        assert not out.exists() or contents(out) == expected
        if not out.exists():  # and the same command then does it
            merge(folders, out)
            assert contents(out) == expected
    assert False in ends


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, predictions: pl.DataFrame) -> None:
    # A limit on the size of files fails in the middle of the write, as a full disk does.
    folders = [saved(tmp_path / "a", predictions.filter(arm="none")), saved(tmp_path / "b", predictions)]
    program = (
        "import resource, signal, sys; from xfer_bench.merge import merge;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048));"
        "merge(sys.argv[2:], sys.argv[1])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out"), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ResultsError: cannot write" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_the_questions_of_both_studies_are_kept(tmp_path: Path, predictions: pl.DataFrame) -> None:
    arms = [saved(tmp_path / arm, predictions.filter(arm=arm)) for arm in ("none", "mixed")]
    for folder, against in zip(arms, ("none", "english"), strict=True):
        Results(folder).declare(pl.DataFrame({"arm": ["mixed"], "against": [against]}))
    merge(arms, tmp_path / "all")
    assert Results(tmp_path / "all").contrasts().rows() == [("mixed", "none"), ("mixed", "english")]


class TestProvenance:
    """Scores over different rows may not be joined, whosever they are."""

    def folders(self, tmp_path: Path, predictions: pl.DataFrame, *marks: str) -> list[Path]:
        """A folder for each mark, of a run each; without provenance where the mark is empty."""
        made = []
        for place, (run, mark) in enumerate(zip(sorted(set(predictions["run"])), marks, strict=False)):
            part = predictions.filter(run=run)
            folder = tmp_path / f"part{place}"
            Results(folder).add(part, data=make_data(part, mark=mark) if mark else None)
            if mark:
                Results(folder).add_checkpoints(make_checkpoints(part))
            made.append(folder)
        return made

    def test_it_goes_along(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        folders = self.folders(tmp_path, predictions, "a", "a", "")
        merge(folders, tmp_path / "all")
        merged = Results(tmp_path / "all")
        assert_frame_equal(merged.data(), Results(folders[0]).data())
        # Of the third folder, one of an earlier version, nothing is claimed.
        assert set(merged.uses()["run"]) == {"english-0", "english-1"}
        assert merged.checkpoints()["run"].to_list() == ["english-0", "english-1"]
        assert set(merged.predictions()["run"]) == {"english-0", "english-1", "mixed-0"}

    def test_rows_with_other_fingerprints_are_refused_also_of_different_runs(
        self, tmp_path: Path, predictions: pl.DataFrame
    ) -> None:
        line = refusal(self.folders(tmp_path, predictions, "a", "b"), tmp_path / "all")
        assert line == (
            f"the folders disagree: xcopa test in 'en' has the fingerprint enaenaenaena (60 rows) in {tmp_path}/part0 "
            f"and enbenbenbenb (60 rows) in {tmp_path}/part1, and so in 4 more columns; scores over different rows "
            "may not be joined, so score those of one side again"
        )

    def test_so_are_those_of_one_folder(self, tmp_path: Path, predictions: pl.DataFrame) -> None:
        one, other = self.folders(tmp_path, predictions, "a", "a")
        thai = predictions.filter(run="none-0", language="th")
        Results(other).add(thai, data=make_data(thai, mark="b"))
        assert "xcopa test in 'th' has the fingerprint" in refusal([one, other], tmp_path / "all")

    def test_languages_that_only_one_folder_has_are_no_conflict(
        self, tmp_path: Path, predictions: pl.DataFrame
    ) -> None:
        folders = []
        for mark, languages in (("a", ["th", "en"]), ("b", ["zh"])):
            part = predictions.filter(pl.col("language").is_in(languages))
            Results(tmp_path / mark).add(part, data=make_data(part, mark=mark))
            folders.append(tmp_path / mark)
        merge(folders, tmp_path / "all")
        assert Results(tmp_path / "all").data()["language"].to_list() == ["en", "th", "zh"]
