"""The explorer's columns hold every answer of every run, under the right item, language and label."""

import polars as pl
import pytest

from tests.page.subjects import ITEMS, answered
from tests.page.unpacked import column, unpacked
from xfer_bench.errors import ResultsError
from xfer_bench.page.items import explorer
from xfer_bench.page.packing import NONE
from xfer_bench.tasks import TASKS


def test_every_answer_is_where_the_facts_say() -> None:
    rows = pl.concat([answered(), answered(task="xnli", classes=3, languages=("en", "de"))])
    found = explorer(rows, tasks=TASKS, baseline="none")
    assert [(one["task"], one["count"]) for one in found.facts["benches"]] == [("xcopa", ITEMS), ("xnli", ITEMS)]
    for number, bench in enumerate(found.facts["benches"]):
        languages, (target,) = bench["languages"], bench["targets"]
        items = unpacked(found.blobs[f"items-{number}"]).decode().split("\n")
        labels = column(found.blobs[f"labels-{number}"], len(languages), ITEMS)
        shape = len(languages), len(target["runs"]), 1 + target["classes"], ITEMS
        answers = column(found.blobs[target["blob"]], *shape)
        for row in rows.filter(task=bench["task"]).sample(50, seed=1).iter_rows(named=True):
            run = [one["run"] for one in target["runs"]].index(row["run"])
            language, item = languages.index(row["language"]), items.index(row["item"])
            assert labels[language, item] == row["label"]
            assert answers[language, run, 0, item] == row["prediction"]
            assert answers[language, run, 1:, item].argmax() == row["prediction"]


def test_runs_of_the_baseline_come_first_and_tell_their_seeds_and_seen_languages() -> None:
    found = explorer(answered(), tasks=TASKS, baseline="none")
    runs = found.facts["benches"][0]["targets"][0]["runs"]
    assert [(one["arm"], one["target"]) for one in runs] == [
        (arm, seed) for arm in ("none", "english", "mixed") for seed in (0, 1)
    ]
    assert runs[0]["intermediate"] is None
    assert runs[-1]["seen"] == ["en", "th", "zh"]


def test_items_are_in_the_order_of_their_numbers_and_languages_in_the_tasks() -> None:
    found = explorer(answered(languages=("zh", "en", "et")), tasks=TASKS, baseline="none")
    (bench,) = found.benches
    assert bench.items == tuple(str(number) for number in range(ITEMS))
    assert bench.languages == ("et", "zh", "en")


def test_an_item_that_a_language_or_a_run_lacks_is_absent_there() -> None:
    rows = answered().filter(~((pl.col("item") == "3") & (pl.col("language") == "th")))
    rows = rows.filter(~((pl.col("item") == "4") & (pl.col("run") == "none-0.xcopa")))
    found = explorer(rows, tasks=TASKS, baseline="none")
    languages = found.facts["benches"][0]["languages"]
    labels = column(found.blobs["labels-0"], len(languages), ITEMS)
    answers = column(found.blobs["answers-0-0"], len(languages), 6, 3, ITEMS)
    assert labels[languages.index("th"), 3] == NONE
    assert (labels == NONE).sum() == 1
    assert (answers[:, 0, :, 4] == NONE).all()
    assert (answers[:, 1, :, 4] != NONE).all()


def test_variants_and_settings_have_places_of_their_own() -> None:
    again = answered(variant="repaired")
    other = answered().with_columns(setting=pl.lit("SI"), run=pl.format("{}.SI", "run"))
    found = explorer(pl.concat([answered(), again, other]), tasks=TASKS, baseline="none")
    assert [(one["variant"], len(one["targets"])) for one in found.facts["benches"]] == [
        ("published", 2), ("repaired", 1)
    ]  # fmt: skip


def test_a_label_that_is_no_byte_is_refused() -> None:
    with pytest.raises(ResultsError, match="the label 255 fits no report; it lies between 0 and 254"):
        explorer(answered().with_columns(label=pl.lit(255, dtype=pl.Int32)), tasks=TASKS, baseline="none")
