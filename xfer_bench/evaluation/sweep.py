"""Checkpoints × tasks × languages to a results folder: the evaluator as a whole, for the command line and notebooks."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from xfer_bench.bars import shown
from xfer_bench.digest import value_digest
from xfer_bench.errors import CacheError, CheckpointError, ResultsError
from xfer_bench.evaluation.cache import PredictionStore, default_store
from xfer_bench.evaluation.discovery import Scorable, discover
from xfer_bench.evaluation.known import Known
from xfer_bench.evaluation.lineage import labelled, labels_of, run_names
from xfer_bench.evaluation.provenance import Place, check_joinable, check_replaced, checkpoint_row, data_of
from xfer_bench.evaluation.request import Ask, Cell, Request, by_variant, request
from xfer_bench.progress import Progress, silent
from xfer_bench.results import Marks, Results
from xfer_bench.sources.source import Sources, resolve_data_root
from xfer_bench.stats.estimates import Score
from xfer_bench.stats.scores import Tally, tally_intervals, tally_of
from xfer_bench.tasks import TASKS
from xfer_bench.tasks.task import Split, Task

if TYPE_CHECKING:
    from xfer_bench.evaluation.scoring import Account, Scoring


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What an evaluation gave.

    results: where the predictions are; runs: whose. cells, scored: how many (checkpoint, task, language) there are,
    and how many of them were not in the store. precisions: in which they were scored. accounts: what the scoring
    took, by checkpoint. skipped: what was left out, failed: which checkpoints could not be scored, warnings: what was
    mended in the store; with the reasons.
    """

    results: Results
    runs: tuple[str, ...]
    cells: int
    scored: int
    precisions: tuple[str, ...]
    tallies: tuple[Tally, ...]
    accounts: tuple["Account", ...]
    skipped: tuple[str, ...]
    failed: tuple[str, ...]
    warnings: tuple[str, ...]

    def scores(self, *, resamples: int = 10_000, seed: int = 0, level: float = 0.95) -> list[Score]:
        """Accuracies in points with percentile intervals over clusters, by run, task and language; see `Score`."""
        return tally_intervals(self.tallies, resamples=resamples, seed=seed, level=level)

    def predictions(self) -> pl.DataFrame:
        """PREDICTIONS of these runs, from the results folder."""
        return self.results.predictions().filter(pl.col("run").is_in(self.runs))


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Scores checkpoints item by item, and never the same twice.

    store: folder of the prediction store; by default the user's. batch_tokens: tokens of a batch, padding included;
    None finds what the device takes. It decides speed and memory, never the result, and neither do the devices:
    `auto` (every GPU, else the CPU), `cpu`, `cuda`, or several with commas. progress: told how far it is.

        from xfer_bench import Evaluator, Results
        from xfer_bench.evaluation.discovery import discover
        from xfer_bench.evaluation.request import Ask
        evaluator = Evaluator(batch_tokens=8192)
        done = evaluator.evaluate(discover(["runs/a", "runs/b"]), Ask(tasks=("xnli",)), results=Results("results"))
        print(done.failed, done.predictions())

    `evaluate` is the same in one call.
    """

    sources: Sources = field(default_factory=lambda: Sources(data_root=resolve_data_root(None)))
    tasks: Mapping[str, Task] = field(default_factory=lambda: TASKS)
    store: Path = field(default_factory=default_store)
    batch_tokens: int | None = None
    devices: str = "auto"
    progress: Progress = silent

    def request(self, checkpoints: Sequence[Scorable], ask: Ask, store: PredictionStore) -> Request:
        """What is asked for, and what of it the store holds already. Loads no weights."""
        if ask.precision == "auto" and set(self.devices.split(",")) == {"cpu"}:
            ask = replace(ask, precision="fp32")
        return request(checkpoints, ask, tasks=self.tasks, sources=self.sources, store=store, progress=self.progress)

    def evaluate(self, checkpoints: Sequence[Scorable], ask: Ask, *, results: Results) -> Evaluated:
        """Score what is not in the store yet, and add all predictions to a results folder, checkpoint by checkpoint.

        With them goes where the rows came from, and what each checkpoint says of itself. An interrupted call loses a
        few seconds of work; the same call goes on from there. A checkpoint that fails is named in `failed`, and the
        others go on. Raises TaskError, SourceError and CacheError, and ResultsError, before anything is scored, for
        a folder that holds other runs' scores over other rows of the same split. Where it holds these runs' own, all
        of them are replaced or, with a ResultsError that names the run that cannot be scored, none.
        """
        with PredictionStore(self.store) as store:
            asked = self.request(checkpoints, ask, store)
            pass_ = _Pass(self, asked, store, results)
            try:
                pass_.run()
            finally:
                pass_.close()
            return Evaluated(
                results=results,
                runs=tuple(dict.fromkeys(str(one.names["run"]) for one in pass_.tallies)),
                cells=len(asked.cells),
                scored=len(asked.missing),
                precisions=tuple(sorted({cell.precision for cell in asked.cells})),
                tallies=tuple(pass_.tallies),
                accounts=tuple(pass_.scoring.accounts if pass_.scoring else ()),
                skipped=asked.skipped,
                failed=(*asked.failed, *pass_.failed),
                warnings=tuple(dict.fromkeys(store.warnings)),
            )


def evaluate(
    checkpoints: str | Path | Iterable[str | Path],
    *,
    tasks: Sequence[str] = (),
    languages: Sequence[str] = (),
    split: Split = "test",
    limit: int | None = None,
    variants: Sequence[str] = (),
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    results: str | Path = "results",
    data_root: str | Path | None = None,
    progress: bool = True,
) -> Evaluated:
    """Score checkpoints in every language and add the predictions to a results folder.

    checkpoints: a checkpoint, a folder of them, a Hub id, or several of these. tasks, languages: all that fit when
    empty. limit: the first so many items of each language, by whole clusters. variants: of a task's rows, `published`
    or `repaired`; both when empty. data_root: a local mirror of the data sets. progress: bars in a terminal or a
    notebook.

        from xfer_bench import evaluate
        done = evaluate("runs/quickstart/checkpoints", tasks=["quickstart-choice"], languages=["sw"], limit=100)
        for score in done.scores():
            print(score.run, score.language, score.estimate.value, score.estimate.low, score.estimate.high)

    Raises ResultsError when nothing fits, CheckpointError when a checkpoint cannot be scored (the others' predictions
    are in the results then), TaskError and SourceError for what does not exist or cannot be had.
    """
    places = [checkpoints] if isinstance(checkpoints, str | Path) else list(checkpoints)
    ask = Ask(
        tasks=tuple(tasks),
        languages=tuple(languages),
        split=split,
        limit=limit,
        variants=tuple(variants),
        precision=precision,
    )
    root = resolve_data_root(None if data_root is None else Path(data_root))
    with shown() if progress else nullcontext(silent) as report:
        evaluator = Evaluator(sources=Sources(data_root=root), progress=report)
        done = evaluator.evaluate(discover(str(place) for place in places), ask, results=Results(results))
    if done.failed:
        raise CheckpointError("; ".join(done.failed))
    if not done.tallies:
        raise ResultsError(f"nothing to score: {'; '.join(done.skipped) or 'no task fits'}")
    return done


class _Pass:
    """One way through a request: score what is missing, deliver everything."""

    def __init__(self, evaluator: Evaluator, asked: Request, store: PredictionStore, results: Results) -> None:
        self.evaluator = evaluator
        self.asked = asked
        self.store = store
        self.results = results
        self.tallies: list[Tally] = []
        self.failed: list[str] = []
        self.scoring: Scoring | None = None
        self._replaced: pl.DataFrame | None = None

    def run(self) -> None:
        groups = self.asked.by_scorer()
        missing = set(map(id, self.asked.missing))
        todo = [cells for cells in groups if any(id(cell) in missing for cell in cells)]
        if todo:
            self._check_joinable()
        if self._replaced is not None and not self._replaced.is_empty():
            groups = self._all_scored(groups, todo, self._replaced)
        for cells in groups:
            try:
                known = self._scored(cells, todo)
                for some in by_variant(cells):
                    self._deliver(some, known)
            except CheckpointError as error:
                self._note(error)

    def close(self) -> None:
        if self.scoring is not None:
            self.scoring.close()

    def _all_scored(
        self, groups: Sequence[tuple[Cell, ...]], todo: list[tuple[Cell, ...]], replaced: pl.DataFrame
    ) -> list[tuple[Cell, ...]]:
        """The groups that can be delivered. One by one, one that fails would leave its scores over the former rows
        beside the others' over the new ones: then none is.
        """
        ready: list[tuple[Cell, ...]] = []
        lost: list[Cell] = []
        for cells in groups:
            try:
                self._scored(cells, todo)
                ready.append(cells)
            except CheckpointError as error:
                self._note(error)
                lost += cells
        check_replaced(self.results, replaced, _places(lost), reason="; ".join(self.failed))
        return ready

    def _scored(self, cells: Sequence[Cell], todo: list[tuple[Cell, ...]]) -> Known:
        """What is known of a group after it was scored. todo: what is left to be, which the group is taken from."""
        if todo and cells is todo[0]:
            todo.pop(0)
        known = self._known(cells)
        # Looked at again: meanwhile others may have scored it, or removed it.
        if any(known.missing(cell.column) for cell in cells):
            self._scoring().score(cells, following=todo[0][0] if todo else None)
            known = self._known(cells)
        return known

    def _note(self, error: CheckpointError) -> None:
        # Of a checkpoint with several tasks it may be the same one for each.
        if str(error) not in self.failed:
            self.failed.append(str(error))

    def _scoring(self) -> "Scoring":
        if self.scoring is None:
            # torch and transformers take seconds to import; a request that is stored already never needs them.
            from xfer_bench.evaluation.scoring import Scoring

            self.scoring = Scoring(
                store=self.store,
                progress=self.evaluator.progress,
                total=sum(cell.sequences for cell in self.asked.missing),
                batch_tokens=self.evaluator.batch_tokens,
                devices=self.evaluator.devices,
            )
        return self.scoring

    def _check_joinable(self) -> None:
        if self._replaced is None:
            cells, asked = self.asked.cells, self.asked
            scored = tuple({f"{cell.checkpoint.name}: " for cell in cells})
            left_out = [*asked.failed, *(reason for reason in asked.skipped if reason.startswith(scored))]
            self._replaced = check_joinable(self.results, _places(cells), left_out=left_out)

    def _known(self, cells: Sequence[Cell]) -> Known:
        return Known(self.store.blocks.load(cells[0].scorer))

    def _deliver(self, cells: Sequence[Cell], known: Known) -> None:
        """Add the cells' predictions to the results, unless they are there, and keep what their scores need."""
        rows = {cell.column.language: known.rows(cell.column) for cell in cells}
        if any(one["prediction"].null_count() for one in rows.values()):
            raise CacheError(f"the prediction store {self.store.folder} loses what is put into it; was it cleared?")
        first = cells[0]
        task = first.column.task
        for labels in labels_of(first.checkpoint, weights=first.identity.weights, task=task.name):
            run, step = str(labels["run"]), labels["step"]
            marks: Marks = {
                (run, task.name, str(cell.column.split), task.variant, cell.column.language, step): value_digest(
                    [cell.scorer, cell.column.fingerprint, labels]
                )
                for cell in cells
            }
            if not self.results.holds(marks, with_data=True):
                self._check_joinable()
                weights = first.identity.weights
                self.results.add_checkpoints(checkpoint_row(first.checkpoint, run=run, step=step, weights=weights))
                data = data_of((cell.column for cell in cells), remember=self.store.remember)
                predictions = labelled(pl.concat(rows.values()), labels, precision=first.precision)
                self.results.add(predictions, marks=marks, data=data)
            names = {name: labels[name] for name in ("arm", "run", "setting", "target", "step")}
            self.tallies += [_tally(cell, rows[cell.column.language], names) for cell in cells]


def _places(cells: Iterable[Cell]) -> list[Place]:
    return [
        (*name, cell.column) for cell in cells for name in run_names(cell.checkpoint, weights=cell.identity.weights)
    ]


def _tally(cell: Cell, rows: pl.DataFrame, names: dict[str, Any]) -> Tally:
    column = cell.column
    place = {"task": column.task.name, "variant": column.task.variant, "split": column.split}
    return tally_of(rows, names={**place, **names, "language": column.language})
