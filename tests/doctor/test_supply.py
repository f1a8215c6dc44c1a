"""What can be had here, told without asking anybody."""

from pathlib import Path

import pytest

from tests.sources.small_mirror import nli_task, pairs, write
from xfer_bench.doctor.facts import Fact
from xfer_bench.doctor.supply import models, network, rows
from xfer_bench.sources.pins import ACCEPT
from xfer_bench.sources.source import VARIABLE


def said(found: list[Fact]) -> dict[str, str]:
    return {fact.name: fact.value for fact in found}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, ACCEPT, "HF_TOKEN", "HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


class TestNetwork:
    def test_by_default_it_may_be_used(self) -> None:
        found = said(list(network()))
        assert found == {"hub": "may be used (nothing is asked now)", "proxy": "none", "token": "none in variables"}

    def test_what_is_set_is_named_and_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
        monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijkl")
        monkeypatch.setenv("https_proxy", "http://ada:pa55word@proxy.example:3128")
        monkeypatch.setenv("HF_ENDPOINT", "https://ada:pa55word@hub.example/path?key=abc")
        assert said(list(network())) == {
            "hub": "switched off by HF_DATASETS_OFFLINE",
            "endpoint": "https://hub.example",
            "proxy": "set by HTTPS_PROXY",
            "token": "set by HF_TOKEN",
        }

    @pytest.mark.parametrize("address", ["nothing", "http://[", "//"])
    def test_an_odd_endpoint_is_no_address(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert said(list(network()))["endpoint"] == "not an address"


class TestRows:
    def test_tasks_are_here_whole_or_in_parts_or_not(self, tmp_path: Path) -> None:
        write(tmp_path, "some/pairs", {f"{language}/test.parquet": pairs(3) for language in ("en", "de")})
        whole = nli_task(splits=("test",), languages=("en", "de"))
        some = nli_task(splits=("test",), languages=("en", "fr"))
        none = nli_task(splits=("test",), repository="some/other")
        tasks = {"whole": whole, "some": some, "none": none}
        assert said(list(rows(tmp_path, tasks=tasks))) == {
            "mirror": str(tmp_path), "here": "whole", "in parts": "some", "elsewhere": "none",
        }  # fmt: skip

    def test_without_a_mirror_the_embedded_ones_are_here(self) -> None:
        found = said(list(rows(None)))
        assert found["mirror"].startswith("none")
        assert "quickstart_xcopa" in found["here"].split(", ")
        assert "xnli" in found["elsewhere"].split(", ")

    def test_a_mirror_that_is_not_there_is_broken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
        first = next(iter(rows(None)))
        assert (first.state, first.value) == ("broken", "not there")
        assert first.reason.startswith(f"no folder {tmp_path}/gone (XFER_BENCH_DATA)")

    def test_accepted_changes_are_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ACCEPT, "facebook/xnli")
        fact = list(rows(None))[-1]
        assert (fact.name, fact.value, fact.state) == ("changes accepted", "facebook/xnli", "warning")


def test_the_starter_is_named() -> None:
    (fact,) = models()
    assert fact.name == "starter"
    assert fact.state == "ok"
