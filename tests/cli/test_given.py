"""Which runs the statistics' commands mean: own results among kept steps, one split, controls apart, one setting."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from tests.cli.shell import Shell
from tests.predictions import make_data, make_predictions, make_stages
from xfer_bench.results import Results

FEW = ("--resamples", "200")
TLV = "selected on target-language validation (not zero-shot)"
MARK = "control: more of the target's own data"
COMMANDS = [("compare", *FEW), ("rank", *FEW), ("correlate", *FEW), ("components",), ("power",)]
ARMS = {"none": 0.0, "siqa": 0.3, "lingnli": 0.6, "mixed": 0.9}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


def along(steps: Sequence[int], *, split: str = "test") -> pl.DataFrame:
    return pl.concat(
        [
            make_predictions(seeds=range(3), seed=step, n_items=40).with_columns(
                step=pl.lit(step, dtype=pl.Int64), split=pl.lit(split), weights=pl.format("{}@{}", "run", pl.lit(step))
            )
            for step in steps
        ]
    )


def keep(folder: Path, *frames: pl.DataFrame, steps: int = 20) -> None:
    predictions = pl.concat(frames)
    Results(folder).add(predictions)
    stages = make_stages(predictions).with_columns(pl.lit(steps, dtype=pl.Int64).alias("steps"))
    Results(folder).add_stages(stages)


def words(page: str) -> str:
    return " ".join(page.split())


def numbers(page: str) -> list[str]:
    """A page without its notes on steps."""
    return [line for line in page.splitlines() if "kept step" not in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_kept_steps_do_not_change_what_a_command_says_of_own_results(shell: Shell, command: tuple[str, ...]) -> None:
    keep(shell.folder / "own", along([20]))
    keep(shell.folder / "kept", along([10, 20, 30]))
    name, *options = command
    page = shell.said(name, "kept", *options)
    assert "each run stands for its own result; 18 other kept steps are left to `figures` and `--select`" in words(page)
    assert numbers(page) == shell.said(name, "own", *options).splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_test_stands_beside_validation_which_may_be_asked_for(shell: Shell, command: tuple[str, ...]) -> None:
    keep(shell.folder / "both", along([20]), along([20], split="validation"))
    keep(shell.folder / "validation", along([20], split="validation"))
    name, *options = command
    page = words(shell.said(name, "both", *options))
    assert "predictions on validation are left out beside those on test (`--split validation` takes them)" in page
    assert "xcopa validation" not in page
    asked = shell.said(name, "both", "--split", "validation", *options)
    assert asked == shell.said(name, "validation", *options)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_selection_that_is_not_zero_shot_is_told_everywhere(shell: Shell, command: tuple[str, ...]) -> None:
    keep(shell.folder / "results", along([10, 20]), along([10, 20], split="validation"))
    name, *options = command
    pages = [shell.said(name, "results", "--select", "target", *options, "--format", form)
             for form in ("table", "json", "csv")]  # fmt: skip
    assert all(TLV in words(page) for page in pages)
    assert max(map(len, pages[0].splitlines())) <= 100
    keep(shell.folder / "test", along([10, 20]))
    assert "`xfer-bench eval CKPT --split validation`" in shell.refused(name, "test", "--select", "target", *options)


@pytest.mark.parametrize("output", ["json", "csv"])
def test_what_a_program_reads_leaves_the_notes_to_the_error_stream(shell: Shell, output: str) -> None:
    keep(shell.folder / "results", along([10, 20]))
    for name, *options in COMMANDS:
        code, out, err = shell.run(name, "results", *options, "--format", output)
        assert code == 0
        assert "note: each run stands for its own result; 9 other kept steps are left" in err
        assert "own result" not in out


def with_controls(folder: Path) -> None:
    """Three arms before two targets; one of them is a control before XNLI."""
    predictions = pl.concat(
        [
            make_predictions(effects=ARMS, seeds=range(3), task=task, n_items=42, items_per_cluster=size).with_columns(
                run=pl.col("run") + f".{task}"
            )
            for task, size in (("xcopa", 1), ("xnli", 3))
        ]
    )
    Results(folder).add(predictions)
    control = (pl.col("arm") == "lingnli") & (pl.col("target") == "xnli")
    Results(folder).add_stages(
        make_stages(predictions).with_columns(
            control=pl.when(control).then(pl.lit("more_target_data")).otherwise(pl.lit(""))
        )
    )


def without_controls(folder: Path) -> None:
    """The same, had the control never been trained."""
    with_controls(folder)
    for path in (folder / "predictions").glob("lingnli-*.xnli-*.parquet"):
        path.unlink()


def test_a_control_changes_nothing_of_the_arms_and_is_shown_apart(shell: Shell) -> None:
    with_controls(shell.folder / "results")
    without_controls(shell.folder / "without")
    names = ("results", "without")
    found, other = (json.loads(shell.said("compare", name, *FEW, "--format", "json"))["comparisons"] for name in names)
    assert [one for one in found if not one["control"]] == other
    controls = [one for one in found if one["control"]]
    assert {(one["target"], one["arm"], one["control"]) for one in controls} == {
        ("xnli", "lingnli", "more_target_data")
    }
    page = shell.said("compare", "results", *FEW)
    assert f"; {MARK}, gain over none" in words(page)
    assert "lingnli against none on xcopa" in words(page)
    assert "lingnli against none on xnli" not in words(page)
    assert max(map(len, page.splitlines())) <= 100
    assert (
        shell.said("compare", "results", *FEW).splitlines()[-1]
        == shell.said("compare", "without", *FEW).splitlines()[-1]
    )


def test_controls_have_no_rank_and_win_nothing(shell: Shell) -> None:
    with_controls(shell.folder / "results")
    without_controls(shell.folder / "without")
    names = ("results", "without")
    found, other = (json.loads(shell.said("rank", name, *FEW, "--format", "json"))["ranks"] for name in names)
    assert [one for one in found if one["kind"] != "control"] == other
    assert [(one["arm"], one["target"]) for one in found if one["kind"] == "control"] == [("lingnli", "xnli")]
    page = shell.said("rank", "results", *FEW)
    assert f"{MARK}, gain of avg" in words(page)
    rows = [*csv.DictReader(io.StringIO(shell.said("rank", "results", *FEW, "--format", "csv")))]
    assert [(row["arm"], row["rank"]) for row in rows if row["kind"] == "control"] == [("lingnli", "")]


def test_controls_are_no_part_of_correlations(shell: Shell) -> None:
    with_controls(shell.folder / "results")
    without_controls(shell.folder / "without")
    names = ("results", "without")
    found, other = (json.loads(shell.said("correlate", name, *FEW, "--format", "json")) for name in names)
    assert found == other
    assert f"left out on xnli as {MARK}: lingnli" in words(shell.said("correlate", "results", *FEW))


@pytest.mark.parametrize("name", ["power", "components"])
def test_controls_have_marked_tables_of_their_own(shell: Shell, name: str) -> None:
    with_controls(shell.folder / "results")
    page = shell.said(name, "results")
    assert words(page).count(MARK) == 1
    assert max(map(len, page.splitlines())) <= 100
    below = page[page.index("control: more") :]
    assert "lingnli" in below
    assert "mixed" not in below


def test_where_every_arm_is_a_control_it_is_shown_as_one(shell: Shell) -> None:
    with_controls(shell.folder / "results")
    for path in (shell.folder / "results" / "predictions").iterdir():
        if not path.name.startswith(("lingnli", "none")) or "xcopa" in path.name:
            path.unlink()
    page = shell.said("compare", "results", *FEW)
    assert words(page).startswith(f"xnli test, CO: 42 items in 14 clusters; {MARK}, gain over none")
    assert "the evidence supports" not in page
    assert "every arm that 'none' can be compared with is a control" in shell.refused("rank", "results", *FEW)


def test_a_contrast_with_a_control_is_marked(shell: Shell) -> None:
    with_controls(shell.folder / "results")
    for pair in ("lingnli:siqa", "siqa:lingnli"):
        rows = json.loads(shell.said("compare", "results", "--contrast", pair, *FEW, "--format", "json"))["comparisons"]
        assert {(one["target"], one["control"]) for one in rows} == {("xcopa", ""), ("xnli", "more_target_data")}
    rows = json.loads(shell.said("compare", "results", "--baseline", "lingnli", *FEW, "--format", "json"))[
        "comparisons"
    ]
    assert {(one["target"], one["control"]) for one in rows} == {("xcopa", ""), ("xnli", "more_target_data")}
    assert "leave the baseline out" in shell.refused(
        "compare", "results", "--contrast", "lingnli:siqa", "--baseline", "none"
    )


def test_a_question_of_controls_alone_is_told_as_such(shell: Shell) -> None:
    with_controls(shell.folder / "results")
    for path in (shell.folder / "results" / "predictions").glob("*.xcopa-*"):
        path.unlink()
    Results(shell.folder / "results").declare(pl.DataFrame({"arm": ["lingnli"], "against": ["siqa"]}))
    page = words(shell.said("compare", "results", *FEW))
    assert "the study's own question, lingnli against siqa, has no row here: lingnli is a control there" in page


def test_two_settings_of_one_target_are_never_compared(shell: Shell) -> None:
    siqa = make_predictions(effects={"none": 0.0, "siqa": 0.4}, seeds=range(2))
    first = siqa.filter(arm="none").with_columns(setting=pl.lit("SI+CO"), run=pl.col("run") + "-si")
    # None before Social IQa, then COPA, is what `siqa` before COPA is, weights and all.
    same = first.with_columns(weights=pl.format("siqa-{}", "target_seed"))
    keep(shell.folder / "both", siqa, same)
    page = shell.said("compare", "both", *FEW)
    assert "siqa against none on xcopa (CO, test" in words(page)
    assert "xcopa test, SI+CO" not in page.split("gain:")[0]
    assert "not compared on xcopa test, SI+CO, as no run has a partner: none" in words(page)
    assert "one model under two names on xcopa: none (SI+CO) and siqa (CO) have the same weights" in words(page)
    keep(shell.folder / "apart", siqa.filter(arm="siqa"), same)
    assert "no run shares its task, setting and target seed" in shell.refused("compare", "apart", *FEW)


@pytest.mark.parametrize("setting", ["SI+CO-ZS", "CO-ZS", "SI+CO-TLV", "a|b*[c]"])
@pytest.mark.parametrize("output", ["table", "markdown"])
def test_a_setting_is_shown_as_it_is_named(shell: Shell, setting: str, output: str) -> None:
    keep(shell.folder / "results", along([20]).with_columns(setting=pl.lit(setting)))
    for name, *options in COMMANDS:
        page = shell.said(name, "results", *options, "--format", output)
        assert setting in words(page).replace("\\", "")
        assert output == "markdown" or max(map(len, page.splitlines())) <= 100


def test_a_published_setting_that_selects_by_language_is_compared_straight_after_run(shell: Shell) -> None:
    tlv = pl.concat([along([10, 20]), along([10, 20], split="validation")]).with_columns(setting=pl.lit("CO-TLV"))
    keep(shell.folder / "results", tlv)
    page = words(shell.said("compare", "results", *FEW))
    assert f"xcopa test, CO-TLV, {TLV}: 40 items" in page
    assert "steps are left to" not in page


@pytest.mark.parametrize("options", [("--split", "validation"), ("--training",)])
def test_files_have_neither_splits_nor_stages(shell: Shell, options: tuple[str, ...]) -> None:
    for name in "ab":
        pl.DataFrame({"item": range(4), "correct": [1, 0, 1, 1]}).write_csv(shell.folder / f"{name}.csv")
    assert "files" in shell.refused("compare", "a.csv", "b.csv", *options)


@pytest.mark.parametrize("options", [("--split", "validation"), ("--select", "last")])
def test_before_a_study_there_are_no_runs_to_choose(shell: Shell, options: tuple[str, ...]) -> None:
    assert f"{options[0]} is about runs of RESULTS; give the results folder too" in shell.refused("power", *options)


def test_training_is_shown_under_the_table_and_in_full_elsewhere(shell: Shell) -> None:
    with_controls(shell.folder / "results")
    page = shell.said("compare", "results", "--training", *FEW)
    assert page.index("gain over none") < page.index("xcopa, CO: what each arm was trained on")
    assert max(map(len, page.splitlines())) <= 100
    assert "lingnli (control) |" in page
    plain = shell.said("compare", "results", *FEW)
    assert "trained on" not in plain
    rows = json.loads(shell.said("compare", "results", "--training", *FEW, "--format", "json"))["training"]
    assert {(row["target"], row["arm"]) for row in rows} == {(task, arm) for task in ("xcopa", "xnli") for arm in ARMS}
    table = [*csv.DictReader(io.StringIO(shell.said("compare", "results", "--training", *FEW, "--format", "csv")))]
    assert [row["target_steps"] for row in table if row["kind"] == "training"] == ["50.0"] * 8
    assert {row["kind"] for row in table} == {"comparison", "training"}


@pytest.mark.parametrize("options", [(), ("--split", "validation"), ("--variant", "published")])
def test_each_variant_has_its_own_steps_where_languages_choose(shell: Shell, options: tuple[str, ...]) -> None:
    def variant(name: str, *, apart: int) -> list[pl.DataFrame]:
        steps = [
            along([step + apart], split=split).with_columns(step=pl.lit(step, dtype=pl.Int64))
            for step in (10, 20)
            for split in ("test", "validation")
        ]
        return [frame.with_columns(variant=pl.lit(name), setting=pl.lit("CO-TLV")) for frame in steps]

    keep(shell.folder / "both", *variant("published", apart=0), *variant("repaired", apart=1))
    wanted = "published" if "published" in options else "repaired"
    keep(shell.folder / "alone", *variant(wanted, apart=int(wanted == "repaired")))
    table = ("compare", *FEW, "--format", "csv")
    both, alone = (shell.said(*table[:1], name, *table[1:], *options) for name in ("both", "alone"))
    assert both == alone
    assert {row["variant"] for row in csv.DictReader(io.StringIO(both))} == {wanted}


ALL = [*COMMANDS, ("table", "main"), ("table", "ranks"), ("table", "seeds")]


def refusals(shell: Shell, folder: str) -> set[str]:
    """What the commands say of a folder that none of them can use."""
    said = set()
    for name, *options in ALL:
        arguments = (*options, folder) if name == "table" else (folder, *options)
        said.add(
            shell.refused(name, *arguments).removeprefix("error: ").removeprefix(f"nothing to correlate in {folder}: ")
        )
    return said


def test_one_arm_alone_is_told_as_what_it_is(shell: Shell) -> None:
    keep(shell.folder / "plain", make_predictions(effects={"none": 0.0}, n_items=20))
    (line,) = refusals(shell, "plain")
    assert line.startswith("only the arm 'none' is in these results, and a comparison needs a baseline and another arm")
    assert "`xfer-bench eval CKPT -o RESULTS`, or `xfer-bench merge` with another folder" in line
    keep(shell.folder / "trained", make_predictions(effects={"siqa": 0.0}, n_items=20))
    (line,) = refusals(shell, "trained")
    assert line.startswith("no arm without an intermediate stage to compare with: only the arm 'siqa' is in these")
    assert "--baseline" not in line


@pytest.mark.parametrize("name", [None, "", " "])
@pytest.mark.parametrize("arm", ["none", "english"])
def test_rows_without_an_arm_are_told_as_what_they_are(shell: Shell, arm: str, name: str | None) -> None:
    rows = make_predictions(n_items=20)
    Results(shell.folder / "holed").add(
        rows.with_columns(pl.when(pl.col("arm") == arm).then(pl.lit(name)).otherwise("arm").alias("arm"))
    )
    (line,) = refusals(shell, "holed")
    assert line == (
        f"200 predictions have no arm (run '{arm}-0', xcopa test, item '0000', for example); each row needs one"
    )


@pytest.mark.parametrize("column", ["arm", "run", "language", "task", "setting", "target"])
@pytest.mark.parametrize("torn", ["a\nb", "a\tb", "a\x1b[31mb", "a\u2028b", "a\u202eb"])
def test_names_that_would_tear_a_table_are_refused(shell: Shell, column: str, torn: str) -> None:
    rows = make_predictions(n_items=20, seeds=(0,), languages=("en", "et"))
    last = pl.col(column).last()
    Results(shell.folder / "torn").add(
        rows.with_columns(pl.when(pl.col(column) == last).then(pl.lit(torn)).otherwise(column).alias(column))
    )
    line = shell.refused("compare", "torn", *FEW)
    assert line.startswith(f"error: the {column} {torn!r} has a line break or another control character in its name")


@pytest.mark.parametrize("column", ["arm", "cluster", "scores"])
def test_files_that_lack_a_column_are_named(shell: Shell, column: str) -> None:
    Results(shell.folder / "old").add(make_predictions(n_items=20, seeds=(0,)))
    for file in (shell.folder / "old" / "predictions").iterdir():
        pl.read_parquet(file).drop(column).write_parquet(file)
    (line,) = refusals(shell, "old")
    assert line.startswith("old/predictions/english-0-xcopa-test-published.parquet is no results file of this version")
    assert f"lacks the column '{column}'" in line


def test_runs_over_different_rows_are_warned_of(shell: Shell) -> None:
    predictions = make_predictions()
    for arm in ("none", "mixed"):
        some = predictions.filter(arm=arm)
        Results(shell.folder / "results").add(some, data=make_data(some, mark=arm[0]))
    line = "caution: runs are of different rows of xcopa test in en et sw th zh"
    assert line in " ".join(shell.said("compare", *FEW).split())
