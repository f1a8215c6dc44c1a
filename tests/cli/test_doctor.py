"""`doctor`: a page that one can paste into an issue."""

import json
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from xfer_bench import __version__

SECRETS = {
    "HF_TOKEN": "hf_abcdefghijkl",
    "HTTPS_PROXY": "http://ada:pa55word@proxy.example:3128",
    "HF_ENDPOINT": "https://ada:pa55word@hub.example",
    "SOME_API_KEY": "0123456789abcdef",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A home with everything in it, and an environment full of secrets."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XFER_BENCH_CACHE", str(tmp_path / "cache"))
    # A place whose name is a secret, to see that values are hidden wherever they turn up.
    (tmp_path / SECRETS["SOME_API_KEY"]).mkdir()
    monkeypatch.setenv("XFER_BENCH_DATA", str(tmp_path / SECRETS["SOME_API_KEY"]))
    for name in ("XFER_BENCH_STORE", "XFER_BENCH_ACCEPT", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("form", ["table", "json"])
def test_nothing_secret_is_shown_and_home_is_a_tilde(here: Shell, form: str) -> None:
    out = here.said("doctor", "--format", form)
    for secret in (*SECRETS.values(), "pa55word", "ada", str(here.folder)):
        assert secret not in out
    assert "~/cache" in out
    assert "https://hub.example" in out
    assert "~/[hidden]" in out


def test_the_page_says_what_matters(here: Shell) -> None:
    lines = here.said("doctor").splitlines()
    titles = [line for line in lines if line and not line.startswith(" ")]
    assert titles[:8] == ["program", "devices", "threads", "folders", "store", "network", "data", "models"]
    assert any(line.split() == ["xfer-bench", __version__] for line in lines)


def test_json_holds_the_same_and_a_verdict(here: Shell) -> None:
    told = json.loads(here.said("doctor", "--format", "json"))
    assert told["ok"] is True
    assert told["broken"] == []
    assert told["program"]["xfer-bench"] == __version__
    assert told["store"] == {"predictions": "none yet"}


def test_what_is_broken_is_the_exit_code_s_and_the_last_line_s_and_everything_else_is_told(
    here: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XFER_BENCH_DATA", str(here.folder / "gone"))
    code, out, err = here.run("doctor")
    assert code == 1
    assert "models" in out.splitlines()
    assert "all is well" not in out
    assert err.splitlines()[-1].startswith("error: broken: no folder ~/gone (--data-root); it must be a local mirror")
    told = json.loads(here.run("doctor", "--format", "json")[1])
    assert told["ok"] is False
    assert told["broken"][0].startswith("no folder ~/gone")
