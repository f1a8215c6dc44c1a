"""Results: one folder of Parquet files, the product's one truth.

    FOLDER/
    ├── predictions/   one file per run, task, split and variant; PREDICTIONS
    ├── stages.parquet                                            STAGES
    └── contrasts.parquet                                         CONTRASTS

File names are for people: what a file holds is said by its columns alone. Anyone reads all of it with
`polars.read_parquet("FOLDER/predictions/*.parquet")`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TypeAlias

import polars as pl

from xfer_bench.durable import whole_folder, write_bytes
from xfer_bench.errors import ResultsError
from xfer_bench.frames import CONTRASTS, PREDICTIONS, STAGES, Columns, conform

_FILE = ["run", "task", "split", "variant"]
_REPLACED = [*_FILE, "language", "step"]
_LONGEST_NAME = 180
_MARKS = "xfer_bench_marks"


# By run, task, split, variant, language and step: a digest of what these rows were made of.
Marks: TypeAlias = Mapping[tuple[str, str, str, str, str, int | None], str]


class Results:
    """The results in one folder. The folder need not exist before something is added."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r})"

    def add(self, predictions: pl.DataFrame, *, marks: Marks | None = None) -> None:
        """Adds PREDICTIONS to the folder.

        Rows that are there for the same run, step, task, variant, split and language are replaced; others are kept.
        Each file is replaced in one step, so a killed process leaves whole files only. marks: what the new rows were
        made of, for `holds`. Raises ResultsError when a file cannot be read or written.
        """
        for part in conform(predictions, PREDICTIONS).partition_by(_FILE, maintain_order=True):
            names = part.select(_FILE).row(0)
            path = self._predictions / _file_name(names)
            kept = _read(path, PREDICTIONS) if path.exists() else part.clear()
            kept = kept.join(part, on=_REPLACED, how="anti", nulls_equal=True)
            rows = pl.concat([kept, part]).sort("run", "language", "item", maintain_order=True)
            replaced = {_mark_name((*names, *cell)) for cell in part.select("language", "step").unique().iter_rows()}
            new = {_mark_name(cell): mark for cell, mark in (marks or {}).items()}
            old = {name: mark for name, mark in _marks(path).items() if name not in replaced}
            _write(path, rows, marks=old | {name: mark for name, mark in new.items() if name in replaced})

    def holds(self, marks: Marks) -> bool:
        """Whether everything with these marks was added, and nothing was changed since. Reads no predictions."""
        wanted: dict[Path, dict[str, str]] = {}
        for cell, mark in marks.items():
            wanted.setdefault(self._predictions / _file_name(cell[:4]), {})[_mark_name(cell)] = mark
        return all(want.items() <= _marks(path).items() for path, want in wanted.items())

    def add_stages(self, stages: pl.DataFrame) -> None:
        """Adds STAGES to the folder; rows that are there for the same run are replaced."""
        new = conform(stages, STAGES)
        kept = self.stages().join(new, on="run", how="anti", nulls_equal=True)
        _write(self._stages, pl.concat([kept, new]).sort("run", "position"))

    def predictions(self) -> pl.DataFrame:
        """All PREDICTIONS in the folder. Raises ResultsError when there are none, and for a damaged file, naming it."""
        files = sorted(self._predictions.glob("*.parquet"))
        if not files:
            raise ResultsError(
                f"no predictions in {self.folder}; run `xfer-bench run` or `xfer-bench eval -o {self.folder}` first"
            )
        try:
            frame = pl.scan_parquet(files, glob=False).collect()
        except (pl.exceptions.PolarsError, OSError):
            # File by file is slower, and says which one is damaged; whole files of other versions are brought in line.
            frame = pl.concat([_read(path, PREDICTIONS) for path in files])
        if frame.is_empty():
            raise ResultsError(f"no predictions in {self.folder}: its {len(files)} files have no rows")
        return conform(frame, PREDICTIONS)

    def stages(self) -> pl.DataFrame:
        """All STAGES in the folder: an empty frame when none were added (predictions of foreign checkpoints)."""
        if not self._stages.exists():
            return pl.DataFrame(schema=STAGES)
        return _read(self._stages, STAGES)

    def declare(self, contrasts: pl.DataFrame) -> None:
        """Keeps CONTRASTS as the study's own question, instead of what was there."""
        _write(self._contrasts, conform(contrasts, CONTRASTS).unique(maintain_order=True))

    def contrasts(self) -> pl.DataFrame:
        """The CONTRASTS that the study named; an empty frame when it named none."""
        if not self._contrasts.exists():
            return pl.DataFrame(schema=CONTRASTS)
        return _read(self._contrasts, CONTRASTS)

    def files(self) -> list[Path]:
        """The files of predictions, by name. Raises ResultsError when there is no such folder, or none in it."""
        if not self.folder.is_dir():
            raise ResultsError(f"no results folder {self.folder}; give one that `run` or `eval -o` made")
        files = sorted(self._predictions.glob("*.parquet"))
        if not files:
            raise ResultsError(f"no predictions in {self.folder}")
        return files

    def runs(self) -> dict[str, list[Path]]:
        """Which files hold rows of which run, by the run's name. Reads one column of each file.

        Raises ResultsError for a damaged file, naming it, for rows without a run, and when there are no rows.
        """
        held: dict[str, list[Path]] = {}
        for path in self.files():
            names = _read(path, {"run": pl.String()}, lambda rows: rows.select("run").unique())["run"].to_list()
            if None in names:
                raise ResultsError(f"{path} has rows without a run; each row needs one")
            for name in names:
                held.setdefault(name, []).append(path)
        if not held:
            raise ResultsError(f"no predictions in {self.folder}: its files have no rows")
        return dict(sorted(held.items()))

    @property
    def _predictions(self) -> Path:
        return self.folder / "predictions"

    @property
    def _stages(self) -> Path:
        return self.folder / "stages.parquet"

    @property
    def _contrasts(self) -> Path:
        return self.folder / "contrasts.parquet"


