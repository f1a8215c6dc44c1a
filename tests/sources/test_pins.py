import hashlib
import struct
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.sources.small_mirror import HAS_REAL_MIRROR, REAL_MIRROR, write
from xfer_bench.errors import SourceError
from xfer_bench.sources.pins import ACCEPT, check_revision, check_rows, fingerprint, pins
from xfer_bench.sources.source import Sources, config_of, split_of
from xfer_bench.tasks import TASKS

COMMIT, OTHER = "0" * 40, "1" * 40
ROWS: dict[str, list[Any]] = {
    "premise": ["a"] * 500,
    "choice1": ["b"] * 500,
    "choice2": ["c"] * 500,
    "question": ["cause", "effect"] * 250,
    "label": [0, 1] * 250,
    "idx": list(range(500)),
}


@pytest.fixture
def nothing_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ACCEPT)


class TestFingerprint:
    def test_it_is_of_the_values_and_not_of_how_they_are_kept(self) -> None:
        narrow = pl.Series([1, None, 3], dtype=pl.Int8)
        assert fingerprint(narrow) == fingerprint(narrow.cast(pl.Int64))
        texts = pl.Series(["a", None, "b"])
        assert fingerprint(texts) == fingerprint(texts.cast(pl.Categorical))
        chunks = pl.concat([texts[:1], texts[1:]], rechunk=False)
        assert fingerprint(texts) == fingerprint(chunks)
        fields = pl.Series([{"a": 1, "b": ["x", "y"]}])
        assert fingerprint(fields) == fingerprint(pl.Series([{"b": ["x", "y"], "a": 1}]))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (["ab", "c"], ["a", "bc"]),
            (["a", "b"], ["b", "a"]),
            (["a", None], ["a", ""]),
            ([["a"], ["b"]], [["a", "b"], []]),
            ([["a"], None], [["a"], []]),
            ([["a", None]], [["a"]]),
            ([{"a": "x", "b": "y"}], [{"a": "y", "b": "x"}]),
            ([0, 1], [False, True]),
            ([1, 2], ["1", "2"]),
            ([1.0, 2.0], [1, 2]),
        ],
        ids=str,
    )
    def test_other_values_have_another(self, one: list[object], other: list[object]) -> None:
        assert fingerprint(pl.Series(one)) != fingerprint(pl.Series(other))

    def test_it_stays_what_it_was(self) -> None:
        # The committed table holds such; this one is written out by hand.
        column = pl.Series([{"label": ["A", "B"], "text": ["ก", None]}, None])
        two, one_each, three = (b"".join(struct.pack("<q", size) for size in sizes) for sizes in ((2,), (1, 1), (3,)))
        letters = b"label;list1:0;" + two + b"text2:0;" + one_each + b"AB"
        texts = b"text;list1:0;" + two + b"text2:1;\x40" + three + "ก".encode()
        assert fingerprint(column) == hashlib.sha256(b"struct2:1;\x40" + letters + texts).hexdigest()[:32]


