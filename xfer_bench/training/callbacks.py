"""What happens beside the steps of a stage: progress, whole states, kept checkpoints, and the end."""

# ruff: noqa: ARG002 - the signatures are the Trainer's

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from xfer_bench.durable import whole_folder
from xfer_bench.errors import TrainingError
from xfer_bench.progress import Progress, Update
from xfer_bench.training.checkpoints import seal_state
from xfer_bench.training.keeping import Keeping, Kept, accuracies, best_step
from xfer_bench.training.memory import Division


class Reporter(TrainerCallback):
    """Reports steps, seals states, stops on a loss that is not a number.

    seconds: that the stage took before it was resumed. division: goes into the states, so that a resumed stage divides
    its batches as it would have without the interruption.
    """

    def __init__(self, *, label: str, progress: Progress, seconds: float, division: Division) -> None:
        self.label = label
        self.progress = progress
        self.began = time.monotonic() - seconds
        self.division = division

    @property
    def seconds(self) -> float:
        """Time spent on the stage, over all its interruptions."""
        return time.monotonic() - self.began

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report the optimiser step."""
        self.progress(
            Update(
                whole="training", finished=0, pieces=0, piece=self.label, done=state.global_step, total=state.max_steps
            )
        )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Refuse to go on after a loss that is not a number."""
        loss = (logs or {}).get("loss")
        if loss is not None and not float("-inf") < float(loss) < float("inf"):
            raise TrainingError(
                f"{self.label}: the loss is {loss} at step {state.global_step}; lower the learning rate"
            )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seal the state that was just saved, when every process has written its part."""
        if distributed.is_initialized():
            distributed.barrier()
        if state.is_world_process_zero:
            folder = Path(args.output_dir or "") / f"checkpoint-{state.global_step}"
            seal_state(folder, seconds=self.seconds, per_pass=self.division.per_pass)


class Stopping(TrainerCallback):
    """Stops after `patience` evaluations in a row without a higher development accuracy than before.

    It counts in the log, which is resumed with the weights: a counter of its own would begin anew.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def over(self, history: list[dict[str, Any]]) -> bool:
        """Whether a stage with this log has stopped."""
        best = best_step(history)
        return best is not None and sum(step > best for step in accuracies(history)) >= self.patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count, and stop."""
        if self.over(state.log_history):
            control.should_training_stop = True


class Keeper(TrainerCallback):
    """Writes the checkpoints that stay along the stage, each whole or not at all.

    write: puts a checkpoint of the weights as they are now into a folder. What is written at one step is there before
    the state of that step is sealed, so a stage that resumes there lacks none; later ones are made again.
    """

    def __init__(self, keeping: Keeping, kept: Kept, *, write: Callable[[Path], None]) -> None:
        self.keeping = keeping
        self.kept = kept
        self.write = write

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the steps that were chosen in advance, and the last one."""
        if state.global_step in self.keeping.steps or (self.keeping.last and state.global_step == state.max_steps):
            self._keep(state)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep a step that is better than all before, and the one at which the stage stops early."""
        better = self.keeping.best and best_step(state.log_history) == state.global_step
        if better or (self.keeping.last and control.should_training_stop):
            self._keep(state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Drop what a better step has replaced; only now, since a stage resumes at a sealed state."""
        if self.keeping.best and state.is_world_process_zero:
            best = best_step(state.log_history)
            self.kept.drop(*(step for step in self.kept.steps() if step != best))

    def _keep(self, state: TrainerState) -> None:
        if state.is_world_process_zero and state.global_step not in self.kept.steps():
            with whole_folder(self.kept.path(state.global_step)) as draft:
                # Drafts are private; a checkpoint is as open as the folder that it lies in.
                draft.chmod(draft.parent.stat().st_mode & 0o777)
                self.write(draft)
