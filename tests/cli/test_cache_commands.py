"""`eval` and `cache` as commands: what they say, what they leave behind, and what they ask before they remove."""

import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.small_checkpoints import choosing, classifying, rows
from tests.toy import tiny_checkpoint
from xfer_bench.cli import main
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.results import Results

EVAL = ["eval", "choosing", "-t", "xcopa", "-l", "et", "-l", "zh"]


class Shell:
    """Commands typed in a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str, answer: str = "") -> tuple[int, str, str]:
        """The exit code, and what is said on the two streams."""
        self._patch.setattr("sys.argv", ["xfer-bench", *arguments])
        self._patch.setattr("sys.stdin", io.StringIO(answer))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = self._capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    def said(self, *arguments: str, answer: str = "") -> str:
        """What a command that succeeds prints."""
        code, out, err = self.run(*arguments, answer=answer)
        assert code == 0, err
        return out

    def refused(self, *arguments: str, answer: str = "") -> str:
        """The last line of a command that fails."""
        code, _, err = self.run(*arguments, answer=answer)
        assert code == 1
        assert "Traceback" not in err
        return err.strip().splitlines()[-1]

    @property
    def blocks(self) -> list[Path]:
        return sorted((self.folder / "store" / "blocks").rglob("[!.]*.parquet"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("place")
    rows(root / "mirror")
    choosing(root / "choosing")
    classifying(root / "classifying")
    tiny_checkpoint(root / "encoder", ["abc"])
    return root


@pytest.fixture
def shell(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("XFER_BENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XFER_BENCH_DATA", str(place / "mirror"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("choosing", "classifying", "encoder"):
        shutil.copytree(place / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


class TestEval:
    def test_it_says_what_was_scored_and_what_came_from_the_store(self, shell: Shell) -> None:
        code, out, err = shell.run(*EVAL, "--format", "json")
        assert code == 0
        answer = json.loads(out)
        assert {one["language"] for one in answer["scores"]} == {"avg", "et", "zh"}
        assert answer["settings"]["precision"] == "fp32"
        assert "choosing: fp32, " in err
        assert "80 sequences, " in err
        assert "padding " in err
        assert "2 columns, 0 from the store" in err
        code, again, err = shell.run(*EVAL, "--format", "json")
        assert json.loads(again) == answer
        assert "2 columns, 2 from the store" in err
        assert "sequences" not in err
        # Progress is for what takes long.
        assert "planning" not in err

    def test_a_dry_run_scores_and_writes_nothing(self, shell: Shell) -> None:
        out = shell.said(*EVAL, "--dry-run")
        assert out.splitlines() == [
            "choosing: xcopa test, fp32: 2 languages, 0 of 40 items cached, 40 to score",
            "2 columns, 0 cached; 80 sequences to score; no speed was measured yet on this machine",
        ]
        assert shell.blocks == []
        assert not (shell.folder / "results").exists()
        assert list((shell.folder / "store" / "tokens").iterdir()) == []

    def test_a_dry_run_says_what_is_cached_and_how_long_the_rest_takes(self, shell: Shell) -> None:
        shell.said(*EVAL, "--limit", "5")
        with PredictionStore(shell.folder / "store") as store:
            store.index.set("rate:fp32", "1e9")
        before = shell.blocks
        out = shell.said("eval", "choosing", "-t", "xcopa", "-l", "et", "-l", "zh", "-l", "en", "--dry-run")
        first, last = out.splitlines()
        assert first.endswith("3 languages, 10 of 60 items cached, 50 to score")
        assert last.startswith("3 columns, 0 cached; 100 sequences to score, about ")
        assert shell.said(*EVAL, "--limit", "4", "--dry-run").splitlines() == [
            "choosing: xcopa test, fp32: 2 languages, all 8 items cached",
            "2 columns, 2 cached; nothing to score",
        ]
        assert shell.blocks == before

    def test_a_dry_run_names_what_is_skipped_and_what_fails(self, shell: Shell) -> None:
        (shell.folder / "classifying" / "model.safetensors").write_bytes(b"nothing")
        code, out, err = shell.run("eval", "choosing", "encoder", "classifying", "-t", "xcopa", "-l", "et", "--dry-run")
        assert code == 1
        assert "skipped: encoder: its architecture BertModel has no head" in out
        assert err.startswith("error: classifying/model.safetensors: damaged safetensors")

    def test_strict_refuses_what_would_be_skipped(self, shell: Shell) -> None:
        code, _, err = shell.run("eval", "choosing", "encoder", "-t", "xcopa", "-l", "et")
        assert code == 0
        assert "skipped: encoder: its architecture BertModel has no head" in err
        line = shell.refused("eval", "choosing", "encoder", "-t", "xcopa", "-l", "et", "--strict")
        assert line.startswith("error: encoder: its architecture BertModel has no head")
        line = shell.refused("eval", "classifying", "-t", "xnli", "--strict")
        assert line.startswith("error: xnli in ar is unavailable")

    def test_one_that_fails_is_named_and_the_exit_code_tells(self, shell: Shell) -> None:
        (shell.folder / "classifying" / "model.safetensors").write_bytes(b"nothing")
        code, out, err = shell.run("eval", "choosing", "classifying", "-l", "en", "--format", "csv")
        assert code == 1
        assert "xcopa" in out
        assert "failed: classifying/model.safetensors: damaged safetensors" in err
        assert err.splitlines()[-1] == "error: 1 checkpoints could not be scored; all others are in results"
        assert set(Results(shell.folder / "results").predictions()["task"]) == {"xcopa"}

    def test_nothing_that_fits_is_one_line(self, shell: Shell) -> None:
        assert shell.refused("eval", "encoder") == (
            "error: nothing to score: no task fits the 1 checkpoints and tasks looked at"
        )

    def test_verify_reads_every_byte_again(self, shell: Shell) -> None:
        shell.said(*EVAL)
        with PredictionStore(shell.folder / "store") as store:
            name = f"files:{(shell.folder / 'choosing').resolve()}"
            kept = json.loads(store.index.get(name) or "")
            true = kept["value"][0]
            store.index.set(name, json.dumps({**kept, "value": ["planted", *kept["value"][1:]]}))
        assert "0 cached" in shell.said(*EVAL, "--dry-run")
        assert "2 cached" in shell.said(*EVAL, "--dry-run", "--verify")
        with PredictionStore(shell.folder / "store") as store:
            assert json.loads(store.index.get(name) or "")["value"][0] == true

    def test_precisions_are_compared_without_scoring(self, shell: Shell) -> None:
        (line,) = shell.said(*EVAL, "--check-precision").splitlines()
        assert line.startswith("choosing: xcopa test, 40 items of 2 languages: bf16 answers ")
        assert line.endswith("to be the default on a GPU")
        assert shell.blocks == []

    @pytest.mark.parametrize("value", ["15", "0", "-1", "many", "1.5"])
    def test_a_budget_that_is_none_is_refused(self, shell: Shell, value: str) -> None:
        code, _, err = shell.run(*EVAL, "--batch-tokens", value)
        assert code == 2
        assert "is neither auto nor a number of" in err

    @pytest.mark.parametrize("value", ["16", "auto"])
    def test_a_budget_decides_nothing(self, shell: Shell, value: str) -> None:
        out = shell.said(*EVAL, "--format", "csv")
        assert shell.said(*EVAL, "--format", "csv", "--batch-tokens", value, "-o", "other") == out

    def test_a_damaged_block_is_a_warning_and_scored_again(self, shell: Shell) -> None:
        out = shell.said(*EVAL, "--format", "csv")
        (block,) = shell.blocks
        block.write_bytes(block.read_bytes()[:-9])
        code, again, err = shell.run(*EVAL, "--format", "csv")
        assert (code, again) == (0, out)
        assert f"warning: {block} is damaged" in err
        assert "2 columns, 0 from the store" in err


RUNNING = """
import json, sys, time
from xfer_bench.cli import main
sys.argv = ["xfer-bench", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
slow = ("torch", "transformers", "datasets", "scipy", "matplotlib", "safetensors.torch", "peft", "accelerate")
print(json.dumps([name for name in slow if name in sys.modules]))
"""


def test_a_fully_cached_request_loads_no_model_library(shell: Shell) -> None:
    arguments = ["eval", "choosing", "classifying", "-t", "xcopa", "-t", "xnli", "-l", "en", "-l", "sw"]
    shell.said(*arguments)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", RUNNING, *arguments], capture_output=True, text=True, check=True, cwd=shell.folder
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert "4 columns, 4 from the store" in done.stderr
    # Generous: what it takes on an idle machine is measured by the benchmarks.
    assert time.monotonic() - began < 30


class TestInfo:
    def test_sizes_are_by_checkpoint_and_task(self, shell: Shell) -> None:
        shell.said(*EVAL)
        shell.said("eval", "classifying", "-t", "xnli", "-l", "en")
        lines = shell.said("cache", "info").splitlines()
        assert lines[0].startswith(f"{shell.folder / 'store'}: ")
        assert lines[1].startswith("  blocks ")
        assert lines[2].startswith(f"  index {shell.folder / 'store' / 'index'}: ")
        assert [line.split(" KB")[0].split(", ")[:-1] for line in lines[3:]] == [
            [lines[3].split(", ")[0], "2 languages", "40 items", "1 blocks"],
            [lines[4].split(", ")[0], "1 languages", "18 items", "1 blocks"],
        ]
        assert lines[3].startswith("choosing (")
        assert "): xcopa test, " in lines[3]

    def test_an_empty_store_has_a_size(self, shell: Shell) -> None:
        assert len(shell.said("cache", "info").splitlines()) == 3

    def test_what_it_finds_damaged_it_says(self, shell: Shell) -> None:
        shell.said(*EVAL)
        (block,) = shell.blocks
        block.write_bytes(b"damage")
        code, out, err = shell.run("cache", "info")
        assert code == 0
        assert len(out.splitlines()) == 3
        assert err.startswith(f"warning: {block} is damaged")


class TestVerify:
    def test_a_sound_store_is_said_to_be(self, shell: Shell) -> None:
        assert shell.said("cache", "verify") == "0 blocks, all whole\n"
        shell.said(*EVAL)
        assert shell.said("cache", "verify") == "1 blocks, all whole\n"

    def test_damage_is_named_and_left_where_it_is(self, shell: Shell) -> None:
        shell.said(*EVAL)
        shell.said("eval", "classifying", "-t", "xnli", "-l", "en")
        block = shell.blocks[0]
        block.write_bytes(block.read_bytes()[:-1])
        code, out, err = shell.run("cache", "verify")
        assert code == 1
        assert out == f"damaged: {block}\n"
        assert err == "error: 1 of 2 blocks are damaged; the next eval removes them and scores again\n"
        assert block.exists()


class TestGc:
    @pytest.fixture
    def old(self, shell: Shell) -> Path:
        """A block of other code, beside one that is in use."""
        shell.said(*EVAL)
        (block,) = shell.blocks
        with PredictionStore(shell.folder / "store") as store:
            return store.blocks.add("cd" * 32, pl.read_parquet(block), code="of last year")

    def test_it_shows_before_it_removes(self, shell: Shell, old: Path) -> None:
        out = shell.said("cache", "gc", answer="n\n")
        assert f"{old.relative_to(shell.folder / 'store')}: " in out
        assert "scored by other code" in out
        assert "remove 1 files, " in out
        assert "removed" not in out
        assert old.exists()
        assert "1 files removed" in shell.said("cache", "gc", answer="y\n")
        assert not old.exists()
        assert len(shell.blocks) == 1
        assert shell.said("cache", "gc") == "nothing to remove\n"

    def test_without_an_answer_nothing_is_removed(self, shell: Shell, old: Path) -> None:
        line = shell.refused("cache", "gc")
        assert line.startswith("error: remove 1 files, ")
        assert line.endswith("nobody answered; --yes answers")
        assert old.exists()

    def test_yes_answers(self, shell: Shell, old: Path) -> None:
        assert shell.said("cache", "gc", "--yes").endswith("1 files removed\n")
        assert not old.exists()
        assert "2 columns, 2 from the store" in shell.run(*EVAL)[2]


class TestClear:
    def test_it_asks_first(self, shell: Shell) -> None:
        shell.said(*EVAL)
        out = shell.said("cache", "clear", answer="n\n")
        assert out.startswith(f"remove all of {shell.folder / 'store'}, ")
        assert len(shell.blocks) == 1
        assert shell.refused("cache", "clear").endswith("nobody answered; --yes answers")
        assert len(shell.blocks) == 1

    def test_all_is_scored_again_and_results_stay(self, shell: Shell) -> None:
        shell.said(*EVAL)
        assert shell.said("cache", "clear", "--yes") == "removed\n"
        assert shell.blocks == []
        assert Results(shell.folder / "results").predictions().height == 40
        assert "2 columns, 0 from the store" in shell.run(*EVAL)[2]


def test_a_store_that_cannot_be_used_is_one_line(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XFER_BENCH_STORE", str(shell.folder / "choosing" / "config.json" / "store"))
    for command in (["cache", "info"], ["cache", "gc"], EVAL):
        assert "cannot be used" in shell.refused(*command)
