import csv
from io import StringIO

import pytest

from xfer_bench.report.sheets import Block, Cell, Column, Number, Sheet, as_csv, as_markdown, safe, slug

HARMLESS = ("arm", "xnli-15", "a=b", "1-2", "x@y", "", "naïve", "多语")
FORMULAS = ("=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\tx", " =1", "＝1", "-", '=HYPERLINK("http://x")')


def sheet(*rows: tuple[Cell, ...], heads: tuple[str, ...] = ("unseen", "avg"), group: str = "xcopa") -> Sheet:
    columns = (Column("arm", text=True), *(Column(head, group=group) for head in heads))
    return Sheet(name="main", title="Gains", columns=columns, blocks=(Block(rows=rows),), caption=("What it is.",))


def read(page: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(page)))


def cells(page: str) -> list[list[str]]:
    """The rows of the first Markdown table, its head first."""
    lines = [line for line in page.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line[1:-1].replace(r"\|", "\0").split("|")] for line in lines]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_would_be_a_formula_is_text(text: str) -> None:
    assert safe(text) == f"'{text}"
    page = sheet((text, Number(value=1.0), None), heads=(text, "b"), group="")
    (row,) = read(as_csv([page]))
    assert row["arm"] == f"'{text}"
    assert all(not name.startswith(("=", "+", "-", "@", "\t", "\r")) for name in row)


def test_a_text_is_one_line_of_a_csv() -> None:
    assert (safe("\rx"), safe("\r\n=x"), safe("a\u2028b")) == (" x", "' =x", "a b")
    assert len(as_csv([sheet(("a\r\nb", None, None))]).splitlines()) == 2


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert safe(text) == text


def test_numbers_of_a_csv_stay_numbers_in_full() -> None:
    more = (("accuracy", 61.75), ("p", None))
    gain = Number(value=-1.2345, name="gain", signed=True, low=-2.0, high=0.125, marks="*", more=more)
    (row,) = read(as_csv([sheet(("a", gain, None))]))
    assert row == {
        "arm": "a",
        "xcopa unseen gain": "-1.2345",
        "xcopa unseen accuracy": "61.75",
        "xcopa unseen p": "",
        "xcopa unseen gain low": "-2",
        "xcopa unseen gain high": "0.125",
        "xcopa unseen marks": "*",
    }


def test_several_tables_are_one_csv() -> None:
    page = as_csv([sheet(("a", Number(value=1.0), None)), sheet(("b", None, Number(value=2.0)))])
    assert [(row["table"], row["arm"]) for row in read(page)] == [("Gains", "a"), ("Gains", "b")]
    assert [row["xcopa avg"] for row in read(page)] == ["", "2"]
    assert not page.endswith("\n")


def test_markdown_rounds_points_to_one_decimal() -> None:
    rows = (
        ("a", Number(value=61.25), Number(value=-0.04, signed=True)),
        ("b", Number(value=99.96), Number(value=0.06, signed=True, low=-1.55, high=2.0)),
        ("c", Number(value=12345.6, decimals=0), Number(value=1.0, signed=True, error=0.44)),
    )
    assert cells(as_markdown([sheet(*rows)])) == [
        ["arm", "xcopa unseen", "xcopa avg"],
        ["a", "61.2", "+0.0"],
        ["b", "100.0", r"+0.1 \[-1.6, +2.0\]"],
        ["c", "12,346", "+1.0 ±0.4"],
    ]


def test_what_is_not_there_is_a_dash_and_never_nought() -> None:
    page = sheet(("a", None, ""))
    assert cells(as_markdown([page]))[1] == ["a", "–", ""]
    assert set(read(as_csv([page]))[0].values()) == {"a"}
    assert "0.0" not in as_markdown([page])


def test_the_best_is_bold_and_marks_are_raised() -> None:
    best = Number(value=2.0, signed=True, best=True, marks="*s")
    assert cells(as_markdown([sheet(("a", best, None))]))[1][1] == r"**+2.0**<sup>\*s</sup>"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a|b", r"a\|b"),
        ("a_b_c", r"a\_b\_c"),
        ("<script>", "&lt;script>"),
        ("**x**", r"\*\*x\*\*"),
        ("[x](y)", r"\[x\](y)"),
        ("`x`", r"\`x\`"),
        ("a\nb\t|c", r"a b \|c"),
        ("$x$ ~~y~~", r"\$x\$ \~\~y\~\~"),
        ("\\|", r"\\\|"),
        ("多语 é", "多语 é"),
    ],
)
def test_names_in_markdown_are_shown_as_they_are(name: str, shown: str) -> None:
    page = as_markdown([sheet((name, Number(value=1.0), None), heads=(name, "avg"), group="")])
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert lines[0].startswith(f"| arm | {shown} |")
    assert lines[2].startswith(f"| {shown} | 1.0 |")


def test_labels_are_letters_digits_and_hyphens() -> None:
    assert slug("languages", "xcopa_v2", "SI+CO") == "languages-xcopa-v2-si-co"
    assert slug("多语") == "table"
