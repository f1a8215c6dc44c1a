import re
from dataclasses import replace

import pytest

from xfer_bench.report.latex import as_latex
from xfer_bench.report.sheets import Block, Cell, Column, Number, Sheet

SPECIAL = r"""_&%$#{}~^\"'`<>|[]*- é語"""


def sheet(
    rows: tuple[tuple[Cell, ...], ...], *, groups: tuple[str, ...] = ("xcopa",), heads: tuple[str, ...] = ("unseen",)
) -> Sheet:
    columns = (Column("arm", text=True), *(Column(head, group=group) for group in groups for head in heads))
    return Sheet(
        name="main",
        title="Gains",
        columns=columns,
        blocks=(Block(rows=rows),),
        caption=("What it is.",),
        settings={"interval": "boot:pct", "resamples": 100, "version": "1"},
    )


def gain(value: float = 1.25, **more: float | str | bool) -> Number:
    return replace(Number(value=value, signed=True), **more)  # type: ignore[arg-type]


def test_a_table_can_be_read_with_input() -> None:
    page = as_latex([sheet((("a", gain()),))])
    assert page.splitlines()[0].startswith("% xfer-bench ")
    assert [page.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    assert page.index(r"\begin{table}") < page.index(r"\caption[Gains]{Gains. What it is.")
    assert page.index(r"\caption") < page.index(r"\label{tab:main}") < page.index(r"\end{table}")
    assert "hline" not in page
    assert r"\texttt{boot:\allowbreak{}pct\textbar{}" in page


def test_numbers_stand_in_columns_that_fit_them() -> None:
    rows = (("a", Number(value=5.0), gain(-0.5)), ("b", Number(value=100.0), gain(12.25)))
    page = as_latex([sheet(rows, heads=("accuracy", "gain"))])
    assert r"\begin{tabular}{@{}lS[table-format=3.1]S[table-format=+2.1]@{}}" in page
    assert "a & 5.0 & -0.5 \\\\" in page
    assert "b & 100.0 & +12.2 \\\\" in page


def test_an_interval_stands_below_its_gain_and_an_error_beside_it() -> None:
    page = as_latex([sheet((("a", gain(low=-0.5, high=3.0, marks="*")),))])
    assert r"a & +1.2{\rlap{\textsuperscript{{*}}}} \\[-1pt]" in page
    assert r" & {\scriptsize {[}\textminus{}0.5, +3.0{]}} \\" in page
    beside = as_latex([sheet((("none", Number(value=50.0)), ("a", gain(error=0.44, marks="*"))))])
    assert r"S[table-format=+2.1]@{\,}l@{}}" in beside
    assert "none & 50.0 &  \\\\" in beside
    assert r"a & +1.2 & {\scriptsize\textpm0.4}\textsuperscript{{*}} \\" in beside
    assert r"\multicolumn{2}{c}{xcopa}" in beside


def test_what_is_absent_is_a_dash_and_the_best_is_bold() -> None:
    page = as_latex([sheet((("a", None), ("b", ""), ("c", gain(best=True))))])
    assert r"a & {--} \\" in page
    assert "b &  \\\\" in page
    assert r"c & \bfseries +1.2 \\" in page
    assert page.count(r"\bfseries") == 1
    assert " 0.0" not in page


def test_amounts_are_grouped_by_siunitx() -> None:
    page = as_latex([sheet((("a", Number(value=392702.0, decimals=0)),))])
    assert "S[table-format=6.0]" in page
    assert "a & 392702 " in page


def test_names_hold_no_commands() -> None:
    odd = SPECIAL + "\n%\\end{tabular}"
    page = as_latex([replace(sheet(((odd, gain()),), groups=(odd,), heads=(odd,)), title=odd, caption=(odd,))])
    assert page.count(r"\end{tabular}") == 1
    assert r"\DeclareRobustCommand*{\xferchar}" in page
    for line in page.splitlines()[1:]:
        assert not re.search(r"(?<!\\)%", line)


def test_a_narrow_table_is_in_one_column_of_the_page() -> None:
    assert r"\begin{table}[t]" in as_latex([sheet((("a", gain()),))])
    wide = sheet((("a", *[gain()] * 9),), groups=("x", "y", "z"), heads=("unseen", "avg", "en"))
    assert r"\begin{table*}[t]" in as_latex([wide])


def test_what_is_too_wide_is_set_in_panels_that_keep_groups_whole() -> None:
    groups = tuple(f"arm{number}" for number in range(9))
    page = as_latex([sheet((("a", *[gain()] * 18),), groups=groups, heads=("accuracy", "gain"))])
    assert page.count(r"\begin{tabular}") > 1
    assert page.count(r"\caption") == 1
    for group in groups:
        assert page.count(rf"\multicolumn{{2}}{{c}}{{{group}}}") == 1


def test_what_is_too_high_is_continued_under_one_number() -> None:
    rows = tuple((f"arm {number}", gain()) for number in range(100))
    page = as_latex([sheet(rows)])
    floats = page.count(r"\begin{table}")
    assert floats == 3
    assert page.count("(continued)") == floats - 1 == page.count(r"\addtocounter{table}{-1}")
    assert page.count(r"\label") == 1
    assert all(page.count(f"arm {number} &") == 1 for number in range(100))


@pytest.mark.parametrize("count", [1, 44, 45, 46, 47, 60])
def test_no_row_is_lost_or_twice_where_tables_are_continued(count: int) -> None:
    page = as_latex([sheet(tuple((f"arm {number}", gain(low=0.0, high=2.0)) for number in range(count)))])
    assert [page.count(f"arm {number} &") for number in range(count)] == [1] * count
    assert page.count(r"\midrule") == page.count(r"\begin{tabular}")
