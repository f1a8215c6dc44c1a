"""A shell for tests: commands typed in a folder, and what they say."""

import io
from pathlib import Path

import pytest

from xfer_bench.cli import main


class Shell:
    """Commands typed in a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str, answer: str = "") -> tuple[int, str, str]:
        """The exit code, and what is said on the two streams."""
        self._patch.setattr("sys.argv", ["xfer-bench", *arguments])
        self._patch.setattr("sys.stdin", io.StringIO(answer))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = self._capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    def said(self, *arguments: str, answer: str = "") -> str:
        """What a command that succeeds prints."""
        code, out, err = self.run(*arguments, answer=answer)
        assert code == 0, err
        return out

    def refused(self, *arguments: str, answer: str = "") -> str:
        """The last line of a command that fails."""
        code, _, err = self.run(*arguments, answer=answer)
        assert code == 1
        assert "Traceback" not in err
        return err.strip().splitlines()[-1]

    @property
    def blocks(self) -> list[Path]:
        return sorted((self.folder / "store" / "blocks").rglob("[!.]*.parquet"))
