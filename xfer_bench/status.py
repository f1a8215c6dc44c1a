"""How far a study is: which of its stages are done, running, failed and left, and how long the rest may take.

What there is to do is recorded beside the checkpoints when a study is run, so that asking costs no data, no model and
no plan, and works for studies that were put together in Python and on another machine's disk.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl

from xfer_bench.durable import write_json
from xfer_bench.errors import CheckpointError, ResultsError, StudyError
from xfer_bench.plan import Plan, Stage
from xfer_bench.results import Results
from xfer_bench.training.checkpoints import MANIFEST, Store, read_lineage
from xfer_bench.training.locks import holder_of, lock_of
from xfer_bench.training.outcomes import is_collapsed, recorded_failure

PLAN = "plan.json"
_SCHEMA = 1

State: TypeAlias = Literal["done", "running", "begun", "failed", "blocked", "damaged", "left"]


@dataclass(frozen=True, kw_only=True)
class Stand:
    """How far one stage is.

    step: optimiser steps that are saved, of `steps`. seconds: that it took so far, or in all. left: those that it may
    still take; None where nothing tells, 0 for a failed or blocked one, which nothing begins by itself.
    saved: when it was last saved, in seconds since 1970. reason: what is wrong. note: what is to be known of a stage
    with which nothing is: that it collapsed, or which process trains it.
    """

    key: str
    role: str
    task: str
    languages: tuple[str, ...]
    seed: int
    arms: tuple[str, ...]
    state: State
    step: int
    steps: int
    seconds: float | None
    left: float | None
    saved: float | None = None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a study is.

    runs, trained, scored: how many there are, end in a finished stage, and have predictions in every language asked
    for. left: seconds of training, one stage after another; None where nothing tells. others: finished stages in the
    store that are none of the plan's. bytes: what OUT takes on the disk, and of that what unfinished stages take.
    """

    study: str
    stages: tuple[Stand, ...]
    runs: int
    trained: int
    scored: int
    left: float | None
    others: int
    bytes: int
    unfinished_bytes: int

    def count(self, state: State) -> int:
        """How many stages are in this state."""
        return sum(stage.state == state for stage in self.stages)

    def as_json(self) -> dict[str, Any]:
        """The same as a value for JSON."""
        return asdict(self)


def record(planned: Plan, out: Path) -> None:
    """Write down what a study has to do, in OUT/plan.json, instead of what was there. Raises OSError."""
    runs = [
        {
            "run": run.name,
            "stage": run.stages[-1].key,
            "task": run.target,
            "split": planned.evaluation_of(run).split,
            "languages": planned.evaluation_of(run).languages,
        }
        for run in planned.runs
    ]
    stages = [_entry(stage, planned) for stage in planned.stages]
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / PLAN, {"schema": _SCHEMA, "study": planned.study.name, "runs": runs, "stages": stages})


def studies_in(out: Path) -> list[Path]:
    """The folders below which a study was begun: OUT itself, or one for each of its models."""
    if (out / PLAN).is_file() or not out.is_dir():
        return [out]
    return sorted(file.parent for file in out.glob(f"*/{PLAN}")) or [out]


def status_of(out: Path, *, store: Store, results: Results) -> Status:
    """How far the study is that was last run into OUT.

    store, results: OUT's own. Raises StudyError when no study was recorded there, ResultsError for damaged results.
    """
    plan = _recorded(out)
    stages = plan["stages"]
    found = _with_blocked(stages, [_found(entry, store) for entry in stages])
    rates = _rates(stages, found)
    stands = tuple(_stand(entry, one, rates) for entry, one in zip(stages, found, strict=True))
    done = {stage.key for stage in stands if stage.state == "done"}
    lefts = [stage.left for stage in stands]
    places = {store.path(entry["key"]).name for entry in stages}
    return Status(
        study=plan["study"],
        stages=stands,
        runs=len(plan["runs"]),
        trained=sum(run["stage"] in done for run in plan["runs"]),
        scored=_scored(plan["runs"], results),
        left=None if None in lefts else sum(one for one in lefts if one is not None),
        others=len(set(_names(store)) - places),
        bytes=_disk_use(out),
        unfinished_bytes=sum(_disk_use(store.work(entry["key"])) for entry in stages),
    )


def _entry(stage: Stage, planned: Plan) -> dict[str, Any]:
    return {
        "key": stage.key,
        "parent": stage.parent.key if stage.parent else None,
        "role": stage.role,
        "task": stage.task,
        "languages": stage.languages,
        "seed": stage.data_seed,
        "arms": list(dict.fromkeys(run.arm for run in planned.runs_through(stage))),
        "steps": stage.steps,
        # What the time goes by: the text_bytes that the model sees.
        "bytes": round(stage.steps * stage.recipe.batch_size * stage.bytes_per_example),
    }


