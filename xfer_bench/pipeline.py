"""Study → checkpoints → predictions → Results: what `xfer-bench run` does, usable from a notebook."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import discover
from xfer_bench.evaluation.request import Ask
from xfer_bench.evaluation.sweep import Evaluator
from xfer_bench.frames import CONTRASTS, STAGES, conform
from xfer_bench.models.origin import Origin, local_folder, resolve
from xfer_bench.plan import Plan, Run, plan, rows_of
from xfer_bench.progress import Progress, Update, silent
from xfer_bench.results import Results
from xfer_bench.sources.source import Sources
from xfer_bench.status import record
from xfer_bench.study import Study
from xfer_bench.tasks import TASKS, Task
from xfer_bench.training.checkpoints import Checkpoint, Store, read_lineage
from xfer_bench.training.keeping import Kept


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


def train_study(prepared: Prepared, place: Place, *, progress: Progress = silent) -> dict[str, Checkpoint]:
    """Train every stage of the plan that is not finished; checkpoints by run name.

    Stages that runs share are trained once. The stages' facts go to OUT/results/stages.parquet.
    """
    from xfer_bench.training.stages import Workshop, train

    record(prepared.plan, place.out)
    store = place.store
    workshop = Workshop(
        store=store,
        tasks=prepared.tasks,
        sources=prepared.sources,
        origin=_starting_model(prepared, store),
        ancestry={
            "name": prepared.origin.name,
            "revision": prepared.origin.revision,
            "identity": prepared.origin.identity,
            "note": prepared.origin.note,
            "trimmed": prepared.plan.study.trim_vocabulary,
        },
    )
    stages = prepared.plan.stages
    finished: dict[str, Checkpoint] = {}
    for position, stage in enumerate(stages):
        counted = _counted(progress, position, len(stages))
        counted(Update(whole="training", finished=0, pieces=0, piece=f"{stage.role} {stage.task}"))
        finished[stage.key] = train(stage, workshop=workshop, progress=counted)
        # At once, so that a study that is killed half way leaves checkpoints that know their runs.
        for run in prepared.plan.runs_through(stage):
            if run.stages[-1].key == stage.key:
                store.claim(finished[stage.key], run)
    progress(Update(whole="training", finished=len(stages), pieces=len(stages)))
    place.results.add_stages(stage_table(prepared.plan, finished))
    place.results.declare(contrast_table(prepared.plan.study))
    return {run.name: finished[run.stages[-1].key] for run in prepared.plan.runs}


def evaluate_study(
    prepared: Prepared, place: Place, checkpoints: Mapping[str, Checkpoint], *, progress: Progress = silent
) -> None:
    """Score every run on its target in every language of the study, and add the predictions to OUT/results.

    Raises CheckpointError when a checkpoint cannot be scored; the others are in the results then.
    """
    evaluator = Evaluator(sources=prepared.sources, tasks=prepared.tasks, progress=progress)
    failed: list[str] = []
    for evaluation in prepared.plan.evaluations:
        runs = [run for run in prepared.plan.runs if prepared.plan.evaluation_of(run) == evaluation]
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
    """STAGES: one row for every stage of every run, from the lineages of the finished checkpoints (by stage key)."""
    rows = [
        _stage_row(run, position, read_lineage(checkpoints[stage.key].path))
        for run in planned.runs
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


def _counted(progress: Progress, position: int, total: int) -> Progress:
    """Adds to a stage's updates how many stages are behind it."""

    def report(update: Update) -> None:
        share = update.done / update.total if update.total else 0.0
        progress(
            Update(
                whole="training",
                finished=position + share,
                pieces=total,
                piece=update.piece,
                done=update.done,
                total=update.total,
            )
        )

    return report
