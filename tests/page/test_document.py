"""The file as a whole: one file, nothing fetched, everything escaped, the same bytes for the same results."""

import base64
import hashlib
import re
from pathlib import Path

import polars as pl
import pytest

from tests.page.subjects import EVIL, LANGUAGES, QUOTED, answered, results_in, subject_of, texts_in
from tests.page.unpacked import Parsed, unpacked
from xfer_bench.page.document import report
from xfer_bench.sources.source import Sources

ADDRESSES = re.compile(rb"""(?:src|href|action|poster|srcset)\s*=\s*["']?([^"'\s>]+)""")
IDS = {"answers", "results", "figures", "items", "methods", "data", "checkpoints", "citation"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A report on results whose names are markup, with the texts of its items."""
    root = tmp_path_factory.mktemp("page")
    renamed = answered().with_columns(pl.col("arm", "run").str.replace("english", EVIL, literal=True))
    renamed = renamed.with_columns(pl.col("arm").replace({"mixed": QUOTED}))
    results = results_in(root / "results", renamed, renamed.with_columns(variant=pl.lit("repaired")))
    sources = Sources(data_root=texts_in(root / "mirror"))
    return report(subject_of(results, texts=sources, title=f"A title with {EVIL}"))


@pytest.fixture(scope="module")
def parsed(page: bytes) -> Parsed:
    return Parsed(page)


def test_every_section_is_there_under_a_heading(parsed: Parsed) -> None:
    assert {str(one["id"]) for one in parsed.named("section")} == IDS
    assert len(parsed.named("h1")) == 1
    assert {str(one.get("aria-labelledby")) for one in parsed.named("section")} == {f"{name}-title" for name in IDS}


def test_nothing_is_fetched(page: bytes) -> None:
    outside = {address for address in ADDRESSES.findall(page) if not address.startswith((b"#", b"data:"))}
    assert outside == set()
    assert b"@import" not in page
    assert b"url(" not in page


def test_the_policy_lets_our_own_script_and_style_run_and_nothing_else(page: bytes, parsed: Parsed) -> None:
    (policy,) = [one["content"] for one in parsed.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(rb"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digests = [
        base64.b64encode(hashlib.sha256(content).digest()).decode()
        for content in (parsed.scripts[""].encode(), style.group(1))
    ]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not any(name.startswith("on") or name == "style" for _, given in parsed.tags for name in given)


def test_names_and_texts_stand_as_text(page: bytes, parsed: Parsed) -> None:
    assert EVIL.encode() not in page
    assert f"A title with {EVIL}" in parsed.text
    assert QUOTED in parsed.text
    kinds = [one.get("type") for one in parsed.named("script")]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/json", "application/octet-stream"}


def test_the_explorers_facts_and_texts_are_those_of_the_results(parsed: Parsed) -> None:
    bench = parsed.facts["benches"][0]
    assert {run["arm"] for run in bench["targets"][0]["runs"]} == {"none", EVIL, QUOTED}
    assert parsed.facts["texts"]
    assert parsed.facts["names"]["th"] == "Thai"
    for place, language in enumerate(bench["languages"]):
        known = unpacked(parsed.scripts[f"blob-texts-0-{place}"]).decode()
        assert f"{language} premise 3." in known
        assert EVIL in known


def test_licences_of_included_texts_are_listed(parsed: Parsed) -> None:
    assert "xcopa from cambridgeltl/xcopa: CC BY 4.0" in parsed.text
    assert "xcopa from extra/copa_test_gold: BSD-2-Clause (COPA); MIT (the upstream)" in parsed.text


def test_without_texts_there_are_none_and_the_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    results = results_in(tmp_path / "results")
    one, other = (report(subject_of(results)) for _ in range(2))
    assert one == other
    parsed = Parsed(one)
    assert not [name for name in parsed.scripts if name.startswith("blob-texts")]
    assert not parsed.facts["texts"]
    assert "--with-texts includes them" in parsed.text


def test_every_input_has_a_name_and_every_picture_a_text(parsed: Parsed) -> None:
    assert all(one.get("alt") for one in parsed.named("img"))
    assert all(str(one["src"]).startswith("data:image/svg+xml;base64,") for one in parsed.named("img"))
    scrolled = [one for one in parsed.named("div") if "scroll" in str(one.get("class")).split()]
    assert all(one.get("tabindex") == "0" and (one.get("aria-label") or one.get("aria-labelledby")) for one in scrolled)


def test_addresses_inside_the_page_lead_somewhere(parsed: Parsed) -> None:
    ids = {str(given["id"]) for _, given in parsed.tags if given.get("id")}
    inner = {str(one["href"])[1:] for one in parsed.named("a") if str(one["href"]).startswith("#")}
    assert inner <= ids
    assert len(ids) == len([1 for _, given in parsed.tags if given.get("id")])


def test_the_whole_fits_a_mail(page: bytes) -> None:
    assert len(LANGUAGES) == 5
    assert len(page) < 2_000_000