@pytest.mark.usefixtures("nothing_accepted")
class TestChanged:
    def test_rows_are_an_error_that_shows_both_fingerprints_and_how_to_accept(self, tmp_path: Path) -> None:
        sources = Sources(data_root=write(tmp_path, "cambridgeltl/xcopa", {"th/test.parquet": ROWS}))
        pinned = pins()["cambridgeltl/xcopa", "th", "test"].columns
        with pytest.raises(SourceError) as caught:
            sources.rows(TASKS["xcopa"], language="th", split="test")
        message = str(caught.value)
        assert message.startswith("cambridgeltl/xcopa (th, test): the rows have changed: the column 'premise'")
        assert pinned["premise"][:12] in message
        assert fingerprint(pl.Series(ROWS["premise"]))[:12] in message
        assert f"{ACCEPT}=cambridgeltl/xcopa" in message
        assert "\n" not in message

    @pytest.mark.parametrize("value", ["cambridgeltl/xcopa", "facebook/xnli, cambridgeltl/xcopa", "all"])
    def test_they_can_be_accepted_by_repository(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        sources = Sources(data_root=write(tmp_path, "cambridgeltl/xcopa", {"th/test.parquet": ROWS}))
        monkeypatch.setenv(ACCEPT, value)
        assert sources.rows(TASKS["xcopa"], language="th", split="test").frame.height == 500

    def test_accepting_one_repository_accepts_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ACCEPT, "facebook/xnli")
        with pytest.raises(SourceError, match="have changed"):
            check_rows(pl.DataFrame(ROWS), repository="cambridgeltl/xcopa", config="th", split="test")

    def test_another_commit_shows_both(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = {"pinned": OTHER, "repository": "some/pairs", "config": "en", "split": "test"}
        with pytest.raises(
            SourceError,
            match=rf"^some/pairs \(en, test\): the rows are of the commit 0{{12}}, and 1{{12}} is pinned; set {ACCEPT}",
        ):
            check_revision(COMMIT, **asked)
        check_revision(OTHER, **asked)
        check_revision("", **asked)
        monkeypatch.setenv(ACCEPT, "some/pairs")
        check_revision(COMMIT, **asked)

    def test_rows_of_the_hub_are_known_by_their_commit_and_not_by_a_copy_s_content(self, tmp_path: Path) -> None:
        write(tmp_path, "cambridgeltl/xcopa", {"th/test.parquet": ROWS})
        notes = tmp_path / "cambridgeltl" / "xcopa" / ".cache" / "huggingface" / "download" / "th"
        notes.mkdir(parents=True)
        pinned = "042f78955ba48e6404616762fa6e05e839c3907a"
        (notes / "test.parquet.metadata").write_text(f"{pinned}\ntag\n0\n")
        rows = Sources(data_root=tmp_path).rows(TASKS["xcopa"], language="th", split="test")
        assert rows.revision == pinned
        (notes / "test.parquet.metadata").write_text(f"{OTHER}\ntag\n0\n")
        with pytest.raises(SourceError, match="are of the commit 111111111111, and 042f78955ba4 is pinned"):
            Sources(data_root=tmp_path).rows(TASKS["xcopa"], language="th", split="test")

    def test_what_is_not_pinned_passes(self) -> None:
        check_rows(pl.DataFrame({"other": [1]}), repository="cambridgeltl/xcopa", config="th", split="test")
        check_rows(pl.DataFrame(ROWS), repository="some/pairs", config="th", split="test")


def test_the_table_is_of_the_registry_and_holds_hashes_only() -> None:
    known = {
        (part.repository, config_of(part, language), split_of(part))
        for task in TASKS.values()
        for part in task.parts
        for language in part.languages
    }
    assert set(pins()) <= known
    for pin in pins().values():
        assert pin.rows > 0
        assert all(len(one) == 32 and int(one, 16) >= 0 for one in pin.columns.values())


@pytest.mark.mirror
@pytest.mark.usefixtures("nothing_accepted")
@pytest.mark.skipif(not HAS_REAL_MIRROR, reason="needs the mirror: set XFER_BENCH_DATA")
def test_the_mirror_holds_the_pinned_rows_of_every_column_that_is_read() -> None:
    sources = Sources(data_root=REAL_MIRROR)
    checked = set()
    for task in TASKS.values():
        for part in task.parts:
            for language in part.languages:
                key = (part.repository, config_of(part, language), split_of(part))
                if key in checked or sources.availability(task, part.split, language=language) != "mirror":
                    continue
                checked.add(key)
                raw, revision = sources.raw(part, language)
                assert revision == ""
                assert set(part.columns) <= set(pins()[key].columns)
                assert pins()[key].rows == raw.height
                check_rows(raw, repository=key[0], config=key[1], split=key[2])
    assert checked == set(pins())
