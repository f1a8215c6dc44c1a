from pathlib import Path

import polars as pl
import pytest

from tests.sources.small_mirror import nli_task, pairs, write
from xfer_bench.errors import SourceError, TaskError
from xfer_bench.sources import holdout
from xfer_bench.sources.source import Sources
from xfer_bench.tasks.task import Split

BOTH: tuple[Split, Split] = ("train", "validation")


def test_the_two_sides_share_no_cluster_and_lose_no_row() -> None:
    clusters = pl.Series([str(row // 3) for row in range(300)])
    held_out, kept = holdout.belongs(clusters, "validation"), holdout.belongs(clusters, "train")
    assert (held_out != kept).all()
    assert held_out.sum() == 30
    assert not set(clusters.filter(held_out)) & set(clusters.filter(kept))


def test_the_draw_depends_on_the_order_of_clusters_not_on_their_names() -> None:
    first = holdout.belongs(pl.Series([str(row) for row in range(50)]), "validation")
    second = holdout.belongs(pl.Series([f"x{row}" for row in range(50)]), "validation")
    assert first.equals(second)


def test_at_least_one_cluster_is_held_out() -> None:
    assert holdout.belongs(pl.Series(["a", "b"]), "validation").sum() == 1


def test_a_parallel_task_holds_out_the_same_items_in_every_language_whatever_is_dropped(tmp_path: Path) -> None:
    task = nli_task(languages=("en", "de"), parallel=True)
    german = pairs(90, language="de")
    german["premise"][:4] = [""] * 4  # a whole cluster and more
    write(tmp_path, "some/pairs", {"en/train.parquet": pairs(90), "de/train.parquet": german})
    sources = Sources(data_root=tmp_path)
    english, other = (
        {split: set(sources.rows(task, language=language, split=split).frame["item"]) for split in BOTH}
        for language in ("en", "de")
    )
    assert len(english["validation"]) == 9
    assert english["train"] | english["validation"] == {str(row) for row in range(90)}
    assert other["validation"] <= english["validation"]
    assert other["train"] <= english["train"]


def test_the_dropped_rows_are_counted_on_their_side(tmp_path: Path) -> None:
    columns = pairs(90)
    columns["hypothesis"][:] = ["" if row % 3 == 0 else "h" for row in range(90)]
    write(tmp_path, "some/pairs", {"en/train.parquet": columns})
    sources = Sources(data_root=tmp_path)
    train, held_out = (sources.rows(nli_task(), language="en", split=split) for split in BOTH)
    assert (train.frame.height, train.dropped) == (54, 27)
    assert (held_out.frame.height, held_out.dropped) == (6, 3)


def test_a_task_with_development_rows_keeps_all_its_training_rows(tmp_path: Path) -> None:
    task = nli_task(splits=("train", "validation"))
    write(tmp_path, "some/pairs", {"en/train.parquet": pairs(90), "en/validation.parquet": pairs(3)})
    sources = Sources(data_root=tmp_path)
    assert sources.rows(task, language="en", split="train").frame.height == 90
    assert sources.rows(task, language="en", split="validation").frame.height == 3


def test_nothing_is_held_out_for_a_test_split(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/train.parquet": pairs(90)})
    with pytest.raises(TaskError, match=r"^pairs has no split 'test' in 'en'; it has train$"):
        Sources(data_root=tmp_path).rows(nli_task(), language="en", split="test")


def test_one_cluster_cannot_be_split(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/train.parquet": pairs(3)})
    with pytest.raises(SourceError, match="1 clusters cannot be split"):
        Sources(data_root=tmp_path).rows(nli_task(), language="en", split="train")
