import polars as pl
import pytest

from xfer_bench.tasks.cells import CellError
from xfer_bench.tasks.exams import EXAMS
from xfer_bench.tasks.multiple_choice import C3, CSQA, HELLASWAG, KOBEST_COPA, SIQA, XCOPA
from xfer_bench.tasks.quickstart import QUICKSTART_REASONING
from xfer_bench.tasks.readers import joined, nli_pairs, options, read_copa


def _copa(premise: str | None, question: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"premise": [premise], "choice1": ["a"], "choice2": ["b"], "question": [question], "label": [1], "idx": [7]},
        schema_overrides={"premise": pl.String},
    )


def test_copa_asks_in_english_and_keeps_every_character_of_the_premise() -> None:
    # Thai carries no final stop: the last character is a letter.
    premise = "ชายคนนั้นเปิดก๊อกน้ำ"
    assert read_copa(_copa(premise, "effect"))["text"][0] == f"{premise} What happened as a result?"
    assert read_copa(_copa("It fell.", "cause"))["text"][0] == "It fell. What was the cause?"


def test_copa_items_are_their_idx_as_text() -> None:
    row = read_copa(_copa("It fell.", "cause")).row(0, named=True)
    assert row["item"] == "7"
    assert row["candidates"] == ["a", "b"]
    assert row["label"] == 1


def test_a_copa_question_that_is_neither_fails() -> None:
    with pytest.raises(CellError, match=r"^row 0: the column 'question' holds 'why'; allowed are 'cause', 'effect'$"):
        read_copa(_copa("It fell.", "why"))


def test_a_copa_row_without_premise_has_no_text() -> None:
    assert read_copa(_copa(None, "cause"))["text"][0] is None


def test_the_text_is_what_exists_of_context_and_question() -> None:
    frame = pl.DataFrame({"context": ["c", "", None, None], "question": ["q", "q", "q", " "]})
    assert frame.select(joined("context", "question")).to_series().to_list() == ["c q", "q", "q", ""]


def test_a_number_in_a_text_column_fails_instead_of_becoming_text() -> None:
    with pytest.raises(pl.exceptions.PolarsError):
        pl.DataFrame({"context": [1]}).select(joined("context"))
    with pytest.raises(pl.exceptions.PolarsError):
        pl.DataFrame({"a": ["x"], "b": [1]}).select(options("a", "b"))


def test_nli_clusters_are_three_consecutive_rows_or_equal_premises() -> None:
    frame = pl.DataFrame(
        {"premise": list("aaabbbaaa"), "hypothesis": list("123456789"), "label": [0, 1, 2] * 3},
    )
    assert nli_pairs(cluster="triple")(frame)["cluster"].to_list() == list("000111222")
    assert nli_pairs(cluster="premise")(frame)["cluster"].to_list() == list("000333000")
    assert nli_pairs()(frame)["candidates"].to_list() == [[letter] for letter in "123456789"]


def test_social_iqa_counts_from_one_in_strings() -> None:
    frame = pl.DataFrame(
        {
            "context": ["c"] * 3,
            "question": ["q"] * 3,
            "answerA": ["a"] * 3,
            "answerB": ["b"] * 3,
            "answerC": ["c"] * 3,
            "label": ["1", "2", "3"],
        }
    )
    read = SIQA.parts[0].read(frame)
    assert read["label"].to_list() == [0, 1, 2]
    assert read["candidates"][0].to_list() == ["a", "b", "c"]


def test_hellaswag_labels_are_strings() -> None:
    frame = pl.DataFrame({"ctx": ["He"], "endings": [["a", "b", "c", "d"]], "label": ["3"]})
    assert HELLASWAG.parts[0].read(frame)["label"].to_list() == [3]


def test_c3_answers_are_found_among_the_choices_or_the_row_has_no_label() -> None:
    frame = pl.DataFrame(
        {
            "id": ["1", "1", "2"],
            "context": ["文"] * 3,
            "question": ["问"] * 3,
            "choice": [["甲", "乙"], ["甲", "乙", "丙"], ["甲", "甲", "乙"]],
            "answer": ["乙", "丁", "甲"],  # the second is not there, the third is there twice
        }
    )
    read = C3.parts[0].read(frame)
    assert read["label"].to_list() == [1, None, None]
    assert read["text"][0] == "文 问"
    assert read["cluster"].to_list() == ["1", "1", "2"]


def test_commonsense_qa_keys_are_looked_up_among_the_letters() -> None:
    frame = pl.DataFrame(
        {
            "id": ["x", "y"],
            "question": ["q", "q"],
            "choices": [{"label": ["A", "B"], "text": ["a", "b"]}, {"label": ["B", "A"], "text": ["b", "a"]}],
            "answerKey": ["B", "B"],
        }
    )
    read = CSQA.parts[0].read(frame)
    assert read["label"].to_list() == [1, 0]
    assert read["item"].to_list() == ["x", "y"]


def test_exams_languages_become_codes_and_the_key_at_is_no_label() -> None:
    choices = {"text": ["a", "b", "c"], "label": ["A", "B", "C"]}
    frame = pl.DataFrame(
        {
            "id": ["x", "y"],
            "question": [{"stem": "q", "choices": choices}] * 2,
            "answerKey": ["C", "@"],
            "info": [{"language": "North Macedonian"}, {"language": "Turkish"}],
        }
    )
    read = EXAMS.parts[0].read(frame)
    assert read["label"].to_list() == [2, None]
    assert read["language"].to_list() == ["mk", "tr"]
    assert read["candidates"][0].to_list() == ["a", "b", "c"]


def test_kobest_keeps_its_korean_question() -> None:
    frame = pl.DataFrame(
        {
            "premise": ["비가 왔다."],
            "question": ["결과"],
            "alternative_1": ["가"],
            "alternative_2": ["나"],
            "label": [0],
        }
    )
    assert KOBEST_COPA.parts[0].read(frame)["text"][0] == "비가 왔다. 결과"


def test_xcopa_and_english_copa_are_read_by_one_reader() -> None:
    assert {part.read for part in XCOPA.parts} == {read_copa}


def test_the_embedded_reasoning_rows_carry_their_language_and_item() -> None:
    frame = pl.DataFrame(
        {
            "id": ["r1"],
            "language": ["sw"],
            "context": ["Mvua ilinyesha."],
            "question": [""],
            "choices": [["a", "b", "c"]],
            "label": [2],
        }
    )
    row = QUICKSTART_REASONING.parts[0].read(frame).row(0, named=True)
    assert (row["text"], row["language"], row["item"], row["label"]) == ("Mvua ilinyesha.", "sw", "r1", 2)
