"""The arithmetic of a forward pass: `fp32`, or `bf16` by autocast (weights stay float32)."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["fp32", "bf16"]


def native_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 itself; elsewhere autocast is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    return False


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
