"""The arithmetic of a forward pass: `fp32`, or `bf16` by autocast (weights stay float32)."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from time import perf_counter
from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["fp32", "bf16"]


def native_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 itself, and faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return bool(can.get("avx512_bf16") or can.get("amx_bf16")) and _bf16_pays()
    return False


@cache
def _bf16_pays() -> bool:
    """Whether a matrix product on this CPU is faster in bf16, by a measurement of some milliseconds.

    Having the instructions says little: with avx512_bf16 alone it was twice as fast as float32 on one CPU and .6 times
    on another. Those lie far from the limit, and one thread is not disturbed by what else runs.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _seconds(torch.float32) > 1.2 * _seconds(torch.bfloat16)
    finally:
        torch.set_num_threads(threads)


def _seconds(dtype: torch.dtype) -> float:
    rows, weights = torch.ones(512, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
    times = []
    for _ in range(12):
        began = perf_counter()
        torch.nn.functional.linear(rows, weights)
        times.append(perf_counter() - began)
    return min(times)


def chosen(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """`auto` resolved for the device."""
    if precision == "auto":
        return "bf16" if native_bf16(device) else "fp32"
    return precision


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context that a forward pass of this precision runs in."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def best_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
