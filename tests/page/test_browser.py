"""The report in a real browser: it sorts, filters, opens items, prints, and asks nothing of any network."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.page.browser import Browser, chromium
from tests.page.subjects import EVIL, ITEMS, QUOTED, answered, results_in, subject_of, texts_in
from xfer_bench.page.document import report
from xfer_bench.sources.source import Sources

ROWS = "table.comparisons tbody tr"
GAINS = f"{ROWS} td.change"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Answers of three arms, one of which has a name that is markup."""
    named = pl.col("arm").replace({"mixed": QUOTED})
    both = [answered().with_columns(named), answered(variant="repaired").with_columns(named)]
    return pl.concat([*both, answered(task="xnli", classes=3, languages=("en", "de")).with_columns(named)])


@pytest.fixture(scope="module")
def file(browser: Browser, rows: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    texts_in(root / "mirror")
    for language in ("en", "de"):
        path = root / "mirror" / "facebook" / "xnli" / language / "test-00000-of-00001.parquet"
        path.parent.mkdir(parents=True)
        pl.DataFrame(
            {
                "premise": [f"{language} premise {item // 3}" for item in range(ITEMS)],
                "hypothesis": [f"{language} hypothesis {item}" for item in range(ITEMS)],
                "label": [item % 3 for item in range(ITEMS)],
            }
        ).write_parquet(path)
    subject = subject_of(results_in(root / "results", rows), texts=Sources(data_root=root / "mirror"))
    (root / "report.html").write_bytes(report(subject))
    return root / "report.html"


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Browser]:
    """The report just opened; afterwards the console has said nothing, and nothing but the file was asked for."""
    browser.console()
    browser.requests()
    browser.open(file)
    browser.wait("document.querySelectorAll('#item-list .snippet:not(:empty)').length")
    yield browser
    assert browser.console() == []
    assert {address for address in browser.requests() if not address.startswith(("data:", "blob:"))} == {file.as_uri()}
    assert browser.run("return document.title") == "Transfer gains on xcopa and xnli"


def test_heads_sort_by_click_and_by_key(page: Browser) -> None:
    head = page.find(".comparisons thead th:nth-child(7) button")
    for way in ("descending", "ascending"):
        head.click()
        gains = [float(text.rstrip("*").replace("−", "-")) for text in page.all(GAINS)]
        assert gains == sorted(gains, reverse=way == "descending")
        assert page.run("return document.querySelector('.comparisons th[aria-sort]').ariaSort") == way
    page.find(".comparisons thead th:nth-child(4) button").send_keys("\n")
    assert page.run("return document.querySelectorAll('.comparisons th[aria-sort]').length") == 1
    languages = page.all(f"{ROWS} th")
    assert languages == sorted(languages)


def test_the_main_table_sorts_by_a_language(page: Browser) -> None:
    page.find(".matrix thead th:nth-child(3) button").click()
    shown = page.run(
        "return [...document.querySelector('.matrix').tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value))"
    )
    assert shown == sorted(shown, reverse=True)


def test_filters_leave_the_languages_arms_and_targets_that_were_asked_for(page: Browser) -> None:
    everything = len(page.all(ROWS))
    page.find("[data-show='average']").click()
    averages = page.all(f"{ROWS} th")
    assert 0 < len(averages) < everything
    assert all(name.startswith("avg") for name in averages)
    assert all(text.startswith("avg") for text in page.all(".matrix thead th[data-language]"))
    page.find("[name='language'][value='th']").click()
    page.choose("#comparison-filter [name='arm']", QUOTED)
    page.choose("#comparison-filter [name='target']", "xcopa (repaired) test, CO")
    assert {text.split()[0] for text in page.all(f"{ROWS} th")} == {"avg_unseen", "avg", "th"}
    assert set(page.all(f"{ROWS} td:nth-child(2)")) == {QUOTED}
    assert page.all("#comparison-filter .status") == [f"3 of {everything} comparisons"]


def _right(rows: pl.DataFrame, arm: str) -> pl.DataFrame:
    own = rows.filter(task="xcopa", variant="repaired", language="th", arm=arm)
    return own.select("item", "target_seed", right=pl.col("label") == pl.col("prediction"))


