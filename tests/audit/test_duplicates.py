from tests.audit.sheets import Rows, found, nli, sheet
from xfer_bench.audit.duplicates import check_duplicates, check_premises, repeated


def test_the_same_row_again_is_a_duplicate_whatever_its_case_and_order_of_candidates() -> None:
    rows = sheet(Rows(rows=[("A cat.", ["one", "two"], 0), ("a CAT", ["Two", "One"], 1), ("A dog", ["x", "y"], 0)]))
    assert found(check_duplicates, rows) == [("warning", "duplicates", ("1",))]
    assert repeated(rows) == 1


def test_the_same_row_with_another_answer_is_a_contradiction() -> None:
    rows = sheet(Rows(rows=[("A cat.", ["one", "two"], 0), ("A dog", ["x", "y"], 0), ("a cat", ["one", "two"], 1)]))
    assert found(check_duplicates, rows) == [("warning", "contradictions", ("0", "2"))]


def test_an_nli_pair_contradicts_by_its_class() -> None:
    assert found(check_duplicates, nli(("p", "h", 0), ("P.", "h!", 2))) == [("warning", "contradictions", ("0", "1"))]
    assert found(check_duplicates, nli(("p", "h", 0), ("p", "i", 2))) == []


def test_threes_with_a_label_each_are_a_note() -> None:
    rows = nli(*[(f"p{place // 3}", f"h{place}", place % 3) for place in range(9)], clusters=list("aaabbbccc"))
    (one,) = check_premises(rows)
    assert (one.grade, one.message) == ("note", "3 premises, each 3 times, once per label: a cluster each")


def test_a_cluster_that_is_no_three_is_found_among_threes() -> None:
    pairs = [(f"p{place // 3}", f"h{place}", place % 3) for place in range(9)]
    rows = nli(*pairs, ("p3", "h9", 0), ("p3", "h10", 0), clusters=list("aaabbbcccdd"))
    assert found(check_premises, rows) == [("warning", "premises", ("9", "10"))]


def test_a_premise_in_two_clusters_is_found() -> None:
    rows = nli(*[("p", f"h{place}", place % 3) for place in range(6)], clusters=list("aaabbb"))
    assert found(check_premises, rows)[1] == ("note", "premises", tuple("012345"))


def test_multiple_choice_has_no_premise_groups() -> None:
    assert found(check_premises, sheet(Rows(rows=[("t", ["a", "b"], 0), ("t", ["c", "d"], 0)]))) == []
