from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.small_mirror import nli_task, pairs, write
from xfer_bench.errors import TaskError
from xfer_bench.sources.mixture import PerItem, Wanted, draw
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks.task import Task

LANGUAGES = ("en", "de", "fr", "sw")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{language}/test.parquet": pairs(90, language=language) for language in LANGUAGES}
    return write(tmp_path_factory.mktemp("mirror"), "some/pairs", files)


def _task(*, parallel: bool = True) -> Task:
    return nli_task(splits=("test",), languages=LANGUAGES, parallel=parallel)


def _draw(
    root: Path,
    *,
    languages: tuple[str, ...] = LANGUAGES,
    per_item: PerItem = "one",
    examples: int | None = None,
    seed: int = 0,
    parallel: bool = True,
) -> Rows:
    sources, task = Sources(data_root=root), _task(parallel=parallel)
    wanted = Wanted(languages=languages, per_item=per_item, examples=examples)
    return draw(task, wanted, sources=sources, split="test", seed=seed)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), examples=st.integers(1, 90))
def test_one_language_per_item_has_the_same_items_as_one_language_alone(root: Path, seed: int, examples: int) -> None:
    mixed = _draw(root, examples=examples, seed=seed).frame
    alone = _draw(root, languages=("sw",), per_item="all", examples=examples, seed=seed).frame
    assert mixed["item"].is_unique().all()
    assert set(mixed["item"]) == set(alone["item"])
    assert mixed.height == examples
    counts = [mixed.filter(mixed["language"] == language).height for language in LANGUAGES]
    assert max(counts) - min(counts) <= 1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), smaller=st.integers(1, 89))
def test_a_smaller_draw_is_contained_in_a_larger_one(root: Path, seed: int, smaller: int) -> None:
    few = _draw(root, examples=smaller, seed=seed).frame.select("item", "language").rows()
    many = _draw(root, examples=smaller + 1, seed=seed).frame.select("item", "language").rows()
    assert set(few) < set(many)


def test_the_text_of_an_item_is_in_the_language_drawn_for_it(root: Path) -> None:
    for row in _draw(root).frame.rows(named=True):
        assert row["text"].startswith(row["language"])


def test_all_gives_every_item_in_every_language(root: Path) -> None:
    rows = _draw(root, per_item="all", examples=10)
    assert rows.frame.height == 40
    assert rows.frame.group_by("item").len()["len"].to_list() == [4] * 10


def test_seed_zero_is_a_seed_and_seeds_differ(root: Path) -> None:
    zero, again, one = (_draw(root, examples=20, seed=seed) for seed in (0, 0, 1))
    assert zero.fingerprint == again.fingerprint
    assert zero.fingerprint != one.fingerprint


def test_without_a_subset_the_seed_still_draws_the_languages(root: Path) -> None:
    zero, one = (_draw(root, seed=seed).frame for seed in (0, 1))
    assert set(zero["item"]) == set(one["item"])
    assert zero.select("item", "language").rows() != one.select("item", "language").rows()


def test_more_than_there_are_is_refused_with_both_numbers(root: Path) -> None:
    with pytest.raises(TaskError, match=r"^pairs: 91 examples asked for; test has 90$"):
        _draw(root, examples=91)
    with pytest.raises(TaskError, match=r"^pairs: 361 examples asked for; test has 360$"):
        _draw(root, examples=361, per_item="all", parallel=False)


def test_a_task_that_is_not_parallel_is_drawn_row_by_row(root: Path) -> None:
    few = _draw(root, examples=50, per_item="all", parallel=False).frame
    many = _draw(root, examples=60, per_item="all", parallel=False).frame
    assert few.height == 50
    assert set(few.select("language", "item").rows()) < set(many.select("language", "item").rows())
    with pytest.raises(TaskError, match="not parallel"):
        _draw(root, parallel=False)


def test_only_items_usable_in_every_language_are_drawn_from_a_parallel_task(tmp_path: Path) -> None:
    german = pairs(30, language="de")
    german["hypothesis"][4] = ""
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(30), "de/test.parquet": german})
    rows = _draw(tmp_path, languages=("en", "de"), per_item="all")
    assert rows.frame.height == 58
    assert rows.dropped == 2
    assert "4" not in rows.frame["item"].to_list()


@pytest.mark.parametrize(
    ("languages", "examples", "message"),
    [((), None, "no language"), (("en", "en"), None, "more than once"), (("en",), 0, "at least 1")],
)
def test_impossible_requests_are_refused(
    root: Path, languages: tuple[str, ...], examples: int | None, message: str
) -> None:
    with pytest.raises(TaskError, match=message):
        _draw(root, languages=languages, examples=examples)
