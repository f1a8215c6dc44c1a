"""Results: one folder of Parquet files, the product's one truth.

    FOLDER/
    ├── predictions/   one file per run, task, split and variant; PREDICTIONS
    └── stages.parquet                                            STAGES

File names are for people: what a file holds is said by its columns alone. Anyone reads all of it with
`polars.read_parquet("FOLDER/predictions/*.parquet")`.
"""

import re
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import polars as pl

from xfer_bench.durable import write_bytes
from xfer_bench.errors import ResultsError
from xfer_bench.frames import PREDICTIONS, STAGES, Columns, conform

_FILE = ["run", "task", "split", "variant"]
_REPLACED = [*_FILE, "language"]
_LONGEST_NAME = 180


class Results:
    """The results in one folder. The folder need not exist before something is added."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r})"

    def add(self, predictions: pl.DataFrame) -> None:
        """Adds PREDICTIONS to the folder.

        Rows that are there for the same run, task, variant, split and language are replaced; all others are kept.
        Each file is replaced in one step, so a killed process leaves whole files only. Raises ResultsError when a
        file cannot be read or written.
        """
        for part in conform(predictions, PREDICTIONS).partition_by(_FILE, maintain_order=True):
            path = self._predictions / _file_name(part.select(_FILE).row(0))
            kept = _read(path, PREDICTIONS) if path.exists() else part.clear()
            kept = kept.join(part, on=_REPLACED, how="anti", nulls_equal=True)
            _write(path, pl.concat([kept, part]).sort("run", "language", "item", maintain_order=True))

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

    @property
    def _predictions(self) -> Path:
        return self.folder / "predictions"

    @property
    def _stages(self) -> Path:
        return self.folder / "stages.parquet"


def write_whole(path: Path, payload: bytes) -> None:
    """Write a file of results, whole or not at all. Raises ResultsError when it cannot be written."""
    try:
        write_bytes(path, payload)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from None


def _write(path: Path, frame: pl.DataFrame) -> None:
    # Polars writes into memory and we write the file: on a full disk polars leaves an empty file under the last name.
    buffer = BytesIO()
    try:
        frame.write_parquet(buffer)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ResultsError(f"cannot write {path}: {_first_line(error)}") from None
    write_whole(path, buffer.getvalue())


def _read(path: Path, columns: Columns) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ResultsError(f"{path} is damaged ({_first_line(error)}); delete it and run again") from None
    try:
        return conform(frame, columns)
    except ResultsError as error:
        raise ResultsError(f"{path} is no results file of this version: {error}") from None


def _file_name(parts: Iterable[object]) -> str:
    """Two runs may get one name, by odd characters or by length: they then share a file, since files are merged."""
    name = re.sub(r"[^A-Za-z0-9._+=-]+", "_", "-".join(map(str, parts))).strip("._")
    return f"{name[:_LONGEST_NAME] or 'predictions'}.parquet"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
