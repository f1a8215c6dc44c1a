"""The real mirror: what its index promises is what the tasks read. Numbers are those of its INDEX.tsv and notes."""

import time
from collections import Counter

import polars as pl
import pytest

from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR
from xfer_bench.sources.mixture import Wanted, draw
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks import TASKS, find
from xfer_bench.tasks.task import Split, Task

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror: set XFER_BENCH_DATA"),
]

SOURCES = Sources(data_root=REAL_MIRROR)
REAL = [task for task in TASKS.values() if not task.name.startswith("quickstart_")]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

# Rows that no task can use: an answer key `@`, an empty question, an answer that stands twice among the choices.
DROPPED = {
    ("exams", "train", "tr"): 2,
    ("exams", "test", "sr"): 1,
    ("exams", "test", "de"): 2,
    ("c3", "train", "zh"): 2,
}
ABSENT = {"mnli", "csqa", "hellaswag", "cosmosqa", "pawsx", "wikipedia"}


def _rows(task: str, language: str, split: Split) -> Rows:
    return SOURCES.rows(find(task), language=language, split=split)


def _indexed() -> dict[tuple[str, str, str], int]:
    index = pl.read_csv(REAL_MIRROR / "INDEX.tsv", separator="\t")
    return {(row["repo"], row["config"], row["split"]): row["rows"] for row in index.rows(named=True)}


@pytest.mark.parametrize("task", REAL, ids=lambda task: task.name)
def test_every_part_has_as_many_rows_as_the_index_says(task: Task) -> None:
    expected: Counter[tuple[str, str, str]] = Counter()
    for part in task.parts:
        if SOURCES.availability(task, part.split, language=part.languages[0]) == "mirror":
            # A training set without development rows is read in two pieces.
            pieces: tuple[Split, ...] = (part.split,) if "validation" in task.splits else ("train", "validation")
            for language in part.languages:
                key = (part.repository, part.config.format(language=language), part.upstream_split or part.split)
                for rows in (SOURCES.rows(task, language=language, split=piece) for piece in pieces):
                    expected[key] += rows.frame.height + rows.dropped
                    assert rows.dropped == DROPPED.get((task.name, part.split, language), 0)
    indexed = _indexed()
    assert expected == {key: indexed[key] for key in expected}
    assert expected or task.name in ABSENT


def test_only_the_training_sets_that_the_mirror_lacks_are_unavailable() -> None:
    lacking = {
        (task.name, split)
        for task in REAL
        for split in SPLITS
        if split in task.splits and SOURCES.availability(task, split) != "mirror"
    }
    assert lacking == {*((name, "train") for name in ABSENT), ("pawsx", "test")}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_xnli_cluster_is_one_premise_with_one_item_of_each_label_in_every_language(split: Split) -> None:
    task = find("xnli")
    by_language = {language: _rows("xnli", language, split).frame for language in task.languages}
    for frame in by_language.values():
        clusters = frame.group_by("cluster").agg(pl.col("label").sort(), pl.col("text").n_unique(), pl.len())
        assert clusters["label"].to_list() == [[0, 1, 2]] * clusters.height
        assert clusters["text"].to_list() == [1] * clusters.height
        assert frame.select("item", "cluster", "label").equals(by_language["en"].select("item", "cluster", "label"))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_xcopa_item_is_the_same_item_in_english(split: Split) -> None:
    english = _rows("xcopa", "en", split).frame.select("item", "cluster", "label")
    for language in find("xcopa").languages:
        assert _rows("xcopa", language, split).frame.select("item", "cluster", "label").equals(english)


@pytest.mark.parametrize("language", ["th", "ta"])
def test_thai_and_tamil_premises_are_uncut(language: str) -> None:
    raw = pl.read_parquet(REAL_MIRROR / "cambridgeltl" / "xcopa" / language / "test-*.parquet")
    texts = _rows("xcopa", language, "test").frame["text"]
    for premise, text in zip(raw["premise"], texts, strict=True):
        assert text.removeprefix(premise) in {" What was the cause?", " What happened as a result?"}


def test_exams_has_three_to_five_choices() -> None:
    numbers: set[int] = set()
    for language in find("exams").languages_of("train"):
        numbers |= set(_rows("exams", language, "train").frame["candidates"].list.len())
    assert numbers == {3, 4, 5}


def test_c3_has_two_to_four_choices() -> None:
    assert set(_rows("c3", "zh", "train").frame["candidates"].list.len()) == {2, 3, 4}


@pytest.mark.parametrize("name", ["exams", "c3"])
def test_chance_is_the_mean_of_one_over_the_choices(name: str) -> None:
    task = find(name)
    frames = [_rows(name, language, "train").frame for language in task.languages_of("train")]
    chances = pl.concat(frames).select((1 / pl.col("candidates").list.len()).mean()).item()
    assert chances == pytest.approx(task.chance, abs=0.005)


def test_one_language_per_item_is_the_same_content_as_english_alone() -> None:
    task = find("xnli_dev")
    every = Wanted(languages=task.languages, per_item="one", examples=1000)
    alone = Wanted(languages=("en",), examples=1000)
    mixed, english = (draw(task, one, sources=SOURCES, split="train", seed=0).frame for one in (every, alone))
    assert dict(mixed.select("item", "label").iter_rows()) == dict(english.select("item", "label").iter_rows())
    assert mixed["language"].n_unique() == 15


def test_no_premise_of_a_set_without_development_rows_is_on_both_sides() -> None:
    for name, language in (("inferes", "es"), ("jsick", "ja")):
        train, held_out = (_rows(name, language, split).frame for split in ("train", "validation"))
        assert not set(train["text"]) & set(held_out["text"])


def test_all_27_columns_of_the_benchmarks_are_read_in_a_few_seconds() -> None:
    started = time.perf_counter()
    for name in ("xnli", "xcopa"):
        for language in find(name).languages:
            _rows(name, language, "test")
    assert time.perf_counter() - started < 10
