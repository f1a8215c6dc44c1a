import pytest

from tests.audit.sheets import Rows, found, nli, only, sheet
from xfer_bench.audit.labels import answer_shares, check_labels

BALANCED = [(f"text {place}", ["a", "b"], place % 2) for place in range(60)]


def test_balanced_labels_are_no_finding() -> None:
    assert found(check_labels, sheet(Rows(rows=BALANCED))) == []


def test_hidden_labels_are_an_error_with_their_items() -> None:
    rows = sheet(Rows(rows=[*BALANCED, ("hidden", ["a", "b"], -1)]))
    one = only([*check_labels(rows)])
    assert (one.grade, one.check, one.items) == ("error", "labels", ("60",))
    assert one.message == "1 of 61 rows have the label -1: the answers are hidden"
    assert one.example == "hidden | a | b [-1]"


def test_labels_out_of_range_are_an_error() -> None:
    rows = sheet(Rows(rows=[*BALANCED, ("x", ["a", "b"], 2), ("y", ["a", "b", "c"], 2)]))
    assert found(check_labels, rows) == [("error", "labels", ("60",))]


def test_the_same_label_everywhere_is_a_placeholder() -> None:
    one = only([*check_labels(nli(*[(f"p{place}", f"h{place}", 1) for place in range(60)]))])
    assert one.grade == "error"
    assert "placeholders" in one.message


@pytest.mark.parametrize(("first", "grade"), [(34, "note"), (40, "warning")])
def test_an_answer_that_comes_too_often_is_graded_by_how_often(first: int, grade: str) -> None:
    rows = [(f"t{place}", ["a", "b"], 0 if place < first else 1) for place in range(60)]
    assert [one.grade for one in check_labels(sheet(Rows(rows=rows)))] == [grade]


def test_few_rows_are_not_asked_for_their_balance() -> None:
    assert found(check_labels, sheet(Rows(rows=[(f"t{place}", ["a", "b"], 0) for place in range(20)]))) == []


def test_chance_counts_how_many_candidates_each_row_has() -> None:
    # The fifth candidate is there in a tenth of the rows only, so its share is small without being odd.
    rows = [(f"t{place}", list("abcde")[: 5 if place % 10 == 0 else 4], place // 10 % 4) for place in range(400)]
    assert found(check_labels, sheet(Rows(rows=rows))) == []


def test_shares_are_of_the_labels_in_range() -> None:
    assert answer_shares(sheet(Rows(rows=[("t", ["a", "b"], 0), ("u", ["a", "b"], 1), ("v", ["a", "b"], -1)]))) == (
        0.5,
        0.5,
    )
    assert answer_shares(sheet(Rows(rows=[]))) == ()
