"""The same weights every time on a GPU, too: only algorithms that add up in one order."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(*, asked: bool) -> Iterator[None]:
    """While the block runs, an operation without such an algorithm raises RuntimeError; the setting before comes back.

    The library of matrix products reads its variable when it is first used, so it is set for the whole process.
    """
    if not asked:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark
