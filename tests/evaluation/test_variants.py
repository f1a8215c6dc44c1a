"""Two variants of a task's rows: both are scored unless one is asked for, and only what differs is more work."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.asking import Desk, asked_for, numbers
from tests.evaluation.small_checkpoints import ALL
from xfer_bench.errors import TaskError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask, Request, request
from xfer_bench.sources.repairs import repair_of
from xfer_bench.sources.source import Sources
from xfer_bench.tasks.task import PUBLISHED, REPAIRED

LANGUAGES = ("et", "th", "tr")
CHOICES = 2


def ask(*variants: str, languages: tuple[str, ...] = LANGUAGES) -> Ask:
    return Ask(tasks=("xcopa",), languages=languages, variants=variants)


def differing(mirror: Path, *languages: str) -> int:
    """How many rows the variants do not share."""
    sources, task = Sources(data_root=mirror), ALL["xcopa"]
    count = 0
    for language in languages:
        before, after = (
            sources.rows(task.as_variant(one), language=language, split="test").frame for one in task.variants
        )
        count += (before["text"] != after["text"]).to_list().count(True)
    return count


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore(tmp_path / "store") as opened:
        yield opened


def resolved(place: Path, store: PredictionStore, asked: Ask, name: str = "choosing") -> Request:
    sources = Sources(data_root=place / "mirror")
    return request(discover([str(place / name)]), asked, tasks=ALL, sources=sources, store=store)


class TestWork:
    def test_both_cost_the_rows_that_differ(self, place: Path, desk: Desk) -> None:
        more = differing(place / "mirror", *LANGUAGES)
        assert 0 < more < 40
        done = desk.evaluate([place / "choosing"], ask())
        assert asked_for(done) == CHOICES * (3 * 20 + more)
        assert len(done.accounts) == 1
        predictions = done.predictions()
        assert predictions.group_by("variant").len().sort("variant").rows() == [(PUBLISHED, 60), (REPAIRED, 60)]

    def test_the_other_one_later_costs_the_same(self, place: Path, desk: Desk) -> None:
        more = differing(place / "mirror", *LANGUAGES)
        assert asked_for(desk.evaluate([place / "choosing"], ask(REPAIRED))) == CHOICES * 3 * 20
        assert asked_for(desk.evaluate([place / "choosing"], ask())) == CHOICES * more
        assert asked_for(desk.evaluate([place / "choosing"], ask(PUBLISHED))) == 0

    def test_a_plan_counts_no_row_twice(self, place: Path, desk: Desk) -> None:
        more = differing(place / "mirror", *LANGUAGES)
        asked = desk.request([place / "choosing"], ask())
        assert [(cell.column.task.variant, cell.column.language) for cell in asked.cells] == [
            (variant, language) for variant in (PUBLISHED, REPAIRED) for language in LANGUAGES
        ]
        assert sum(cell.missing for cell in asked.cells) == 60 + more
        assert {cell.column.name for cell in asked.missing} == {
            *("xcopa et", "xcopa th", "xcopa tr", "xcopa (repaired) th", "xcopa (repaired) tr")
        }
        assert len(asked.by_scorer()) == 1
        assert len({cell.scorer for cell in asked.cells}) == 1


class TestAnswers:
    def test_a_language_without_errors_has_the_same_answers_in_both(self, place: Path, desk: Desk) -> None:
        predictions = desk.evaluate([place / "choosing"], ask()).predictions()
        for language in LANGUAGES:
            before, after = (
                predictions.filter(language=language, variant=one).sort("item") for one in (PUBLISHED, REPAIRED)
            )
            assert before.select("item", "cluster", "label").equals(after.select("item", "cluster", "label"))
            changed = (before["scores"] != after["scores"]).sum()
            assert changed == differing(place / "mirror", language)

    def test_they_are_those_of_rows_that_authors_had_mended(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        ours = desk.evaluate([place / "choosing"], ask(REPAIRED)).predictions()
        mended = Path(shutil.copytree(place / "mirror", tmp_path / "mended"))
        repair = repair_of(ALL["xcopa"])
        assert repair is not None
        for language in LANGUAGES:
            (file,) = (mended / repair.repository / language).glob("test-*")
            repair.repaired(pl.read_parquet(file), split="test", language=language).write_parquet(file)
        other = Desk(mirror=mended, folder=tmp_path / "other").evaluate([place / "choosing"], ask()).predictions()
        for variant in (PUBLISHED, REPAIRED):
            assert numbers(other.filter(variant=variant)).equals(numbers(ours))

    def test_a_call_that_is_repeated_delivers_both(self, place: Path, desk: Desk) -> None:
        first = desk.evaluate([place / "choosing"], ask())
        shutil.rmtree(desk.results.folder)
        again = desk.evaluate([place / "choosing"], ask())
        assert again.accounts == ()
        assert again.predictions().equals(first.predictions())
        assert {(score.variant, score.language) for score in again.scores(resamples=100)} == {
            (variant, language) for variant in (PUBLISHED, REPAIRED) for language in ("avg", *LANGUAGES)
        }


class TestAsking:
    def test_one_that_does_not_exist_is_refused(self, place: Path, store: PredictionStore) -> None:
        with pytest.raises(TaskError, match="no variant 'mended'; there are published and repaired"):
            resolved(place, store, ask("mended"))

    def test_a_task_without_it_is_left_out(self, place: Path, store: PredictionStore) -> None:
        asked = resolved(place, store, Ask(tasks=("xnli",), languages=("en",), variants=(REPAIRED,)), "classifying")
        assert (asked.cells, asked.skipped) == ((), ("xnli has no variant 'repaired'; it has published",))
        strict = Ask(tasks=("xnli",), languages=("en",), variants=(REPAIRED,), strict=True)
        with pytest.raises(TaskError, match="xnli has no variant"):
            resolved(place, store, strict, "classifying")

    def test_a_language_that_is_not_here_is_said_once(
        self, place: Path, store: PredictionStore, tmp_path: Path
    ) -> None:
        mirror = shutil.copytree(place / "mirror", tmp_path / "mirror")
        shutil.rmtree(mirror / "cambridgeltl" / "xcopa" / "th")
        found = discover([str(place / "choosing")])
        asked = request(found, Ask(languages=LANGUAGES), tasks=ALL, sources=Sources(data_root=mirror), store=store)
        assert len([reason for reason in asked.skipped if reason.startswith("xcopa in th is ")]) == 1


class TestTrimmed:
    """A vocabulary that was trimmed to the published rows."""

    def covering(self, place: Path, folder: Path, *languages: str) -> Path:
        shutil.copytree(place / "choosing", folder)
        sources = Sources(data_root=place / "mirror")
        covers = [sources.rows(ALL["xcopa"], language=one, split="test").fingerprint for one in languages]
        (folder / "vocabulary.json").write_text(json.dumps({"covers": covers}))
        return folder

    def test_it_scores_repaired_rows_whose_words_it_has(
        self, place: Path, store: PredictionStore, tmp_path: Path
    ) -> None:
        trimmed = self.covering(place, tmp_path / "trimmed", "th", "zh")
        for asked in (ask(REPAIRED), ask(REPAIRED, languages=("th",))):
            found = resolved(place, store, asked, str(trimmed))
            assert [cell.column.name for cell in found.cells] == ["xcopa (repaired) th"]

    def test_and_leaves_the_others_out(self, place: Path, store: PredictionStore, tmp_path: Path) -> None:
        # No covered language is without errors, so that some question may be in no text that the vocabulary is of.
        trimmed = self.covering(place, tmp_path / "trimmed", "th")
        found = resolved(place, store, ask(languages=("th",)), str(trimmed))
        assert [cell.column.name for cell in found.cells] == ["xcopa th"]
        assert found.skipped == (
            f"{trimmed}: its vocabulary was trimmed to other texts than xcopa (repaired) test in th",
        )

    @pytest.mark.parametrize("also", ["et", "zh"])
    def test_a_damaged_language_that_nobody_asked_for_stops_nobody(
        self, place: Path, store: PredictionStore, tmp_path: Path, also: str
    ) -> None:
        trimmed = self.covering(place, tmp_path / "trimmed", "th", "zh")
        mirror = shutil.copytree(place / "mirror", tmp_path / "mirror")
        for language in {"et", also}:
            (file,) = (mirror / "cambridgeltl" / "xcopa" / language).glob("test*")
            file.write_bytes(file.read_bytes()[:-40])
        both = discover([str(trimmed), str(place / "choosing")])
        asked = ask(REPAIRED, languages=("th",))
        found = request(both, asked, tasks=ALL, sources=Sources(data_root=mirror), store=store)
        names = [cell.checkpoint.name for cell in found.cells]
        if also == "et":
            assert (names, found.skipped) == ([str(trimmed), str(place / "choosing")], ())
        else:
            # Chinese would have told that the vocabulary has the words.
            assert names == [str(place / "choosing")]
            *damaged, reason = found.skipped
            assert [language for one in damaged for language in ("et", "zh") if f"({language}, test)" in one] == [
                "et",
                "zh",
            ]
            assert reason.startswith(f"{trimmed}: its vocabulary was trimmed to other texts than xcopa (repaired)")
