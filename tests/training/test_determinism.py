from pathlib import Path

import pytest
import torch

from tests.training.one_stage import Stages, equal
from xfer_bench.training.determinism import deterministic


def test_the_setting_before_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    for asked in (True, False):
        with deterministic(asked=asked):
            assert torch.are_deterministic_algorithms_enabled() == asked
        assert not torch.are_deterministic_algorithms_enabled()


def test_on_a_cpu_it_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    stages = Stages.made(tmp_path)
    usual, strict = stages.train("usual"), stages.train("strict", deterministic=True)
    assert equal(usual.path, strict.path)
    assert usual.lineage["key"] != strict.lineage["key"]
