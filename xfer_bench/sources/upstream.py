"""From the files of an upstream that has no loadable twin on the Hub to a repository of a local mirror.

A converter reads one file of the upstream's own format. What it gives is checked against the fingerprints that are
pinned, so that a changed upstream is found whatever its files are called.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import polars as pl

from xfer_bench.digest import file_digest
from xfer_bench.durable import write_bytes
from xfer_bench.errors import SourceError
from xfer_bench.sources.catalogue import Source
from xfer_bench.sources.formats import CONVERTERS, Row
from xfer_bench.sources.json_lines import check_alike
from xfer_bench.sources.pins import accepted, check_rows, how_to_accept

CONFIG = "default"


@dataclass(frozen=True, kw_only=True)
class Converted:
    """One split that was written. verified: files whose SHA-256 is known and right."""

    path: Path
    split: str
    rows: int
    verified: tuple[str, ...]


def convert(source: Source, files: Sequence[Path], root: Path) -> list[Converted]:
    """Write every split of which all files are given into the mirror, as DIR/<repository>/default/<split>-….parquet.

    Raises SourceError for files that the repository is not made of, that have another SHA-256 than the known one,
    that cannot be read, or whose rows are not the pinned ones.
    """
    converter = CONVERTERS.get(source.converter)
    if converter is None:
        raise SourceError(f"{source.repository} is not made from files; it is on the Hub or comes along")
    chosen = _chosen(source, files)
    verified = {path: _verified(source, pattern, path) for paths in chosen.values() for pattern, path in paths}
    frames = {
        split: _frame([(path, converter.rows) for _, path in paths], source.repository)
        for split, paths in chosen.items()
    }
    if converter.held_out:
        train = frames["train"]
        frames |= {"train": train[: -converter.held_out], "validation": train[-converter.held_out :]}
        chosen["validation"] = chosen["train"]
    for split, frame in frames.items():
        check_rows(frame, repository=source.repository, config=CONFIG, split=split)
    return [
        Converted(
            path=_write(frame, root / source.repository / CONFIG / f"{split}-00000-of-00001.parquet"),
            split=split,
            rows=frame.height,
            verified=tuple(path.name for _, path in chosen[split] if verified[path]),
        )
        for split, frame in frames.items()
    ]


def _chosen(source: Source, files: Sequence[Path]) -> dict[str, list[tuple[str, Path]]]:
    """For each split of which all files are given: the upstream's pattern and the file, in order."""
    known = [pattern for patterns in source.files.values() for pattern in patterns]
    for path in files:
        if not any(_fits(path, pattern) for pattern in known):
            raise SourceError(
                f"{path}: {source.repository} is not made of it, but of {', '.join(_names(known))} of {source.address}"
            )
        if not path.is_file():
            raise SourceError(f"no file {path}; download it from {source.address}")
    chosen: dict[str, list[tuple[str, Path]]] = {}
    missing: list[str] = []
    for split, patterns in source.files.items():
        found = [(pattern, [path for path in files if _fits(path, pattern)]) for pattern in patterns]
        for pattern, paths in found:
            if len(paths) > 1:
                raise SourceError(f"{paths[0]} and {paths[1]} are both {PurePosixPath(pattern).name}; give one of them")
        lacking = [PurePosixPath(pattern).name for pattern, paths in found if not paths]
        if not lacking:
            chosen[split] = [(pattern, paths[0]) for pattern, paths in found]
        elif len(lacking) < len(patterns):
            raise SourceError(f"{source.repository} ({split}) lacks {', '.join(lacking)}; give all its files")
        missing += lacking
    if not chosen:
        raise SourceError(f"{source.repository} needs {', '.join(missing)} of {source.address}")
    return chosen


def _fits(path: Path, pattern: str) -> bool:
    return fnmatch(path.name, PurePosixPath(pattern).name)


def _names(patterns: Sequence[str]) -> list[str]:
    names = [PurePosixPath(pattern).name for pattern in patterns]
    return names if len(names) <= 6 else [*names[:5], f"… ({len(names)} files)"]


def _verified(source: Source, pattern: str, path: Path) -> bool:
    """Whether the file's SHA-256 is known and right. Raises SourceError for another."""
    known = source.sha256.get(pattern)
    try:
        found = file_digest(path)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None
    if known is not None and found != known and not accepted(source.repository):
        raise SourceError(
            f"{path} has the SHA-256 {found[:16]}…, and {pattern} of {source.address} has {known[:16]}…: "
            f"it is another version or was cut; download it again, or {how_to_accept(source.repository)}"
        )
    return found == known


def _frame(files: Sequence[tuple[Path, Callable[[Path], Iterator[Row]]]], repository: str) -> pl.DataFrame:
    rows: list[Row] = []
    for path, read in files:
        before = len(rows)
        try:
            rows.extend(read(path))
        except KeyError as error:
            raise SourceError(f"{path}: row {len(rows) - before} has no {error.args[0]!r}") from None
        except (ValueError, TypeError, AttributeError, IndexError, csv.Error) as error:
            reason = " ".join(str(error).split())
            raise SourceError(f"{path}: row {len(rows) - before} is not as the upstream writes it: {reason}") from None
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None
        check_alike(rows[before:], where=str(path))
    if not rows:
        raise SourceError(f"{repository}: no row in {', '.join(path.name for path, _ in files)}")
    try:
        return pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise SourceError(f"{repository}: the rows differ in their types: {' '.join(str(error).split())}") from None


def _write(frame: pl.DataFrame, path: Path) -> Path:
    content = io.BytesIO()
    frame.write_parquet(content)
    try:
        write_bytes(path, content.getvalue())
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def how_to_get(source: Source) -> str:
    """What to download for this repository and what to do with it, in lines."""
    names = [f"    {split}: {', '.join(patterns)}" for split, patterns in source.files.items()]
    return "\n".join(
        [
            f"{source.repository} has no loadable twin on the Hub; download from {source.address}",
            *names,
            "  and call the same command with --from FILE...: it checks and converts them",
        ]
    )
