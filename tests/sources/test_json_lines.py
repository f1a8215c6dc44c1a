from pathlib import Path
from typing import Any

import pytest

from xfer_bench.errors import SourceError
from xfer_bench.sources import mirror
from xfer_bench.sources.json_lines import check_alike

COLUMNS = ("premise", "hypothesis", "label")


def _lines(*lines: str) -> str:
    return "\n".join(lines)


def _row(premise: str = '"p"', label: str = "0", other: str = "1") -> str:
    return f'{{"premise": {premise}, "hypothesis": "h", "label": {label}, "other": {other}}}'


def _read(root: Path, text: str) -> list[tuple[object, ...]]:
    folder = root / "some" / "pairs" / "en"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text(text, encoding="utf-8")
    return mirror.read(root, repository="some/pairs", config="en", split="test", columns=COLUMNS).rows()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_lines(_row(), _row(), _row("7")), "row 2: the column 'premise' holds 7; it must be text, as in 2 others"),
        (_lines(_row(), _row(), _row('{"a": 1}')), "row 2: the column 'premise' holds {'a': 1}; it must be text, as"),
        (_lines(_row(), _row(label='"x"'), _row()), "row 1: the column 'label' holds 'x'; it must be a whole number"),
        (_lines(_row(), _row(label="true"), _row()), "row 1: the column 'label' holds True; it must be a whole numb"),
        (_lines(_row(), "", _row(label="0.5"), _row()), "row 1: the column 'label' holds 0.5; it must be a whole nu"),
        (_lines(_row('["a"]'), _row('["a", 3, "b"]')), r"row 1: the column 'premise[]' holds 3; it must be text, as"),
    ],
)
def test_the_odd_cell_is_blamed_by_its_own_row(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        _read(tmp_path, text)
    assert str(caught.value).startswith(f"some/pairs (en, test): {tmp_path}/some/pairs/en/test.jsonl: {says}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        (" \n\n", "it is empty"),
        (_lines(_row(), "nonsense"), "it is damaged: row 1 is no JSON: Expecting value"),
        (_lines(_row(), "[1]"), "row 1 is [1]; it must be an object in braces"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        _read(tmp_path, text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_of_every_kind_and_unused_columns_may_hold_anything(tmp_path: Path) -> None:
    text = _lines(_row(other='"a"'), _row("null", "null"), _row(label="2"))
    assert _read(tmp_path, text) == [("p", "h", 0), (None, "h", None), ("p", "h", 2)]


def test_fields_of_structures_are_looked_at_too() -> None:
    rows: list[dict[str, Any]] = [
        {"q": {"stem": "a", "n": [1]}},
        {"q": {"stem": "b", "n": []}},
        {"q": {"stem": 5, "n": None}},
    ]
    with pytest.raises(SourceError, match=r"^file: row 2: the column 'q\.stem' holds 5; it must be text, as in 2 oth"):
        check_alike(rows, where="file")
    check_alike(rows[:2], where="file")
