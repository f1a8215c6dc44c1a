"""A folder with checkpoints and a mirror, and a shell in it; a file of tests with another folder has its own."""

import shutil
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.evaluation.small_checkpoints import small_place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def shell(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("XFER_BENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XFER_BENCH_DATA", str(place / "mirror"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("choosing", "classifying", "encoder"):
        shutil.copytree(place / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)
