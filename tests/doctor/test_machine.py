"""Versions, devices and threads as the libraries tell them."""

import os
import platform

import pytest
import torch

from xfer_bench import __version__
from xfer_bench.doctor.machine import NEEDED, devices, program, threads


def test_versions_are_those_that_run() -> None:
    found = {fact.name: fact for fact in program()}
    assert found["xfer-bench"].value == __version__
    assert found["python"].value.startswith(platform.python_version())
    for name in NEEDED:
        assert f"{name} " in found["libraries"].value
    assert f"torch {torch.__version__}" in found["libraries"].value
    assert {fact.state for fact in found.values()} == {"ok"}


def test_the_cpu_tells_its_instructions_and_what_auto_computes_in() -> None:
    found = {fact.name: fact.value for fact in devices()}
    assert found["cpu"].endswith("cores usable")
    assert found["cpu precision"] in {"--precision auto computes in fp32", "--precision auto computes in bf16"}
    if torch.cpu.get_capabilities().get("avx2"):
        assert "avx2" in found["cpu instructions"].split(", ")
    if not torch.cuda.is_available():
        assert found["gpu"].startswith("none; torch was built with")


def test_more_threads_than_cores_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        fair = next(iter(threads()))
        torch.set_num_threads(2 * (os.cpu_count() or 1))
        many = next(iter(threads()))
    finally:
        torch.set_num_threads(before)
    if len(os.sched_getaffinity(0)) == os.cpu_count():
        assert fair.state == "ok"
    assert many.state == "warning"
    assert "set OMP_NUM_THREADS=" in many.reason
    assert "OMP_NUM_THREADS=3" in list(threads())[-1].value
