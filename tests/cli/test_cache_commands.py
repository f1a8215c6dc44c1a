"""`cache` as commands: what they say, and what they ask before they remove."""

from pathlib import Path

import polars as pl
import pytest

from tests.cli.shell import Shell
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.results import Results

EVAL = ["eval", "choosing", "-t", "xcopa", "-l", "et", "-l", "zh", "--variant", "published"]


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
