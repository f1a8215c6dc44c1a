"""Kept tokens are those that were made, whoever else makes the same at the same time."""

import subprocess
import sys
from pathlib import Path

import pytest

from xfer_bench.models.tokens import Encoded, Tokens, kept_tokens

TYPED = Encoded(items=[0, 0, 2], ids=[[5, 6, 7], [8], [5, 6]], types=[[0, 0, 1], [0], [0, 1]], truncated=1)

# Everybody finds nothing, makes the same, and reads what is there then.
WRITER = """
import sys
from pathlib import Path
from xfer_bench.models.tokens import Encoded, kept_tokens
def make():
    print("made", flush=True)
    sys.stdin.readline()
    return Encoded(items=[*range(2000)], ids=[[n, n + 1] for n in range(2000)], types=None, truncated=0)
found = kept_tokens(Path(sys.argv[1]), "same", make, warn=print)
print(int(found.values.sum()), len(found.lengths))
"""


def never() -> Encoded:
    raise AssertionError("what is kept was made again")


def lists(tokens: Tokens) -> list[list[int]]:
    return [tokens.values[a:b].tolist() for a, b in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]


def test_what_was_made_is_kept_under_its_name(tmp_path: Path) -> None:
    warnings: list[str] = []
    kept_tokens(tmp_path, "a", lambda: TYPED, warn=warnings.append)
    again = kept_tokens(tmp_path, "a", never, warn=warnings.append)
    assert lists(again) == TYPED.ids
    assert again.item.tolist() == TYPED.items
    assert again.lengths.tolist() == [3, 1, 2]
    with pytest.raises(AssertionError, match="made again"):
        kept_tokens(tmp_path, "b", never, warn=warnings.append)
    assert warnings == []


def test_processes_that_make_the_same_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    pipe = subprocess.PIPE
    writers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for one in writers:
        assert one.stdout is not None
        assert one.stdout.readline() == "made\n"
    # All of them have found nothing by now, and go on together.
    answers = [one.communicate("go\n")[0] for one in writers]
    assert answers == [f"{2 * sum(range(2000)) + 2000} 2000\n"] * 4
    assert [one.returncode for one in writers] == [0] * 4
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_takes_nothing_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        kept_tokens(tmp_path / "file", "a", lambda: TYPED, warn=print)
