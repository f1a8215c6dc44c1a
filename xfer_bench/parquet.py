"""Tables in Parquet files that carry marks: read, checked and written whole, every failure in one line."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import polars as pl

from xfer_bench import durable
from xfer_bench.errors import ResultsError
from xfer_bench.frames import Columns, conform

_LONGEST_NAME = 180
_MARKS = "xfer_bench_marks"


def read_table(
    path: Path, columns: Columns, narrow: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows
) -> pl.DataFrame:
    """A file as a frame of this schema. Raises ResultsError for a damaged file, or another table, naming it."""
    try:
        frame = narrow(pl.scan_parquet(path, glob=False)).collect()
    except pl.exceptions.ColumnNotFoundError as error:
        raise ResultsError(f"{path} is no results file of this version: {_first_line(error)}") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ResultsError(f"{path} is damaged ({_first_line(error)}); delete it and run again") from None
    try:
        return conform(frame, columns)
    except ResultsError as error:
        raise ResultsError(f"{path} is no results file of this version: {error}") from None


def read_tables(files: Iterable[Path], columns: Columns) -> pl.DataFrame:
    """Several files of one schema as one frame. Raises ResultsError for a damaged one, naming it."""
    paths = list(files)
    if not paths:
        return pl.DataFrame(schema=columns)
    try:
        return conform(pl.scan_parquet(paths, glob=False).collect(), columns)
    except (pl.exceptions.PolarsError, OSError, ResultsError):
        # File by file is slower, and says which one is damaged; whole files of other versions are brought in line.
        return pl.concat([read_table(path, columns) for path in paths])


def write_table(path: Path, frame: pl.DataFrame, *, marks: Mapping[str, str] | None = None) -> None:
    """Write a frame, whole or not at all, with marks that are no part of it. Raises ResultsError."""
    # Polars writes into memory and we write the file: on a full disk polars leaves an empty file under the last name.
    buffer = BytesIO()
    try:
        frame.write_parquet(buffer, metadata={_MARKS: json.dumps(dict(marks or {}))})
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ResultsError(f"cannot write {path}: {_first_line(error)}") from None
    write_whole(path, buffer.getvalue())


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file of results, whole or not at all. Raises ResultsError when it cannot be written."""
    with _refusing(path):
        durable.write_bytes(path, payload)


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write all of these files or none. Raises ResultsError, naming the one that cannot be written."""
    with _refusing():
        durable.write_together(files)


def check_writable(*paths: Path) -> None:
    """Refuse files that cannot be written, before the work for them is done. Raises ResultsError, naming the first."""
    with _refusing():
        durable.check_writable(*paths)


def marks_of(path: Path) -> dict[str, str]:
    """The marks that a file carries; none when it is absent, damaged, or another program wrote it."""
    try:
        return dict(json.loads(pl.read_parquet_metadata(path).get(_MARKS, "{}")))
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError):
        return {}


def file_name(parts: Iterable[object]) -> str:
    """Two runs may get one name, by odd characters or by length: they then share a file, since files are merged."""
    name = re.sub(r"[^A-Za-z0-9._+=-]+", "_", "-".join(map(str, parts))).strip("._")
    return f"{name[:_LONGEST_NAME] or 'predictions'}.parquet"


@contextmanager
def _refusing(path: Path | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResultsError(f"cannot write {path or error.filename}: {error.strerror or error}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
