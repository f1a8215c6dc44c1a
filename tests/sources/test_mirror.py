import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sources.small_mirror import pairs, write
from xfer_bench.errors import SourceError
from xfer_bench.sources import mirror

COLUMNS = ("premise", "hypothesis", "label")


def _heights(root: Path, *, config: str = "en", split: str = "test") -> int:
    return mirror.read(root, repository="some/pairs", config=config, split=split, columns=COLUMNS).height


def _readme(root: Path, front: str) -> None:
    (root / "some" / "pairs" / "README.md").write_text(f"---\n{front}\n---\n# some pairs\n", encoding="utf-8")


def test_shards_are_read_in_order(tmp_path: Path) -> None:
    files = {f"en/test-0000{n}-of-00002.parquet": pairs(3, language=f"shard{n}") for n in (1, 0)}
    frame = mirror.read(
        write(tmp_path, "some/pairs", files), repository="some/pairs", config="en", split="test", columns=COLUMNS
    )
    assert frame["premise"].to_list() == ["shard0 premise 0"] * 3 + ["shard1 premise 0"] * 3


def test_the_readme_says_where_a_split_lies(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"data/one.parquet": pairs(3), "data/two.parquet": pairs(6)})
    _readme(
        tmp_path,
        "configs:\n- config_name: en\n  data_files:\n  - split: test\n    path:\n    - data/one.parquet\n"
        "    - data/t*.parquet\n- config_name: de\n  data_files: data/two.parquet",
    )
    assert _heights(tmp_path) == 9
    assert _heights(tmp_path, config="de", split="train") == 6


@pytest.mark.parametrize(
    "name", ["en/test-00000-of-00001.parquet", "en/test.parquet", "en/test/0000.parquet"], ids=["shard", "file", "copy"]
)
def test_without_a_readme_the_customary_places_are_searched(tmp_path: Path, name: str) -> None:
    assert _heights(write(tmp_path, "some/pairs", {name: pairs(6)})) == 6


def test_jsonl_is_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "pairs" / "en"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text('{"premise": "é", "hypothesis": "h", "label": 2}\n', encoding="utf-8")
    frame = mirror.read(tmp_path, repository="some/pairs", config="en", split="test", columns=COLUMNS)
    assert frame.rows() == [("é", "h", 2)]


def test_a_changed_file_is_seen(tmp_path: Path) -> None:
    assert _heights(write(tmp_path, "some/pairs", {"en/test.parquet": pairs(3)})) == 3
    assert _heights(write(tmp_path, "some/pairs", {"en/test.parquet": pairs(9)})) == 9


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_truncated_file_is_one_line_that_names_it(tmp_path: Path, kept: int) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(30)})
    path = tmp_path / "some" / "pairs" / "en" / "test.parquet"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError) as caught:
        _heights(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"some/pairs (en, test): {path} cannot be read")
    assert "\n" not in message


@pytest.mark.parametrize("content", ["", "nonsense", '{"premise": "p"', "[1]"])
def test_a_damaged_jsonl_is_one_line(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "some" / "pairs" / "en"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=r"^some/pairs \(en, test\): .*test.jsonl cannot be read[^\n]*$"):
        _heights(tmp_path)


def test_a_missing_column_names_the_columns_there_are(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": {"premise": ["p"], "label": [0]}})
    with pytest.raises(SourceError, match=r"lacks the column 'hypothesis'; it has premise, label$"):
        _heights(tmp_path)


def test_a_missing_split_names_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/validation.parquet": pairs(3)})
    with pytest.raises(
        SourceError, match=r"no Parquet or .jsonl file of split 'test'.*there is en/validation.parquet$"
    ):
        _heights(tmp_path)


def test_a_split_or_configuration_that_the_readme_does_not_declare_is_missing(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(3)})
    _readme(tmp_path, "configs:\n- config_name: en\n  data_files:\n  - split: test\n    path: en/test*")
    with pytest.raises(SourceError, match=r"no split 'train'; it has test$"):
        _heights(tmp_path, split="train")
    with pytest.raises(SourceError, match=r"no configuration 'xx'; it has en$"):
        _heights(tmp_path, config="xx")


