"""The tables on a page of two columns, set by a real LaTeX: one document with all of them, made once."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tests.predictions import make_predictions, make_stages
from tests.report.test_latex import SPECIAL
from xfer_bench.report.appendix import arm_table, rank_table, seed_tables, seeds_of
from xfer_bench.report.comparisons import method_settings
from xfer_bench.report.findings import Findings
from xfer_bench.report.latex import as_latex
from xfer_bench.report.leaders import leaders
from xfer_bench.report.paper_tables import language_tables, main_table
from xfer_bench.report.ranks import rank_settings
from xfer_bench.report.sheets import Sheet
from xfer_bench.report.training import trained
from xfer_bench.stats.comparisons import compare
from xfer_bench.stats.method import Method
from xfer_bench.stats.outcomes import pairings
from xfer_bench.stats.ranking import rank

# The ACL's page: 16 by 24.7 cm of text in two columns, 11 points.
PAGE = r"""
\documentclass[11pt,twocolumn]{article}
\setlength{\textwidth}{16cm}\setlength{\columnsep}{0.6cm}\setlength{\textheight}{24.7cm}
\setlength{\oddsidemargin}{-0.04cm}\setlength{\topmargin}{-2cm}
\usepackage{booktabs,siunitx}
\begin{document}
%s
\end{document}
"""
METHOD = Method(resamples=999)
LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
ARMS = {"none": 0.0, SPECIAL: 0.3, "a-rather-long_name_of-an_arm": 0.4, "mixed": 4.0}
ARMS |= {f"arm-{number}": 0.1 for number in range(4)}
TABULAR = r"(?s)\\begin\{tabular\}\{@\{\}(.*?)@\{\}\}\n(.*?)\\end\{tabular\}"
# Points that a line may be too wide without anybody seeing it.
BOUND = 2.0


def _predictions() -> pl.DataFrame:
    frames = []
    for number, task in enumerate(("xcopa", "xnli", "own_task & 100 %")):
        languages = ("en", "sw", "th", "zh") if number else LANGUAGES
        seen = {SPECIAL: ("en",), "mixed": ("en", "th", "zh")}
        rows = make_predictions(
            effects=ARMS, seen=seen, languages=languages, seeds=(0, 1), n_items=60, task=task, seed=number
        )
        frames.append(rows.with_columns(run=pl.format("{}-{}", "run", pl.lit(task))))
    return pl.concat(frames)


def _gains(predictions: pl.DataFrame) -> Findings:
    comparisons = tuple(compare(predictions, primary=[("mixed", SPECIAL)], method=METHOD))
    return Findings(
        comparisons=comparisons,
        settings=method_settings(comparisons, METHOD),
        leaders=leaders(predictions, comparisons, baseline="none", resamples=METHOD.resamples),
        collapsed=frozenset({("arm-1", "xcopa")}),
    )


@pytest.fixture(scope="module")
def tables() -> dict[str, Sequence[Sheet]]:
    predictions = _predictions()
    stages = make_stages(predictions)
    gains = _gains(predictions)
    one = predictions.filter(task="xcopa")
    return {
        "main": [main_table(gains)],
        "errors": [main_table(replace(gains, uncertainty="se"))],
        "languages": [sheet for sheet in language_tables(gains) if "xcopa" in sheet.name],
        "arms": [arm_table(trained(predictions, stages), seeds_of(predictions))],
        "seeds": seed_tables(list(pairings(one, baseline="none")), stages, collapsed={"arm-1-0-xcopa"}),
        "ranks": [rank_table(rank(one, resamples=199), settings=rank_settings(baseline="none", resamples=199, seed=0))],
    }


@pytest.fixture(scope="module")
def log(tables: dict[str, Sequence[Sheet]], tmp_path_factory: pytest.TempPathFactory) -> str:
    if not _latex():
        reason = "needs pdflatex with booktabs and siunitx (Debian: texlive-science)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return compiled(tables, tmp_path_factory.mktemp("page"))


def _latex() -> bool:
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    styles = subprocess.run(["kpsewhich", "booktabs.sty", "siunitx.sty"], capture_output=True, text=True, check=False)
    return len(styles.stdout.split()) == 2


def compiled(tables: dict[str, Sequence[Sheet]], folder: Path) -> str:
    """The log of one run of pdflatex over all tables, each read with \\input; in `folder` is the page."""
    for name, sheets in tables.items():
        (folder / f"{name}.tex").write_text(as_latex(sheets) + "\n", encoding="utf-8")
    body = "\n".join(rf"\typeout{{table {name}}}\input{{{name}}}\clearpage" for name in tables)
    (folder / "page.tex").write_text(PAGE % body, encoding="utf-8")
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-no-shell-escape", "page.tex"],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return (folder / "page.log").read_text(encoding="utf-8", errors="replace")


def test_latex_sets_every_table_without_an_error(log: str) -> None:
    assert [line for line in log.splitlines() if line.startswith("!") or "rror:" in line] == []
    assert re.search(r"Output written on page\.pdf \(\d+ pages", log)
    assert "multiply defined" not in log
    assert "Missing character" not in log


def test_every_table_fits_its_page(log: str) -> None:
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([0-9.]+)pt too wide\)", log)]
    assert max(wide, default=0.0) <= BOUND
    assert "Float too large" not in log
    assert "Overfull \\vbox" not in log


def test_what_stands_in_a_column_of_numbers_is_a_number_or_in_braces(tables: dict[str, Sequence[Sheet]]) -> None:
    for sheets in tables.values():
        for tabular in re.findall(TABULAR, as_latex(sheets)):
            kinds = re.findall(r"S\[[^]]*\]|p\{|l", tabular[0].replace(r"\raggedright\arraybackslash", ""))
            lines = [line for line in tabular[1].splitlines() if line.endswith("\\\\") and "multicolumn" not in line]
            assert lines
            for line in lines:
                cells = re.split(r"(?<!\\)&", line.removesuffix("\\\\"))
                assert len(cells) == len(kinds)
                for kind, cell in zip(kinds, cells, strict=True):
                    number = r"(\\bfseries )?[+-]?\d+(\.\d+)?(\{.*\})?|\{.*\}|"
                    assert not kind.startswith("S") or re.fullmatch(number, cell.strip())
