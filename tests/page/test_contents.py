"""What the report says is what the statistics and the results folder say, in words."""

from pathlib import Path

import polars as pl
import pytest

from tests.page.subjects import METHOD, answered, results_in, subject_of
from xfer_bench.frames import CHECKPOINTS, CONTRASTS
from xfer_bench.page import answers, methods, origins, scores, troubles
from xfer_bench.page.contents import name_of
from xfer_bench.page.subject import Subject
from xfer_bench.report.sentences import sentence
from xfer_bench.report.tables import signature
from xfer_bench.training.checkpoints import Store

LINEAGE = """{"key": "0123456789abcdef", "role": "target", "task": "copa", "parents": [{"key": "fedc", "task": "siqa"}],
"origin": {"name": "some-model", "revision": "abc"}, "recipe": {"epochs": 3, "learning_rate": 2e-05},
"seeds": {"initialisation": 0, "data_order": 1}, "versions": {"torch": "2.13"}, "steps": 50, "languages": ["en"],
"parts": [{"task": "copa", "repository": "aps/super_glue", "revision": "3de2", "examples": 400,
"fingerprint": "aa"}]}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("contents") / "results"
    results_in(place, answered(), answered(variant="repaired"), answered(task="xnli", classes=3))
    return place


@pytest.fixture(scope="module")
def subject(folder: Path) -> Subject:
    from xfer_bench.results import Results

    return subject_of(Results(folder))


def test_answers_are_the_statistics_own_sentences(subject: Subject) -> None:
    found = answers.answers(subject)
    headlines = {sentence(one, power=METHOD.power) for one in subject.comparisons if one.language == "avg_unseen"}
    assert {one.sentence for one in found} == headlines
    assert {one.verdict for one in found} <= {"gain", "loss", "neither"}
    assert answers.question(subject) == "What do english and mixed gain over none?"
    assert answers.title(subject) == "Transfer gains on xcopa and xnli"


def test_repaired_rows_are_the_headline_and_published_ones_come_last(subject: Subject) -> None:
    told = [(one.headline, "(repaired)" in one.where) for one in answers.answers(subject) if "xcopa" in one.where]
    assert told == [(True, True), (True, True), (False, False), (False, False)]
    assert [one.headline for one in scores.matrices(subject, named=name_of)] == [True, True, False]
    assert {one.headline for one in scores.lines(subject) if one.one.task == "xnli"} == {True}


def test_published_rows_are_the_headline_where_not_every_run_has_repaired_ones(tmp_path: Path) -> None:
    some = answered(variant="repaired").filter(pl.col("arm") != "mixed")
    subject = subject_of(results_in(tmp_path / "results", answered(), some))
    assert subject.is_headline("xcopa", "test", "published")
    assert not subject.is_headline("xcopa", "test", "repaired")


def test_the_studys_own_question_comes_first(tmp_path: Path) -> None:
    results = results_in(tmp_path / "results")
    results.declare(pl.DataFrame([("mixed", "english")], schema=CONTRASTS, orient="row"))
    subject = subject_of(results)
    assert answers.question(subject) == "Does mixed gain over english?"
    told = [(one.arm, one.against, one.primary) for one in answers.answers(subject)]
    assert told == [("mixed", "english", True), ("english", "none", False), ("mixed", "none", False)]
    assert scores.lines(subject)[0].note == "the study's question"


def test_the_main_table_has_every_arm_and_language_of_the_comparisons(subject: Subject) -> None:
    for matrix in scores.matrices(subject, named=name_of):
        assert [row.arm for row in matrix.rows] == ["none", "english", "mixed"]
        assert [head.language for head in matrix.heads][:2] == ["avg_unseen", "avg"]
    first = scores.matrices(subject, named=name_of)[0]
    by_language = {head.language: place for place, head in enumerate(first.heads)}
    for one in subject.comparisons:
        if (one.task, one.variant, one.arm) == ("xcopa", "repaired", "mixed"):
            cell = first.rows[2].cells[by_language[one.language]]
            before = first.rows[0].cells[by_language[one.language]]
            assert cell
            assert before
            assert (cell.value, before.value) == (one.accuracy, one.baseline_accuracy)
            assert cell.accuracy == f"{one.accuracy:.1f}"
    kinds = {head.language: head.kind for head in first.heads}
    assert (
        kinds
        == {
            **{"avg_unseen": "average", "avg": "average", "en": "english", "et": "unseen", "sw": "unseen"},
            **{"th": "seen", "zh": "seen", "avg_published": "average"},
        }
        or "avg_published" not in kinds
    )


def test_every_comparison_is_a_line_on_one_scale(subject: Subject) -> None:
    lines = scores.lines(subject)
    assert len(lines) == len(subject.comparisons)
    assert all(0 <= end <= 100 for line in lines for end in line.bar)
    assert all(line.bar[1] <= line.bar[2] <= line.bar[3] for line in lines)
    assert len({line.bar[0] for line in lines}) == 1


def test_methods_name_every_setting(subject: Subject) -> None:
    told = methods.methods(subject, methods.lineages_of(pl.DataFrame({"lineage": [LINEAGE, "", "no json", "[1]"]})))
    text = " ".join(told.paragraphs)
    for part in ("none, english and mixed", "none is the baseline", "target seeds 0 and 1", "some-model",
                 "xcopa (repaired rows, test: 60 items in 5 languages: en et sw th zh)", "60 items in 20 clusters",
                 "200 resamples, seed 0", "95 % percentile intervals", "Holm", "float32"):  # fmt: skip
        assert part in text
    assert told.signature == signature(subject.settings)
    assert dict(told.settings)["resamples"] == "200"
    (recipe,) = told.recipes
    assert recipe.values == (("epochs", "3"), ("learning_rate", "2e-05"))


def test_recipes_of_earlier_stages_come_from_the_checkpoints_beside_the_results(tmp_path: Path) -> None:
    ends = methods.lineages_of(pl.DataFrame({"lineage": [LINEAGE]}))
    store = Store(folder=tmp_path)
    assert methods.ancestors_of(ends, store) == ()
    store.path("fedc").mkdir()
    (store.path("fedc") / "lineage.json").write_text(LINEAGE.replace("copa", "siqa"))
    (before,) = methods.ancestors_of(ends, store)
    assert before["task"] == "siqa"


def test_what_the_results_do_not_record_is_told_apart(subject: Subject) -> None:
    rows = origins.rows_behind(subject)
    assert not any(one.recorded for one in rows)
    pinned = {(one.task, one.use, one.repository): one.revision for one in rows}
    assert pinned["xcopa", "scored", "cambridgeltl/xcopa"] == "042f78955ba48e6404616762fa6e05e839c3907a"
    assert ("siqa", "trained on", "allenai/social_i_qa") in pinned


def test_recorded_rows_stand_with_revision_and_fingerprints(tmp_path: Path) -> None:
    results = results_in(tmp_path / "results")
    data = pl.DataFrame(
        {
            "language": ["en", "et", "sw", "th", "zh"],
            "fingerprint": [f"f{place}" for place in range(5)],
            "rows": [60, 60, 60, 60, 59],
        }
    ).with_columns(
        **{name: pl.lit(value) for name, value in {"task": "xcopa", "variant": "published", "split": "test",
        "repository": "some/place", "revision": "r1", "license": "CC0"}.items()}
    )  # fmt: skip
    results.add(results.predictions(), data=data)
    (one, *_) = origins.rows_behind(subject_of(results))
    assert (one.recorded, one.repository, one.revision, one.rows, one.licence) == (
        True, "some/place", "r1", "59-60", "CC0",
    )  # fmt: skip
    assert one.fingerprints[0] == ("en", "f0")


def test_checkpoints_tell_their_ancestry_where_it_was_recorded(tmp_path: Path) -> None:
    results = results_in(tmp_path / "results")
    plain = origins.checkpoints_of(subject_of(results))
    assert {one.run for one in plain} == set(results.predictions()["run"])
    assert all(one.weights and not one.facts for one in plain)
    results.add_checkpoints(
        pl.DataFrame([("none-0.xcopa", None, "w" * 64, "some-model", LINEAGE)], schema=CHECKPOINTS, orient="row")
    )
    known = {one.run: one for one in origins.checkpoints_of(subject_of(results))}
    assert len(known) == len(plain)
    one = known["none-0.xcopa"]
    assert (one.weights, one.model, one.chain) == ("none-0", "some-model", "siqa → copa")
    assert dict(one.facts)["trained on"] == "copa: aps/super_glue at 3de2, 400 examples, rows aa"


def test_citations_are_of_all_tasks_and_of_us(subject: Subject) -> None:
    found = origins.citations(subject)
    for key in ("ponti2020xcopa", "conneau2018xnli", "sap2019socialiqa", "@software{xfer_bench,"):
        assert found.bibtex.count(key) == 1
    assert found.missing == ("mixed_task",)


def test_wrong_rows_are_a_warning_where_published_ones_are_the_headline(tmp_path: Path, subject: Subject) -> None:
    published = subject_of(results_in(tmp_path / "results"))
    (warning,) = [one for one in troubles.findings(published) if one.grade == "warning"]
    assert warning.task == "xcopa"
    assert "th 250, sw 37" in warning.text
    (note,) = [one for one in troubles.findings(subject) if one.task == "xcopa"]
    assert note.grade == "note"
    assert "the repaired one is the headline" in note.text


def test_findings_about_training_rows_are_told_before_their_target_only(tmp_path: Path) -> None:
    results = results_in(tmp_path / "results")
    stages = results.stages()
    results.add_stages(stages.with_columns(task=pl.col("task").replace({"mixed_task": "kobest_copa"})))
    (note,) = [one for one in troubles.findings(subject_of(results)) if one.task == "kobest_copa"]
    assert "456 of 3,076 rows (ko, train) are left out before xcopa" in note.text


def test_a_study_without_a_folder_of_its_own_has_no_progress(subject: Subject, tmp_path: Path) -> None:
    assert troubles.progress(subject) is None
    results = results_in(tmp_path / "results")
    (tmp_path / "plan.json").write_text("{}")
    told = troubles.progress(subject_of(results))
    assert told
    assert "cannot be told" in told.sentence


def test_runs_that_learnt_nothing_are_named(tmp_path: Path) -> None:
    results = results_in(tmp_path / "results")
    lame = (pl.col("arm") == "mixed") & (pl.col("role") == "target")
    results.add_stages(results.stages().with_columns(
        development_majority=pl.when(lame).then(100.0).otherwise("development_majority")
    ))  # fmt: skip
    subject = subject_of(results)
    assert {one.arm for one in subject.collapsed} == {"mixed"}
    assert scores.matrices(subject, named=name_of)[0].rows[2].note == "collapsed runs"
    assert any("Beware" in one.sentence for one in answers.answers(subject))