@pytest.mark.parametrize(
    "front", ["configs: [", "configs: 3", "configs:\n- data_files: x", "configs:\n- config_name: en\n  data_files: 3"]
)
def test_a_readme_that_cannot_be_read_is_one_line(tmp_path: Path, front: str) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(3)})
    _readme(tmp_path, front)
    with pytest.raises(SourceError, match=r"^some/pairs: the configs in [^\n]*README.md cannot be read[^\n]*$"):
        _heights(tmp_path)


@pytest.mark.parametrize("path", ["../other.parquet", "/etc/*.parquet", "''"])
def test_a_readme_cannot_point_outside_its_repository(tmp_path: Path, path: str) -> None:
    write(tmp_path, "some/pairs", {"en/test.parquet": pairs(3)})
    write(tmp_path, "some", {"other.parquet": pairs(3)})
    _readme(tmp_path, f"configs:\n- config_name: en\n  data_files:\n  - split: test\n    path: {path}")
    with pytest.raises(SourceError, match="does not lie in the repository"):
        _heights(tmp_path)


def test_shards_of_different_types_are_one_line(tmp_path: Path) -> None:
    other = {**pairs(3), "label": ["a", "b", "c"]}
    write(tmp_path, "some/pairs", {"en/test-0.parquet": pairs(3), "en/test-1.parquet": other})
    with pytest.raises(
        SourceError, match=r"^some/pairs .*: the column 'label' is Int64 in test-0.parquet and String in .*1.parquet$"
    ):
        _heights(tmp_path)


def test_a_loading_script_points_to_the_parquet_copy(tmp_path: Path) -> None:
    (tmp_path / "some" / "pairs").mkdir(parents=True)
    (tmp_path / "some" / "pairs" / "pairs.py").write_text("", encoding="utf-8")
    with pytest.raises(SourceError, match="--revision refs/convert/parquet"):
        _heights(tmp_path)


def test_a_file_in_the_place_of_a_repository_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "pairs").write_text("")
    with pytest.raises(SourceError, match=r"^some/pairs: .*pairs is a file; it must be the repository's folder$"):
        mirror.holds(tmp_path, "some/pairs")
    assert not mirror.holds(tmp_path, "some/other")