def test_flips_are_the_items_that_one_arm_has_right_and_the_other_wrong(page: Browser, rows: pl.DataFrame) -> None:
    page.choose("#item-filter [name='language']", "Thai (th)")
    page.choose("#item-filter [name='to']", QUOTED)
    pairs = _right(rows, "none").join(_right(rows, QUOTED), on=["item", "target_seed"], suffix="_after")
    for flip, kept in (
        ("wrong → right", ~pl.col("right") & pl.col("right_after")),
        ("right → wrong", pl.col("right") & ~pl.col("right_after")),
    ):
        page.choose("#item-filter [name='flip']", flip)
        wanted = pairs.filter(kept)["item"].unique()
        said = page.all("#item-count")[0]
        assert said.startswith(f"{len(wanted)} of {ITEMS} items")
        shown = {text.split("Item ")[1].split("\n")[0] for text in page.all("#item-list button")}
        assert shown <= set(wanted)
        assert len(shown) == min(len(wanted), 25)


def test_an_item_opens_with_its_translations_and_every_runs_answer(page: Browser, rows: pl.DataFrame) -> None:
    page.choose("#item-filter [name='flip']", "all items")
    page.find("#item-filter [name='query']").send_keys("7")
    page.wait("document.querySelector('#item-list strong').textContent === 'Item 7'")
    page.find("#item-list button").click()
    page.wait("document.querySelectorAll('.tongue').length")
    assert page.all("#item h3") == ["Item 7 of xcopa test, repaired, CO"]
    assert {text.split("\n")[0] for text in page.all(".tongue h4")} == {
        f"{name} ({code})label: choice {label}" for name, code, label in _labels(rows)
    }
    # Markup in a text is text.
    assert page.all(".tongue .text")[0] == f"{EVIL} What happened as a result?" or EVIL in page.all(".tongue .text")[0]
    assert QUOTED in page.all(".candidates li")
    for (language, run), own in rows.filter(item="7", task="xcopa", variant="repaired").group_by(["language", "run"]):
        answer = page.run(
            "return [...document.querySelectorAll('.tongue')].find((one) => one.ariaLabel.endsWith(arguments[0]))"
            ".querySelector(`[title='${arguments[1]}']`).parentElement.cells[2].textContent",
            f"({language})",
            run,
        )
        mark = "✓" if own["label"][0] == own["prediction"][0] else "✗"
        assert answer == f"{mark} choice {own['prediction'][0] + 1}"


def _labels(rows: pl.DataFrame) -> Iterator[tuple[str, str, int]]:
    names = {"en": "English", "et": "Estonian", "sw": "Swahili", "th": "Thai", "zh": "Chinese"}
    for language, label in rows.filter(item="7", task="xcopa").select("language", "label").unique().iter_rows():
        yield names[language], language, label + 1


def test_everything_can_be_done_with_the_keyboard_alone(page: Browser) -> None:
    page.press("TAB")
    assert page.run("return document.activeElement.className") == "skip"
    page.find("#item-filter [name='flip']").send_keys("all")
    page.find("#item-list button").send_keys("\n")
    page.wait("document.activeElement.id === 'item'")
    page.find("#items-after").send_keys(" ")
    assert page.all("#items-page") == ["Page 2 of 3"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_nobody_is_shut_out_and_nothing_is_wider_than_the_screen(page: Browser, scheme: str, width: int) -> None:
    page.emulate(width=width, height=800, scheme=scheme)
    page.find("#item-list button").click()
    page.wait("document.querySelectorAll('.tongue').length")
    background = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(background) < 60) == (scheme == "dark")
    assert page.run("return document.documentElement.scrollWidth") <= width
    assert page.serious_issues() == []


def test_on_paper_controls_are_gone_and_details_open(page: Browser) -> None:
    assert page.printed().startswith(b"%PDF")
    page.emulate(media="print")
    for gone in ("nav", "#language-filter", "#items"):
        assert page.all(gone) == []
    assert page.all(".comparisons")
    assert page.run("return document.querySelectorAll('details[open]').length") == 0
