"""Every result says which rows it is of, and what it ends in; scores over different rows never stand together."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from tests.evaluation.asking import Desk, asked_for
from tests.evaluation.small_checkpoints import choosing, stock
from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR, nli_task, pairs, write
from xfer_bench.errors import ResultsError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column
from xfer_bench.evaluation.columns import column as column_of
from xfer_bench.evaluation.provenance import data_of
from xfer_bench.evaluation.request import Ask
from xfer_bench.frames import DATA
from xfer_bench.results import Results
from xfer_bench.sources.pins import ACCEPT
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Split, Task

COMMIT = "1" * 40
LONG = 60  # More words than `short_sighted` sees.
XCOPA = Ask(tasks=("xcopa",), languages=("et", "zh"), variants=("published",))


def told(sources: Sources, task: Task, folder: Path, *, language: str = "en", limit: int | None = None) -> pl.DataFrame:
    """DATA of one column."""
    with PredictionStore(folder / "store") as store:
        one = column_of(task, language=language, split="test", limit=limit, sources=sources, remember=store.remember)
        data = data_of([one], remember=store.remember)
    assert dict(data.schema) == DATA
    return data


def rerun(place: Path, tmp_path: Path) -> tuple[Desk, Path]:
    """A desk with a mirror of its own, and the file that holds Estonian XCOPA."""
    desk = Desk(mirror=Path(shutil.copytree(place / "mirror", tmp_path / "mirror")), folder=tmp_path)
    (file,) = (desk.mirror / "cambridgeltl" / "xcopa" / "et").glob("test*")
    return desk, file


def short_sighted(folder: Path) -> Path:
    """A checkpoint whose scores of a long text are no numbers."""
    model = stock(choosing(folder, seed=2))
    with torch.no_grad():
        model.get_parameter("bert.embeddings.position_embeddings.weight")[50:] = float("nan")
    model.save_pretrained(folder)
    return folder


def change(file: Path, premise: str = "the door froze") -> None:
    """Another text in the fourth row."""
    changed = pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(premise)).otherwise("premise")
    pl.read_parquet(file).with_columns(changed.alias("premise")).write_parquet(file)


class TestRevision:
    """The commit of rows, or the word for what there is instead."""

    def test_a_mirror_that_names_a_commit(self, tmp_path: Path) -> None:
        write(tmp_path, "some/pairs", {"en/test.parquet": pairs(9)})
        sources, task = Sources(data_root=tmp_path), nli_task(splits=("test",))
        assert told(sources, task, tmp_path)["revision"].item() == "local"
        notes = tmp_path / "some/pairs/.cache/huggingface/download/en"
        notes.mkdir(parents=True)
        (notes / "test.parquet.metadata").write_text(f"{COMMIT}\ntag\n0\n")
        assert told(sources, task, tmp_path)["revision"].item() == COMMIT

    def test_the_embedded_data(self, tmp_path: Path) -> None:
        row = told(Sources(data_root=None), TASKS["quickstart_xcopa"], tmp_path, language="sw").row(0, named=True)
        assert (row["repository"], row["revision"]) == ("xfer-bench/quickstart", "embedded")
        assert len(row["fingerprint"]) == 64

    def test_the_hub_s_is_the_pinned_one_without_reading_anything(self, tmp_path: Path) -> None:
        column = Column(
            task=TASKS["xcopa"], language="et", split="test", limit=None, sources=Sources(data_root=None),
            fingerprint="f", whole="f", items=500, sequences=1000,
        )  # fmt: skip
        with PredictionStore(tmp_path / "store") as store:
            row = data_of([column], remember=store.remember).row(0, named=True)
        assert row["revision"] == "042f78955ba48e6404616762fa6e05e839c3907a"
        assert (row["rows"], row["license"]) == (500, "CC BY 4.0")

    @pytest.mark.parametrize(("fingerprint", "revision"), [("f", COMMIT), ("other", "")])
    def test_of_the_newest_it_is_what_the_hub_answers_with_the_same_rows(
        self, tmp_path: Path, fingerprint: str, revision: str
    ) -> None:
        class Newest(Sources):
            """A Hub that answers."""

            def rows(self, task: Task, *, language: str, split: Split) -> Rows:  # noqa: ARG002
                frame = pl.DataFrame()
                return Rows(
                    frame=frame, repository="some/pairs", revision=COMMIT, split=split, fingerprint=fingerprint,
                    dropped=0,
                )  # fmt: skip

        column = Column(
            task=nli_task(splits=("test",)), language="en", split="test", limit=None, sources=Newest(data_root=None),
            fingerprint="f", whole="f", items=9, sequences=9,
        )  # fmt: skip
        with PredictionStore(tmp_path / "store") as store:
            assert data_of([column], remember=store.remember)["revision"].item() == revision

    @pytest.mark.mirror
    @pytest.mark.skipif(not HAS_REAL_MIRROR, reason="no mirror")
    def test_a_copy_with_exactly_the_pinned_rows_is_pinned(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sources = Sources(data_root=REAL_MIRROR)
        # Whoever accepts changes has not compared them.
        assert told(sources, TASKS["xcopa"], tmp_path, language="th")["revision"].item() == "local"
        monkeypatch.delenv(ACCEPT)
        row = told(sources, TASKS["xcopa"], tmp_path, language="th").row(0, named=True)
        assert (row["revision"], row["rows"]) == ("pinned", 500)


def test_a_limit_does_not_change_what_the_rows_are(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(9)})
    sources, task = Sources(data_root=tmp_path), nli_task(splits=("test",))
    assert told(sources, task, tmp_path, limit=2).equals(told(sources, task, tmp_path))
    assert told(sources, task, tmp_path)["rows"].item() == 9


class TestResults:
    """What an evaluation writes beside its predictions."""

    def test_every_column_and_checkpoint_is_told(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing", place / "other"], XCOPA)
        data = desk.results.data()
        assert data.select("task", "split", "language", "repository", "revision", "rows").rows() == [
            ("xcopa", "test", language, "cambridgeltl/xcopa", "local", 20) for language in ("et", "zh")
        ]
        whole = Sources(data_root=place / "mirror").rows(TASKS["xcopa"], language="et", split="test")
        assert data["fingerprint"][0] == whole.fingerprint
        checkpoints = desk.results.checkpoints()
        assert checkpoints["run"].to_list() == sorted(set(desk.results.predictions()["run"]))
        assert set(checkpoints["weights"]) == set(desk.results.predictions()["weights"])
        # They are from elsewhere.
        assert set(checkpoints["model"]) == set(checkpoints["lineage"]) == {""}

    def test_a_further_language_updates_them(self, place: Path, desk: Desk) -> None:
        desk.evaluate([place / "choosing"], replace(XCOPA, languages=("zh",)))
        desk.evaluate([place / "choosing"], XCOPA)
        desk.evaluate([place / "choosing"], XCOPA)
        assert desk.results.data()["language"].to_list() == ["et", "zh"]
        assert desk.results.checkpoints().height == 1

    def test_a_lineage_is_kept_word_for_word(self, place: Path, desk: Desk, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(place / "choosing", tmp_path / "trained"))
        run = {
            "run": "siqa.xcopa.CO.i0.t1", "arm": "siqa", "setting": "CO", "target": "xcopa", "intermediate_seed": 0,
            "target_seed": 1, "seen": ["en"],
        }  # fmt: skip
        lineage = {
            "key": "k" * 64, "task": "copa", "parents": [], "seeds": {"initialisation": 0}, "steps": 5,
            "origin": {"name": "starter"}, "languages": ["en"], "runs": [run],
        }  # fmt: skip
        text = json.dumps(lineage, indent=3)
        (folder / "lineage.json").write_text(text)
        desk.evaluate([folder], XCOPA)
        (row,) = desk.results.checkpoints().rows(named=True)
        assert (row["run"], row["step"], row["model"]) == ("siqa.xcopa.CO.i0.t1", 5, "starter")
        assert row["lineage"] == text

    def test_a_folder_of_an_earlier_version_is_told_at_the_next_evaluation(self, place: Path, desk: Desk) -> None:
        before = desk.evaluate([place / "choosing"], XCOPA).predictions()
        for part in ("data", "checkpoints"):
            shutil.rmtree(desk.results.folder / part)
        assert desk.results.data().is_empty()
        again = desk.evaluate([place / "choosing"], XCOPA)
        assert again.accounts == ()
        assert again.predictions().equals(before)
        assert (desk.results.data().height, desk.results.checkpoints().height) == (2, 1)


class TestOtherRows:
    """A split that changed between two evaluations."""

    def test_beside_other_runs_it_is_refused_before_anything_is_scored(self, place: Path, tmp_path: Path) -> None:
        desk, file = rerun(place, tmp_path)
        first = desk.evaluate([place / "choosing"], XCOPA)
        change(file)
        with pytest.raises(
            ResultsError,
            match=rf"results holds scores over other rows of xcopa test in 'et' \(fingerprint \w{{12}} there, \w{{12}} "
            rf"now\), which may not be joined: score {first.runs[0]} again in the same call, or give another folder",
        ):
            desk.evaluate([place / "other"], XCOPA)
        assert desk.results.predictions().equals(first.predictions())
        # Another language of theirs is the same.
        desk.evaluate([place / "other"], replace(XCOPA, languages=("zh",)))

    def test_together_with_them_it_is_not(self, place: Path, tmp_path: Path) -> None:
        desk, file = rerun(place, tmp_path)
        desk.evaluate([place / "choosing"], XCOPA)
        old = desk.results.data()
        change(file)
        desk.evaluate([place / "choosing", place / "other"], XCOPA)
        new = desk.results.data()
        assert (new["fingerprint"] == old["fingerprint"]).to_list() == [False, True]
        assert Results(desk.results.folder).predictions()["run"].n_unique() == 2

    def test_all_of_them_are_replaced_or_none(self, place: Path, tmp_path: Path) -> None:
        desk, file = rerun(place, tmp_path)
        both = [place / "choosing", short_sighted(tmp_path / "short-sighted")]
        first = desk.evaluate(both, XCOPA)
        before, rows = desk.results.predictions(), desk.results.data()
        change(file, "so " * LONG)
        # The first one alone could be scored: it would stand over other rows than the second.
        for checkpoints in (both, both[::-1]):
            with pytest.raises(
                ResultsError,
                match=rf"results holds scores over other rows of xcopa test in 'et' \(fingerprint \w{{12}} there, "
                rf"\w{{12}} now\), and {first.runs[1]} could not be scored over these \({both[1]}: its scores are not "
                rf"finite numbers \(NaN or infinite\)\); nothing was added, and what was scored is kept: mend that",
            ):
                desk.evaluate(checkpoints, XCOPA)
            assert desk.results.predictions().equals(before)
            assert desk.results.data().equals(rows)
        change(file)
        again = desk.evaluate(both, XCOPA)
        assert again.failed == ()
        assert asked_for(again) == 2 * 2
        assert desk.results.data()["language"].to_list() == ["et", "zh"]

    def test_one_without_scores_there_fails_alone(self, place: Path, tmp_path: Path) -> None:
        desk, file = rerun(place, tmp_path)
        desk.evaluate([place / "choosing"], XCOPA)
        change(file, "so " * LONG)
        done = desk.evaluate([place / "choosing", short_sighted(tmp_path / "short-sighted")], XCOPA)
        assert len(done.failed) == 1
        assert desk.results.data()["language"].to_list() == ["et", "zh"]
        assert desk.results.predictions()["run"].unique().to_list() == list(done.runs)

    def test_one_that_is_left_out_in_their_language_keeps_the_others_out(self, place: Path, tmp_path: Path) -> None:
        desk, file = rerun(place, tmp_path)
        trimmed = Path(shutil.copytree(place / "other", tmp_path / "trimmed"))
        sources = Sources(data_root=desk.mirror)
        covers = [sources.rows(TASKS["xcopa"], language=one, split="test").fingerprint for one in ("et", "zh")]
        (trimmed / "vocabulary.json").write_text(json.dumps({"covers": covers}))
        both = [place / "choosing", trimmed]
        desk.evaluate(both, XCOPA)
        before = desk.results.predictions()
        change(file)
        with pytest.raises(
            ResultsError, match=r"in the same call \(left out of this one: .*trimmed: its vocabulary was"
        ):
            desk.evaluate(both, XCOPA)
        assert desk.results.predictions().equals(before)

    def test_while_a_kill_leaves_it_open_which_they_are_nobody_joins_them(self, place: Path, tmp_path: Path) -> None:
        desk, file = rerun(place, tmp_path)
        desk.evaluate([place / "choosing"], XCOPA)
        (predictions,) = desk.results.files()
        note = desk.results.folder / "data" / predictions.name
        old, before = pl.read_parquet(note), predictions.read_bytes()
        change(file)
        desk.evaluate([place / "choosing"], XCOPA)
        # What there is of it before the predictions are replaced; see the kills in tests/test_results.py.
        pl.concat([old, pl.read_parquet(note)]).unique().write_parquet(note)
        predictions.write_bytes(before)
        with pytest.raises(ResultsError, match="holds scores over other rows of xcopa test in 'et'"):
            desk.evaluate([place / "other"], XCOPA)
        assert predictions.read_bytes() == before
        desk.evaluate([place / "choosing"], XCOPA)
        desk.evaluate([place / "other"], XCOPA)
        assert desk.results.data()["language"].to_list() == ["et", "zh"]
