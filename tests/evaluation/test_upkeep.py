"""What is in the store is counted once, damage is found, and only what nobody can ask for is removable."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.evaluation.asking import Desk
from tests.evaluation.small_checkpoints import small_place
from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.digests import scoring_source
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.upkeep import clear, contents, damaged, removable, size_of

XCOPA = Ask(tasks=("xcopa",), languages=("et", "zh"), variants=("published",))
MONTH = 31 * 86400


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def desk(place: Path, tmp_path: Path) -> Desk:
    made = Desk(mirror=place / "mirror", folder=tmp_path)
    made.evaluate([place / "choosing"], XCOPA)
    return made


@pytest.fixture
def store(desk: Desk) -> Iterator[PredictionStore]:
    with desk.open() as opened:
        yield opened


def reasons(store: PredictionStore) -> list[tuple[Path, str]]:
    return [(one.path, one.reason) for one in removable(store)]


def test_an_empty_store_holds_nothing(tmp_path: Path) -> None:
    with PredictionStore(tmp_path) as store:
        assert contents(store).is_empty()
        assert list(damaged(store)) == []
        assert list(removable(store)) == []


def test_contents_are_by_checkpoint_and_task(place: Path, desk: Desk, store: PredictionStore) -> None:
    desk.evaluate([place / "choosing"], Ask(tasks=("mixed",), languages=("en",)))
    desk.evaluate([place / "classifying"], Ask(tasks=("xnli",), languages=("en",)))
    table = contents(store)
    assert table.select("checkpoint", "task", "variant", "split", "languages", "items", "blocks").rows() == [
        (str(place / "choosing"), "mixed", "published", "test", 1, 25, 1),
        (str(place / "choosing"), "xcopa", "published", "test", 2, 40, 1),
        (str(place / "classifying"), "xnli", "published", "test", 1, 18, 1),
    ]
    assert table["bytes"].sum() == pytest.approx(sum(file.stat().st_size for file in desk.blocks), abs=3)


def test_an_item_in_two_blocks_or_precisions_is_counted_as_it_should_be(
    place: Path, desk: Desk, store: PredictionStore
) -> None:
    desk.evaluate([place / "choosing"], replace(XCOPA, limit=5))
    (block,) = desk.blocks
    rows = pl.read_parquet(block)
    store.blocks.add(block.parent.name, rows.head(7), code="c")
    (row,) = contents(store).iter_rows(named=True)
    assert (row["items"], row["languages"], row["blocks"]) == (40, 2, 2)
    # In another precision they are other predictions.
    desk.evaluate([place / "choosing"], replace(XCOPA, precision="bf16"))
    (row,) = contents(store).iter_rows(named=True)
    assert (row["items"], row["languages"], row["blocks"]) == (80, 2, 3)


def test_without_the_index_nobody_remembers_names(desk: Desk) -> None:
    with desk.open() as store:
        clear_index(store)
    with desk.open() as store:
        assert contents(store)["checkpoint"].to_list() == [""]


def clear_index(store: PredictionStore) -> None:
    store.index.close()
    for file in store.index.folder.iterdir():
        file.unlink()


def test_damage_is_found_and_nothing_removed(desk: Desk, store: PredictionStore) -> None:
    (file,) = desk.blocks
    assert list(damaged(store)) == []
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert list(damaged(store)) == [file]
    assert file.exists()


def test_what_is_in_use_is_not_removable(desk: Desk, store: PredictionStore) -> None:
    assert len(list(store.tokens.iterdir())) == 2
    assert reasons(store) == []


def test_predictions_of_other_code_are(desk: Desk, store: PredictionStore) -> None:
    (file,) = desk.blocks
    old = store.blocks.add("cd" * 32, pl.read_parquet(file), code="of last year")
    assert reasons(store) == [(old, "scored by other code")]
    (one,) = removable(store)
    assert one.bytes == old.stat().st_size


def test_pieces_of_a_whole_are_and_others_are_not(desk: Desk, store: PredictionStore) -> None:
    (file,) = desk.blocks
    frame = pl.read_parquet(file)
    scorer = file.parent.name
    piece = store.blocks.add(scorer, frame.slice(15, 10), code=scoring_source())
    new = frame.head(1).with_columns(row=pl.lit(b"another row here"), item=pl.lit("another"))
    store.blocks.add(scorer, pl.concat([frame.head(2), new]), code=scoring_source())
    store.blocks.add("cd" * 32, frame.head(3), code=scoring_source())
    assert reasons(store) == [(piece, "held by another block too")]


def test_tokens_are_after_a_month_without_use(place: Path, desk: Desk, store: PredictionStore) -> None:
    old, new = sorted(store.tokens.iterdir())
    os.utime(old, (0, time.time() - MONTH))
    assert reasons(store) == [(old, "tokens that were not used for a month")]
    # Another checkpoint of the tokenizer uses them.
    desk.evaluate([place / "choosing"], replace(XCOPA, precision="bf16"))
    assert reasons(store) == []
    assert new.exists()


def test_drafts_are_when_their_process_is_gone_for_long(desk: Desk, store: PredictionStore) -> None:
    (file,) = desk.blocks
    old, new = (file.with_name(f".{file.name}.{number}.tmp") for number in (1, 2))
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7200))
    assert reasons(store) == [(old, "left by a process that was killed")]


def test_what_is_removed_is_not_missed(place: Path, desk: Desk, store: PredictionStore) -> None:
    (file,) = desk.blocks
    store.blocks.add("cd" * 32, pl.read_parquet(file), code="of last year")
    store.blocks.add(file.parent.name, pl.read_parquet(file).head(9), code=scoring_source())
    found = list(removable(store))
    assert len(found) == 2
    store.blocks.remove([one.path for one in found])
    assert desk.blocks == [file]
    assert list(removable(store)) == []
    assert desk.evaluate([place / "choosing"], XCOPA).accounts == ()


def test_clear_leaves_nothing_and_a_store_that_works(place: Path, desk: Desk) -> None:
    with desk.open() as store:
        clear(store)
        assert list(store.folder.iterdir()) == []
    assert len(desk.evaluate([place / "choosing"], XCOPA).accounts) == 1


def test_a_size_is_of_all_files_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"123")
    (tmp_path / "a" / "b" / "two").write_bytes(b"12345")
    assert size_of(tmp_path) == 8
    assert size_of(tmp_path / "nowhere") == 0
