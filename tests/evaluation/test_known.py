"""What blocks hold is matched with rows by their content, whatever request they were scored for."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.small_checkpoints import rows
from xfer_bench.evaluation.blocks import STORED, Sealed
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.columns import Column, column
from xfer_bench.evaluation.known import Known
from xfer_bench.frames import conform
from xfer_bench.sources.source import Sources
from xfer_bench.tasks import TASKS

SCORER = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    with PredictionStore(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return rows(tmp_path / "mirror")


def of(sources: Sources, store: PredictionStore, language: str = "en", limit: int | None = None) -> Column:
    xnli = TASKS["xnli"]
    return column(xnli, language=language, split="test", limit=limit, sources=sources, remember=store.remember)


def scored(one: Column, prediction: int = 0) -> pl.DataFrame:
    """STORED of all rows of a column, as if they were scored."""
    frame = one.rows.select("language", "item", "cluster", "label").with_columns(
        one.digests,
        weights=pl.lit("w"),
        task=pl.lit(one.task.name),
        variant=pl.lit(one.task.variant),
        split=pl.lit(one.split),
        prediction=pl.lit(prediction),
        scores=pl.lit([0.0, 1.0, 2.0]),
    )
    return conform(frame, STORED)


def sealed(one: Column, start: int = 0) -> Sealed:
    return Sealed(
        task=one.task.name, variant=one.task.variant, split=one.split, language=one.language,
        fingerprint=one.fingerprint, start=start, height=one.items,
    )  # fmt: skip


def known(store: PredictionStore) -> Known:
    return Known(store.blocks.load(SCORER))


def test_nothing_is_known_at_first(store: PredictionStore, sources: Sources) -> None:
    one = of(sources, store)
    assert not known(store).holds(one)
    assert known(store).missing(one) == one.items
    nothing = known(store).rows(one)
    assert nothing["prediction"].null_count() == one.items
    assert nothing["row"].equals(one.digests)


def test_pieces_answer_for_the_rows_that_they_hold(store: PredictionStore, sources: Sources) -> None:
    one = of(sources, store)
    rows = scored(one)
    store.blocks.add(SCORER, rows.slice(4, 5).reverse(), code="c")
    store.blocks.add(SCORER, rows.slice(8, 2), code="c")
    assert not known(store).holds(one)
    assert known(store).missing(one) == one.items - 6
    found = known(store).rows(one)
    assert found.slice(4, 6).equals(rows.slice(4, 6))
    assert found["prediction"].is_null().to_list() == [not 4 <= place < 10 for place in range(one.items)]


def test_a_piece_of_the_whole_answers_for_a_limit(store: PredictionStore, sources: Sources) -> None:
    whole, few = of(sources, store), of(sources, store, limit=4)
    store.blocks.add(SCORER, scored(whole), code="c", sealed=[sealed(whole)])
    assert known(store).holds(whole)
    assert not known(store).holds(few)
    assert known(store).missing(few) == 0
    assert known(store).rows(few).equals(scored(few))


def test_a_column_that_is_held_whole_is_found_without_its_rows(
    store: PredictionStore, sources: Sources, tmp_path: Path
) -> None:
    english, german = of(sources, store), of(sources, store, "de")
    block = pl.concat([scored(german), scored(english)])
    store.blocks.add(SCORER, block, code="c", sealed=[sealed(german), sealed(english, german.items)])
    expected = scored(english)
    again = of(sources, store)
    for file in (tmp_path / "mirror" / "facebook" / "xnli").rglob("*.parquet"):
        file.unlink()
    assert known(store).missing(again) == 0
    assert known(store).rows(again).equals(expected)


def test_another_scorer_s_rows_are_not_known(store: PredictionStore, sources: Sources) -> None:
    one = of(sources, store)
    store.blocks.add("cd" * 32, scored(one), code="c", sealed=[sealed(one)])
    assert known(store).missing(one) == one.items


def test_a_row_in_two_blocks_counts_once(store: PredictionStore, sources: Sources) -> None:
    one = of(sources, store)
    store.blocks.add(SCORER, scored(one).head(9), code="c")
    store.blocks.add(SCORER, scored(one, prediction=1).tail(12), code="c")
    found = known(store).rows(one)
    assert found.height == one.items
    assert found["prediction"].null_count() == 0
