"""What the README says of the committed results is what the program says of them."""

import re
from pathlib import Path

import pytest

from xfer_bench import Results, compare
from xfer_bench.report.tables import bootstrap_settings, render

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["xcopa-starter", "xnli-starter"])
def test_the_readme_shows_rows_that_compare_prints(name: str) -> None:
    comparisons = compare(Results(ROOT / "data" / "results" / name).predictions())
    settings = bootstrap_settings(baseline="none", resamples=10_000, seed=0)
    printed = render(comparisons, format="table", settings=settings).splitlines()
    (block,) = [part for part in _blocks() if part[0] == printed[0]]
    shown = [line.rstrip() for line in block if line]
    assert len(shown) > 4
    assert [line for line in shown if line not in [row.rstrip() for row in printed]] == []


def _blocks() -> list[list[str]]:
    """The README's code blocks, line by line."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```\w*\n(.*?)^```$", readme, flags=re.DOTALL | re.MULTILINE)
    return [block.splitlines() for block in found]
