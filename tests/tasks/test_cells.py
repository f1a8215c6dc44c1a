import polars as pl
import pytest

from xfer_bench.tasks.cells import TEXT, TEXTS, WHOLE, CellError, check_kinds, check_values, structure, whole_numbers


def test_the_first_row_that_holds_something_is_named() -> None:
    with pytest.raises(CellError, match=r"^row 2: the column 'a' holds 1.5 \(Float64\); it must be a whole number$"):
        check_kinds(pl.DataFrame({"a": [None, None, 1.5]}), {"a": WHOLE})
    with pytest.raises(CellError, match=r"^row 0: the column 'a' holds nothing, as in every row; it must be text$"):
        check_kinds(pl.DataFrame({"a": [None, None]}), {"a": TEXT})


def test_a_structure_may_have_more_fields_and_needs_those_that_are_read() -> None:
    kind = structure(text=TEXTS, inner=structure(stem=TEXT))
    frame = pl.DataFrame({"a": [{"text": ["x"], "inner": {"stem": "s"}, "more": 1}]})
    check_kinds(frame, {"a": kind})
    for other in ({"text": ["x"], "inner": {"stem": 1}}, {"text": ["x"]}, {"text": [1], "inner": {"stem": "s"}}):
        with pytest.raises(CellError, match=r"it must be a structure of text \(a list of texts\), inner \(a structure"):
            check_kinds(pl.DataFrame({"a": [other]}), {"a": kind})


def test_nothing_is_no_wrong_value() -> None:
    check_values(pl.Series("a", ["x", None]), ["x", "y"])
    assert whole_numbers(pl.Series("a", ["3", None])).to_list() == [3, None]
    with pytest.raises(CellError, match=r"^row 1: the column 'a' holds 'z'; allowed are 'x', 'y'$"):
        check_values(pl.Series("a", [None, "z"]), ["x", "y"])
    with pytest.raises(CellError, match=r"^row 1: the column 'a' holds '1.0'; it must be a whole number$"):
        whole_numbers(pl.Series("a", ["1", "1.0"]))


def test_a_frame_without_rows_has_no_wrong_cell() -> None:
    check_kinds(pl.DataFrame({"a": []}), {"a": TEXT})
