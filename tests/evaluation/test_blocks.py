"""Blocks come and go whole, are named by their content, and what is damaged is noticed."""

import hashlib
import json
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from xfer_bench.errors import ResultsError
from xfer_bench.evaluation.blocks import STORED, Blocks, Sealed
from xfer_bench.frames import BLOCK, conform

SCORER = "ab" * 32
SEALED = Sealed(task="t", variant="published", split="test", language="sw", fingerprint="f", start=0, height=2)


def rows(count: int, *, first: int = 0) -> pl.DataFrame:
    made = [
        {
            "row": bytes([item]) * 16, "weights": "w", "task": "t", "variant": "published", "language": "sw",
            "split": "test", "item": str(item), "cluster": str(item), "label": 1, "prediction": item % 2,
            "scores": [0.25, -1.0],
        }
        for item in range(first, first + count)
    ]  # fmt: skip
    return conform(pl.DataFrame(made, schema_overrides={"row": pl.Binary}), STORED)


def opened(folder: Path) -> tuple[Blocks, list[str]]:
    warnings: list[str] = []
    return Blocks(folder, warnings.append), warnings


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    blocks, warnings = opened(tmp_path)
    blocks.add(SCORER, rows(2), code="c", sealed=[SEALED])
    (block,) = blocks.load(SCORER)
    assert block.frame().equals(rows(2))
    assert (block.code, block.sealed) == ("c", (SEALED,))
    assert list(blocks.scorers()) == [SCORER]
    assert blocks.load("cd" * 32) == []
    assert warnings == []


def test_a_block_is_named_by_its_bytes_so_equal_rows_are_one_file(tmp_path: Path) -> None:
    blocks, _ = opened(tmp_path)
    path = blocks.add(SCORER, rows(2), code="c")
    assert blocks.add(SCORER, rows(2), code="c") == path
    assert blocks.files(SCORER) == [path]
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.parent == tmp_path / SCORER[:2] / SCORER
    assert blocks.add(SCORER, rows(2, first=1), code="c") != path
    assert blocks.whole(path)


def test_any_parquet_reader_reads_a_block(tmp_path: Path) -> None:
    path = opened(tmp_path)[0].add(SCORER, rows(3), code="c")
    assert pl.read_parquet(path).select(list(BLOCK)).equals(rows(3).drop("row"))


def test_rows_that_lack_a_column_are_no_block(tmp_path: Path) -> None:
    blocks, _ = opened(tmp_path)
    with pytest.raises(ResultsError, match="lacks the column 'row'"):
        blocks.add(SCORER, rows(1).drop("row"), code="c")
    assert blocks.files(SCORER) == []


@pytest.mark.parametrize("keep", [0, 10, -5])
def test_a_damaged_block_is_removed_with_a_warning_and_the_others_serve(tmp_path: Path, keep: int) -> None:
    blocks, warnings = opened(tmp_path)
    path = blocks.add(SCORER, rows(2), code="c")
    blocks.add(SCORER, rows(1, first=7), code="c")
    path.write_bytes(path.read_bytes()[:keep])
    assert not blocks.whole(path)
    (left,) = blocks.load(SCORER)
    assert left.frame()["item"].to_list() == ["7"]
    assert not path.exists()
    (warning,) = warnings
    assert warning.startswith(f"{path} is damaged (its checksum is wrong); removed")


@pytest.mark.parametrize(
    "metadata", [{}, {"xfer_bench": "{"}, {"xfer_bench": "[]"}, {"xfer_bench": '{"code": "c", "sealed": [{"a": 1}]}'}]
)
def test_a_file_of_another_kind_is_no_block_though_its_name_is_right(tmp_path: Path, metadata: dict[str, str]) -> None:
    blocks, warnings = opened(tmp_path)
    buffer = BytesIO()
    rows(1).write_parquet(buffer, metadata=metadata)
    folder = tmp_path / SCORER[:2] / SCORER
    folder.mkdir(parents=True)
    (folder / f"{hashlib.sha256(buffer.getvalue()).hexdigest()}.parquet").write_bytes(buffer.getvalue())
    assert blocks.load(SCORER) == []
    assert len(warnings) == 1
    assert "\n" not in warnings[0]


def test_drafts_are_not_looked_at(tmp_path: Path) -> None:
    blocks, warnings = opened(tmp_path)
    path = blocks.add(SCORER, rows(1), code="c")
    path.with_name(f".{path.name}.1.tmp").write_bytes(b"half")
    path.with_name(f".{path.name}").write_bytes(b"half")
    assert len(blocks.load(SCORER)) == 1
    assert warnings == []


def test_a_folder_s_name_is_no_pattern(tmp_path: Path) -> None:
    blocks, _ = opened(tmp_path / "store[1]*")
    blocks.add(SCORER, rows(1), code="c")
    assert len(blocks.load(SCORER)) == 1


class _Busy(Blocks):
    """Another process compacts between the listing and the reading."""

    def files(self, scorer: str) -> list[Path]:
        listed = super().files(scorer)
        if len(listed) == 2:
            self.add(scorer, rows(4), code="c")
            self.remove(listed)
        return listed


def test_a_listing_that_is_out_of_date_is_made_again(tmp_path: Path) -> None:
    warnings: list[str] = []
    blocks = _Busy(tmp_path, warnings.append)
    for first in (0, 2):
        blocks.add(SCORER, rows(2, first=first), code="c")
    assert pl.concat(block.frame() for block in blocks.load(SCORER)).equals(rows(4))
    assert warnings == []


def test_what_is_gone_is_removed_without_complaint(tmp_path: Path) -> None:
    blocks, _ = opened(tmp_path)
    path = blocks.add(SCORER, rows(1), code="c")
    blocks.remove([path, path])
    assert blocks.load(SCORER) == []


def test_the_columns_that_a_block_holds_are_in_its_own_metadata(tmp_path: Path) -> None:
    path = opened(tmp_path)[0].add(SCORER, rows(2), code="c", sealed=[SEALED])
    note = json.loads(pl.read_parquet_metadata(path)["xfer_bench"])
    assert note["code"] == "c"
    assert note["sealed"][0]["fingerprint"] == "f"
