"""The conventions in which published numbers differ from ours are spelled out, with what they do to an average."""

from dataclasses import replace

from tests.predictions import make_predictions
from xfer_bench.report.conventions import beside_notes
from xfer_bench.report.published import beside
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.estimates import Comparison
from xfer_bench.stats.method import Method
from xfer_bench.tasks import TASKS

XCOPA = compare(
    make_predictions(effects={"none": 0.0, "english": 0.4}, languages=TASKS["xcopa"].languages_of("test"), n_items=20),
    method=Method(resamples=100),
)


def notes(some: list[Comparison], model: str) -> str:
    return " ".join(beside_notes(beside(some, model)))


def test_what_was_entered_and_what_it_does_to_the_average() -> None:
    said = notes(XCOPA, "XLM-R large")
    assert (
        "[50.0] was entered there for ht and qu in place of a measurement, and counts in its average of 68.69; the "
        "mean of the other 9 is 72.84"
    ) in said
    assert "avg of 9: the languages that all columns measured: et id it sw ta th tr vi zh" in said
    assert "bar heights measured in pixels" in said


def test_english_macro_and_the_rows_as_published() -> None:
    said = notes(XCOPA, "XLM-R large")
    assert "avg: English does not count on either side; a mean over languages (macro), the same as over items" in said
    assert "the question is wrong in so many rows: 250 in th, 51 in tr, 37 in sw, 4 in id, 4 in it" in said
    uneven = [replace(one, n_items=19) if one.language == "th" else one for one in XCOPA]
    assert "not over items (micro), of which the languages have 19 to 20" in notes(uneven, "XLM-R large")


def test_another_split_a_part_of_the_items_and_missing_languages_are_said() -> None:
    assert "caution: ours is on 20 of the 500 items of test in every language" in notes(XCOPA, "XLM-R large")
    whole = [replace(one, n_items=500) for one in XCOPA]
    assert "caution" not in notes(whole, "XLM-R large")
    assert "caution: ours is on test; [1]: the source does not say" in notes(whole, "MAD-X base")
    few = [replace(one, split="validation", n_items=100) for one in XCOPA if one.language in {"avg", "th", "et"}]
    some = [replace(one, languages=("et", "th")) if one.language == "avg" else one for one in few]
    said = notes(some, "XLM-R-large")
    assert "caution: ours is on validation; [1]: test" in said
    assert "our avg is over 2 languages, without ht id it qu sw ta tr vi zh" in said
