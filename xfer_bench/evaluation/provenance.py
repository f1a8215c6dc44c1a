"""What stands behind predictions: where a column's rows came from, and what a checkpoint says of itself."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import polars as pl

from xfer_bench.errors import CheckpointError, ResultsError
from xfer_bench.evaluation.cache import Remember
from xfer_bench.evaluation.columns import Column
from xfer_bench.evaluation.columns import column as column_of
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.frames import CHECKPOINTS, DATA
from xfer_bench.results import Results
from xfer_bench.sources import catalogue, embedded, mirror, pins
from xfer_bench.sources.source import Sources, config_of, part_of, split_of
from xfer_bench.tasks.task import Part

EMBEDDED = "embedded"
PINNED = "pinned"
LOCAL = "local"

_KEY = ["task", "variant", "split", "language"]
_CELL = ["run", "step", *_KEY]
_DIGITS = 12
_NAMED = 3

# A run, at which step, and what it is scored over.
Place: TypeAlias = tuple[str, int | None, Column]


def data_of(columns: Iterable[Column], *, remember: Remember) -> pl.DataFrame:
    """DATA of columns: of the whole split, whatever of it is scored. Raises SourceError.

    remember: as that of the prediction store. The rows are read again only where nothing else tells their commit,
    as for whatever is newest on the Hub.
    """
    return pl.DataFrame([_data(one, remember) for one in columns], schema=DATA)


def checkpoint_row(checkpoint: Scorable, *, run: str, step: int | None, weights: str) -> pl.DataFrame:
    """CHECKPOINTS of one run. Raises CheckpointError when its lineage cannot be read any more."""
    lineage = checkpoint.lineage or {}
    text = ""
    if lineage:
        try:
            text = (checkpoint.path / "lineage.json").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{checkpoint.name}: its lineage cannot be read ({error})") from None
    row = {
        "run": run,
        "step": step,
        "weights": weights,
        "model": str((lineage.get("origin") or {}).get("name") or ""),
        "lineage": text,
    }
    return pl.DataFrame([row], schema=CHECKPOINTS)


def check_joinable(results: Results, cells: Iterable[Place], *, left_out: Sequence[str] = ()) -> pl.DataFrame:
    """Refuse to add scores of these beside scores over other rows: ResultsError in one line.

    cells: whose predictions over which column are about to be added. Those that are there already do not count: they
    will be replaced. Of these it gives back which are over other rows: USES with `new`, the fingerprint to come.
    left_out: why others that were asked for are not among the cells.
    """
    asked, used = _asked(cells), results.uses(torn=True)
    others = used.join(asked, on=_CELL, how="anti", nulls_equal=True)
    clash = others.join(asked.select(*_KEY, "new").unique(), on=_KEY).filter(pl.col("fingerprint") != pl.col("new"))
    if not clash.is_empty():
        hint = f" (left out of this one: {_some(left_out, by='; ')})" if left_out else ""
        raise ResultsError(
            f"{_other_rows(results, clash)}, which may not be joined: "
            f"score {_runs(clash)} again in the same call{hint}, or give another folder (-o)"
        )
    return used.join(asked, on=_CELL, nulls_equal=True).filter(pl.col("fingerprint") != pl.col("new"))


def check_replaced(results: Results, replaced: pl.DataFrame, lost: Iterable[Place], *, reason: str) -> None:
    """Refuse to replace only some of the scores over other rows: ResultsError in one line.

    replaced: as `check_joinable` gives it. lost: what could not be scored, and the reason for it.
    """
    left = replaced.join(_asked(lost).drop("new"), on=_CELL, how="semi", nulls_equal=True)
    if not left.is_empty():
        raise ResultsError(
            f"{_other_rows(results, left)}, and {_runs(left)} could not be scored over these ({reason}); nothing was "
            "added, and what was scored is kept: mend that and run again, or give another folder (-o)"
        )


def _asked(cells: Iterable[Place]) -> pl.DataFrame:
    rows = [
        [run, step, one.task.name, one.task.variant, one.split, one.language, one.whole] for run, step, one in cells
    ]
    schema = {"run": pl.String(), "step": pl.Int64(), **{name: pl.String() for name in [*_KEY, "new"]}}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _other_rows(results: Results, clash: pl.DataFrame) -> str:
    row = clash.sort(*_KEY, "run").row(0, named=True)
    return (
        f"{results.folder} holds scores over other rows of {row['task']} {row['split']} in {row['language']!r} "
        f"(fingerprint {row['fingerprint'][:_DIGITS]} there, {row['new'][:_DIGITS]} now)"
    )


def _runs(clash: pl.DataFrame) -> str:
    return _some(clash.sort(*_KEY, "run")["run"].unique(maintain_order=True).to_list(), by=", ")


def _some(names: Sequence[str], *, by: str) -> str:
    return by.join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _data(column: Column, remember: Remember) -> dict[str, Any]:
    task, language, split = column.task, column.language, column.split
    part = part_of(task, language, split)
    whole = column
    if column.limit is not None:
        whole = column_of(task, language=language, split=split, limit=None, sources=column.sources, remember=remember)
    known = catalogue.source(part.repository)
    return {
        "task": task.name,
        "variant": task.variant,
        "split": split,
        "language": language,
        "repository": part.repository,
        "revision": _revision(column, part),
        "rows": whole.items,
        "fingerprint": column.whole,
        "license": known.licence if known else task.licence,
    }


def _revision(column: Column, part: Part) -> str:
    """The commit of a column's rows, or the word for what there is instead: see DATA."""
    if part.repository in embedded.REPOSITORIES:
        return EMBEDDED
    sources, root = column.sources, column.sources.data_root
    where = {"repository": part.repository, "config": config_of(part, column.language), "split": split_of(part)}
    if root is not None and mirror.holds(root, part.repository):
        return mirror.commit(root, **where) or (PINNED if _is_pinned(part, **where) else LOCAL)
    pinned = part.revision or catalogue.revision(part.repository)
    return pinned or _newest(column, sources)


def _is_pinned(part: Part, *, repository: str, config: str, split: str) -> bool:
    """Whether rows that were read, and so not refused, are the pinned ones in all that is read of them."""
    pin = pins.pins().get((repository, config, split))
    return pin is not None and not pins.accepted(repository) and pin.columns.keys() >= set(part.columns)


def _newest(column: Column, sources: Sources) -> str:
    read = sources.rows(column.task, language=column.language, split=column.split)
    return read.revision if read.fingerprint == column.whole else ""
