import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xfer_bench.errors import SourceError
from xfer_bench.frames import ITEMS
from xfer_bench.sources.overlap import KINDS, MATCHES, normalised, overlap

LONG = "The farmer walked down to the river because his three cows had run away in the night."


def items(*rows: tuple[str, list[str], int], language: str = "en", prefix: str = "") -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "item": f"{prefix}{place}",
                "cluster": f"{prefix}{place}",
                "language": language,
                "text": text,
                "candidates": candidates,
                "label": label,
            }
            for place, (text, candidates, label) in enumerate(rows)
        ],
        schema=ITEMS,
    )


def kinds(training: pl.DataFrame, evaluation: pl.DataFrame) -> list[tuple[str, str, str]]:
    matches = overlap(training, evaluation).matches
    return matches.select("kind", "training_item", "evaluation_item").rows()


def test_a_row_equal_but_for_case_punctuation_width_and_spaces_is_a_leak() -> None:
    training = items(("ＴＨＥ  cat, sat!", ["It was “tired”", "No"], 0))
    evaluation = items(("Other", ["x", "y"], 0), ("the cat sat.", ["it was tired.", "yes"], 0))
    assert kinds(training, evaluation) == [("answer", "0", "1")]


def test_the_same_candidates_in_another_order_are_the_same_item() -> None:
    training = items(("A premise", ["one thing", "another"], 0))
    evaluation = items(("A premise", ["Another", "One thing"], 0))
    assert kinds(training, evaluation) == [("item", "0", "0")]
    assert kinds(training, items(("A premise", ["another", "one thing"], 1))) == [("answer", "0", "0")]


def test_an_nli_pair_is_compared_by_its_hypothesis_whatever_the_label() -> None:
    training = items(("P", ["a hypothesis"], 2))
    assert kinds(training, items(("p", ["A hypothesis."], 0))) == [("answer", "0", "0")]


def test_an_equal_premise_alone_is_a_note_and_no_leak() -> None:
    training = items((LONG, ["They were hungry"], 0), (LONG, ["It rained"], 1))
    found = overlap(training, items((LONG, ["The moon is bright tonight"], 2)))
    assert found.matches["kind"].to_list() == ["text", "text"]
    assert (found.leaked, found.evaluation_matched) == (0, 0)
    assert found.leaks.is_empty()


def test_a_changed_word_is_a_near_duplicate() -> None:
    changed = LONG.replace("cows", "goats")
    found = overlap(items((changed, ["They were hungry", "x"], 0)), items((LONG, ["They were hungry", "y"], 0)))
    assert found.matches["kind"].to_list() == ["near"]
    assert 0.8 <= found.matches["similarity"][0] < 1
    assert (found.leaked, found.evaluation_matched) == (1, 1)


def test_two_questions_on_one_long_passage_are_no_near_duplicates() -> None:
    training = items((LONG * 5, ["They were hungry"], 0))
    evaluation = items((LONG * 4, ["It rained"], 0))
    assert kinds(training, evaluation) == []


def test_a_near_answer_on_a_changed_passage_is_one() -> None:
    training = items((LONG * 5, ["They were hungry"], 0))
    evaluation = items((LONG * 5 + " Why", ["They were very hungry"], 0))
    assert kinds(training, evaluation) == [("near", "0", "0")]


def test_of_several_matches_the_gravest_counts_then_the_most_similar_then_the_first() -> None:
    near_one, nearer = LONG.replace("river", "stream"), LONG.replace("river", "rivers")
    training = items((LONG, ["They ran"], 0))
    others = [
        (LONG, ["It rained"], 0),
        (near_one, ["They ran"], 0),
        (nearer, ["They ran"], 0),
        (nearer, ["they ran"], 0),
    ]
    assert kinds(training, items(*others)) == [("near", "0", "2")]
    assert kinds(training, items(*others, (LONG, ["They ran!"], 0))) == [("answer", "0", "4")]


def test_only_rows_of_one_language_are_compared_unless_asked() -> None:
    training, evaluation = items(("x + y = z", ["2"], 0)), items(("x + y = z", ["2"], 0), language="de")
    assert overlap(training, evaluation).leaked == 0
    found = overlap(training, evaluation, across_languages=True)
    assert found.matches.select("training_language", "evaluation_language").rows() == [("en", "de")]


def test_a_frame_of_several_languages_names_each_row_by_its_language() -> None:
    english, german = items((LONG, ["a"], 0)), items((LONG, ["a"], 0), language="de")
    found = overlap(pl.concat([english, german]), pl.concat([german, english]))
    assert found.matches["training_language"].to_list() == ["en", "de"]
    assert found.matches["evaluation_language"].to_list() == ["en", "de"]


def test_everything_overlaps_with_itself() -> None:
    rows = items(*[(f"{LONG} {number}", ["a", f"b {number}"], 1) for number in range(20)])
    found = overlap(rows, rows)
    assert found.matches.select("training_item", "evaluation_item").rows() == [(str(n), str(n)) for n in range(20)]
    assert (found.leaked, found.evaluation_matched, found.training_rows, found.evaluation_rows) == (20, 20, 20, 20)


def test_texts_of_symbols_only_are_equal_to_themselves_only() -> None:
    training = items(("?!", ["…"], 0), ("+", ["-"], 0))
    assert kinds(training, items(("?!", ["…"], 0))) == [("answer", "0", "0")]


def test_without_rows_there_is_no_overlap() -> None:
    found = overlap(items(), items((LONG, ["a"], 0)))
    assert found.matches.schema == pl.Schema(MATCHES)
    assert (found.leaked, found.training_rows, found.evaluation_rows) == (0, 0, 1)


def test_marks_that_carry_vowels_stay() -> None:
    frame = pl.DataFrame({"text": ["กิน", "กาน", "कि", "का"]}).select(normalised(pl.col("text")))
    assert frame["text"].n_unique() == 4


def test_a_threshold_outside_its_range_is_refused() -> None:
    with pytest.raises(SourceError, match="least similarity"):
        overlap(items(("a", ["b"], 0)), items(("a", ["c"], 0)), least=0)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = pl.DataFrame({"text": [text]}).select(normalised(pl.col("text")))
    assert once.select(normalised(pl.col("text"))).equals(once)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=12), st.lists(st.integers(0, 8), max_size=12))
def test_every_row_counts_once_whatever_the_rows(left: list[int], right: list[int]) -> None:
    def frame(numbers: list[int]) -> pl.DataFrame:
        return items(*[(f"{LONG} {number // 2}", [f"answer {number}"], 0) for number in numbers])

    found = overlap(frame(left), frame(right))
    assert found.matches["training_item"].n_unique() == found.matches.height
    assert sum(found.count(kind) for kind in KINDS) == found.matches.height
    equal = {place for place, number in enumerate(left) if number in right}
    assert found.count("answer") == len(equal)
    assert found.evaluation_matched >= sum(number in left for number in right)
