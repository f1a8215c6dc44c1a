"""Reading a local mirror of dataset repositories: DIR/<owner>/<name>, laid out as on the Hub.

Nothing is cached: every file is read whole, once, each time it is asked for, so that a changed file is always seen
(`datasets.load_dataset` on a local folder answers from a cache keyed by the folder's name).
"""

import io
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
import yaml

from xfer_bench.errors import SourceError

# Where a split lies when the README does not say it; the third pattern is the layout of the Hub's Parquet copies.
_CUSTOMARY = ("{config}/{split}-*", "{config}/{split}.*", "{config}/{split}/*")
_CUSTOMARY_DEFAULT = ("data/{split}-*", "{split}-*", "{split}.*")
SUFFIXES = (".parquet", ".jsonl")

README = "README.md"

# The C loader where it was built.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The branch where the Hub keeps a Parquet copy of a repository that consists of a loading script.
PARQUET_COPY = "refs/convert/parquet"

# Where the Hub's own programs note, for every file that they bring into a folder, the commit it is of.
NOTES = Path(".cache", "huggingface", "download")
_COMMIT = re.compile("[0-9a-f]{40}")


def holds(root: Path, repository: str) -> bool:
    """Whether the mirror has a folder for this repository. Raises SourceError when it cannot be read."""
    folder = root / repository
    try:
        if folder.exists() and not folder.is_dir():
            raise SourceError(f"{repository}: {folder} is a file; it must be the repository's folder")
        if not folder.is_dir():
            return False
        with os.scandir(folder):
            return True
    except OSError as error:
        raise SourceError(f"{repository}: {folder} cannot be read: {error.strerror or error}") from None


def commit(root: Path, *, repository: str, config: str, split: str) -> str:
    """The commit on the Hub that the split's files are of; empty unless they were downloaded from there."""
    folder = root / repository
    found = {_noted(folder, path) for path in files(root, repository=repository, config=config, split=split)}
    return found.pop() if len(found) == 1 else ""


def _noted(folder: Path, path: Path) -> str:
    note = folder / NOTES / f"{path.relative_to(folder).as_posix()}.metadata"
    try:
        first = note.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return first if _COMMIT.fullmatch(first) else ""


def files(root: Path, *, repository: str, config: str, split: str) -> tuple[Path, ...]:
    """The files of one split, in order. Raises SourceError when there are none, saying what there is."""
    folder = root / repository
    patterns = patterns_of(
        _declared(folder, repository), repository=repository, config=config, split=split, place=str(root)
    )
    found = tuple(dict.fromkeys(path for pattern in patterns for path in _matching(folder, pattern)))
    if not found:
        script = next(folder.glob("*.py"), None)
        hint = f"; fetch its Parquet copy with --revision {PARQUET_COPY}" if script else ""
        raise SourceError(
            f"{repository} ({config}) in {root}: no Parquet or .jsonl file of split {split!r}; "
            f"looked for {', '.join(patterns)}; there is {_present(folder, config)}{hint}"
        )
    return found


def patterns_of(
    declared: Mapping[str, Mapping[str, tuple[str, ...]]], *, repository: str, config: str, split: str, place: str
) -> tuple[str, ...]:
    """Patterns of the split's files, as the README declares them or where they customarily lie.

    declared: what `declared_by` gives. place: what errors call where the repository is. Raises SourceError for a
    configuration or a split that the README declares not to be there.
    """
    if declared and config not in declared:
        raise SourceError(f"{repository} in {place}: no configuration {config!r}; it has {', '.join(sorted(declared))}")
    splits = declared.get(config) or {}
    if splits and split not in splits:
        raise SourceError(f"{repository} ({config}) in {place}: no split {split!r}; it has {', '.join(sorted(splits))}")
    customary = _CUSTOMARY + (_CUSTOMARY_DEFAULT if config == "default" else ())
    return splits.get(split) or tuple(pattern.format(config=config, split=split) for pattern in customary)


def read(root: Path, *, repository: str, config: str, split: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """These columns of one split, every row in the order of the files.

    Raises SourceError naming the repository, the split and the file that cannot be read, or the column it lacks.
    """
    where = f"{repository} ({config}, {split})"
    frames = [
        _read_file(path, where=where, columns=columns)
        for path in files(root, repository=repository, config=config, split=split)
    ]
    try:
        return pl.concat(frames, how="vertical")
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{where}: its files differ in their columns' types: {_first_line(error)}") from None


def _read_file(path: Path, *, where: str, columns: tuple[str, ...]) -> pl.DataFrame:
    try:
        # The bytes at once: a file that is replaced meanwhile is seen either old or new, never as a broken mapping.
        content = path.read_bytes()
        if path.suffix == ".jsonl":
            frame = pl.read_ndjson(io.BytesIO(content), infer_schema_length=None)
        else:
            frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{where}: {path} cannot be read, it is damaged: {_first_line(error)}") from None
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SourceError(f"{where}: {path} lacks the column {missing[0]!r}; it has {', '.join(frame.columns)}")
    return frame.select(columns)


def _matching(folder: Path, pattern: str) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob(pattern) if path.suffix in SUFFIXES and path.is_file())


def _present(folder: Path, config: str) -> str:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob(f"{config}/*"))
    names = names or sorted(path.name for path in folder.glob("*"))
    return (", ".join(names[:8]) + (", …" if len(names) > 8 else "")) or "nothing"


def _declared(folder: Path, repository: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Configuration to split to path patterns, as the README's front matter declares them; empty when it does not."""
    try:
        text = (folder / README).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{repository}: {folder / README} cannot be read: {_first_line(error)}") from None
    return declared_by(text, where=f"{repository}: the configs in {folder / README}")


def declared_by(text: str, *, where: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Configuration to split to path patterns, as a README's front matter declares them; empty when it does not.

    Raises SourceError, beginning with `where`, for a front matter that cannot be read.
    """
    try:
        return _configs(text)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise SourceError(f"{where} cannot be read: {_first_line(error)}") from None


@lru_cache(maxsize=64)  # A request asks once a language, and YAML takes its time.
def _configs(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    head, _, rest = text.partition("\n")
    if head.strip() != "---":
        return {}
    front = yaml.load(rest.split("\n---", 1)[0], Loader=_LOADER)
    configs = front.get("configs", []) if isinstance(front, Mapping) else []
    return {str(one["config_name"]): _patterns(one.get("data_files")) for one in configs}


def _patterns(data_files: Any) -> dict[str, tuple[str, ...]]:
    """Split to patterns. As on the Hub: a mapping or a list of {split, path}, or bare paths, which are `train`."""
    if data_files is None:
        return {}
    if isinstance(data_files, Mapping):
        return {str(split): _relative(paths) for split, paths in data_files.items()}
    if isinstance(data_files, str) or all(isinstance(one, str) for one in data_files):
        return {"train": _relative(data_files)}
    return {str(one["split"]): _relative(one["path"]) for one in data_files}


def _relative(paths: Any) -> tuple[str, ...]:
    patterns = (paths,) if isinstance(paths, str) else tuple(str(path) for path in paths)
    for pattern in patterns:
        if not pattern or PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
            raise ValueError(f"the path {pattern!r} does not lie in the repository")
    return patterns


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
