from typing import Any

import polars as pl
import pytest

from tests.sources.small_mirror import nli_task, pairs
from xfer_bench.errors import SourceError
from xfer_bench.frames import ITEMS
from xfer_bench.sources.items import Usable, fingerprint, usable
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.multiple_choice import MULTIPLE_CHOICE
from xfer_bench.tasks.readers import joined
from xfer_bench.tasks.task import Part, Task


def _nli(columns: dict[str, list[Any]]) -> Usable:
    task = nli_task(splits=("test",))
    return usable(pl.DataFrame(columns), task=task, part=task.parts[0], language="en", split="test")


def _choice(columns: dict[str, list[Any]]) -> Usable:
    part = Part(
        split="test",
        languages=("en", "de"),
        repository="some/choices",
        config="all",
        read=lambda frame: frame,
        columns=tuple(columns),
    )
    task = Task(name="choices", format=MULTIPLE_CHOICE, parts=(part,), licence="none", chance=0.5)
    return usable(pl.DataFrame(columns), task=task, part=part, language="en", split="test")


def test_items_have_the_schema_and_the_row_number_of_the_file() -> None:
    columns = pairs(6)
    columns["premise"][1] = " "
    read = _nli(columns)
    assert dict(read.frame.schema) == ITEMS
    assert read.frame["item"].to_list() == ["0", "2", "3", "4", "5"]
    assert read.frame["cluster"].to_list() == ["0", "0", "1", "1", "1"]
    assert read.dropped == 1


@pytest.mark.parametrize(("column", "value"), [("premise", None), ("hypothesis", ""), ("hypothesis", None)])
def test_blank_texts_and_candidates_are_dropped_and_counted(column: str, value: str | None) -> None:
    columns = pairs(6)
    columns[column][2] = value
    assert _nli(columns).dropped == 1


def test_a_row_without_label_is_dropped_and_counted() -> None:
    columns = pairs(6)
    columns["label"][5] = None
    assert _nli(columns).dropped == 1


def test_nothing_usable_is_an_error_not_an_empty_frame() -> None:
    with pytest.raises(SourceError, match=r"^some/pairs \(en, test\): no usable row for pairs in 'en' among 3$"):
        _nli({**pairs(3), "premise": [""] * 3})


def test_a_label_outside_the_range_names_row_column_value_and_range() -> None:
    with pytest.raises(
        SourceError, match=r"^some/pairs \(en, test\): row 4: the column 'label' holds 3; allowed are 0 to 2$"
    ):
        _nli({**pairs(6), "label": [0, 1, 2, 0, 3, 2]})


def test_hidden_labels_are_called_hidden() -> None:
    with pytest.raises(
        SourceError, match=r"row 0: the column 'label' holds -1: the labels are hidden; allowed are 0 to 2$"
    ):
        _nli({**pairs(3), "label": [-1, -1, -1]})


def test_the_range_of_a_choice_is_its_own_number_of_candidates() -> None:
    columns: dict[str, list[Any]] = {"text": ["a", "b"], "candidates": [["x", "y", "z"], ["x", "y"]], "label": [2, 1]}
    assert _choice(columns).frame["label"].to_list() == [2, 1]
    with pytest.raises(SourceError, match=r"row 1: the column 'label' holds 2; allowed are 0 to 1$"):
        _choice({**columns, "label": [2, 2]})


def test_one_candidate_is_no_choice() -> None:
    columns: dict[str, list[Any]] = {"text": ["a", "b"], "candidates": [["x"], ["x", "y"]], "label": [0, 1]}
    assert _choice(columns).dropped == 1


def test_a_file_of_several_languages_is_filtered_and_keeps_its_row_numbers() -> None:
    read = _choice(
        {
            "text": ["a", "b", "c"],
            "candidates": [["x", "y"]] * 3,
            "label": [0, 1, 0],
            "language": ["de", "en", "en"],
        }
    )
    assert read.frame["text"].to_list() == ["b", "c"]
    assert read.frame["item"].to_list() == ["1", "2"]
    assert read.dropped == 0


