"""A changed split is an error that shows what it is and what it should be; one that nobody pinned is a note."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from tests.audit.sheets import Rows as Said
from tests.audit.sheets import copa_rows, copa_task, found, only, sheet
from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR
from xfer_bench.audit.pinned import check_pins
from xfer_bench.audit.sheet import Sheet, read_sheet
from xfer_bench.sources.pins import ACCEPT, fingerprint, pins
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS

PINNED = "042f78955ba48e6404616762fa6e05e839c3907a"
SPLIT = pins()["cambridgeltl/xcopa", "th", "test"]


@pytest.fixture(autouse=True)
def _nothing_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ACCEPT)


def thai(**fields: Any) -> Sheet:
    """Invented rows under the name of Thai XCOPA's test."""
    task = copa_task(languages=("th",), splits=("test",), repository="cambridgeltl/xcopa")
    made = sheet(Said(rows=[("a", ["b", "c"], 0)]), task=task, language="th")
    return replace(made, **{"raw": pl.DataFrame(copa_rows(500)), **fields})


def test_changed_rows_are_an_error_with_both_fingerprints() -> None:
    one = only([*check_pins(thai())])
    assert (one.grade, one.check, one.language, one.split) == ("error", "pins", "th", "test")
    ours = fingerprint(pl.Series(copa_rows(500)["premise"]))[:12]
    assert one.message == (
        f"the rows have changed: the column 'premise' has the fingerprint {ours} in 500 rows, and "
        f"{SPLIT.columns['premise'][:12]} in 500 is pinned; so have choice1, choice2, question, label"
    )
    assert one.example == ""


def test_another_commit_is_an_error_with_both_and_the_pinned_one_is_none() -> None:
    one = only([*check_pins(thai(revision="1" * 40))])
    assert (one.grade, one.message) == (
        "error", "the rows are of the commit 111111111111, and 042f78955ba4 is pinned",
    )  # fmt: skip
    # Of the Hub's own rows the commit says everything: the pinned fingerprints may be a copy's.
    assert found(check_pins, thai(revision=PINNED)) == []


@pytest.mark.parametrize("fields", [{}, {"revision": "1" * 40}], ids=["content", "commit"])
def test_what_the_environment_accepts_is_a_note(fields: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCEPT, "cambridgeltl/xcopa")
    one = only([*check_pins(thai(**fields))])
    assert one.grade == "note"
    assert one.message.endswith(f" (accepted by {ACCEPT})")


def test_what_nobody_pinned_is_a_note() -> None:
    made = sheet(Said(rows=[("a", ["b", "c"], 0)]), task=copa_task(splits=("test",)))
    other = replace(made, raw=pl.DataFrame(copa_rows(3)))
    assert only([*check_pins(other)]).message == (
        "of some/choices (test) no fingerprint is pinned, so a change would not be seen"
    )
    assert only([*check_pins(replace(other, revision="1" * 40))]).message == (
        f"of some/choices no commit is pinned, so a change would not be seen; here is {'1' * 40}"
    )
    assert {one.grade for one in check_pins(other)} == {"note"}


def test_a_column_that_nobody_pinned_is_a_note() -> None:
    made = thai()
    part = replace(made.part, columns=("changed",))
    rows = pl.DataFrame({"changed": ["a"]})
    one = only([*check_pins(replace(made, part=part, raw=rows))])
    assert (one.grade, one.message) == (
        "note", "the columns changed are not pinned, so a change in them would not be seen",
    )  # fmt: skip


def test_a_file_of_several_languages_is_looked_at_once_and_the_embedded_data_never() -> None:
    task = copa_task(languages=("en", "de"), splits=("test",))
    parts = tuple(replace(part, config="default") for part in task.parts)
    both = [
        replace(
            sheet(Said(rows=[("a", ["b", "c"], 0)]), task=replace(task, parts=parts), language=language),
            raw=pl.DataFrame(copa_rows(3)),
        )
        for language in ("en", "de")
    ]
    assert [len(found(check_pins, one)) for one in both] == [1, 0]
    embedded = copa_task(splits=("test",), repository="xfer-bench/quickstart")
    made = sheet(Said(rows=[("a", ["b", "c"], 0)]), task=embedded)
    assert found(check_pins, replace(made, raw=pl.DataFrame(copa_rows(3)))) == []


@pytest.mark.mirror
@pytest.mark.skipif(not HAS_REAL_MIRROR, reason="no mirror")
@pytest.mark.parametrize(("task", "language"), [("xcopa", "th"), ("xnli", "sw")])
def test_the_mirror_that_was_pinned_is_as_it_was(task: str, language: str) -> None:
    part = next(one for one in TASKS[task].parts if one.split == "test" and language in one.languages)
    read = read_sheet(Sources(data_root=REAL_MIRROR), TASKS[task], part=part, language=language)
    assert found(check_pins, read) == []
