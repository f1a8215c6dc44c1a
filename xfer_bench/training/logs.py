"""How a stage went, line by line in plain JSON, and by whatever else the Trainer can report to.

    log.jsonl    {"step": 10, "seconds": 12.3, "loss": 1.09, "learning_rate": 4.5e-05, "gradient_norm": 3.2}
                 {"step": 50, "seconds": 63.0, "development_accuracy": 44.8, "development_majority": 35.6}

Accuracies are in points; seconds are those of the stage, over all its interruptions. It lies in the stage's work folder
while the stage is trained, and in the finished checkpoint afterwards.
"""

# ruff: noqa: ARG002 - the signatures are the Trainer's

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    TensorBoardCallback,
    get_available_reporting_integrations,
)

from xfer_bench.durable import write_bytes
from xfer_bench.errors import TrainingError

LOG = "log.jsonl"
BOARD = "tensorboard"

# Names of what the Trainer logs, and ours; what is not here is not written. Accuracies become points.
_NAMES = {"loss": "loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm"}
_POINTS = {"eval_accuracy": "development_accuracy", "eval_majority": "development_majority"}
# Of these the Trainer knows only when they are asked whether they are there.
_UNASKED = {"flyte", "kubeflow"}


class Logbook(TrainerCallback):
    """Writes `log.jsonl`: what was logged up to the last step, however often the stage was interrupted.

    A resumed stage drops the lines after the step that it goes on from, and a last line that was cut short; a line
    that is there already is not written twice. What is logged after the last step is not of that step's weights where
    a better one was selected, so `note` is told of it.

    file: of the log. seconds: gives the time spent on the stage so far. Under torchrun the first process writes.
    """

    def __init__(self, file: Path, *, seconds: Callable[[], float]) -> None:
        self.file = file
        self.seconds = seconds
        self._written: set[str] = set()
        self._is_first = False
        self._trains = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Go back to the step that the stage goes on from."""
        self._trains = True
        self._is_first = state.is_world_process_zero
        if self._is_first:
            lines = [line for line in read_log(self.file) if line["step"] <= state.global_step]
            write_bytes(self.file, "".join(map(_text, lines)).encode())
            self._written = {_identity(line) for line in lines}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write what was logged of a step."""
        if self._trains:
            self._write(state.global_step, logs or {})

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Bring the lines to the disk before the state is sealed: a stage that resumes there lacks none."""
        if self._is_first:
            with self.file.open("rb") as stream:
                os.fsync(stream.fileno())

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End: from here on the weights may be those of another step than the state's."""
        self._trains = False

    def note(self, step: int, measured: Mapping[str, Any]) -> None:
        """Write what was measured of the weights of this step, when the Trainer has ended."""
        self._write(step, measured)

    def _write(self, step: int, logged: Mapping[str, Any]) -> None:
        found = _found(logged)
        line = {"step": step, "seconds": round(self.seconds(), 3), **found}
        identity = _identity(line)
        if not self._is_first or not found or identity in self._written:
            return
        self._written.add(identity)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(_text(line))


def read_log(file: Path) -> list[dict[str, Any]]:
    """The lines of a log, without a last one that was cut short; none when there is no log.

    Raises TrainingError for a file that is no log.
    """
    if not file.is_file():
        return []
    lines = file.read_bytes().split(b"\n")
    try:
        # What follows the last end of a line is empty, or was cut short.
        found: list[dict[str, Any]] = [json.loads(line) for line in lines[:-1]]
        if not all(isinstance(line["step"], int) for line in found):
            raise ValueError("a step that is no number")
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file}: is no log of a stage ({error}); remove it to go on without its lines") from None
    return found


def deliver_log(work: Path, finished: Path) -> None:
    """Put a stage's log into its finished folder. It stays in the work folder, should the result not come to its
    place.
    """
    if (work / LOG).is_file():
        shutil.copyfile(work / LOG, finished / LOG)


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """Where else a stage reports to. arguments: of TrainingArguments; callbacks: of the Trainer."""

    arguments: dict[str, Any]
    callbacks: tuple[TrainerCallback, ...]


def check_reporting(names: Sequence[str]) -> None:
    """Raises TrainingError for a name that the Trainer does not know, or whose package is not there."""
    installed = {*get_available_reporting_integrations(), *_UNASKED}
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise TrainingError(
                f"report_to: the Trainer cannot report to {name!r}; choose from "
                f"{', '.join(sorted(INTEGRATION_TO_CALLBACK))}"
            )
        if name not in installed:
            here = ", ".join(sorted(installed - _UNASKED)) or "nothing"
            raise TrainingError(f"report_to: {name} is not installed; of what the Trainer can report to, {here} is")


def reporting(names: Sequence[str], *, folder: Path, run: str, resumed: int) -> Reporting:
    """What the Trainer is given so that a stage reports to these, by the names that the Trainer has for them.

    folder: of the stage's result, in which TensorBoard's files stay, in `tensorboard`. run: what the stage is called
    where runs have names. resumed: the step that the stage goes on from; TensorBoard drops what it was told of later
    ones. Raises TrainingError as `check_reporting` does.
    """
    check_reporting(names)
    # TensorBoard's callback of the Trainer's own choosing would write into the work folder, which is removed.
    own = tuple(Board(folder / BOARD, resumed=resumed) for name in names if name == BOARD)
    others = [name for name in dict.fromkeys(names) if name != BOARD]
    return Reporting(arguments={"report_to": others or "none", "run_name": run}, callbacks=own[:1])


class Board(TensorBoardCallback):
    """The Trainer's TensorBoard callback with a folder of its own, from the first step to the last."""

    def __init__(self, folder: Path, *, resumed: int) -> None:
        parent: Any = super()
        parent.__init__()
        self.logging_dir = str(folder)
        self.resumed = resumed
        self._ended = False

    def _init_summary_writer(self, args: TrainingArguments) -> None:
        if not self._ended:
            after = self.resumed + 1 if self.resumed else None
            self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=after)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the file: the Trainer's would open another one for what is measured after the last step."""
        parent: Any = super()
        parent.on_train_end(args, state, control, **kwargs)
        self._ended = True


def _found(logged: Mapping[str, Any]) -> dict[str, float | str]:
    """What of it is written: of several training sets each one's accuracy too, by its place (`_0`, …)."""
    found = {ours: _number(logged[theirs], 1) for theirs, ours in _NAMES.items() if theirs in logged}
    found |= {ours: _number(logged[theirs], 100) for theirs, ours in _POINTS.items() if theirs in logged}
    parts = [name for name in logged if name.removeprefix("eval_accuracy_").isdecimal()]
    if len(parts) > 1:
        found |= {name.replace("eval", "development", 1): _number(logged[name], 100) for name in parts}
    return found


def _number(value: float, factor: float) -> float | str:
    """A number, or the name of what is none: JSON has no word for it."""
    number = float(value) * factor
    return number if math.isfinite(number) else str(number)


def _text(line: Mapping[str, Any]) -> str:
    return f"{json.dumps(line, allow_nan=False)}\n"


def _identity(line: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in line.items() if name != "seconds"}, sort_keys=True)
