"""Results: one folder of Parquet files, the product's one truth.

    FOLDER/
    ├── predictions/   one file per run, task, split and variant;   PREDICTIONS
    ├── data/          as many, by the same names: which rows they are of;   USES
    ├── checkpoints/   one file per run: what it ends in;   CHECKPOINTS
    ├── stages.parquet                                            STAGES
    └── contrasts.parquet                                         CONTRASTS

File names are for people: what a file holds is said by its columns alone. Anyone reads all of it with
`polars.read_parquet("FOLDER/predictions/*.parquet")`. All but the predictions may be missing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeAlias

import polars as pl

from xfer_bench.durable import whole_folder
from xfer_bench.errors import ResultsError
from xfer_bench.frames import CHECKPOINTS, CONTRASTS, DATA, PREDICTIONS, STAGES, USES, Columns, conform
from xfer_bench.parquet import file_name, marks_of, read_table, read_tables, write_table, write_whole

__all__ = ["Marks", "Results", "check_new", "new_folder", "rows_of_run", "slices", "write_whole"]

_FILE = ["run", "task", "split", "variant"]
_REPLACED = [*_FILE, "language", "step"]
_COLUMN = ["task", "variant", "split", "language"]


# By run, task, split, variant, language and step: a digest of what these rows were made of.
Marks: TypeAlias = Mapping[tuple[str, str, str, str, str, int | None], str]


class Results:
    """The results in one folder. The folder need not exist before something is added."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Results({str(self.folder)!r})"

    def add(self, predictions: pl.DataFrame, *, marks: Marks | None = None, data: pl.DataFrame | None = None) -> None:
        """Adds PREDICTIONS to the folder.

        Rows that are there for the same run, step, task, variant, split and language are replaced; others are kept.
        Each file is replaced in one step, so a killed process leaves whole files only; and, of what it was replacing,
        both what it was of and what it would have been of, until it is added again. marks: what the new rows were
        made of, for `holds`. data: DATA of the new rows' tasks, variants, splits and languages, or USES; of those
        that it lacks nothing is known from then on. Raises ResultsError when a file cannot be read or written.
        """
        for part in conform(predictions, PREDICTIONS).partition_by(_FILE, maintain_order=True):
            names = part.select(_FILE).row(0)
            path = self._predictions / file_name(names)
            kept = read_table(path, PREDICTIONS) if path.exists() else part.clear()
            known = self._noted(path.name)
            meanwhile, after = _notes(known, part, kept, data)
            self._note(path.name, meanwhile, instead_of=known)
            kept = kept.join(part, on=_REPLACED, how="anti", nulls_equal=True)
            rows = pl.concat([kept, part]).sort("run", "language", "item", maintain_order=True)
            replaced = {_mark_name((*names, *cell)) for cell in part.select("language", "step").unique().iter_rows()}
            new = {_mark_name(cell): mark for cell, mark in (marks or {}).items()}
            old = {name: mark for name, mark in marks_of(path).items() if name not in replaced}
            write_table(path, rows, marks=old | {name: mark for name, mark in new.items() if name in replaced})
            self._note(path.name, after, instead_of=meanwhile)

    def holds(self, marks: Marks, *, with_data: bool = False) -> bool:
        """Whether everything with these marks was added, and nothing was changed since. Reads no predictions.

        with_data: and whether it was told of each file which rows it is of, as earlier versions did not.
        """
        wanted: dict[Path, dict[str, str]] = {}
        for cell, mark in marks.items():
            wanted.setdefault(self._predictions / file_name(cell[:4]), {})[_mark_name(cell)] = mark
        if with_data and not all(self._told(path.name) >= {*want} for path, want in wanted.items()):
            return False
        return all(want.items() <= marks_of(path).items() for path, want in wanted.items())

    def uses(self, *, torn: bool = False) -> pl.DataFrame:
        """USES: which rows each run's predictions are of; no row where that was not told. Raises ResultsError.

        torn: where a killed process leaves it open, both that may be.
        """
        found = read_tables(sorted(self._data.glob("*.parquet")), USES)
        return found if torn else _whole(found)

    def data(self) -> pl.DataFrame:
        """DATA: where the rows behind the predictions came from; an empty frame in folders of earlier versions.

        One row for each task, variant, split and language, and one more for each further content that runs differ in.
        """
        # Of the same rows a commit says more than the words that stand for none, which are shorter.
        known = self.uses(torn=True).sort(pl.col("revision").str.len_chars(), descending=True, maintain_order=True)
        return known.select(list(DATA)).unique([*_COLUMN, "fingerprint"], keep="first").sort(*_COLUMN, "fingerprint")

    def add_checkpoints(self, checkpoints: pl.DataFrame) -> None:
        """Adds CHECKPOINTS to the folder; rows that are there for the same run and step are replaced."""
        for part in conform(checkpoints, CHECKPOINTS).partition_by("run", maintain_order=True):
            path = self._checkpoints / file_name([part["run"][0]])
            kept = read_table(path, CHECKPOINTS) if path.exists() else part.clear()
            kept = kept.join(part, on=["run", "step"], how="anti", nulls_equal=True)
            write_table(path, pl.concat([kept, part]).sort("run", "step"))

    def checkpoints(self) -> pl.DataFrame:
        """CHECKPOINTS: what each run ends in; an empty frame in folders of earlier versions. Raises ResultsError."""
        return read_tables(sorted(self._checkpoints.glob("*.parquet")), CHECKPOINTS).sort("run", "step")

    def add_stages(self, stages: pl.DataFrame) -> None:
        """Adds STAGES to the folder; rows that are there for the same run are replaced."""
        new = conform(stages, STAGES)
        kept = self.stages().join(new, on="run", how="anti", nulls_equal=True)
        write_table(self._stages, pl.concat([kept, new]).sort("run", "position"))

    def predictions(self) -> pl.DataFrame:
        """All PREDICTIONS in the folder. Raises ResultsError when there are none, and for a damaged file, naming it."""
        if self.folder.is_file():
            raise ResultsError(f"{self.folder} is a file; give the folder of results that `run` or `eval -o` made")
        files = sorted(self._predictions.glob("*.parquet"))
        if not files:
            raise ResultsError(
                f"no predictions in {self.folder}; run `xfer-bench run` or `xfer-bench eval -o {self.folder}` first"
            )
        frame = read_tables(files, PREDICTIONS)
        if frame.is_empty():
            raise ResultsError(f"no predictions in {self.folder}: its {len(files)} files have no rows")
        _check_answers(frame, self.folder)
        return frame

    def stages(self) -> pl.DataFrame:
        """All STAGES in the folder: an empty frame when none were added (predictions of foreign checkpoints)."""
        if not self._stages.exists():
            return pl.DataFrame(schema=STAGES)
        return read_table(self._stages, STAGES)

    def declare(self, contrasts: pl.DataFrame) -> None:
        """Keeps CONTRASTS as the study's own question, instead of what was there."""
        write_table(self._contrasts, conform(contrasts, CONTRASTS).unique(maintain_order=True))

    def contrasts(self) -> pl.DataFrame:
        """The CONTRASTS that the study named; an empty frame when it named none."""
        if not self._contrasts.exists():
            return pl.DataFrame(schema=CONTRASTS)
        return read_table(self._contrasts, CONTRASTS)

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
            names = read_table(path, {"run": pl.String()}, lambda rows: rows.select("run").unique())["run"].to_list()
            if None in names:
                raise ResultsError(f"{path} has rows without a run; each row needs one")
            for name in names:
                held.setdefault(name, []).append(path)
        if not held:
            raise ResultsError(f"no predictions in {self.folder}: its files have no rows")
        return dict(sorted(held.items()))

    def scored(self) -> pl.DataFrame:
        """What was scored: each run, step, task, variant, split and language once. Raises as `files` does."""
        columns = {name: PREDICTIONS[name] for name in _REPLACED}
        parts = [read_table(path, columns, lambda rows: rows.select(_REPLACED).unique()) for path in self.files()]
        return pl.concat(parts).unique().sort(_REPLACED)

    def _told(self, name: str) -> set[str]:
        """The marks' names of all that a file of predictions has, and of which it is known what rows they are."""
        cells = _whole(self._noted(name)).select("run", "task", "split", "variant", "language", "step")
        return {_mark_name(cell) for cell in cells.iter_rows()}

    def _noted(self, name: str) -> pl.DataFrame:
        """USES of a file of predictions, torn ones too."""
        path = self._data / name
        return read_table(path, USES) if path.exists() else pl.DataFrame(schema=USES)

    def _note(self, name: str, uses: pl.DataFrame, *, instead_of: pl.DataFrame) -> None:
        if not uses.equals(instead_of):
            write_table(self._data / name, uses)

    @property
    def _predictions(self) -> Path:
        return self.folder / "predictions"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def _stages(self) -> Path:
        return self.folder / "stages.parquet"

    @property
    def _contrasts(self) -> Path:
        return self.folder / "contrasts.parquet"