def test_an_item_that_comes_twice_is_an_error() -> None:
    columns: dict[str, list[Any]] = {
        "text": ["a", "b"],
        "candidates": [["x", "y"]] * 2,
        "label": [0, 1],
        "item": ["7", "7"],
    }
    with pytest.raises(SourceError, match=r"rows 0 and 1 are the same item '7' by the column 'item'$"):
        _choice(columns)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"label": ["entailment"] * 3},
            r"row 0: the column 'label' holds 'entailment' \(String\); it must be a whole number",
        ),
        (
            {"label": [0.0, 1.0, 2.0]},
            r"row 0: the column 'label' holds 0.0 \(Float64\); it must be a whole number",
        ),
        ({"label": [True, False, True]}, r"row 0: the column 'label' holds True \(Boolean\)"),
        (
            {"premise": [1, 2, 3]},
            r"row 0: the column 'premise' holds 1 \(Int64\); it must be text",
        ),
        ({"hypothesis": [1, 2, 3]}, r"row 0: the column 'hypothesis' holds 1 \(Int64\)"),
        ({"premise": [["a"], ["b"], ["c"]]}, r"row 0: the column 'premise' holds \['a'\] \(List\(String\)\)"),
    ],
    ids=str,
)
def test_a_column_of_the_wrong_type_is_one_line_with_the_first_row(change: dict[str, list[Any]], says: str) -> None:
    with pytest.raises(SourceError, match=rf"^some/pairs \(en, test\): {says}[^\n]*$"):
        _nli({**pairs(3), **change})