@contextmanager
def _nobody() -> Iterator[None]:
    """No right to read everything in here, which root has."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def _read_whole(root: Path) -> int:
    return _heights(root) if mirror.holds(root, "some/pairs") else 0


@pytest.mark.parametrize(
    ("closed", "mode"),
    [("", 0), ("en", 0), ("en", 0o444), ("en/test", 0o111), ("README.md", 0), ("en/test/0.parquet", 0)],
)
def test_what_cannot_be_read_is_said_to_be_so(closed: str, mode: int) -> None:
    # Not in pytest's own folder, into which nobody else may look.
    with tempfile.TemporaryDirectory() as name:
        root = write(Path(name), "some/pairs", {"en/test/0.parquet": pairs(3)})
        _readme(root, "license: none")
        root.chmod(0o755)
        path = root / "some" / "pairs" / closed
        before = path.stat().st_mode
        path.chmod(mode)
        try:
            with _nobody(), pytest.raises(SourceError) as caught:
                _read_whole(root)
        finally:
            path.chmod(before)
    message = str(caught.value)
    assert message.startswith("some/pairs")
    assert str(path) in message
    assert "Permission denied" in message
    assert "\n" not in message


def test_a_link_to_nowhere_is_one_line_and_never_fewer_rows(tmp_path: Path) -> None:
    folder = write(tmp_path, "some/pairs", {"en/test-a.parquet": pairs(3)}) / "some" / "pairs"
    (folder / "en" / "test-b.parquet").symlink_to("gone.parquet")
    with pytest.raises(SourceError, match=r"^some/pairs \(en, test\): .*test-b.parquet is a link to gone.parquet, and"):
        _heights(tmp_path)
    (folder / "de").symlink_to("nowhere")
    with pytest.raises(SourceError, match=r"^some/pairs \(de, test\): .*de is a link to nowhere, and that is not th"):
        _heights(tmp_path, config="de")
    (tmp_path / "some" / "other").symlink_to("nowhere")
    with pytest.raises(SourceError, match=r"^some/other: .*other is a link to nowhere, and that is not there$"):
        mirror.holds(tmp_path, "some/other")
    (folder / "en" / "gone.parquet").symlink_to("test-a.parquet")
    assert _heights(tmp_path) == 6


def test_a_missing_piece_of_a_split_is_never_fewer_rows(tmp_path: Path) -> None:
    write(tmp_path, "some/pairs", {"en/test-00000-of-00002.parquet": pairs(3)})
    with pytest.raises(SourceError, match=r"^some/pairs \(en, test\): no .*/en/test-00001-of-00002, and 1 of its 2"):
        _heights(tmp_path)
    # A README may mean one piece on purpose, but every file that it names must be there.
    front = (
        "configs:\n- config_name: en\n  data_files:\n  - split: test\n    path:\n    - en/test-00000-of-00002.parquet"
    )
    _readme(tmp_path, front)
    assert _heights(tmp_path) == 3
    _readme(tmp_path, f"{front}\n    - en/more.parquet")
    with pytest.raises(SourceError, match=r"looked for en/more.parquet; there is en/test-00000-of-00002.parquet$"):
        _heights(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"premise,label\na,0\n", "it is no Parquet file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is the note of Git LFS about a file, not the file"),
        (b"PAR1 and no end", "it is damaged, its end is missing: "),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_plain_words(tmp_path: Path, content: bytes, says: str) -> None:
    folder = tmp_path / "some" / "pairs" / "en"
    folder.mkdir(parents=True)
    (folder / "test.parquet").write_bytes(content)
    with pytest.raises(SourceError) as caught:
        _heights(tmp_path)
    assert says in str(caught.value)


@pytest.mark.parametrize("content", [b"premise,hypothesis,label\na,b,0\n", b"PAR1", b"\x00" * 50])
def test_a_file_of_another_type_under_parquet_s_name_is_one_line(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "some" / "pairs" / "en"
    folder.mkdir(parents=True)
    (folder / "test.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=r"^some/pairs \(en, test\): .*test.parquet cannot be read[^\n]*$"):
        _heights(tmp_path)


def test_files_of_other_types_are_not_taken_but_named(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "pairs" / "en"
    folder.mkdir(parents=True)
    (folder / "test.csv").write_text("a,b\n")
    with pytest.raises(SourceError, match=r"no Parquet or .jsonl file of split 'test'.*there is en/test.csv$"):
        _heights(tmp_path)


class TestCommit:
    def _note(self, root: Path, name: str, text: str) -> None:
        note = root / "some/pairs/.cache/huggingface/download" / f"{name}.metadata"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(text, encoding="utf-8")

    def _commit(self, root: Path) -> str:
        return mirror.commit(root, repository="some/pairs", config="en", split="test")

    def test_files_that_were_downloaded_from_the_hub_are_of_the_noted_commit(self, tmp_path: Path) -> None:
        write(tmp_path, "some/pairs", {"en/test-0.parquet": pairs(3), "en/test-1.parquet": pairs(3)})
        assert self._commit(tmp_path) == ""
        self._note(tmp_path, "en/test-0.parquet", f"{'a' * 40}\nb\n0\n")
        assert self._commit(tmp_path) == ""
        self._note(tmp_path, "en/test-1.parquet", f"{'a' * 40}\nb\n0\n")
        assert self._commit(tmp_path) == "a" * 40

    @pytest.mark.parametrize("text", ["", "main\nb\n0\n"])
    def test_a_note_of_no_commit_says_nothing(self, tmp_path: Path, text: str) -> None:
        write(tmp_path, "some/pairs", {"en/test.parquet": pairs(3)})
        self._note(tmp_path, "en/test.parquet", text)
        assert self._commit(tmp_path) == ""
