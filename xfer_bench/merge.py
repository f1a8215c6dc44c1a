"""Results folders made on different machines, joined into one; or refused, when they disagree.

One run is read at a time, and every disagreement is found before anything is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import ResultsError
from xfer_bench.frames import PREDICTIONS, STAGES
from xfer_bench.results import Results, check_new, new_folder, rows_of_run

# How far two machines' scores of one item may lie apart in float32. In lower precisions they differ by device and by
# version far more than that, so only the answers are compared there.
TOLERANCE = 1e-4
_LOWER = ("bf16", "fp16", "bfloat16", "float16")

_KEY = ["run", "task", "variant", "split", "language", "item"]
_OTHERS = [name for name in PREDICTIONS if name not in {*_KEY, "scores"}]
# What all rows of one run, and of one run's task, have in common, also where no item is in two folders.
_SHARED = (
    (["run"], ["weights", "arm", "setting", "step", "intermediate_seed", "target_seed"]),
    (["run", "task", "variant", "split"], ["precision"]),
)
_COLUMN = ["task", "variant", "split", "language"]
_FOLDER = "folder"
_SHOWN = 24
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge wrote. repeated: rows that several folders held alike, and that were taken once."""

    runs: int
    rows: int
    repeated: int


@dataclass(frozen=True, kw_only=True)
class _Conflict:
    """One disagreement in words, and the number of rows that it stands for."""

    text: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class _United:
    """One run's rows from all folders. repeated: how many were there already, alike."""

    rows: pl.DataFrame
    repeated: int
    conflicts: tuple[_Conflict, ...]


def merge(folders: Sequence[str | Path], out: str | Path) -> Merged:
    """Join results folders into a new one, which is written whole or not at all.

    Rows of one run, task, variant, split, language and item may come from several folders when they agree: the same
    labels, answers, weights, precision and lineage, and in float32 scores within `TOLERANCE`. They are taken once,
    with the scores of the folder named first. Stages of one run and position agree when their keys do. The rows of a
    task, variant, split and language agree when their fingerprints do, whosever predictions they are; folders of
    earlier versions do not tell any.

    Raises ResultsError for folders that disagree (naming the first conflict and counting all), for fewer than two
    folders, for one that is missing, empty, damaged or named twice, and when `out` is there already. `out` is never
    one of the folders: a folder with content cannot be replaced in one step.
    """
    sources = [Results(folder) for folder in folders]
    _check_names(sources)
    check_new(Path(out))
    _check_data(sources)
    holders: dict[str, dict[Path, list[Path]]] = {}
    for source in sources:
        for run, files in source.runs().items():
            holders.setdefault(run, {})[source.folder] = files
    shared = [_united(run, held).conflicts for run, held in holders.items() if len(held) > 1]
    stages, clashes = _stages(sources)
    _refuse([*(conflict for conflicts in shared for conflict in conflicts), *clashes])
    with new_folder(Path(out)) as draft:
        _write_beside(Results(draft), sources, stages)
        uses = pl.concat([source.uses() for source in sources])
        uses = uses.unique(["run", "step", *_COLUMN], keep="first", maintain_order=True)
        return _write(Results(draft), dict(sorted(holders.items())), uses)


def _check_names(sources: Sequence[Results]) -> None:
    if len(sources) < 2:
        raise ResultsError(f"there is nothing to merge in {len(sources)} results folder; name two or more")
    seen: set[Path] = set()
    for source in sources:
        place = source.folder.resolve()
        if place in seen:
            raise ResultsError(f"{source.folder} is named twice; name every folder once")
        seen.add(place)


def _write_beside(results: Results, sources: Sequence[Results], stages: pl.DataFrame) -> None:
    """All but the predictions. Of one run and step the lineage of the folder named first is taken, if it tells one."""
    questions = pl.concat([source.contrasts() for source in sources])
    if not questions.is_empty():
        results.declare(questions)
    if not stages.is_empty():
        results.add_stages(stages)
    checkpoints = pl.concat([source.checkpoints() for source in sources])
    results.add_checkpoints(checkpoints.unique(["run", "step"], keep="first", maintain_order=True))