@pytest.mark.parametrize(
    ("name", "column", "value", "says"),
    [
        (
            "xcopa",
            "question",
            "reason",
            "cambridgeltl/xcopa (th, validation): row 3: the column 'question' holds 'reason'; allowed are 'cau",
        ),
        (
            "siqa",
            "label",
            "x",
            "allenai/social_i_qa (default, train): row 3: the column 'label' holds 'x'; it must be a whole number",
        ),
        (
            "siqa",
            "label",
            "4",
            "allenai/social_i_qa (default, train): row 3: the column 'label' holds '4', which is the label 3; allo",
        ),
    ],
)
def test_a_value_that_no_row_may_have_names_its_column_and_the_first_row(
    name: str, column: str, value: str, says: str
) -> None:
    task = TASKS[name]
    part, rows = task.parts[0], 6
    columns: dict[str, list[Any]] = {one: [f"{one} {row}" for row in range(rows)] for one in part.columns}
    columns |= {"label": ["1"] * rows, "question": ["cause"] * rows} if name == "siqa" else {}
    columns |= {"label": [0] * rows, "question": ["cause"] * rows, "idx": list(range(rows))} if name == "xcopa" else {}
    columns[column][3] = columns[column][5] = value
    language = "th" if name == "xcopa" else "en"
    with pytest.raises(SourceError) as caught:
        usable(pl.DataFrame(columns), task=task, part=part, language=language, split=part.split)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_where_no_column_is_to_blame_alone_all_are_told() -> None:
    # Neither column alone can be put right, and somebody else's reader looks at nothing before.
    def read(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select("label", text=joined("premise", "hypothesis"), candidates=pl.concat_list("premise"))

    task = nli_task(splits=("test",), read=read)
    rows = pl.DataFrame({"premise": [["a"]], "hypothesis": [{"b": 1}], "label": [0]})
    with pytest.raises(SourceError, match=r"not what is expected: .*; the columns are premise \(List[^\n]*$"):
        usable(rows, task=task, part=task.parts[0], language="en", split="test")


def _first(name: str, change: dict[str, Any]) -> str:
    """The error about three rows of a task's first part with another column."""
    part = TASKS[name].parts[0]
    choices = {"label": ["A", "B"], "text": ["x", "y"]}
    whole: dict[str, list[Any]] = {column: [f"{column} {row}" for row in range(3)] for column in part.columns}
    whole |= {"label": [0] * 3, "idx": [0, 1, 2]} | ({"question": ["cause"] * 3} if "choice1" in part.columns else {})
    whole |= {"choices": [choices] * 3, "answerKey": ["A"] * 3} if name == "csqa" else {}
    exam: dict[str, list[Any]] = {
        "question": [{"stem": "q", "choices": choices}] * 3,
        "info": [{"language": "Polish"}] * 3,
    }
    if name == "exams":
        whole |= exam
    rows = pl.DataFrame({column: (whole | change)[column] for column in part.columns})
    with pytest.raises(SourceError) as caught:
        usable(rows, task=TASKS[name], part=part, language=part.languages[0], split=part.split)
    assert "\n" not in str(caught.value)
    return str(caught.value).partition("): ")[2]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("xcopa", {"choice2": [None, 4, 5]}, "row 1: the column 'choice2' holds 4 (Int64); it must be text"),
        ("copa", {"choice1": [1.5] * 3}, "row 0: the column 'choice1' holds 1.5 (Float64); it must be text"),
        ("xcopa", {"idx": [0.0, 1.0, 2.0]}, "row 0: the column 'idx' holds 0.0 (Float64); it must be a whole number"),
        ("xcopa", {"premise": [None] * 3}, "row 0: the column 'premise' holds nothing, as in every row; it must be t"),
        ("siqa", {"answerC": [True] * 3}, "row 0: the column 'answerC' holds True (Boolean); it must be text"),
        ("hellaswag", {"endings": [[1, 2]] * 3}, "row 0: the column 'endings' holds [1, 2] (List(Int64)); it must be "),
        ("csqa", {"choices": ["x"] * 3}, "row 0: the column 'choices' holds 'x' (String); it must be a structure of "),
        ("exams", {"info": [{"language": "Latin"}] * 3}, "row 0: the column 'info.language' holds 'Latin'; allowed ar"),
        ("pawsx", {"sentence2": [1, 2, 3]}, "row 0: the column 'sentence2' holds 1 (Int64); it must be text"),
        ("wikipedia", {"text": [1, 2, 3]}, "row 0: the column 'text' holds 1 (Int64); it must be text"),
        ("xcopa", {"idx": [0, None, 2]}, "row 1 has no item number or no cluster: nothing is in the column 'idx'"),
        ("xcopa", {"idx": [0, 1, 1]}, "rows 1 and 2 are the same item '1' by the column 'idx'"),
    ],
)  # fmt: skip
def test_every_task_looks_at_its_columns_before_it_reads_them(name: str, change: dict[str, Any], says: str) -> None:
    assert _first(name, change).startswith(says)


def test_no_row_at_all_is_said_so() -> None:
    with pytest.raises(SourceError, match=r"^some/pairs \(en, test\): there is no row$"):
        _nli({"premise": [], "hypothesis": [], "label": []})


def test_a_long_value_is_cut_in_an_error() -> None:
    with pytest.raises(SourceError, match=r"holds '[x]{58}… \(String\)"):
        _nli({**pairs(3), "label": ["x" * 500] * 3})


def test_the_fingerprint_is_the_content() -> None:
    frame = _nli(pairs(6)).frame
    assert len(fingerprint(frame)) == 64
    assert fingerprint(frame) == fingerprint(_nli(pairs(6)).frame)
    changed = frame.with_columns(text=pl.col("text").str.replace("premise 1", "premise 2"))
    assert fingerprint(frame) != fingerprint(changed)
    assert fingerprint(frame) != fingerprint(frame.reverse())


def test_the_fingerprint_stays_what_it_was() -> None:
    # Checkpoints and cached predictions are identified by it; computed once with hashlib and json by hand.
    frame = pl.DataFrame(
        {"item": ["0"], "cluster": ["0"], "language": ["th"], "text": ["ก"], "candidates": [["a"]], "label": [1]},
        schema=ITEMS,
    )
    assert fingerprint(frame) == "9aabcd0ae1ed9de614458a90823c4736f6185ba4b4d051daeffaf3cd451dbeb2"
