"""Nothing is scored twice, and nothing stale is served: what decides a score misses, whatever else hits."""

import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.asking import KEY, Desk, asked_for, assert_agree, numbers
from xfer_bench.evaluation import digests
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.upkeep import contents
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS

XCOPA = Ask(tasks=("xcopa",), languages=("et", "zh", "en"), variants=("published",))
XNLI = Ask(tasks=("xnli",), languages=("en", "de", "sw"))
MIX = Ask(tasks=("mixed",))


class TestNothingTwice:
    def test_the_same_request(self, place: Path, desk: Desk) -> None:
        first = desk.evaluate([place / "choosing"], XCOPA)
        assert (first.cells, first.scored, asked_for(first)) == (3, 3, 3 * 40)
        second = desk.evaluate([place / "choosing"], XCOPA)
        assert (second.cells, second.scored, second.accounts) == (3, 0, ())
        assert second.predictions().equals(first.predictions())
        assert second.runs == first.runs
        assert second.scores(resamples=20) == first.scores(resamples=20)

    @pytest.mark.parametrize("change", ["batches", "results", "path", "date", "progress"])
    def test_what_decides_no_score_scores_nothing(self, place: Path, desk: Desk, tmp_path: Path, change: str) -> None:
        folder = Path(shutil.copytree(place / "choosing", tmp_path / "here"))
        desk.evaluate([folder], XCOPA)
        if change == "batches":
            desk = replace(desk, batch_tokens=77)
        elif change == "results":
            shutil.rmtree(desk.results.folder)
        elif change == "path":
            folder = folder.rename(tmp_path / "there")
        elif change == "date":
            for file in folder.iterdir():
                file.touch()
        done = desk.evaluate([folder], XCOPA)
        assert (done.scored, done.accounts) == (0, ())
        assert done.predictions().height == 60

    def test_a_limit_then_everything_scores_the_rest(self, place: Path, desk: Desk) -> None:
        few = desk.evaluate([place / "choosing"], replace(XCOPA, limit=7))
        assert asked_for(few) == 3 * 2 * 7
        everything = desk.evaluate([place / "choosing"], XCOPA)
        assert asked_for(everything) == 3 * 2 * 13
        whole = replace(desk, folder=desk.folder / "whole").evaluate([place / "choosing"], XCOPA)
        assert_agree(everything.predictions(), whole.predictions())
        # And back: the few are part of what is held, and found without their rows, in a block of their own.
        assert len(desk.blocks) == 2
        assert desk.evaluate([place / "choosing"], replace(XCOPA, limit=3)).accounts == ()

    def test_a_limit_cuts_no_cluster_in_two(self, place: Path, desk: Desk) -> None:
        assert asked_for(desk.evaluate([place / "classifying"], replace(XNLI, limit=4))) == 3 * 6
        assert asked_for(desk.evaluate([place / "classifying"], XNLI)) == 3 * 12

    def test_one_language_then_all_scores_the_others(self, place: Path, desk: Desk) -> None:
        assert asked_for(desk.evaluate([place / "choosing"], replace(XCOPA, languages=("zh",)))) == 40
        rest = desk.evaluate([place / "choosing"], XCOPA)
        assert (rest.cells, rest.scored, asked_for(rest)) == (3, 2, 80)
        assert desk.results.predictions().group_by("language").len()["len"].to_list() == [20, 20, 20]

    def test_one_checkpoint_then_two_scores_the_other(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing"], XCOPA)
        done = desk.evaluate([place / "choosing", place / "other"], XCOPA)
        assert [account.checkpoint for account in done.accounts] == [str(place / "other")]
        assert len(done.runs) == 2

    def test_checkpoints_of_equal_weights_share_their_scores(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        twin = shutil.copytree(place / "choosing", tmp_path / "twin")
        done = desk.evaluate([place / "choosing", twin], XCOPA)
        assert [account.checkpoint for account in done.accounts] == [str(place / "choosing")]
        predictions = done.predictions()
        assert (predictions["run"].n_unique(), predictions["weights"].n_unique()) == (2, 1)
        assert predictions.height == 120

    def test_tokens_are_made_once_a_tokenizer(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing"], MIX)
        files = {file: file.stat().st_ino for file in (desk.folder / "store" / "tokens").iterdir()}
        assert len(files) == 2
        done = desk.evaluate([place / "other"], MIX)
        assert asked_for(done) > 0
        assert {file: file.stat().st_ino for file in (desk.folder / "store" / "tokens").iterdir()} == files

    def test_the_index_can_be_deleted(self, place: Path, desk: Desk) -> None:
        first = desk.evaluate([place / "choosing"], XCOPA)
        shutil.rmtree(desk.folder / "store" / "index")
        second = desk.evaluate([place / "choosing"], XCOPA)
        assert (second.accounts, second.warnings) == ((), ())
        assert second.predictions().equals(first.predictions())

    def test_so_can_the_tokens(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing"], replace(MIX, limit=5))
        for file in (desk.folder / "store" / "tokens").iterdir():
            file.unlink()
        desk.evaluate([place / "choosing"], MIX)
        assert desk.evaluate([place / "choosing"], MIX).accounts == ()

    def test_a_copied_store_serves_elsewhere(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        first = desk.evaluate([place / "choosing"], XCOPA)
        there = replace(desk, folder=tmp_path / "there")
        shutil.copytree(desk.folder / "store" / "blocks", there.folder / "store" / "blocks")
        second = there.evaluate([place / "choosing"], XCOPA)
        assert second.accounts == ()
        assert_agree(second.predictions(), first.predictions(), within=0)


class TestNothingStale:
    @pytest.mark.parametrize("change", ["weights", "configuration", "tokenizer"])
    def test_another_checkpoint_at_the_same_place(self, place: Path, desk: Desk, tmp_path: Path, change: str) -> None:
        folder = Path(shutil.copytree(place / "choosing", tmp_path / "changing"))
        before = desk.evaluate([folder], XCOPA).predictions()
        if change == "weights":
            shutil.copy(place / "other" / "model.safetensors", folder)
        elif change == "configuration":
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
        else:
            # Every word is unknown now.
            tokenizer = json.loads((folder / "tokenizer.json").read_text())
            tokenizer["normalizer"] = {"type": "Prepend", "prepend": "\N{WHITE SMILING FACE}"}
            (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        after = desk.evaluate([folder], XCOPA)
        assert asked_for(after) == 120
        assert not numbers(after.predictions())["scores"].equals(numbers(before)["scores"])

    def test_a_change_back_is_served_from_the_store(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(place / "choosing", tmp_path / "changing"))
        before = desk.evaluate([folder], XCOPA).predictions()
        shutil.copy(place / "other" / "model.safetensors", folder)
        desk.evaluate([folder], XCOPA)
        shutil.copy(place / "choosing" / "model.safetensors", folder)
        again = desk.evaluate([folder], XCOPA)
        assert again.accounts == ()
        assert again.predictions().equals(before)

    def test_a_changed_item_alone_is_scored_again(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        desk = replace(desk, mirror=Path(shutil.copytree(place / "mirror", tmp_path / "mirror")))
        before = desk.evaluate([place / "choosing"], XCOPA).predictions()
        (file,) = (desk.mirror / "cambridgeltl" / "xcopa" / "et").glob("test*")
        changed = pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("the door froze")).otherwise("premise")
        pl.read_parquet(file).with_columns(changed.alias("premise")).write_parquet(file)
        after = desk.evaluate([place / "choosing"], XCOPA)
        assert (after.scored, asked_for(after)) == (1, 2)
        both = before.join(after.predictions(), on=KEY, suffix="_after")
        differing = both.filter(pl.col("scores") != pl.col("scores_after"))
        assert differing.select("language", "item").rows() == [("et", "3")]

    def test_a_changed_label_is_another_item(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        desk = replace(desk, mirror=Path(shutil.copytree(place / "mirror", tmp_path / "mirror")))
        before = desk.evaluate([place / "choosing"], XCOPA).predictions()
        (file,) = (desk.mirror / "cambridgeltl" / "xcopa" / "et").glob("test*")
        turned = pl.when(pl.int_range(pl.len()) == 3).then(1 - pl.col("label")).otherwise("label")
        pl.read_parquet(file).with_columns(turned.alias("label")).write_parquet(file)
        after = desk.evaluate([place / "choosing"], XCOPA).predictions()
        assert (before["label"] != after["label"]).sum() == 1
        assert_agree(before, after)

    def test_the_two_precisions_have_their_own(self, place: Path, desk: Desk) -> None:
        exact = desk.evaluate([place / "choosing"], XCOPA)
        rounded = desk.evaluate([place / "choosing"], replace(XCOPA, precision="bf16"))
        assert asked_for(rounded) == 120
        assert (exact.precisions, rounded.precisions) == (("fp32",), ("bf16",))
        assert set(rounded.predictions()["precision"]) == {"bf16"}
        assert desk.evaluate([place / "choosing"], XCOPA).accounts == ()

    def test_other_scoring_code_scores_again(self, place: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.evaluate([place / "choosing"], XCOPA)
        with monkeypatch.context() as patch:
            # Another version of a library, as a stand-in for another source; see test_digests.
            patch.setattr("xfer_bench.evaluation.digests.version", lambda name: f"{version(name)}.1")
            digests.scoring_source.cache_clear()
            assert asked_for(desk.evaluate([place / "choosing"], XCOPA)) == 120
        digests.scoring_source.cache_clear()
        assert desk.evaluate([place / "choosing"], XCOPA).accounts == ()

    def test_to_verify_notices_what_no_stamp_tells(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(place / "choosing", tmp_path / "changing"))
        desk.evaluate([folder], XCOPA)
        shutil.copy(place / "other" / "model.safetensors", folder)
        # A file system that keeps neither change times nor inodes: what is remembered seems to be of these files.
        (cell, *_) = desk.request([place / "choosing"], XCOPA).cells
        with desk.open() as store:
            name = f"files:{folder.resolve()}"
            kept = json.loads(store.index.get(name) or "")
            kept["stamp"][0] = [
                [str(file), *_times(file)] for file in sorted(folder.iterdir()) if file.name != "lineage.json"
            ]
            store.index.set(name, json.dumps(kept))
        fooled = desk.evaluate([folder], XCOPA)
        assert fooled.accounts == ()
        assert set(fooled.predictions()["weights"]) == {cell.identity.weights}
        verified = desk.evaluate([folder], replace(XCOPA, verify=True))
        assert asked_for(verified) == 120
        assert cell.identity.weights not in set(verified.predictions()["weights"])

    def test_nor_of_the_rows(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        desk = replace(desk, mirror=Path(shutil.copytree(place / "mirror", tmp_path / "mirror")))
        desk.evaluate([place / "choosing"], XCOPA)
        sources = Sources(data_root=desk.mirror)
        (file,) = (desk.mirror / "cambridgeltl" / "xcopa" / "et").glob("test*")
        pl.read_parquet(file).with_columns(pl.col("premise") + " again").write_parquet(file)
        with desk.open() as store:
            name = f"rows:xcopa:published:test:et:None:{desk.mirror}"
            kept = json.loads(store.index.get(name) or "")
            kept["stamp"][0] = sources.stamp(TASKS["xcopa"], language="et", split="test")
            store.index.set(name, json.dumps(kept))
        assert desk.evaluate([place / "choosing"], XCOPA).accounts == ()
        assert asked_for(desk.evaluate([place / "choosing"], replace(XCOPA, verify=True))) == 40


def _times(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


class TestBlocks:
    def test_a_request_leaves_one_block(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing"], XCOPA)
        (file,) = desk.blocks
        with desk.open() as store:
            (block,) = store.blocks.load(file.parent.name)
        assert [(one.language, one.start, one.height) for one in block.sealed] == [
            ("et", 0, 20),
            ("zh", 20, 20),
            ("en", 40, 20),
        ]

    def test_pieces_are_put_together_and_other_columns_stay(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing"], replace(XCOPA, languages=("tr",)))
        desk.evaluate([place / "choosing"], MIX)
        (cell, *_) = desk.request([place / "choosing"], XCOPA).cells
        # As a killed process leaves them: pieces with some items of every column, since the longest come first.
        whole = replace(desk, folder=desk.folder / "whole")
        whole.evaluate([place / "choosing"], XCOPA)
        with whole.open() as other, desk.open() as store:
            (block,) = other.blocks.load(cell.scorer)
            half = block.frame().gather_every(2)
            for start in (0, 10, 20):
                store.blocks.add(cell.scorer, half.slice(start, 10), code=block.code)
        assert len(desk.blocks) == 5
        done = desk.evaluate([place / "choosing"], XCOPA)
        # Turkish, the mixed task, and one for what was put together.
        assert len(desk.blocks) == 3
        assert asked_for(done) == 2 * (60 - 30)
        ours = done.predictions().filter(pl.col("task") == "xcopa", pl.col("language").is_in(XCOPA.languages))
        assert_agree(ours, whole.results.predictions())
        with desk.open() as store:
            assert contents(store).select("task", "languages", "items").rows() == [("mixed", 2, 50), ("xcopa", 4, 80)]
