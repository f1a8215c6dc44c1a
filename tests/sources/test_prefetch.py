from pathlib import Path

import pytest

from tests.small_study import STUDY, small_mirror, small_model
from xfer_bench.errors import TaskError
from xfer_bench.pipeline import prepare
from xfer_bench.sources.downloads import File, waiting
from xfer_bench.sources.prefetch import _matching, look, of_study, of_task
from xfer_bench.sources.source import Sources
from xfer_bench.study import Study
from xfer_bench.tasks import TASKS

STAGES = """
[[arms]]
name = "several"
stages = [{{ parts = ["lingnli", "siqa_pt"], mlm = {{ task = "tatoeba_text", share = 0.2, languages = ["et"] }} }}]
"""


def test_a_task_needs_every_split_that_it_has_in_every_language_or_in_those_named() -> None:
    needs = {(need.repository, need.config, need.split) for need in of_task(TASKS["xcopa"])}
    assert ("cambridgeltl/xcopa", "th", "test") in needs
    assert ("aps/super_glue", "copa", "validation") in needs
    assert ("extra/copa_test_gold", "default", "test") in needs
    assert len(needs) == 24
    assert {need.config for need in of_task(TASKS["xcopa"], ["th", "et"])} == {"th", "et"}
    # Its training split has fewer languages than its test split.
    assert {need.split for need in of_task(TASKS["exams"], ["fr"])} == {"test"}
    with pytest.raises(TaskError, match="has no language 'xx'"):
        list(of_task(TASKS["xcopa"], ["xx"]))


def test_pinned_revisions_are_asked_for() -> None:
    assert {need.revision for need in of_task(TASKS["xnli"])} == {"b8dd5d7af51114dbda02c0e3f6133f332186418e"}
    assert {need.revision for need in of_task(TASKS["siqa"])} == {""}


def test_a_study_is_planned_from_what_it_needs_and_from_nothing_else(tmp_path: Path) -> None:
    mirror = small_mirror(tmp_path / "mirror")
    path = tmp_path / "study.toml"
    text = STUDY + STAGES.replace("{{", "{").replace("}}", "}")
    path.write_text(text.replace("{model}", str(small_model(tmp_path / "model"))).replace("{{", "{").replace("}}", "}"))
    study = Study.from_toml(path)
    needs = set(of_study(study, TASKS))
    kept = {mirror / need.repository / need.config / f"{need.split}-00000-of-00001.parquet" for need in needs}
    there = set(mirror.rglob("*.parquet"))
    assert kept < there
    for file in there - kept:
        file.unlink()
    assert prepare(study, sources=Sources(data_root=mirror)).plan.runs
    # All of it is there, so nothing is asked of any Hub.
    found = look(needs, mirror)
    assert (found.orders, found.upstream) == ((), ())
    assert set(found.there) == {need.repository for need in needs}


def test_what_comes_along_needs_nothing(tmp_path: Path) -> None:
    found = look(of_task(TASKS["quickstart_xcopa"]), tmp_path)
    assert (found.orders, found.upstream, found.there) == ((), (), ())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("en/test-*", ["en/test-0.parquet", "en/test-1.jsonl"]),
        ("*/test-*", ["de/test-0.parquet", "en/test-0.parquet", "en/test-1.jsonl"]),
        ("**/test-0*", ["de/test-0.parquet", "en/more/test-0.parquet", "en/test-0.parquet"]),
        ("test-*", []),
        ("./en/more/*", ["en/more/test-0.parquet"]),
    ],
)
def test_patterns_mean_what_they_mean_in_a_folder(pattern: str, found: list[str]) -> None:
    names = ["en/test-0.parquet", "en/test-1.jsonl", "en/test.csv", "en/more/test-0.parquet", "de/test-0.parquet"]
    assert _matching(names, pattern) == found


def test_a_file_that_somebody_put_there_is_known_by_its_bytes(tmp_path: Path) -> None:
    content = b"hello\n"
    # As `git hash-object` gives it.
    digest = "ce013625030ba8dba906f756967f9e9ca394464a"
    file = File(repository="a/b", kind="dataset", commit="0" * 40, name="c.txt", size=6, digest=digest)
    assert waiting(file, tmp_path) == 6
    (tmp_path / "c.txt").write_bytes(content)
    assert waiting(file, tmp_path) == 0
    (tmp_path / "c.txt").write_bytes(b"hullo\n")
    assert waiting(file, tmp_path) == 6
