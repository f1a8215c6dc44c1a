"""Every prediction as one line: JSON objects, or a flat table. A slice of a file is in memory at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.export.origins import Origins
from xfer_bench.frames import PREDICTIONS
from xfer_bench.results import Results, check_new, slices

_ROWS = 100_000


def export_rows(results: Results, out: str | Path, *, format: Literal["jsonl", "csv"]) -> int:
    """Write PREDICTIONS to one new file, whole or not at all, and return the number of rows.

    jsonl: one object a row with every column of PREDICTIONS; `scores` is a list of numbers.
    csv: the same columns, but for `scores`, which are `score_0`, `score_1`, … in its place: as many as the row with
    the most has; the others' last cells are empty, as is whatever is null.
    Where the folder tells which rows its predictions are of, both end with `repository`, `revision`, `fingerprint`.

    Raises ResultsError when there are no predictions, a file is damaged, or `out` is there already.
    """
    target = Path(out)
    if target.is_dir():
        raise ResultsError(f"{target} is a folder; give the name of a new file for {format}")
    check_new(target)
    files = results.files()
    origins = Origins.of(results)
    width = _most_scores(files) if format == "csv" else 0
    count = 0
    with _new_file(target) as stream:
        for path in files:
            for part in slices(path, rows=_ROWS):
                rows = origins.beside(part)
                if format == "csv":
                    _flat(rows, width).write_csv(stream, include_header=count == 0)
                else:
                    rows.write_ndjson(stream)
                count += rows.height
        if not count:
            raise ResultsError(f"no predictions in {results.folder}: its {len(files)} files have no rows")
    return count


def _most_scores(files: list[Path]) -> int:
    scores = {"scores": PREDICTIONS["scores"]}
    most = [part["scores"].list.len().max() for path in files for part in slices(path, rows=_ROWS, columns=scores)]
    return max((one for one in most if isinstance(one, int)), default=0)


def _flat(rows: pl.DataFrame, width: int) -> pl.DataFrame:
    scores = [pl.col("scores").list.get(place, null_on_oob=True).alias(f"score_{place}") for place in range(width)]
    place = rows.columns.index("scores")
    return rows.select(*rows.columns[:place], *scores, *rows.columns[place + 1 :])


@contextmanager
def _new_file(target: Path) -> Iterator[BinaryIO]:
    """A stream into a draft that becomes `target` when the block ends without an error."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0]
        raise ResultsError(f"cannot write {target}: {reason}") from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
