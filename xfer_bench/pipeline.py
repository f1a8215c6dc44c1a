"""Study → checkpoints → predictions → Results: what `xfer-bench run` does, usable from a notebook."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import polars as pl

from xfer_bench.bars import shown
from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.sweep import Evaluator
from xfer_bench.frames import CONTRASTS, STAGES, conform
from xfer_bench.models.origin import Origin, local_folder, resolve
from xfer_bench.plan import Plan, Run, Stage, plan, rows_of
from xfer_bench.progress import Progress, silent
from xfer_bench.results import Results
from xfer_bench.sources.source import Sources, resolve_data_root
from xfer_bench.status import record
from xfer_bench.study import Study
from xfer_bench.tasks import TASKS, Task
from xfer_bench.training.board import trained
from xfer_bench.training.checkpoints import Checkpoint, Store, read_lineage
from xfer_bench.training.keeping import Kept
from xfer_bench.training.locks import awaited, lock_of
from xfer_bench.training.outcomes import Trained

if TYPE_CHECKING:
    from xfer_bench.training.estimate import Rate
    from xfer_bench.training.stages import Workshop

Jobs: TypeAlias = int | Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study's output goes: OUT/checkpoints, OUT/results, OUT/figures."""

    out: Path

    @property
    def store(self) -> Store:
        """The checkpoint store."""
        return Store(folder=self.out / "checkpoints")

    @property
    def results(self) -> Results:
        """The results folder."""
        return Results(self.out / "results")

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.out / "figures"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A study that is ready to run: its plan and the model that it starts from."""

    plan: Plan
    origin: Origin
    sources: Sources
    tasks: Mapping[str, Task]


def prepare(study: Study, *, sources: Sources, tasks: Mapping[str, Task] = TASKS) -> Prepared:
    """Resolve a study's model and rows and plan its stages. Nothing is trained or written.

    Raises the errors of `plan` and CheckpointError for a model that cannot be had.
    """
    from xfer_bench.training.source import training_source

    origin = resolve(study.model, revision=study.revision)
    planned = plan(study, tasks=tasks, sources=sources, origin=origin.identity, source=training_source())
    return Prepared(plan=planned, origin=origin, sources=sources, tasks=tasks)


def train_study(
    prepared: Prepared, place: Place, *, jobs: Jobs = 1, retry_failed: bool = False, progress: Progress = silent
) -> Trained:
    """Train every stage of the plan that is not finished; the checkpoints of finished runs by their names.

    Stages that runs share are trained once. A stage that fails is among the result's `failures`, and everything that
    does not come after it goes on; later calls leave it alone unless they are to retry. jobs: how many stages at once,
    each in a process of its own ("auto": one for each GPU). The facts of finished runs go to OUT/results.
    """
    from xfer_bench.training.jobs import train_all

    record(prepared.plan, place.out)
    store = place.store

    def finished(stage: Stage, checkpoint: Checkpoint) -> None:
        # At once, so that a study that is killed half way leaves checkpoints that know their runs.
        ending = [run for run in prepared.plan.runs_through(stage) if run.stages[-1].key == stage.key]
        with awaited(lock_of(store.work(stage.key))):
            for run in ending:
                store.claim(checkpoint, run)

    board = train_all(
        prepared.plan.stages,
        workshop=_workshop(prepared, store, origin=_starting_model(prepared, store)),
        jobs=jobs,
        retry_failed=retry_failed,
        finished=finished,
        progress=progress,
    )
    place.results.add_stages(stage_table(prepared.plan, board.checkpoints))
    place.results.declare(contrast_table(prepared.plan.study))
    return trained(prepared.plan, board)


def probed(prepared: Prepared, place: Place) -> "Rate | None":
    """How fast the longest stage that is left trains here, measured on its first steps; None when none is left.

    Nothing is kept. A vocabulary that is not trimmed yet is probed whole. Raises what training raises.
    """
    from xfer_bench.training.estimate import longest, measured_rate

    store = place.store
    stage = longest([one for one in prepared.plan.stages if store.find(one) is None])
    if stage is None:
        return None
    trimmed = store.origin(stage.origin)
    origin = trimmed if trimmed.is_dir() else local_folder(prepared.origin)
    return measured_rate(stage, workshop=_workshop(prepared, store, origin=origin))


def _workshop(prepared: Prepared, store: Store, *, origin: Path) -> "Workshop":
    from xfer_bench.training.stages import Workshop

    return Workshop(
        store=store,
        tasks=prepared.tasks,
        sources=prepared.sources,
        origin=origin,
        ancestry={
            "name": prepared.origin.name,
            "revision": prepared.origin.revision,
            "identity": prepared.origin.identity,
            "note": prepared.origin.note,
            "trimmed": prepared.plan.study.trim_vocabulary,
        },
    )


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What `run` gave: the results of the finished runs, and what became of every run and stage."""

    results: Results
    trained: Trained


