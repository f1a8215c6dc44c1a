"""Files and folders are there whole or not at all."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xfer_bench.durable import (
    check_writable,
    leftover_prefix,
    publish,
    whole_folder,
    write_bytes,
    write_json,
    write_together,
)


class Stop(Exception):  # noqa: N818
    """An interruption at a moment of the test's choosing."""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == {"a", "b"}


def test_a_write_that_fails_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    # A folder cannot be replaced by a file.
    (tmp_path / "there" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="there"):
        write_bytes(tmp_path / "there", b"new")
    assert names(tmp_path) == {"there", "inside"}


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "first", tmp_path / "b" / "second"
    write_together({first: b"old", second: b"old"})
    second.unlink()
    second.mkdir()
    with pytest.raises(OSError, match="it is no file") as told:
        write_together({first: b"new", second: b"new"})
    assert told.value.filename == str(second)
    assert first.read_bytes() == b"old"
    assert names(tmp_path) == {"a", "first", "b", "second"}
    second.rmdir()
    write_together({first: b"new", second: b"new"})
    assert first.read_bytes() == second.read_bytes() == b"new"


def test_a_file_that_could_be_written_is_not_begun(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "file", tmp_path / "other", Path("/dev/null"))
    assert names(tmp_path) == set()
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(OSError) as told:  # noqa: PT011 (the words are the system's)
            check_writable(tmp_path / "other", place)
        assert told.value.filename == str(place)
    assert names(tmp_path) == {"file"}


def test_what_is_open_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from xfer_bench.durable import check_writable, write_bytes\n"
        "for name in ('/dev/stdout', '/dev/fd/1'):\n"
        "    check_writable(Path(name))\n"
        "    write_bytes(Path(name), b'new ')\n"
    )
    path = tmp_path / "log"
    path.write_text("old ")
    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert path.read_text() == "old new new "
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"new new "


def test_places_are_looked_at_while_others_make_them(tmp_path: Path) -> None:
    def write(number: int) -> None:
        for turn in range(50):
            path = tmp_path / str(turn) / "deep" / str(number)
            check_writable(path)
            write_bytes(path, b"whole")

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(write, range(4))] == [None] * 4
    assert len([*tmp_path.glob("*/deep/*")]) == 200


def test_json_is_readable_and_refuses_what_is_no_number(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", {"name": "é", "list": [1]})
    assert (tmp_path / "value.json").read_text(encoding="utf-8").startswith('{\n  "name": "é",')
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "value.json", float("nan"))
    assert (tmp_path / "value.json").read_text(encoding="utf-8").startswith('{\n  "name": "é",')


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "made" / "target"
    with whole_folder(target) as draft:
        (draft / "nested").mkdir()
        (draft / "nested" / "file").write_text("content")
        assert draft.name.startswith(leftover_prefix(target))
        assert not target.exists()
    assert (target / "nested" / "file").read_text() == "content"
    assert names(tmp_path) == {"made", "target", "nested", "file"}


def test_nothing_stays_behind_after_an_error(tmp_path: Path) -> None:
    def interrupted() -> None:
        with whole_folder(tmp_path / "target") as draft:
            (draft / "file").write_text("half")
            raise Stop

    with pytest.raises(Stop):
        interrupted()
    assert names(tmp_path) == set()


def test_the_first_to_finish_a_folder_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with whole_folder(target) as slow:
        (slow / "file").write_text("slow")
        with whole_folder(target) as quick:
            (quick / "file").write_text("quick")
    assert (target / "file").read_text() == "quick"
    assert names(tmp_path) == {"target", "file"}


def test_a_folder_never_takes_a_file_s_place(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("a file")
    (tmp_path / "draft").mkdir()
    with pytest.raises(OSError, match="target"):
        publish(tmp_path / "draft", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "a file"


def test_a_process_that_dies_leaves_only_what_the_prefix_finds(tmp_path: Path) -> None:
    target = tmp_path / "target"
    lines = (
        "import os, pathlib, sys",
        "from xfer_bench.durable import whole_folder",
        "with whole_folder(pathlib.Path(sys.argv[1])) as draft:",
        "    (draft / 'file').write_text('half')",
        "    os._exit(9)",
    )
    assert subprocess.run([sys.executable, "-c", "\n".join(lines), str(target)], check=False).returncode == 9
    assert not target.exists()
    assert all(path.name.startswith(leftover_prefix(target)) for path in tmp_path.iterdir())
    with whole_folder(target) as draft:
        (draft / "file").write_text("whole")
    assert (target / "file").read_text() == "whole"
