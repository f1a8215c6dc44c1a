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
from xfer_bench.sources import json_lines, shards

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

_PARQUET = b"PAR1"  # how such a file begins and ends
_LFS = b"version https://git-lfs"


def holds(root: Path, repository: str) -> bool:
    """Whether the mirror has a folder for this repository. Raises SourceError when it cannot be read."""
    folder = root / repository
    try:
        _check_link(folder, where=repository)
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
    """The files of one split, in order. No row is read.

    Raises SourceError when there are none, saying what there is, when one of several is missing, and for a link to
    nowhere or a folder that cannot be read.
    """
    folder, where = root / repository, f"{repository} ({config}, {split})"
    declared = _declared(folder, repository)
    patterns = patterns_of(declared, repository=repository, config=config, split=split, place=str(root))
    found = {pattern: tuple(_matching(folder, pattern, where=where)) for pattern in patterns}
    # Every pattern that the README names is of files that belong to the split.
    named = patterns == declared.get(config, {}).get(split)
    for pattern in patterns:
        if not found[pattern] and (named or not any(found.values())):
            _check_way(folder, pattern, where=where)
    lacking = [pattern for pattern in patterns if not found[pattern]]
    if len(lacking) == len(patterns) or (named and lacking):
        script = next(folder.glob("*.py"), None)
        hint = f"; fetch its Parquet copy with --revision {PARQUET_COPY}" if script else ""
        raise SourceError(
            f"{repository} ({config}) in {root}: no Parquet or .jsonl file of split {split!r}; "
            f"looked for {', '.join(lacking)}; there is {_present(folder, config)}{hint}"
        )
    # A pattern that names pieces means those and no others.
    whole = (path for pattern in patterns if "-of-" not in pattern for path in found[pattern])
    shards.check_complete(dict.fromkeys(whole), where=where)
    return tuple(dict.fromkeys(path for pattern in patterns for path in found[pattern]))


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
    paths = files(root, repository=repository, config=config, split=split)
    frames = [_read_file(path, where=where, columns=columns) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        for name in columns:
            one, other = frames[0].schema[name], frame.schema[name]
            if one != other:
                raise SourceError(
                    f"{where}: its files differ: the column {name!r} is {one} in {paths[0].name} and {other} in {path}"
                )
    return pl.concat(frames, how="vertical")


def _read_file(path: Path, *, where: str, columns: tuple[str, ...]) -> pl.DataFrame:
    try:
        # The bytes at once: a file that is replaced meanwhile is seen either old or new, never as a broken mapping.
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{where}: {path} cannot be read: {error.strerror or error}") from None
    if path.suffix == ".jsonl":
        frame = json_lines.read(content, columns=columns, where=f"{where}: {path}")
    else:
        frame = _of_parquet(content, where=f"{where}: {path}")
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SourceError(f"{where}: {path} lacks the column {missing[0]!r}; it has {', '.join(frame.columns)}")
    return frame.select(columns)


def _of_parquet(content: bytes, *, where: str) -> pl.DataFrame:
    if not content:
        raise SourceError(f"{where} cannot be read: it is empty")
    if not content.startswith(_PARQUET):
        what = "the note of Git LFS about a file, not the file" if content.startswith(_LFS) else "no Parquet file"
        raise SourceError(f"{where} cannot be read: it is {what}")
    try:
        return pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        cut = "" if content.endswith(_PARQUET) else ", its end is missing"
        raise SourceError(f"{where} cannot be read, it is damaged{cut}: {_first_line(error)}") from None


def _matching(folder: Path, pattern: str, *, where: str) -> Iterator[Path]:
    for path in sorted(path for path in folder.glob(pattern) if path.suffix in SUFFIXES):
        _check_link(path, where=where)
        try:
            if path.is_file():
                yield path
        except OSError as error:
            raise SourceError(f"{where}: {path} cannot be read: {error.strerror or error}") from None


def _check_way(folder: Path, pattern: str, *, where: str) -> None:
    """Raise SourceError for a link to nowhere or an unreadable folder on the way to what the pattern is for.

    Searching for files passes over both without a word.
    """
    way = folder
    for name in ("", *PurePosixPath(pattern).parts):
        way = way / name
        _check_link(way, where=where)
        try:
            if way.is_dir():
                with os.scandir(way):
                    pass
        except OSError as error:
            raise SourceError(f"{where}: {way} cannot be read: {error.strerror or error}") from None


def _check_link(path: Path, *, where: str) -> None:
    try:
        if path.is_symlink() and not path.exists():
            raise SourceError(f"{where}: {path} is a link to {path.readlink()}, and that is not there")
    except OSError as error:
        raise SourceError(f"{where}: {path} cannot be read: {error.strerror or error}") from None


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
