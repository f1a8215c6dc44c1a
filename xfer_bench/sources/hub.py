"""Reading a repository of the Hub through `datasets`, which is imported only when something is read."""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import SourceError
from xfer_bench.sources.mirror import PARQUET_COPY

_OFFLINE = ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_NOISY = ("datasets", "huggingface_hub", "httpx", "fsspec")
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the Hub gave: the rows, and the commit they come from (empty when `datasets` does not tell it)."""

    frame: pl.DataFrame
    revision: str


def switch() -> str:
    """The variable that forbids the network (HF_HUB_OFFLINE or its kin); empty when none does."""
    return next((name for name in _OFFLINE if os.environ.get(name, "").upper() in _TRUE), "")


def absent(repository: str) -> str:
    """Why this repository cannot be had, without asking the Hub; empty when nothing speaks against it."""
    if not switch() or (_cache() / repository.replace("/", "___")).is_dir():
        return ""
    return f"{repository} is not here and the network is switched off by {switch()}; {how_to_fetch(repository)}"


def how_to_fetch(repository: str) -> str:
    """The command that brings a repository into a local mirror."""
    command = f"hf download --repo-type dataset {repository} --local-dir DIR/{repository}"
    return f"fetch it with `{command}`, then pass --data-root DIR"


def read(repository: str, *, config: str, split: str, revision: str, columns: tuple[str, ...]) -> Answer:
    """These columns of one split of a Hub repository.

    revision: a commit; empty means the newest. Raises SourceError when the repository is out of reach, saying which
    one is missing and how to fetch it, or lacks a column.
    """
    where = f"{repository} ({config}, {split})"
    if Path(repository).exists():
        # `datasets` would take the folder for the repository.
        raise SourceError(f"{where}: a folder {repository!r} in the working directory hides it; pass --data-root .")
    if reason := absent(repository):
        raise SourceError(reason)
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    # The bases of the Hub's error are the errors of its HTTP library, whichever that is in this version.
    failures = (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError, *HfHubHTTPError.__bases__)
    try:
        with _silence():
            rows = _load(repository, config=config, split=split, revision=revision)
            if isinstance(rows, datasets.Dataset):
                missing = [name for name in columns if name not in rows.column_names]
                if missing:
                    has = ", ".join(rows.column_names)
                    raise SourceError(f"{where} on the Hub lacks the column {missing[0]!r}; it has {has}")
                return Answer(frame=rows.select_columns(list(columns)).to_polars(), revision=_commit(rows, revision))
    except failures as e:
        reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise SourceError(f"{where} cannot be had from the Hub: {reason}; {how_to_fetch(repository)}") from None
    raise SourceError(f"{where}: the Hub answered with a {type(rows).__name__}, not with rows")


def _load(repository: str, *, config: str, split: str, revision: str) -> Any:
    import datasets

    if switch() and not datasets.config.HF_HUB_OFFLINE:
        raise ConnectionError(f"{switch()} was set after `datasets` had been imported")
    try:
        return datasets.load_dataset(repository, config, split=split, revision=revision or None)
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error) or revision:
            raise
        # A repository that is still a loading script: the Hub keeps a Parquet copy of its rows on another branch.
        pattern = f"{config}/{split}/*.parquet"
        return datasets.load_dataset(repository, revision=PARQUET_COPY, data_files={split: pattern}, split=split)


def _commit(rows: Any, revision: str) -> str:
    # `datasets` keeps the rows in a folder that is named after the commit they come from.
    folders = {Path(file["filename"]).parent.name for file in rows.cache_files}
    commits = {name for name in folders if _COMMIT.fullmatch(name)}
    return commits.pop() if len(commits) == 1 else revision


def _cache() -> Path:
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser()


@contextmanager
def _silence() -> Iterator[None]:
    """No log lines, bars or warnings of the libraries in here; their settings come back afterwards."""
    import datasets
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    bars = not datasets.utils.are_progress_bars_disabled(), not are_progress_bars_disabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        datasets.disable_progress_bars()
        disable_progress_bars()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            if bars[0]:
                datasets.enable_progress_bars()
            if bars[1]:
                enable_progress_bars()
