"""A column is what is asked, in its order: any change of a text, a label or an item is another one."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.small_checkpoints import MIXED, XNLI_LANGUAGES, rows
from xfer_bench.errors import SourceError
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column, column, limited
from xfer_bench.sources.source import Rows, Sources
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Split, Task

XNLI = TASKS["xnli"]
XCOPA = TASKS["xcopa"]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mirror")
    rows(root)
    return root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore(tmp_path / "store") as opened:
        yield opened


def of(
    mirror: Path, store: PredictionStore, task: Task = XNLI, language: str = "en", limit: int | None = None
) -> Column:
    sources = Sources(data_root=mirror)
    return column(task, language=language, split="test", limit=limit, sources=sources, remember=store.remember)


def edited(mirror: Path, repository: str, language: str, change: pl.Expr) -> None:
    file = next((mirror / repository / language).glob("test*.parquet"))
    pl.read_parquet(file).with_columns(change).write_parquet(file)


def at(row: int, name: str, value: pl.Expr) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) == row).then(value).otherwise(pl.col(name)).alias(name)


def test_its_size_is_known_without_its_rows(mirror: Path, store: PredictionStore) -> None:
    xnli, mixed = of(mirror, store), of(mirror, store, MIXED)
    assert (xnli.items, xnli.sequences) == (18, 18)
    assert (mixed.items, mixed.sequences) == (25, mixed.rows["candidates"].list.len().sum())
    assert (xnli.name, mixed.name) == ("xnli en", "mixed en")


def test_identical_rows_elsewhere_are_the_same_column(mirror: Path, store: PredictionStore, tmp_path: Path) -> None:
    copy = shutil.copytree(mirror, tmp_path / "copy")
    here, there = of(mirror, store), of(copy, store)
    assert here.fingerprint == there.fingerprint
    assert here.digests.equals(there.digests)


@pytest.mark.parametrize("name", ["premise", "hypothesis", "label"])
def test_a_changed_item_is_another_item_and_the_others_are_not(
    mirror: Path, store: PredictionStore, tmp_path: Path, name: str
) -> None:
    copy = shutil.copytree(mirror, tmp_path / "copy")
    before = of(copy, store)
    old = before.digests.to_list()
    value = (pl.col("label") + 1) % 3 if name == "label" else pl.col(name) + " again"
    edited(copy, "facebook/xnli", "en", at(4, name, value))
    after = of(copy, store)
    assert after.fingerprint != before.fingerprint
    assert [place for place, new in enumerate(after.digests) if new != old[place]] == [4]


def test_the_same_texts_are_other_items_in_another_language_or_task(
    mirror: Path, store: PredictionStore, tmp_path: Path
) -> None:
    copy = shutil.copytree(mirror, tmp_path / "copy")
    folder = copy / "facebook" / "xnli"
    shutil.copy(folder / "en" / "test.parquet", folder / "de" / "test.parquet")
    english, german = of(copy, store), of(copy, store, language="de")
    assert english.rows["text"].equals(german.rows["text"])
    assert not set(english.digests) & set(german.digests)
    assert english.digests.n_unique() == english.items


@pytest.mark.parametrize("language", XNLI_LANGUAGES)
def test_a_limit_keeps_whole_clusters(mirror: Path, store: PredictionStore, language: str) -> None:
    four = of(mirror, store, language=language, limit=4)
    assert four.rows["item"].to_list() == ["0", "1", "2", "3", "4", "5"]
    assert four.rows["cluster"].n_unique() == 2
    assert (four.items, four.whole) == (6, of(mirror, store, language=language).fingerprint)
    assert four.digests.equals(of(mirror, store, language=language).digests.head(6))
    items = four.rows
    assert limited(items, 3).height == 3
    assert limited(items, 100).equals(items)
    assert limited(items, 10**30).equals(items)
    assert limited(items, None).equals(items)


@dataclass(frozen=True, kw_only=True)
class _Counted(Sources):
    """Rows, and in which languages they were read."""

    read: list[str] = field(default_factory=list)

    def rows(self, task: Task, *, language: str, split: Split) -> Rows:
        self.read.append(language)
        return Sources.rows(self, task, language=language, split=split)


def counted(mirror: Path, store: PredictionStore, task: Task, *, verify: bool = False) -> tuple[Column, list[str]]:
    """A column, and the languages that were read to identify it."""
    sources = _Counted(data_root=mirror)
    remember = partial(store.remember, verify=verify)
    made = column(task, language="en", split="test", limit=None, sources=sources, remember=remember)
    return made, list(sources.read)


def test_what_is_remembered_is_not_read_again(mirror: Path, store: PredictionStore) -> None:
    assert counted(mirror, store, XNLI)[1] == ["en"]
    again, read = counted(mirror, store, XNLI)
    assert read == []
    assert again.rows.height == again.items
    assert counted(mirror, store, XNLI, verify=True)[1] == ["en"]


def test_a_file_with_the_old_size_and_times_is_read_again(mirror: Path, store: PredictionStore, tmp_path: Path) -> None:
    copy = shutil.copytree(mirror, tmp_path / "copy")
    before, _ = counted(copy, store, XNLI)
    file = copy / "facebook" / "xnli" / "en" / "test.parquet"
    found = file.stat()
    edited(copy, "facebook/xnli", "en", (pl.col("label") + 1) % 3)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    after, read = counted(copy, store, XNLI)
    assert read == ["en"]
    assert after.fingerprint != before.fingerprint


def test_rows_of_a_task_from_elsewhere_are_not_remembered(mirror: Path, store: PredictionStore) -> None:
    # No digest here covers the code that reads them.
    for _ in range(2):
        assert counted(mirror, store, MIXED)[1] == ["en"]


def test_rows_that_change_after_they_were_identified_are_refused(
    mirror: Path, store: PredictionStore, tmp_path: Path
) -> None:
    copy = shutil.copytree(mirror, tmp_path / "copy")
    identified = of(copy, store)
    edited(copy, "facebook/xnli", "en", pl.col("premise") + " again")
    with pytest.raises(SourceError, match="xnli en test: its rows changed while they were read"):
        identified.rows  # noqa: B018
    assert of(copy, store).rows["text"][0].endswith(" again")