def _notes(
    known: pl.DataFrame, part: pl.DataFrame, held: pl.DataFrame, data: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """USES of a file while it is replaced, and after that: a part's instead of those of the rows that are held.

    While it is replaced nobody knows which of the two there are, so that others are joined with neither. Of rows
    that nothing was known of, nothing is until they are gone.
    """
    cells, new = part.select(_REPLACED).unique(), pl.DataFrame(schema=USES)
    if data is not None:
        on = [*_COLUMN, *({"run", "step"} & {*data.columns})]
        new = conform(cells.join(data, on=on, how="inner", nulls_equal=True), USES)
    others = known.join(cells, on=_REPLACED, how="anti", nulls_equal=True)
    old = known.join(new, on=_REPLACED, how="semi", nulls_equal=True)
    unknown = held.join(known, on=_REPLACED, how="anti", nulls_equal=True)
    sure = new.join(unknown, on=_REPLACED, how="anti", nulls_equal=True)
    meanwhile = pl.concat([others, old, sure]).unique(maintain_order=True)
    first, then = (uses.sort(_REPLACED, maintain_order=True) for uses in (meanwhile, pl.concat([others, new])))
    return first, then


def _whole(uses: pl.DataFrame) -> pl.DataFrame:
    """USES without those that a killed process left open."""
    return uses.filter(~pl.struct(_REPLACED).is_duplicated())


def _check_answers(predictions: pl.DataFrame, folder: Path) -> None:
    """Refuse labels and predictions that no score stands for: they would count as wrong. Raises ResultsError."""
    for name in ("label", "prediction"):
        allowed = pl.col("scores").list.len()
        wrong = predictions.filter((pl.col(name) < 0) | (pl.col(name) >= allowed)).head(1)
        if len(wrong):
            row = wrong.row(0, named=True)
            raise ResultsError(
                f"{folder}: the {name} of item {row['item']!r} ({row['task']}, {row['language']}, {row['run']}) is "
                f"{row[name]}; with {len(row['scores'])} scores it lies between 0 and {len(row['scores']) - 1}"
            )


def rows_of_run(run: str, files: Iterable[Path]) -> pl.DataFrame:
    """PREDICTIONS of one run in some files; the rows of others are not kept. Raises ResultsError for a damaged file."""
    return pl.concat([read_table(path, PREDICTIONS, lambda rows: rows.filter(pl.col("run") == run)) for path in files])


def slices(path: Path, *, rows: int, columns: Columns = PREDICTIONS) -> Iterator[pl.DataFrame]:
    """Columns of a file, so many rows at a time. Raises ResultsError for a damaged file, naming it."""
    for start in count(0, rows):
        part = read_table(path, columns, partial(_slice, names=list(columns), start=start, rows=rows))
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


def _slice(lazy: pl.LazyFrame, *, names: list[str], start: int, rows: int) -> pl.LazyFrame:
    return lazy.select(names).slice(start, rows)


def _mark_name(cell: tuple[object, ...]) -> str:
    return json.dumps(cell, ensure_ascii=False)
