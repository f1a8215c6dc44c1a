"""The variants of a task's rows in commands: scored both, compared one, and said which."""

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.shell import Shell
from tests.predictions import make_stages
from tests.stats.test_variants import of, predictions
from xfer_bench.results import Results
from xfer_bench.tasks.task import PUBLISHED, REPAIRED

EVAL = ["eval", "choosing", "-t", "xcopa", "-l", "et", "-l", "th"]
FAST = ["--resamples", "200"]
SAID = "xcopa test: rows repaired in sw, th; --variant published takes them as published"


class TestEval:
    def test_both_are_scored_and_named(self, shell: Shell) -> None:
        plan = shell.said(*EVAL, "--dry-run").splitlines()
        assert plan[0].startswith("choosing: xcopa test, fp32: 2 languages, published and repaired, ")
        assert " of 80 items cached or the same in both, " in plan[0]
        scores = json.loads(shell.said(*EVAL, "--format", "json"))["scores"]
        assert {(one["variant"], one["language"]) for one in scores} == {
            (variant, language) for variant in (PUBLISHED, REPAIRED) for language in ("avg", "et", "th")
        }
        held = Results(shell.folder / "results").predictions()
        assert held.group_by("variant").len().sort("variant").rows() == [(PUBLISHED, 40), (REPAIRED, 40)]
        assert shell.said(*EVAL, "--dry-run").splitlines() == [
            "choosing: xcopa test, fp32: 2 languages, published and repaired, all 80 items cached",
            "4 columns, 4 cached; nothing to score",
        ]

    @pytest.mark.parametrize(
        ("asked", "there"),
        [("published", [PUBLISHED]), ("repaired", [REPAIRED]), ("both", [PUBLISHED, REPAIRED])],
    )
    def test_one_may_be_asked_for(self, shell: Shell, asked: str, there: list[str]) -> None:
        shell.said(*EVAL, "--variant", asked)
        assert sorted(Results(shell.folder / "results").predictions()["variant"].unique()) == there

    def test_the_measured_precision_is_of_the_published_rows(self, shell: Shell) -> None:
        (line,) = shell.said(*EVAL, "--check-precision").splitlines()
        assert line.startswith("choosing: xcopa test, 40 items of 2 languages: ")

    def test_tasks_say_what_is_repaired(self, shell: Shell) -> None:
        block = next(one for one in shell.said("tasks").split("\n\n") if one.startswith("xcopa:"))
        assert "  repaired in test: id 4, it 4, sw 37, th 250, tr 51" in block.splitlines()
        tasks = {one["name"]: one for one in json.loads(shell.said("tasks", "--json"))["tasks"]}
        assert tasks["xcopa"]["variants"] == [PUBLISHED, REPAIRED]
        assert tasks["xnli"]["variants"] == [PUBLISHED]


class TestCompare:
    @pytest.fixture
    def desk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
        monkeypatch.chdir(tmp_path)
        return Shell(tmp_path, monkeypatch, capsys)

    def gains(self, desk: Shell, *options: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(desk.said("compare", *FAST, "--format", "csv", *options))))

    def keep(self, desk: Shell, rows: pl.DataFrame, name: str = "results") -> None:
        results = Results(desk.folder / name)
        results.add(rows)
        results.add_stages(make_stages(rows.filter(variant=rows["variant"][0])))

    def test_the_repaired_rows_are_compared_and_it_says_so(self, desk: Shell) -> None:
        self.keep(desk, predictions())
        code, out, _ = desk.run("compare", *FAST)
        assert code == 0
        assert "xcopa (repaired) test" in out
        assert SAID in " ".join(out.split())
        assert {one["variant"] for one in self.gains(desk)} == {REPAIRED}

    def test_others_are_compared_when_asked_for(self, desk: Shell) -> None:
        self.keep(desk, predictions())
        assert {one["variant"] for one in self.gains(desk, "--variant", "published")} == {PUBLISHED}
        both = self.gains(desk, "--variant", "both")
        assert [one for one in both if one["variant"] == REPAIRED] == self.gains(desk)

    @pytest.mark.parametrize("command", ["rank", "components", "power", "correlate"])
    def test_so_it_is_in_other_commands(self, desk: Shell, command: str) -> None:
        self.keep(desk, predictions())
        fast = FAST if command in {"rank", "correlate"} else []
        assert "repaired" in desk.said(command, "results", *fast)
        assert "repaired" not in desk.said(command, "results", "--variant", "published", *fast)

    def test_correlate_takes_one_variant(self, desk: Shell) -> None:
        self.keep(desk, predictions())
        assert "would count every item twice" in desk.refused("correlate", "--variant", "both")

    def test_arms_on_different_variants_are_refused_on_one_line(self, desk: Shell) -> None:
        torn = of(predictions(), none=PUBLISHED, english=REPAIRED, mixed=REPAIRED)
        self.keep(desk, torn)
        line = desk.refused("compare", *FAST)
        assert line.startswith(
            "error: xcopa test: no variant of the rows is shared by all arms (published: none; repaired: english, "
        )
        assert "variants mixed" in " ".join(desk.said("compare", *FAST, "--across-variants").split())
        assert {one["arm"] for one in self.gains(desk, "--contrast", "mixed:english")} == {"mixed"}

    def test_so_are_merged_folders_with_different_variants(self, desk: Shell) -> None:
        self.keep(desk, predictions(PUBLISHED).filter(pl.col("arm") == "none"), "one")
        self.keep(desk, predictions(REPAIRED).filter(pl.col("arm") != "none"), "two")
        desk.said("merge", "one", "two", "-o", "all")
        assert "no variant of the rows is shared by all arms" in desk.refused("compare", "all", *FAST)

    def test_files_have_one_form(self, desk: Shell) -> None:
        for name in ("one", "two"):
            (desk.folder / f"{name}.csv").write_text("item,label,prediction\na,1,1\nb,0,1\n")
        line = desk.refused("compare", "one.csv", "two.csv", "--variant", "published")
        assert line.endswith("choose among a results folder's rows; files have one form")
