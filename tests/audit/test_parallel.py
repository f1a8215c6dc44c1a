from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tests.audit.sheets import copa_rows, copa_task
from tests.sources.small_mirror import write
from xfer_bench.audit.findings import Finding
from xfer_bench.audit.parallel import check_parallel, page_of
from xfer_bench.audit.sheet import read_sheet
from xfer_bench.sources.source import Sources

LANGUAGES = ("en", "et", "it", "th", "tr")
COUNT = 20


def findings(root: Path, rows: Mapping[str, Mapping[str, list[object]]]) -> list[Finding]:
    task = copa_task(languages=tuple(rows), splits=("test",))
    write(root, "some/choices", {f"{language}/test.parquet": columns for language, columns in rows.items()})
    sources = Sources(data_root=root)
    return [*check_parallel([page_of(read_sheet(sources, task, part=task.parts[0], language=one)) for one in rows])]


def by_language(found: list[Finding]) -> dict[str, tuple[str, ...]]:
    return {one.language: one.items for one in found}


def test_translations_that_agree_are_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, {one: copa_rows(COUNT, language=one) for one in LANGUAGES}) == []


def test_a_wrong_question_is_found_by_item_against_the_majority(tmp_path: Path) -> None:
    rows = {one: copa_rows(COUNT, language=one) for one in LANGUAGES}
    rows["th"]["question"] = ["effect"] * COUNT
    rows["tr"]["question"][4] = "effect"
    causes = tuple(str(place) for place in range(COUNT) if place // 2 % 2 == 0)
    found = findings(tmp_path, rows)
    assert by_language(found) == {"th": causes, "tr": ("4",)}
    assert {one.grade for one in found} == {"error"}
    assert found[0].message == (
        "the question differs from what most languages have in 10 of 20 rows (here 'effect'); "
        "3 of 5 languages agree on every item"
    )


def test_a_wrong_label_is_found(tmp_path: Path) -> None:
    rows = {one: copa_rows(COUNT, language=one) for one in LANGUAGES}
    rows["it"]["label"][7] = 0
    found = findings(tmp_path, rows)
    assert [(one.language, one.items) for one in found] == [("it", ("7",))]
    assert found[0].message.startswith("the label differs")


def test_an_item_without_a_majority_blames_no_language(tmp_path: Path) -> None:
    rows = {one: copa_rows(COUNT, language=one) for one in LANGUAGES[:4]}
    for one in LANGUAGES[:2]:
        rows[one]["label"][0] = 1
    (found,) = findings(tmp_path, rows)
    assert (found.language, found.items) == ("", ("0",))
    assert found.message == "the label has no majority among 4 languages in 1 item"


def test_missing_items_are_an_error(tmp_path: Path) -> None:
    rows = {one: copa_rows(COUNT, language=one) for one in LANGUAGES}
    rows["et"] = {name: values[:-2] for name, values in rows["et"].items()}
    (found,) = findings(tmp_path, rows)
    assert (found.language, found.items, found.grade) == ("et", ("18", "19"), "error")


def test_rows_that_were_not_translated_are_found_on_both_sides(tmp_path: Path) -> None:
    rows = {one: copa_rows(COUNT, language=one) for one in LANGUAGES}
    for name in ("premise", "choice1", "choice2"):
        rows["it"][name][3] = rows["en"][name][3]
    found = findings(tmp_path, rows)
    assert by_language(found) == {"en": ("3",), "it": ("3",)}
    assert {one.check for one in found} == {"untranslated"}


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    rows = {one: copa_rows(COUNT, language=one) for one in LANGUAGES}
    rows["tr"] = pl.DataFrame(rows["tr"]).sample(fraction=1, shuffle=True, seed=0).to_dict(as_series=False)
    assert findings(tmp_path, rows) == []
