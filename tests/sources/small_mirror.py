"""Small mirrors of real Parquet files, and where the real mirror is."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.tasks.nli import NLI
from xfer_bench.tasks.readers import nli_pairs
from xfer_bench.tasks.task import Part, Reader, Split, Task

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "hub"
REAL_MIRROR = Path(os.environ.get("XFER_BENCH_DATA") or _BESIDE)
HAS_REAL_MIRROR = (REAL_MIRROR / "facebook" / "xnli").is_dir()


def write(root: Path, repository: str, files: Mapping[str, Mapping[str, Sequence[Any]]]) -> Path:
    """Write Parquet files, given by their path inside the repository and their columns."""
    for name, columns in files.items():
        path = root / repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(dict(columns)).write_parquet(path)
    return root


def pairs(count: int, *, language: str = "en") -> dict[str, list[Any]]:
    """NLI columns of this many rows: three consecutive rows share a premise, one of each label."""
    return {
        "premise": [f"{language} premise {row // 3}" for row in range(count)],
        "hypothesis": [f"{language} hypothesis {row}" for row in range(count)],
        "label": [row % 3 for row in range(count)],
    }


def nli_task(
    *,
    splits: tuple[Split, ...] = ("train",),
    languages: tuple[str, ...] = ("en",),
    repository: str = "some/pairs",
    parallel: bool = False,
    read: Reader | None = None,
) -> Task:
    """An NLI task whose configurations are its languages."""
    return Task(
        name="pairs",
        format=NLI,
        parts=tuple(
            Part(
                split=split,
                languages=languages,
                repository=repository,
                config="{language}",
                read=read or nli_pairs(cluster="triple"),
                columns=("premise", "hypothesis", "label"),
            )
            for split in splits
        ),
        licence="none",
        chance=1 / 3,
        parallel=parallel,
    )
