from dataclasses import replace

from tests.audit.sheets import Rows, only, sheet
from xfer_bench.audit.counts import check_counts, place_of, published_rows

GOOD = [(f"text {place}", ["a", "b"], place % 2) for place in range(3)]


def test_the_published_count_is_that_of_the_repository_s_split() -> None:
    rows = sheet(Rows(rows=GOOD))
    assert place_of(rows) == ("some/choices", "en", "validation")
    one = only([*check_counts(rows, {("some/choices", "en", "validation"): 4})])
    assert (one.grade, one.check, one.message) == ("warning", "rows", "3 rows here, 4 as published")
    assert [*check_counts(rows, {("some/choices", "*", "validation"): 3})] == []
    assert published_rows(rows, {("some/choices", "en", "test"): 4}) is None


def test_rows_without_text_or_candidate_are_found_where_they_are() -> None:
    rows = [*GOOD, (" ", ["a", "b"], 0), (None, ["a", "b"], 0), ("t", ["a", " "], 0)]
    one = only([*check_counts(sheet(Rows(rows=rows, unusable=frozenset({3, 4, 5}))), {})])
    assert (one.check, one.items, one.grade) == ("blank", ("3", "4", "5"), "warning")


def test_rows_without_an_answer_are_another_finding() -> None:
    one = only([*check_counts(sheet(Rows(rows=[*GOOD, ("t", ["a", "b"], None)], unusable=frozenset({3}))), {})])
    assert (one.check, one.items) == ("unanswered", ("3",))


def test_what_training_rows_lack_is_a_note() -> None:
    rows = sheet(Rows(rows=[*GOOD, ("", ["a", "b"], 0)], unusable=frozenset({3})))
    training = replace(rows, part=replace(rows.part, split="train"))
    assert [one.grade for one in check_counts(training, {})] == ["note"]