def _recorded(out: Path) -> dict[str, Any]:
    path = out / PLAN
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = plan["schema"] == _SCHEMA
    except FileNotFoundError:
        raise StudyError(
            f"{out}: no {PLAN}, so no study was begun here; give the folder that `run` or `train` got as -o"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); the next `run` or `train` writes it again") from None
    if not known:
        raise StudyError(f"{path}: written by another version (schema {plan['schema']}, not {_SCHEMA}); run again")
    return plan


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What the store holds of a stage."""

    state: State
    step: int = 0
    seconds: float | None = None
    saved: float | None = None
    reason: str = ""
    note: str = ""


def _found(entry: Mapping[str, Any], store: Store) -> _Found:
    path, work = store.path(entry["key"]), store.work(entry["key"])
    if path.is_dir():
        try:
            lineage = read_lineage(path)
            wrong = [name for name, size in lineage["sizes"].items() if _size(path / name) != size]
            if not wrong and lineage["key"] == entry["key"]:
                note = "collapsed: it answers every development item alike" if is_collapsed(lineage) else ""
                return _Found(state="done", step=lineage["steps"], seconds=lineage["seconds"], note=note)
            reason = f"{wrong[0]} is not as it was written" if wrong else f"it holds stage {lineage['key'][:8]}"
        except (CheckpointError, KeyError, TypeError, AttributeError) as error:
            reason = str(error)
        return _Found(state="damaged", reason=f"{reason}; remove {path}")
    states = sorted(_states(work))
    step, saved, seconds = states[-1] if states else (0, None, None)
    holder = holder_of(lock_of(work))
    if holder is not None:
        note = f"{holder} trains it now"
        return _Found(state="running", step=step, seconds=seconds, saved=saved, note=note)
    failure = recorded_failure(work)
    if failure is not None:
        return _Found(state="failed", step=step, seconds=seconds, reason=failure.reason)
    return _Found(state="begun" if work.is_dir() else "left", step=step, seconds=seconds, saved=saved)


def _states(work: Path) -> Iterator[tuple[int, float, float]]:
    """Step, time and seconds so far of every sealed state. Their files are not digested: that takes as long as reading
    them, and a state that turns out to be damaged costs no more than the steps since the one before."""
    for manifest in work.glob(f"checkpoint-*/{MANIFEST}"):
        step = manifest.parent.name.rsplit("-", 1)[1]
        try:
            seconds = float(json.loads(manifest.read_text(encoding="utf-8"))["seconds"])
            saved = manifest.stat().st_mtime
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half written, or dropped meanwhile
        if step.isdecimal():
            yield int(step), saved, seconds


def _with_blocked(entries: Sequence[Mapping[str, Any]], found: Sequence[_Found]) -> list[_Found]:
    """Stages after a failed one are blocked. Parents come before children."""
    known: dict[str, _Found] = {}
    for entry, one in zip(entries, found, strict=True):
        parent = known.get(entry["parent"] or "")
        hopeless = one.state in {"left", "begun"} and parent is not None and parent.state in {"failed", "blocked"}
        known[entry["key"]] = _Found(state="blocked", reason=f"comes after {entry['parent'][:8]}") if hopeless else one
    return list(known.values())


def _rates(entries: Sequence[Mapping[str, Any]], found: Sequence[_Found]) -> dict[str, float]:
    """Seconds a character, by task, from what is finished or begun; under the empty name, of all of them."""
    sums: dict[str, tuple[float, float]] = {}
    for entry, one in zip(entries, found, strict=True):
        if not one.seconds or not one.step:
            continue
        text_bytes = entry["bytes"] * one.step / entry["steps"]
        for name in (entry["task"], ""):
            before = sums.get(name, (0.0, 0.0))
            sums[name] = (before[0] + one.seconds, before[1] + text_bytes)
    return {name: seconds / text_bytes for name, (seconds, text_bytes) in sums.items() if text_bytes}


def _stand(entry: Mapping[str, Any], found: _Found, rates: Mapping[str, float]) -> Stand:
    left: float | None = 0.0
    if found.state not in {"done", "failed", "blocked"}:
        rate = rates.get(entry["task"], rates.get(""))
        left = None if rate is None else rate * entry["bytes"] * (1.0 - found.step / entry["steps"])
    return Stand(
        key=entry["key"],
        role=entry["role"],
        task=entry["task"],
        languages=tuple(entry["languages"]),
        seed=entry["seed"],
        arms=tuple(entry["arms"]),
        state=found.state,
        step=found.step,
        steps=entry["steps"],
        seconds=found.seconds,
        left=left,
        saved=found.saved,
        reason=found.reason,
        note=found.note,
    )


def _scored(runs: Sequence[Mapping[str, Any]], results: Results) -> int:
    """How many runs have predictions in every language that the study asks for."""
    try:
        files = results.files()
    except ResultsError:  # none yet
        return 0
    names = ["run", "task", "split", "language"]
    try:
        cells = set(pl.scan_parquet(files, glob=False).select(names).unique().collect().iter_rows())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ResultsError(f"{results.folder}: its predictions cannot be read ({error})") from None
    return sum(all((run["run"], run["task"], run["split"], one) in cells for one in run["languages"]) for run in runs)


def _names(store: Store) -> list[str]:
    """Folders of finished stages."""
    if not store.folder.is_dir():
        return []
    return [folder.name for folder in store.folder.iterdir() if folder.is_dir() and not folder.name.startswith(".")]


def _size(file: Path) -> int:
    """Bytes of a file; -1 where there is none: a study that runs meanwhile removes what it needs no more."""
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _disk_use(folder: Path) -> int:
    files = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return sum(max(0, _size(file)) for file in files)
