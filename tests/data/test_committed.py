"""What the README says of the committed results is what the program says of them."""

import re
from pathlib import Path

import pytest

from tests.cli.shell import Shell

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["xcopa-starter", "xcopa-xnli-starter"])
def test_the_readme_shows_what_compare_prints(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = Shell(ROOT, monkeypatch, capsys).said("compare", str(ROOT / "data" / "results" / name))
    assert printed.strip() in _blocks()


def _blocks() -> list[str]:
    """The README's code blocks."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return [block.strip() for block in re.findall(r"^```\w*\n(.*?)^```$", readme, flags=re.DOTALL | re.MULTILINE)]
