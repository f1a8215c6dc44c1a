"""The log is what the Trainer saw, once and up to the last step, however often the stage was killed."""

# ruff: noqa: ARG002 - the signatures are the Trainer's

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import EvalPrediction

from tests.toy import tiny_checkpoint
from xfer_bench.errors import TrainingError
from xfer_bench.models.heads import quiet
from xfer_bench.training.logs import BOARD, LOG, Logbook, check_reporting, deliver_log, read_log, reporting

STEPS, EVERY, SAVED = 8, 2, 4


class Stop(Exception):  # noqa: N818
    """Stands for a kill."""


class StopAt(TrainerCallback):
    """Ends the training after this step, before its state is saved."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise Stop


class Rows(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return STEPS * 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= len(self):
            raise IndexError
        return {"input_ids": [0, 5 + index % 7, 2], "attention_mask": [1, 1, 1], "labels": index % 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("model") / "tiny", ["a few words to know"])


def accuracy(found: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float(np.mean(np.argmax(found.predictions, axis=-1) == found.label_ids))}


def trainer(model: Path, work: Path, *callbacks: TrainerCallback, **arguments: Any) -> Trainer:
    torch.manual_seed(0)
    with quiet():
        made = Trainer(
            model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=3, use_safetensors=True),
            args=TrainingArguments(
                **{
                    "output_dir": str(work),
                    "per_device_train_batch_size": 4,
                    "max_steps": STEPS,
                    "learning_rate": 1e-3,
                    "logging_steps": EVERY,
                    "eval_strategy": "steps",
                    "eval_steps": SAVED,
                    "save_steps": SAVED,
                    "report_to": "none",
                    "disable_tqdm": True,
                    "use_cpu": True,
                    "dataloader_pin_memory": False,
                    **arguments,
                }
            ),
            train_dataset=Rows(),
            eval_dataset=Rows(),
            compute_metrics=accuracy,
            callbacks=[*callbacks],
        )
    made.remove_callback(PrinterCallback)
    return made


def logbook(work: Path) -> Logbook:
    return Logbook(work / LOG, seconds=iter(range(1000)).__next__)


def without_seconds(file: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(file)]


def test_a_line_says_what_the_trainer_logged(model: Path, tmp_path: Path) -> None:
    made = trainer(model, tmp_path, logbook(tmp_path))
    made.train()
    history = made.state.log_history
    trained = [one for one in history if "loss" in one]
    assert without_seconds(tmp_path / LOG) == [
        line
        for one in history
        if "loss" in one or "eval_accuracy" in one
        for line in [
            {
                "step": one["step"],
                "loss": one["loss"],
                "learning_rate": one["learning_rate"],
                "gradient_norm": one["grad_norm"],
            }
            if "loss" in one
            else {"step": one["step"], "development_accuracy": 100 * one["eval_accuracy"]}
        ]
    ]
    assert [one["step"] for one in trained] == [2, 4, 6, 8]
    seconds = [line["seconds"] for line in read_log(tmp_path / LOG)]
    assert seconds == sorted(seconds)
    assert (tmp_path / LOG).read_text().count("\n") == len(seconds) == 6


@pytest.mark.parametrize("kills", [(2,), (6,), (8,), (6, 8), (2, 6)])
def test_a_killed_stage_has_the_log_of_one_that_was_not(model: Path, tmp_path: Path, kills: tuple[int, ...]) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    trainer(model, whole, logbook(whole)).train()
    for step in kills:
        # The log comes first, so that it has the line after which the stage was killed.
        made = trainer(model, killed, logbook(killed), StopAt(step))
        with pytest.raises(Stop):
            made.train(resume_from_checkpoint=newest(killed))
        assert read_log(killed / LOG)[-1]["step"] == step
        with (killed / LOG).open("a") as stream:
            stream.write('{"step": 7, "lo')
    trainer(model, killed, logbook(killed)).train(resume_from_checkpoint=newest(killed))
    assert without_seconds(killed / LOG) == without_seconds(whole / LOG)


def newest(work: Path) -> str | None:
    states = sorted(work.glob("checkpoint-*"))
    return str(states[-1]) if states else None


def test_a_stage_that_is_resumed_at_its_end_writes_nothing_twice(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        log = logbook(tmp_path)
        made = trainer(model, tmp_path, log)
        made.train(resume_from_checkpoint=newest(tmp_path))
        log.note(STEPS, {"eval_accuracy": 0.25, "eval_majority": 0.5, "eval_loss": 1.0})
    lines = without_seconds(tmp_path / LOG)
    assert lines[-1] == {"step": STEPS, "development_accuracy": 25.0, "development_majority": 50.0}
    assert len(lines) == 7


def test_what_is_measured_after_the_end_is_no_step_s(model: Path, tmp_path: Path) -> None:
    made = trainer(model, tmp_path, logbook(tmp_path))
    made.train()
    before = (tmp_path / LOG).read_bytes()
    assert isinstance(made.model, torch.nn.Module)
    with torch.no_grad():
        for weights in made.model.parameters():
            weights.zero_()
    made.evaluate()
    assert (tmp_path / LOG).read_bytes() == before


def test_a_loss_that_is_no_number_is_written_and_is_json(tmp_path: Path) -> None:
    log = logbook(tmp_path)
    arguments, control = TrainingArguments(report_to="none"), TrainerControl()
    state = TrainerState()
    log.on_train_begin(arguments, state, control)
    state.global_step = 10
    log.on_log(arguments, state, control, {"loss": float("nan"), "grad_norm": float("inf"), "learning_rate": 1e-3})
    (line,) = [json.loads(line, parse_constant=refuse) for line in (tmp_path / LOG).read_text().splitlines()]
    assert line == {"step": 10, "seconds": 0, "loss": "nan", "learning_rate": 1e-3, "gradient_norm": "inf"}


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_each_of_several_training_sets_has_its_accuracy(tmp_path: Path) -> None:
    log = logbook(tmp_path)
    arguments, state, control = TrainingArguments(report_to="none"), TrainerState(), TrainerControl()
    log.on_train_begin(arguments, state, control)
    one = {"eval_accuracy_0": 0.5, "eval_accuracy": 0.5}
    log.on_log(arguments, state, control, one)
    log.on_log(arguments, state, control, {**one, "eval_accuracy_1": 0.25, "eval_accuracy": 0.375})
    assert without_seconds(tmp_path / LOG) == [
        {"step": 0, "development_accuracy": 50.0},
        {
            "step": 0,
            "development_accuracy": 37.5,
            "development_accuracy_0": 50.0,
            "development_accuracy_1": 25.0,
        },
    ]


def test_only_the_first_process_writes(tmp_path: Path) -> None:
    log = logbook(tmp_path)
    arguments, control = TrainingArguments(report_to="none"), TrainerControl()
    state = TrainerState(is_world_process_zero=False)
    log.on_train_begin(arguments, state, control)
    log.on_log(arguments, state, control, {"loss": 1.0})
    log.on_save(arguments, state, control)
    log.note(3, {"eval_accuracy": 1.0})
    assert not (tmp_path / LOG).exists()


@pytest.mark.parametrize("content", ["no json\n", "[1]\n", '{"loss": 1}\n', '{"step": "4"}\n'])
def test_a_file_that_is_no_log_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / LOG).write_text(content)
    with pytest.raises(TrainingError, match="is no log") as caught:
        read_log(tmp_path / LOG)
    assert "\n" not in str(caught.value)


def test_the_log_goes_with_the_result_and_stays_until_that_is_in_its_place(tmp_path: Path) -> None:
    finished = tmp_path / "finished"
    finished.mkdir()
    deliver_log(tmp_path, finished)
    assert not any(finished.iterdir())
    (tmp_path / LOG).write_text('{"step": 1}\n')
    for _ in range(2):
        deliver_log(tmp_path, finished)
    assert read_log(finished / LOG) == read_log(tmp_path / LOG) == [{"step": 1}]


def test_nothing_is_reported_where_nothing_is_named(tmp_path: Path) -> None:
    asked = reporting((), folder=tmp_path, run="a stage", resumed=0)
    assert asked.callbacks == ()
    assert TrainingArguments(**asked.arguments).report_to == []


def test_a_name_that_the_trainer_does_not_know_is_one_line() -> None:
    with pytest.raises(TrainingError, match=r"cannot report to 'tensorbord'; choose from .*tensorboard, .*wandb$"):
        check_reporting(["tensorbord"])
    for name in ("all", "none", ""):
        with pytest.raises(TrainingError, match=f"cannot report to {name!r}"):
            check_reporting([name])


def test_a_package_that_is_not_there_is_one_line() -> None:
    # Nobody installs all of them.
    with pytest.raises(TrainingError, match=r"report_to: \w+ is not installed; of what the Trainer can report to"):
        check_reporting(["comet_ml", "clearml", "swanlab", "dvclive"])


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator: Any = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return {name: [(one.step, one.value) for one in found.Scalars(name)] for name in found.Tags()["scalars"]}


@pytest.fixture
def boarded(model: Path, tmp_path: Path) -> Callable[..., Trainer]:
    pytest.importorskip("tensorboard")

    def made(*callbacks: TrainerCallback, resumed: int) -> Trainer:
        asked = reporting((BOARD,), folder=tmp_path / "finished", run="a stage", resumed=resumed)
        work = tmp_path / "work"
        return trainer(model, work, logbook(work), *callbacks, *asked.callbacks, **asked.arguments)

    return made


def test_tensorboard_has_what_the_log_has(boarded: Callable[..., Trainer], tmp_path: Path) -> None:
    made = boarded(resumed=0)
    made.train()
    # Opens no second file, and leaves nothing in the work folder or where the program was started.
    made.evaluate()
    assert len(list((tmp_path / "finished" / BOARD).iterdir())) == 1
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["checkpoint-4", "checkpoint-8", LOG]
    there, lines = scalars(tmp_path / "finished" / BOARD), read_log(tmp_path / "work" / LOG)
    for ours, theirs in {"loss": "train/loss", "gradient_norm": "train/grad_norm"}.items():
        wanted = [line for line in lines if ours in line]
        assert [step for step, _ in there[theirs]] == [line["step"] for line in wanted]
        assert [value for _, value in there[theirs]] == pytest.approx([line[ours] for line in wanted])
    assert [step for step, _ in there["eval/accuracy"]] == [4, 8]


def test_tensorboard_drops_what_a_killed_stage_told_it(boarded: Callable[..., Trainer], tmp_path: Path) -> None:
    killed = boarded(StopAt(6), resumed=0)
    with pytest.raises(Stop):
        killed.train()
    # What a kill does for it.
    for callback in killed.callback_handler.callbacks:
        if hasattr(callback, "tb_writer"):
            callback.tb_writer.close()
    boarded(resumed=4).train(resume_from_checkpoint=newest(tmp_path / "work"))
    there = scalars(tmp_path / "finished" / BOARD)
    assert [step for step, _ in there["train/loss"]] == [2, 4, 6, 8]