def _write(results: Results, holders: Mapping[str, Mapping[Path, list[Path]]], uses: pl.DataFrame) -> Merged:
    rows = repeated = 0
    for run, held in holders.items():
        united = _united(run, held)
        _refuse(united.conflicts)  # a folder that changed since it was compared
        known = uses.filter(pl.col("run") == run)
        results.add(united.rows, data=None if known.is_empty() else known)
        rows += united.rows.height
        repeated += united.repeated
    return Merged(runs=len(holders), rows=rows, repeated=repeated)


def _refuse(conflicts: Sequence[_Conflict]) -> None:
    if conflicts:
        total = sum(conflict.rows for conflict in conflicts)
        count = "the only conflict" if total == 1 else f"the first of {total:,} conflicts"
        raise ResultsError(
            f"the folders disagree: {conflicts[0].text} ({count}); a run may come from several folders where they "
            "agree, so leave out the wrong folder or name its run differently"
        )


def _united(run: str, held: Mapping[Path, list[Path]]) -> _United:
    """The rows of one run, of each folder those that the folders before it lack, and where they contradict those."""
    folders = list(held)
    known = _rows(run, folders[0], held[folders[0]]).with_columns(pl.lit(0).alias(_FOLDER))
    conflicts: list[_Conflict] = []
    repeated = 0
    for number, folder in enumerate(folders[1:], start=1):
        rows = _rows(run, folder, held[folder]).with_columns(pl.lit(number).alias(_FOLDER))
        fresh = rows.join(known, on=_KEY, how="anti", nulls_equal=True)
        conflicts += [*_contradictions(rows, known, folders), *_strangers(fresh, rows, known, folders)]
        repeated += rows.height - fresh.height
        known = pl.concat([known, fresh])
    return _United(rows=known.drop(_FOLDER), repeated=repeated, conflicts=tuple(conflicts))


def _rows(run: str, folder: Path, files: Sequence[Path]) -> pl.DataFrame:
    rows = rows_of_run(run, files)
    twice = rows.filter(pl.struct([*_KEY, "step"]).is_duplicated())
    if not twice.is_empty():
        row = twice.sort(_KEY).row(0, named=True)
        raise ResultsError(f"{folder} holds {_place(row)} more than once; each item may occur once")
    return rows


def _contradictions(rows: pl.DataFrame, known: pl.DataFrame, folders: Sequence[Path]) -> Iterator[_Conflict]:
    """Rows whose item is known already, with something else. A row of several steps agrees with one of them."""
    pairs = rows.with_row_index("place").join(known, on=_KEY, how="inner", nulls_equal=True, suffix="_known")
    same = [pl.col(name).eq_missing(pl.col(f"{name}_known")) for name in _OTHERS]
    judged = pairs.with_columns(agree=pl.all_horizontal(*same, _close()))
    bad = judged.filter(~pl.col("agree").any().over("place")).unique("place", keep="first").sort(_KEY)
    if bad.is_empty():
        return
    row = bad.row(0, named=True)
    column = next((name for name in _OTHERS if row[name] != row[f"{name}_known"]), "scores")
    yield _conflict(row, {**row, column: row[f"{column}_known"]}, column, folders, rows=bad.height)


def _close() -> pl.Expr:
    """Whether the scores of a pair agree: as many, and in float32 within the tolerance. NaN agrees with nothing."""
    ours, theirs = pl.col("scores"), pl.col("scores_known")
    as_many = ours.list.len().eq_missing(theirs.list.len())
    # Lists of different lengths cannot be subtracted, not even in rows whose result is thrown away.
    apart = pl.when(as_many).then(ours) - pl.when(as_many).then(theirs)
    within = apart.list.eval((pl.element().abs() <= TOLERANCE).fill_null(False)).list.all()
    lower = pl.col("precision").is_in(_LOWER)
    return as_many & (lower | within.fill_null(True))