def run(
    study: Study,
    *,
    out: str | Path,
    data_root: str | Path | None = None,
    tasks: Mapping[str, Task] = TASKS,
    jobs: Jobs = 1,
    retry_failed: bool = False,
    progress: bool = True,
) -> Ran:
    """Train a study and score every run that is finished: what `xfer-bench run` does, up to its tables and figures.

    data_root: a local mirror of the data sets. jobs, retry_failed: as in `train_study`. progress: bars in a terminal
    or a notebook. What is finished already is not done again.

        from xfer_bench import Study, compare, run
        done = run(Study.from_toml("study.toml"), out="runs/mine", jobs=2)
        print(done.trained.failures, compare(done.results.predictions()))

    A stage that fails is no error: it is in `trained.failures`, and the runs that it costs are in `trained.lost`.
    Raises the errors of `prepare`, and CheckpointError when a checkpoint cannot be scored; the others are then.
    """
    root = resolve_data_root(None if data_root is None else Path(data_root))
    prepared, place = prepare(study, sources=Sources(data_root=root), tasks=tasks), Place(out=Path(out))
    with shown() if progress else nullcontext(silent) as report:
        found = train_study(prepared, place, jobs=jobs, retry_failed=retry_failed, progress=report)
        evaluate_study(prepared, place, found, progress=report)
    return Ran(results=place.results, trained=found)


def evaluate_study(
    prepared: Prepared, place: Place, checkpoints: Mapping[str, Checkpoint], *, progress: Progress = silent
) -> None:
    """Score runs on their targets in every language of the study, and add the predictions to OUT/results.

    checkpoints: of finished runs, by name; runs that are not among them are left out.
    Raises CheckpointError when a checkpoint cannot be scored; the others are in the results then.
    """
    evaluator = Evaluator(sources=prepared.sources, tasks=prepared.tasks, progress=progress)
    failed: list[str] = []
    for evaluation in prepared.plan.evaluations:
        runs = [
            run
            for run in prepared.plan.runs
            if run.name in checkpoints and prepared.plan.evaluation_of(run) == evaluation
        ]
        if not runs:
            continue
        found = discover(str(folder) for run in runs for folder in _scored(checkpoints[run.name]))
        for split in evaluation.splits:
            limit = evaluation.limit if split == evaluation.split else None
            ask = Ask(tasks=(evaluation.task,), languages=evaluation.languages, split=split, limit=limit)
            failed += evaluator.evaluate(found, ask, results=place.results).failed
    if failed:
        raise CheckpointError("; ".join(failed))


def _scored(checkpoint: Checkpoint) -> list[Path]:
    """A stage's result, and the checkpoints that it kept on the way."""
    kept = Kept(folder=checkpoint.path)
    return [checkpoint.path, *map(kept.path, kept.steps())]


def stage_table(planned: Plan, checkpoints: Mapping[str, Checkpoint]) -> pl.DataFrame:
    """STAGES: one row for every stage of every finished run, from the lineages of the checkpoints (by stage key)."""
    rows = [
        _stage_row(run, position, read_lineage(checkpoints[stage.key].path))
        for run in planned.runs
        if all(stage.key in checkpoints for stage in run.stages)
        for position, stage in enumerate(run.stages)
    ]
    return conform(pl.DataFrame(rows, schema=STAGES), STAGES)


def contrast_table(study: Study) -> pl.DataFrame:
    """CONTRASTS: what the study names as its question; no rows when it names none."""
    return pl.DataFrame([one.model_dump() for one in study.primary], schema=CONTRASTS)


def _stage_row(run: Run, position: int, lineage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": run.name,
        "arm": run.arm,
        "setting": run.setting,
        "target": run.target,
        "intermediate_seed": run.intermediate_seed,
        "target_seed": run.target_seed,
        "position": position,
        "role": run.stages[position].role,
        "languages": lineage["languages"],
        "control": run.control,
        **{name: lineage[name] for name in STAGES if name in lineage and name != "role"},
    }


def _starting_model(prepared: Prepared, store: Store) -> Path:
    folder = local_folder(prepared.origin)
    if not prepared.plan.study.trim_vocabulary:
        return folder
    trimmed = store.origin(prepared.plan.stages[0].origin)
    if not trimmed.is_dir():
        from xfer_bench.models.vocabulary import trim

        trim(folder, _texts(prepared), trimmed, covers=_covered(prepared.plan))
    return trimmed


def _covered(planned: Plan) -> list[str]:
    """Fingerprints of the evaluation rows that the trimmed vocabulary is made for."""
    return sorted({one for evaluation in planned.evaluations for one in evaluation.fingerprints})


def _texts(prepared: Prepared) -> set[str]:
    """Every text that the study trains, selects or is evaluated on."""
    frames: list[pl.DataFrame] = []
    for evaluation in prepared.plan.evaluations:
        task = prepared.tasks[evaluation.task]
        frames += [
            prepared.sources.rows(task, language=language, split=split).frame
            for split in evaluation.splits
            for language in evaluation.languages
        ]
    distinct = {tuple(part.fingerprint for part in one.parts): one for one in prepared.plan.stages}
    for stage in distinct.values():
        frames += [frame for rows in rows_of(stage, prepared.tasks, prepared.sources) for frame in rows.frames]
    texts: set[str] = set()
    for frame in frames:
        texts.update(frame["text"])
        texts.update(frame["candidates"].explode())
    return texts
