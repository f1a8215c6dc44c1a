"""`compare`: every test and interval by its option, contrasts, files, and what is refused in one line."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.shell import Shell
from tests.predictions import make_predictions, make_stages
from xfer_bench.results import Results

FEW = ("--resamples", "200")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    predictions = make_predictions(seeds=range(3))
    results = Results(tmp_path / "results")
    results.add(predictions)
    results.add_stages(make_stages(predictions))
    return Shell(tmp_path, monkeypatch, capsys)


def found(shell: Shell, *arguments: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(shell.said("compare", *arguments, *FEW, "--format", "json"))[
        "comparisons"
    ]
    return rows


@pytest.mark.parametrize(
    ("options", "test", "signature"),
    [
        ((), "bootstrap", "boot:pct|B:200|over:items|clusters:item|seed:0|holm("),
        (("--bootstrap",), "bootstrap", "boot:pct|B:200|"),
        (("--inversion",), "inversion", "boot:pct|p:inversion|B:200|"),
        (
            ("--permutation", "--seed", "4"),
            "permutation",
            "boot:pct|p:permutation|B:200|over:items|clusters:item|seed:4|",
        ),
        (("--interval", "bca"), "bootstrap", "boot:bca|"),
        (("--interval", "basic"), "bootstrap", "boot:basic|"),
        (("--over", "both"), "random effects", "random-effects:t|over:both|clusters:item|holm("),
        (
            ("--over", "both", "--bootstrap"),
            "crossed bootstrap",
            "crossed-boot:pct|B:200|over:both|",
        ),
        (("--adjust", "bh"), "bootstrap", "|bh(2,5)|"),
        (("--level", "0.9"), "bootstrap", "|level:0.9|"),
    ],
)
def test_each_option_decides_what_it_says(shell: Shell, options: tuple[str, ...], test: str, signature: str) -> None:
    assert {row["test"] for row in found(shell, *options)} == {test}
    page = shell.said("compare", *options, *FEW)
    assert signature in page.splitlines()[-1]
    assert max(map(len, page.splitlines())) <= 100


def test_tables_are_by_average_and_on_request_by_language(shell: Shell) -> None:
    average, language = (shell.said("compare", *FEW, *more) for more in ((), ("--by", "language")))
    assert "| th" not in average
    assert "| th (seen)" in language
    # What is adjusted for does not depend on what is shown.
    assert average.splitlines()[-1] == language.splitlines()[-1]


def test_a_contrast_is_between_its_two_arms(shell: Shell) -> None:
    rows = found(shell, "--contrast", "mixed:english")
    assert {(row["arm"], row["baseline"]) for row in rows} == {("mixed", "english")}


def test_the_studys_own_question_comes_first(shell: Shell) -> None:
    Results(shell.folder / "results").declare(pl.DataFrame({"arm": ["mixed"], "against": ["english"]}))
    page = shell.said("compare", *FEW)
    assert page.startswith("primary contrast, avg_unseen\n")
    assert "mixed against english on xcopa" in page


def test_collapsed_runs_are_always_told(shell: Shell) -> None:
    stages = make_stages(make_predictions(seeds=range(3))).with_columns(development_majority=pl.lit(99.0))
    Results(shell.folder / "results").add_stages(stages)
    page = shell.said("compare", *FEW)
    assert "collapsed: mixed-2" in page
    assert "99 % of its development answers are one and the same" in " ".join(page.split())


def test_per_item_files_are_compared_with_the_first(shell: Shell) -> None:
    for name, right in (("a", [1, 0, 1, 0]), ("b", [1, 1, 1, 0])):
        pl.DataFrame({"item": range(4), "correct": right}).write_csv(shell.folder / f"{name}.csv")
    page = shell.said("compare", "a.csv", "b.csv", *FEW)
    assert "gain over a" in page
    assert "+25.0" in page
    assert "lacks 1 item of" in shell.refused("compare", "a.csv", str(_shorter(shell.folder)), *FEW)


def _shorter(folder: Path) -> Path:
    path = folder / "short.csv"
    pl.DataFrame({"item": range(3), "correct": [1, 1, 1]}).write_csv(path)
    return path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--bootstrap", "--permutation"), "--bootstrap and --permutation are two tests; ask for one at a time"),
        (("--contrast", "mixed"), "names no two arms; write A:B"),
        (("--contrast", "mixed:mixed"), "names no two arms"),
        (("--contrast", "mixed:nobody"), "no arm named 'nobody'; the arms here are english, mixed, none"),
        (("--contrast", "nobody:none"), "no arm named 'nobody'"),
        (("--contrast", "mixed:english", "--baseline", "none"), "leave the baseline out"),
        (("--mcnemar",), "use --permutation"),
        (("--over", "both", "--mid-p"), "mid-p is a test over items"),
        (("--over", "both", "--permutation"), "3 seeds are too few to flip their signs"),
        (("--over", "both", "--interval", "bca"), "bca interval is one over items"),
        (("--level", "1.5"), "a level of 1.5 is none"),
        (("results/predictions/none-0-xcopa-test-published.parquet",), "is one file"),
        (("results", "results"), "per-item files only; `xfer-bench merge` joins results folders into one"),
        (("nowhere",), "no predictions in nowhere"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(shell: Shell, arguments: tuple[str, ...], says: str) -> None:
    assert says in shell.refused("compare", *arguments)


def test_two_seeds_cannot_stand_for_all(shell: Shell) -> None:
    Results(shell.folder / "two").add(make_predictions())
    assert "2 seeds cannot say how much seeds vary" in shell.refused("compare", "two", "--over", "both")


def test_a_target_with_one_language_is_shown_beside_one_with_averages(shell: Shell) -> None:
    english = make_predictions(seeds=range(3)).filter(language="en").with_columns(setting=pl.lit("SI"))
    Results(shell.folder / "results").add(english.with_columns(run=pl.col("run") + "-si"))
    page = shell.said("compare", *FEW)
    assert "xcopa test, CO" in page
    assert "xcopa test, SI" in page


def test_a_question_whose_arms_are_not_there_yet_is_told_as_open(shell: Shell) -> None:
    Results(shell.folder / "results").declare(pl.DataFrame({"arm": ["later"], "against": ["english"]}))
    page = " ".join(shell.said("compare", *FEW).split())
    assert "the study's own question, later against english, is open: there are no results of later" in page


def test_what_has_no_partner_is_told(shell: Shell) -> None:
    foreign = make_predictions(effects={"foreign": 0.0}, seeds=(0,)).with_columns(setting=pl.lit("external"))
    Results(shell.folder / "results").add(foreign)
    page = shell.said("compare", "--baseline", "none", *FEW)
    assert "not compared on xcopa test, external, as no run has a partner: foreign" in page
    assert "not compared" not in shell.said("compare", "--contrast", "mixed:none", *FEW)


def test_random_effects_have_no_simultaneous_intervals(shell: Shell) -> None:
    assert "add --bootstrap" in shell.refused("compare", "--over", "both", "--simultaneous")
    assert "joint 95 % interval" in shell.said("compare", "--over", "both", "--bootstrap", "--simultaneous", *FEW)


def test_json_says_how_steps_were_chosen_and_what_collapsed(shell: Shell) -> None:
    stages = make_stages(make_predictions(seeds=range(3))).with_columns(development_majority=pl.lit(99.0))
    Results(shell.folder / "results").add_stages(stages)
    settings = json.loads(shell.said("compare", "--select", "oracle", *FEW, "--format", "json"))["settings"]
    assert (settings["select"], settings["collapsed"]) == ("oracle", "english, mixed, none")
    assert "|select:oracle|" in shell.said("compare", "--select", "oracle", *FEW).splitlines()[-1]


def test_a_question_without_a_row_is_told(shell: Shell) -> None:
    one = Results(shell.folder / "one")
    one.add(make_predictions(seeds=(0,)))
    one.declare(pl.DataFrame({"arm": ["mixed"], "against": ["english"]}))
    said = "mixed against english, has no row here:"
    assert f"{said} an average has no such test" in " ".join(shell.said("compare", "one", "--mcnemar", *FEW).split())
    assert said not in shell.said("compare", "one", "--contrast", "mixed:none", *FEW)
    apart = Results(shell.folder / "apart")
    kept = (pl.col("arm") == "none") | ((pl.col("arm") == "mixed") == (pl.col("target_seed") == 0))
    apart.add(make_predictions(seeds=(0, 1)).filter(kept))
    apart.declare(pl.DataFrame({"arm": ["mixed"], "against": ["english"]}))
    assert f"{said} no run has a partner" in " ".join(shell.said("compare", "apart", *FEW).split())


def test_files_have_no_steps_to_select(shell: Shell) -> None:
    for name in "ab":
        pl.DataFrame({"item": range(4), "correct": [1, 0, 1, 1]}).write_csv(shell.folder / f"{name}.csv")
    assert "files have none" in shell.refused("compare", "a.csv", "b.csv", "--select", "last")


def test_a_handful_of_clusters_has_no_small_p(shell: Shell) -> None:
    Results(shell.folder / "few").add(make_predictions(effects={"none": -3.0, "mixed": 6.0}, n_items=3))
    for test in ("--bootstrap", "--inversion", "--permutation"):
        (first, *_) = found(shell, "few", test)
        assert first["gain"] == 100
        assert first["p_value"] == 0.25
    page = " ".join(shell.said("compare", "few", *FEW).split())
    assert "3 clusters are too few for a bootstrap: its intervals are far too narrow, and its p is held at 0.25" in page
    Results(shell.folder / "one").add(make_predictions(effects={"none": -3.0, "mixed": 6.0}, n_items=1))
    page = " ".join(shell.said("compare", "one", *FEW).split())
    assert "xcopa test, CO: 1 item in 1 cluster arm" in page
    assert "1 cluster is too few for a bootstrap" in page


def test_arms_that_met_on_no_task_are_not_told_to_train_with_other_seeds(shell: Shell) -> None:
    Results(shell.folder / "apart").add(make_predictions(effects={"none": 0.0}))
    Results(shell.folder / "apart").add(make_predictions(effects={"siqa": 0.0}, task="copa"))
    line = shell.refused("compare", "apart")
    assert line.endswith("none shares even the task, split and setting: score both on the same")
    Results(shell.folder / "apart").add(make_predictions(effects={"siqa": 0.0}, seeds=(7,)))
    assert shell.refused("compare", "apart").endswith("; train both with the same target seeds")