def rows_of_run(run: str, files: Iterable[Path]) -> pl.DataFrame:
    """PREDICTIONS of one run in some files; the rows of others are not kept. Raises ResultsError for a damaged file."""
    return pl.concat([_read(path, PREDICTIONS, lambda rows: rows.filter(pl.col("run") == run)) for path in files])


def slices(path: Path, *, rows: int, columns: Columns = PREDICTIONS) -> Iterator[pl.DataFrame]:
    """Columns of a file, so many rows at a time. Raises ResultsError for a damaged file, naming it."""
    for start in count(0, rows):
        part = _read(path, columns, partial(_slice, names=list(columns), start=start, rows=rows))
        if part.is_empty():
            return
        yield part


def check_new(target: Path) -> None:
    """Refuse a place for output that something is in already, or that no folder can have. Raises ResultsError."""
    try:
        above = next(parent for parent in target.absolute().parents if parent.exists())
        if not above.is_dir():
            raise ResultsError(f"cannot write {target}: {above} is a file")
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ResultsError(f"{target} is there already; give a new name, or an empty folder")
    except OSError as error:
        raise ResultsError(f"cannot look into {target}: {error.strerror or error}") from None


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `target` when the block ends without an error: whole or not at all.

    Raises ResultsError when there is something in `target` already, or when it cannot be written.
    """
    check_new(target)
    try:
        with whole_folder(target.absolute()) as draft:
            # Drafts are private; a folder of results is as open as the user's other folders.
            (draft / "new").mkdir()
            draft.chmod((draft / "new").stat().st_mode & 0o777)
            (draft / "new").rmdir()
            yield draft
            number = draft.stat().st_ino
        if target.stat().st_ino != number:
            raise ResultsError(f"{target} was made by another process in the meantime; give a new name")
    except OSError as error:
        raise ResultsError(f"cannot write {target}: {error.strerror or error}") from None


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file of results, whole or not at all. Raises ResultsError when it cannot be written."""
    try:
        write_bytes(path, payload)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from None


def _write(path: Path, frame: pl.DataFrame, *, marks: Mapping[str, str] | None = None) -> None:
    # Polars writes into memory and we write the file: on a full disk polars leaves an empty file under the last name.
    buffer = BytesIO()
    try:
        frame.write_parquet(buffer, metadata={_MARKS: json.dumps(dict(marks or {}))})
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ResultsError(f"cannot write {path}: {_first_line(error)}") from None
    write_whole(path, buffer.getvalue())


def _read(
    path: Path, columns: Columns, narrow: Callable[[pl.LazyFrame], pl.LazyFrame] = lambda rows: rows
) -> pl.DataFrame:
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


def _slice(lazy: pl.LazyFrame, *, names: list[str], start: int, rows: int) -> pl.LazyFrame:
    return lazy.select(names).slice(start, rows)


def _marks(path: Path) -> dict[str, str]:
    """The marks that a file carries; none when it is absent, damaged, or another program wrote it."""
    try:
        return dict(json.loads(pl.read_parquet_metadata(path).get(_MARKS, "{}")))
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError):
        return {}


def _mark_name(cell: tuple[object, ...]) -> str:
    return json.dumps(cell, ensure_ascii=False)


def _file_name(parts: Iterable[object]) -> str:
    """Two runs may get one name, by odd characters or by length: they then share a file, since files are merged."""
    name = re.sub(r"[^A-Za-z0-9._+=-]+", "_", "-".join(map(str, parts))).strip("._")
    return f"{name[:_LONGEST_NAME] or 'predictions'}.parquet"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
