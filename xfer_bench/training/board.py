"""Which stages of a study are to be trained, which wait for others, and what became of the rest. No torch."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from xfer_bench.plan import Plan, Stage
from xfer_bench.progress import Progress, Update
from xfer_bench.training.checkpoints import Checkpoint, Store
from xfer_bench.training.locks import Holder
from xfer_bench.training.outcomes import Collapsed, Failure, Trained, is_collapsed, label_of, recorded_failure

# Seconds until a stage that another program trains is looked at again.
_REST = 0.5

Finished: TypeAlias = Callable[[Stage, Checkpoint], None]


class Board:
    """The stages of a study on their way. It changes as they are taken and settled.

    stages: parents before children. retry: stages that failed in earlier calls are tried again, once.
    longest_first: of the stages that are ready, take the one with the most training behind it in its chain; else the
    first one. finished: told of every finished stage, those of earlier calls too.

    checkpoints, failures: what became of stages, by key. blocked: those that nothing can begin any more, with the
    failure that is to blame.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        store: Store,
        retry: bool,
        longest_first: bool,
        progress: Progress,
        finished: Finished,
    ) -> None:
        self.checkpoints: dict[str, Checkpoint] = {}
        self.failures: dict[str, Failure] = {}
        self.blocked: dict[str, Failure] = {}
        self._total = len(stages)
        self._progress = progress
        self._finished = finished
        self._retried: set[str] = set()
        self._resting: dict[str, tuple[float, Holder]] = {}
        self._running: dict[str, Update] = {}
        self._open = {stage.key: stage for stage in stages}
        self._weights = _chains(stages) if longest_first else dict.fromkeys(self._open, 0.0)
        for stage in stages:
            self._settle_finished(stage, store)
        for stage in stages:
            self._settle_failed(stage, store, retry=retry)
        self._report()

    @property
    def over(self) -> bool:
        """Whether nothing is to be taken any more and nothing is under way."""
        return not self._open

    def take(self) -> tuple[Stage, bool] | None:
        """The next stage to train, and whether that is another try; None while there is none that is ready."""
        ready = [stage for key, stage in self._open.items() if key not in self._running and self._is_ready(stage)]
        if not ready:
            return None
        stage = max(ready, key=lambda one: self._weights[one.key])
        self._running[stage.key] = Update(whole="training", finished=0, pieces=0, piece=label_of(stage))
        self._report()
        return stage, stage.key in self._retried

    def update(self, stage: Stage, update: Update) -> None:
        """The stage is so far."""
        self._running[stage.key] = replace(update, piece=update.piece or label_of(stage))
        self._report()

    def settle(self, stage: Stage, outcome: Checkpoint | Failure | Holder) -> None:
        """What became of a stage that was taken; one that somebody else trains is to be taken again."""
        self._running.pop(stage.key, None)
        if isinstance(outcome, Holder):
            # Who trains it now has tried it again for us.
            self._retried.discard(stage.key)
            self._resting[stage.key] = (time.monotonic() + _REST, outcome)
            return
        del self._open[stage.key]
        if isinstance(outcome, Failure):
            self._fail(stage.key, outcome)
        else:
            self.checkpoints[stage.key] = outcome
            self._finished(stage, outcome)
        self._report()

    def rest(self) -> None:
        """Let a moment pass in which nothing can be taken."""
        waiting = [(self._open[key], holder) for key, (_, holder) in self._resting.items() if key in self._open]
        for stage, holder in waiting[:1]:
            self._report(f"waiting for {holder}, which trains {label_of(stage)}")
        time.sleep(_REST / 2)

    def _settle_finished(self, stage: Stage, store: Store) -> None:
        done = store.find(stage)
        if done is not None:
            self.settle(stage, done)

    def _settle_failed(self, stage: Stage, store: Store, *, retry: bool) -> None:
        failed = recorded_failure(store.work(stage.key)) if stage.key in self._open else None
        if failed is not None and retry:
            self._retried.add(stage.key)
        elif failed is not None:
            self.settle(stage, replace(failed, key=stage.key, label=label_of(stage), earlier=True))

    def _fail(self, key: str, failure: Failure) -> None:
        """Block what comes after it; parents come before children."""
        self.failures[key] = failure
        for later in list(self._open.values()):
            before = later.parent.key if later.parent else None
            if before == key or before in self.blocked:
                del self._open[later.key]
                self.blocked[later.key] = failure

    def _is_ready(self, stage: Stage) -> bool:
        if stage.parent is not None and stage.parent.key not in self.checkpoints:
            return False
        until, _ = self._resting.get(stage.key, (0.0, None))
        return time.monotonic() >= until

    def _report(self, piece: str = "") -> None:
        running = list(self._running.values())
        shares = (update.done / update.total for update in running if update.total)
        self._progress(
            Update(
                whole="training",
                finished=self._total - len(self._open) + sum(shares),
                pieces=self._total,
                piece=" + ".join(update.piece for update in running) or piece,
                done=sum(update.done for update in running),
                total=sum(update.total for update in running),
            )
        )


def trained(planned: Plan, board: Board) -> Trained:
    """What became of the runs of a plan whose stages are all settled."""
    hopeless = {**board.failures, **board.blocked}
    lost = {run.name: hopeless[stage.key] for run in planned.runs for stage in run.stages if stage.key in hopeless}
    return Trained(
        checkpoints={run.name: board.checkpoints[run.stages[-1].key] for run in planned.runs if run.name not in lost},
        failures=tuple(board.failures[stage.key] for stage in planned.stages if stage.key in board.failures),
        lost=lost,
        collapsed=tuple(
            Collapsed(key=stage.key, label=label_of(stage))
            for stage in planned.stages
            if stage.key in board.checkpoints and is_collapsed(board.checkpoints[stage.key].lineage)
        ),
    )


def _chains(stages: Sequence[Stage]) -> Mapping[str, float]:
    """By key: the bytes of text that the longest chain from this stage on has yet to see."""
    own = {one.key: one.steps * one.recipe.batch_size * one.bytes_per_example for one in stages}
    longest = dict(own)
    for stage in reversed(stages):
        if stage.parent is not None and stage.parent.key in own:
            parent = stage.parent.key
            longest[parent] = max(longest[parent], own[parent] + longest[stage.key])
    return longest
