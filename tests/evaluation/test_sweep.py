"""The evaluator as a whole: its scores are those of each pair alone, and its results say who answered what."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

import xfer_bench
from tests.evaluation.asking import Desk, asked_for, assert_agree, computed
from tests.evaluation.small_checkpoints import MIXED, choosing, classifying, plainly_scored
from tests.toy import Kind, tiny_checkpoint
from xfer_bench.errors import CheckpointError, ResultsError, TaskError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.request import Ask
from xfer_bench.frames import PREDICTIONS, conform
from xfer_bench.metrics import accuracy
from xfer_bench.progress import Update
from xfer_bench.sources.source import Sources
from xfer_bench.stats.scores import score_intervals
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Task

XCOPA = Ask(tasks=("xcopa",), languages=("et", "zh", "en"), variants=("published",))
XNLI = Ask(tasks=("xnli",), languages=("en", "de", "sw"))
MIX = Ask(tasks=("mixed",))


def items_of(place: Path, task: Task, language: str) -> pl.DataFrame:
    return Sources(data_root=place / "mirror").rows(task, language=language, split="test").frame


class TestScores:
    @pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
    @pytest.mark.parametrize("task", [MIXED, TASKS["xnli"]], ids=lambda task: task.name)
    def test_they_are_those_of_each_pair_alone(self, place: Path, desk: Desk, kind: Kind, task: Task) -> None:
        make = classifying if task.format.labels else choosing
        folder = make(desk.folder / "checkpoint", kind=kind)
        predictions = desk.evaluate([folder], Ask(tasks=(task.name,), languages=("en", "sw"))).predictions()
        assert predictions.equals(conform(predictions, PREDICTIONS))
        for language in ("en", "sw"):
            items = items_of(place, task, language)
            plain = plainly_scored(folder, items)
            ours = items.select("item").join(predictions.filter(language=language), on="item", maintain_order="left")
            assert ours["label"].equals(items["label"])
            assert [len(one) for one in ours["scores"]] == [len(one) for one in plain]
            for mine, theirs in zip(ours["scores"].to_list(), plain, strict=True):
                np.testing.assert_allclose(mine, theirs, atol=1e-5, rtol=0)
            assert ours["prediction"].to_list() == [int(np.argmax(one)) for one in plain]
            # The answers differ from item to item, and none is so close that the tolerance could turn it.
            assert len(set(ours["prediction"])) > 1
            assert min(np.diff(sorted(one))[-1] for one in plain) > 1e-4
        if task is MIXED:
            assert set(predictions["scores"].list.len()) == {2, 3, 4, 5}

    @pytest.mark.parametrize("budget", [1, 50, 333, 100_000])
    def test_the_budget_of_a_batch_does_not_matter(self, place: Path, desk: Desk, budget: int) -> None:
        usual = desk.evaluate([place / "choosing"], MIX)
        other = replace(desk, folder=desk.folder / "other", batch_tokens=budget).evaluate([place / "choosing"], MIX)
        assert computed(other) == computed(usual) > 0
        assert_agree(other.predictions(), usual.predictions())

    def test_nor_do_the_languages_asked_for(self, place: Path, desk: Desk) -> None:
        together = desk.evaluate([place / "classifying"], XNLI).predictions()
        alone = replace(desk, folder=desk.folder / "alone")
        for language in ("sw", "en", "de"):
            alone.evaluate([place / "classifying"], replace(XNLI, languages=(language,)))
        assert_agree(alone.results.predictions(), together)

    def test_nor_does_the_order_of_the_checkpoints(self, place: Path, desk: Desk) -> None:
        places = [place / "choosing", place / "other"]
        first = desk.evaluate(places, MIX).predictions()
        second = replace(desk, folder=desk.folder / "turned").evaluate(places[::-1], MIX).predictions()
        assert_agree(first, second)
        assert first["weights"].n_unique() == 2

    def test_ties_are_counted_and_go_to_the_first(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        folder = shutil.copytree(place / "choosing", tmp_path / "tied")
        weights = load_file(folder / "model.safetensors")
        weights["classifier.weight"] *= 0
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        done = desk.evaluate([folder], MIX)
        assert [account.ties for account in done.accounts] == [50]
        assert set(done.predictions()["prediction"]) == {0}

    def test_identical_sequences_of_a_request_are_scored_once(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        # English XNLI under the name of German: other items, of the same texts.
        mirror = shutil.copytree(place / "mirror", tmp_path / "mirror")
        folder = mirror / "facebook" / "xnli"
        shutil.copy(folder / "en" / "test.parquet", folder / "de" / "test.parquet")
        done = replace(desk, mirror=mirror).evaluate([place / "classifying"], replace(XNLI, languages=("en", "de")))
        assert (asked_for(done), computed(done)) == (36, 18)
        english, german = (done.predictions().filter(language=one).sort("item") for one in ("en", "de"))
        assert english["scores"].equals(german["scores"])

    def test_the_accuracies_are_those_of_the_results(self, place: Path, desk: Desk) -> None:
        done = desk.evaluate([place / "choosing", place / "other"], MIX)
        assert done.scores(resamples=50) == score_intervals(done.predictions(), resamples=50)
        table = accuracy(desk.results.predictions())
        ours = {(one.run, one.language): one.estimate.value for one in done.scores(resamples=5)}
        for run, language, value in table.select("run", "language", "accuracy").iter_rows():
            assert ours[run, language] == pytest.approx(value)


class TestResults:
    def test_they_are_not_written_when_nothing_changed(self, place: Path, desk: Desk) -> None:
        places = [place / "choosing", place / "other", place / "classifying"]
        desk.evaluate(places, Ask(languages=("en",), variants=("published",)))

        def stamps() -> dict[Path, tuple[int, int]]:
            files = desk.results.files()
            return {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in files}

        before = stamps()
        assert len(before) == 3
        desk.evaluate(places, Ask(languages=("en",), variants=("published",)))
        assert stamps() == before

    def test_they_are_when_the_lineage_names_another_run(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(place / "choosing", tmp_path / "trained"))
        run = {
            "run": "siqa.xcopa.CO.i0.t1", "arm": "siqa", "setting": "CO", "target": "xcopa", "intermediate_seed": 0,
            "target_seed": 1, "seen": ["en"],
        }  # fmt: skip
        lineage = {
            "key": "k" * 64, "task": "copa", "parents": [], "seeds": {"initialisation": 0}, "steps": 5,
            "data": {"languages": ["en"]}, "runs": [run],
        }  # fmt: skip
        (folder / "lineage.json").write_text(json.dumps(lineage))
        first = desk.evaluate([folder], XCOPA).predictions()
        assert set(first["arm"]) == {"siqa"}
        assert first.filter(pl.col("seen_in_intermediate"))["language"].unique().to_list() == ["en"]
        run["seen"] = ["en", "zh"]
        other = {**run, "run": "siqa.xcopa.CO.i0.t2", "target_seed": 2}
        (folder / "lineage.json").write_text(json.dumps({**lineage, "runs": [run, other]}))
        second = desk.evaluate([folder], XCOPA)
        assert second.accounts == ()
        assert second.runs == ("siqa.xcopa.CO.i0.t1", "siqa.xcopa.CO.i0.t2")
        again = second.predictions()
        assert again.height == 2 * first.height
        for name in second.runs:
            seen = again.filter(pl.col("run") == name, pl.col("seen_in_intermediate"))["language"]
            assert set(seen) == {"en", "zh"}

    def test_rows_that_somebody_removed_come_back(self, place: Path, desk: Desk) -> None:
        first = desk.evaluate([place / "choosing"], XCOPA).predictions()
        desk.results.add(first.filter(language="et").head(3))
        again = desk.evaluate([place / "choosing"], XCOPA)
        assert again.accounts == ()
        assert again.predictions().equals(first)

    def test_a_few_do_not_replace_all_unasked(self, place: Path, desk: Desk) -> None:
        # A language is replaced as a whole: what was asked for last is what is there.
        desk.evaluate([place / "choosing"], XCOPA)
        few = desk.evaluate([place / "choosing"], replace(XCOPA, languages=("et",), limit=5)).predictions()
        assert few.group_by("language").len().sort("language").rows() == [("en", 20), ("et", 5), ("zh", 20)]


class TestOthers:
    def test_one_that_fails_does_not_stop_the_others(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        broken = Path(shutil.copytree(place / "choosing", tmp_path / "broken"))
        (broken / "model.safetensors").write_bytes(b"nothing")
        done = desk.evaluate([broken, place / "choosing"], XCOPA)
        (reason,) = done.failed
        assert reason.startswith(f"{broken}/model.safetensors: damaged safetensors")
        assert done.predictions().height == 60

    def test_progress_counts_what_is_scored(self, place: Path, desk: Desk) -> None:
        told: list[Update] = []
        done = replace(desk, progress=told.append).evaluate([place / "choosing", place / "other"], XCOPA)
        scoring = [one for one in told if one.whole == "evaluation"]
        assert list(dict.fromkeys(one.piece for one in scoring)) == ["choosing", "other"]
        assert [one.finished for one in scoring] == sorted(one.finished for one in scoring)
        assert {one.pieces for one in scoring} == {asked_for(done)} == {240}
        assert all(one.done <= one.total for one in scoring)
        assert scoring[-1].finished == 240
        told.clear()
        replace(desk, progress=told.append).evaluate([place / "choosing", place / "other"], XCOPA)
        assert {one.whole for one in told} == {"planning"}

    def test_what_is_said_of_the_scoring_adds_up(self, place: Path, desk: Desk) -> None:
        (account,) = desk.evaluate([place / "choosing"], MIX).accounts
        assert account.checkpoint == str(place / "choosing")
        assert account.precision == "fp32"
        assert account.path in {"packed", "stock"}
        assert account.distinct <= account.sequences
        assert account.tokens <= account.padded
        assert 0 < account.seconds + account.loading <= account.all

    def test_predictions_that_vanish_while_it_runs_are_scored_again(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing"], XCOPA)

        def remove(update: Update) -> None:
            if update.piece == "other":  # all is planned
                for file in desk.blocks:
                    file.unlink()

        done = replace(desk, progress=remove).evaluate([place / "other", place / "choosing"], XCOPA)
        assert done.predictions()["prediction"].null_count() == 0
        assert done.predictions().height == 120


class TestDoor:
    """`from xfer_bench import evaluate`."""

    @pytest.fixture(autouse=True)
    def there(self, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XFER_BENCH_STORE", str(tmp_path / "store"))
        monkeypatch.setenv("XFER_BENCH_DATA", str(place / "mirror"))
        monkeypatch.chdir(tmp_path)

    def test_one_call_scores_and_keeps(self, place: Path, tmp_path: Path) -> None:
        done = xfer_bench.evaluate(
            place / "choosing", tasks=["xcopa"], languages=["et"], limit=4, variants=["repaired"], progress=False
        )
        assert (tmp_path / "results" / "predictions").is_dir()
        (score,) = done.scores(resamples=50)
        assert (score.task, score.variant, score.language, score.estimate.n_items) == ("xcopa", "repaired", "et", 4)
        again = xfer_bench.evaluate([str(place / "choosing")], tasks=["xcopa"], languages=["et"], limit=4)
        assert again.scored == 0

    def test_what_cannot_be_scored_is_an_error(self, place: Path, tmp_path: Path) -> None:
        broken = Path(shutil.copytree(place / "choosing", tmp_path / "broken"))
        (broken / "model.safetensors").write_bytes(b"nothing")
        with pytest.raises(CheckpointError, match="damaged safetensors"):
            xfer_bench.evaluate([broken, place / "choosing"], tasks=["xcopa"], languages=["et"], progress=False)
        # The other's predictions are there all the same.
        assert xfer_bench.Results("results").predictions()["item"].n_unique() == 20
        encoder = tiny_checkpoint(tmp_path / "encoder", ["abc"])
        with pytest.raises(ResultsError, match=r"nothing to score: .*encoder: its architecture BertModel"):
            xfer_bench.evaluate(encoder, progress=False)
        with pytest.raises(TaskError, match="a limit of 0 items"):
            xfer_bench.evaluate(place / "choosing", limit=0, progress=False)

    def test_a_store_of_one_s_own(self, place: Path, tmp_path: Path) -> None:
        evaluator = xfer_bench.Evaluator(store=tmp_path / "mine", sources=Sources(data_root=place / "mirror"))
        assert evaluator.tasks is xfer_bench.TASKS
        with PredictionStore(evaluator.store) as store:
            assert evaluator.request([], XCOPA, store).cells == ()
