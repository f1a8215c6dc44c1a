"""`eval` as a command: what it says, what it leaves behind, and what it does not do twice."""

import json
import subprocess
import sys
import time

import pytest

from tests.cli.shell import Shell
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.results import Results

# Both variants are asked for in test_variants.py.
ONE = ["--variant", "published"]
EVAL = ["eval", "choosing", "-t", "xcopa", "-l", "et", "-l", "zh", *ONE]


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
        out = shell.said(*EVAL, "-l", "en", "--dry-run")
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
        line = shell.refused(*EVAL, "--batch-tokens", value)
        assert line.startswith(f"error: invalid value for '--batch-tokens': '{value}' is neither auto nor a number of")

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
    arguments = ["eval", "choosing", "classifying", "-t", "xcopa", "-t", "xnli", "-l", "en", "-l", "sw", *ONE]
    shell.said(*arguments)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", RUNNING, *arguments], capture_output=True, text=True, check=True, cwd=shell.folder
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert "4 columns, 4 from the store" in done.stderr
    # Generous: what it takes on an idle machine is measured by the benchmarks.
    assert time.monotonic() - began < 30