def _strangers(
    fresh: pl.DataFrame, rows: pl.DataFrame, known: pl.DataFrame, folders: Sequence[Path]
) -> Iterator[_Conflict]:
    """New items of a known run that are from other weights, another arm or seed, or in another precision.

    A folder may itself hold a run in several ways (as two steps of one training), and another only some of them.
    """
    for by, settings in _SHARED:
        ours, theirs = (frame.unique([*by, *settings], maintain_order=True) for frame in (rows, known))
        unknown = ours.join(theirs, on=[*by, *settings], how="anti", nulls_equal=True)
        missing = theirs.join(ours, on=[*by, *settings], how="anti", nulls_equal=True)
        unknown = unknown.join(missing, on=by, how="semi", nulls_equal=True)
        bad = fresh.join(unknown, on=[*by, *settings], how="semi", nulls_equal=True).sort(_KEY)
        if bad.is_empty():
            continue
        row = bad.row(0, named=True)
        other = missing.join(bad.head(1), on=by, how="semi", nulls_equal=True).row(0, named=True)
        column = next(name for name in settings if row[name] != other[name])
        both = {**row, f"{_FOLDER}_known": other[_FOLDER]}
        yield _conflict(both, other, column, folders, rows=bad.height)
        return


def _conflict(
    row: Mapping[str, Any], other: Mapping[str, Any], column: str, folders: Sequence[Path], *, rows: int
) -> _Conflict:
    first, second = folders[row[f"{_FOLDER}_known"]], folders[row[_FOLDER]]
    here, there = _shown(other[column]), _shown(row[column])
    return _Conflict(text=f"{_place(row)} has {column} {here} in {first} and {there} in {second}", rows=rows)


def _stages(sources: Sequence[Results]) -> tuple[pl.DataFrame, list[_Conflict]]:
    """All stages, each once, those of the first folder before others; and the positions whose keys differ."""
    labelled = [source.stages().with_columns(pl.lit(place).alias(_FOLDER)) for place, source in enumerate(sources)]
    together = pl.concat(labelled)
    place = ["run", "position"]
    first = together.unique(place, keep="first", maintain_order=True)
    pairs = together.join(first.select(*place, "key", _FOLDER), on=place, nulls_equal=True, suffix="_known")
    bad = pairs.filter(pl.col("key").ne_missing(pl.col("key_known"))).sort(place)
    conflicts = []
    for row in bad.head(1).iter_rows(named=True):
        here, there = (sources[row[name]].folder for name in (f"{_FOLDER}_known", _FOLDER))
        text = (
            f"stage {row['position']} of run {row['run']!r} ({row['task']}) has the key {_shown(row['key_known'])} "
            f"in {here} and {_shown(row['key'])} in {there}"
        )
        conflicts.append(_Conflict(text=text, rows=bad.height))
    return first.select(list(STAGES)), conflicts


def _check_data(sources: Sequence[Results]) -> None:
    """Refuse splits whose rows are not the same in all folders, or in one."""
    told = pl.concat([source.data().with_columns(pl.lit(place).alias(_FOLDER)) for place, source in enumerate(sources)])
    first = told.unique(_COLUMN, keep="first", maintain_order=True)
    pairs = told.join(first, on=_COLUMN, suffix="_known")
    other = pairs.filter(pl.col("fingerprint") != pl.col("fingerprint_known")).sort(_COLUMN)
    if other.is_empty():
        return
    row = other.row(0, named=True)
    here, there = (sources[row[name]].folder for name in (f"{_FOLDER}_known", _FOLDER))
    more = f", and so in {other.height - 1} more columns" if other.height > 1 else ""
    raise ResultsError(
        f"the folders disagree: {_column(row)} has the fingerprint {_rows_of(row, '_known')} in "
        f"{here} and {_rows_of(row)} in {there}{more}; scores over different rows may not be joined, so score those "
        "of one side again"
    )


def _rows_of(row: Mapping[str, Any], known: str = "") -> str:
    return f"{row[f'fingerprint{known}'][:_DIGITS]} ({row[f'rows{known}']:,} rows)"


def _column(row: Mapping[str, Any]) -> str:
    variant = "" if row["variant"] == "published" else f" ({row['variant']})"
    return f"{row['task']}{variant} {row['split']} in {row['language']!r}"


def _place(row: Mapping[str, Any]) -> str:
    return f"run {row['run']!r}, {_column(row)}, item {row['item']!r}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join("none" if one is None else f"{one:.6g}" for one in value) + "]"
    text = "none" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
