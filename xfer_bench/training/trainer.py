"""The Hugging Face Trainer with our batches: divided to fit into memory, measured, and stopped as ours are."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer
from transformers.trainer_utils import EvalPrediction

from xfer_bench.errors import OutOfMemoryError, TrainingError
from xfer_bench.models.multitask import GUESSED
from xfer_bench.training.batches import Mixture
from xfer_bench.training.checkpoints import sealed
from xfer_bench.training.memory import Division, RandomState, is_out_of_memory, passes
from xfer_bench.training.objective import loss_of


class Positions(Dataset[tuple[int, int]]):
    """When an item is seen, and which one it is, in that order; the collate function makes tensors of them."""

    def __init__(self, order: list[int]) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, self.order[index]


class StageTrainer(Trainer):
    """A Trainer that divides a batch to fit into memory and evaluates with its own batches.

    The data loader gives the whole batch of a device; `division` says how many of its items go through the model at
    once. Choices that only fill up a batch are left out of the loss. label: how errors call the stage.
    development: of the labelled parts, with the items of each one after the other.
    """

    smoothing = 0.0

    def __init__(
        self, *, development: Mixture, division: Division, smoothing: float, label: str, **arguments: Any
    ) -> None:
        super().__init__(compute_metrics=_accuracy, preprocess_logits_for_metrics=_answers, **arguments)
        self.remove_callback(PrinterCallback)
        self.development = development
        self.division = division
        self.smoothing = smoothing
        self.label = label
        # The loss is a mean over the batch, whose items need not be counted across processes.
        self.model_accepts_loss_kwargs = False

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Like Trainer's, with the development items' tensors."""
        training_batches, self.data_collator = self.data_collator, self.development
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = training_batches

    def evaluate(self, *_arguments: Any, **_named: Any) -> dict[str, float]:
        """Accuracy on the development items: of each part (`eval_accuracy_0`, …), and their mean as `eval_accuracy`.

        Nothing is drawn from the generators that training goes on with. `eval_majority`: the share of the commonest
        answer, in the part where it is largest.
        """
        before = RandomState()
        found: dict[str, float] = {}
        try:
            for place, items in enumerate(self._development_items()):
                loader = self.get_eval_dataloader(Positions(items))
                measured = (
                    self.evaluation_loop(loader, description="Evaluation", metric_key_prefix="eval").metrics or {}
                )
                found |= {f"{name}_{place}": measured[name] for name in ("eval_accuracy", "eval_majority")}
        finally:
            before.restore()
        count = len(self.development.parts)
        found["eval_accuracy"] = sum(found[f"eval_accuracy_{place}"] for place in range(count)) / count
        found["eval_majority"] = max(found[f"eval_majority_{place}"] for place in range(count))
        self.log(found)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def _development_items(self) -> list[list[int]]:
        """By part, the longest first, so that items of like length share a batch."""
        return [
            [start + int(item) for item in np.argsort(-np.asarray(lengths), kind="stable")]
            for start, lengths in zip(self.development.starts, self.development.lengths, strict=True)
        ]

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean cross-entropy over the classes, the item's own choices, or the vocabulary at the guessed tokens."""
        choices, labels = inputs.get("choices"), inputs["labels"]
        features = {name: value for name, value in inputs.items() if name not in {"labels", "choices"}}
        logits = model(**features).float()
        if GUESSED in inputs:
            loss = functional.cross_entropy(logits, labels[inputs[GUESSED]])
            return (loss, {"logits": logits}) if return_outputs else loss
        if choices is not None:
            logits = logits.masked_fill(~choices, torch.finfo(logits.dtype).min)
        loss = loss_of(logits, labels, choices=choices, smoothing=self.smoothing)
        return (loss, {"logits": logits}) if return_outputs else loss

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """The gradient of the whole batch, in as many passes as memory asks for.

        A pass that does not fit undoes the batch's gradient and random draws, and the batch begins anew in smaller
        ones. With several processes all of them agree on that before any gradient is exchanged.
        """
        model.train()
        batch = self._prepare_inputs(inputs)
        while True:
            before = RandomState()
            loss = self._tried(model, batch)
            if loss is not None:
                return loss
            model.zero_grad()
            before.restore()
            if not self.division.halve():
                raise OutOfMemoryError(self._too_large(batch))

    def _tried(self, model: Any, batch: dict[str, Any]) -> torch.Tensor | None:
        """The loss of the batch, its gradient being added up; None where memory did not suffice, on any device."""
        agreeing = self.division.adapts and distributed.is_initialized()
        loss: torch.Tensor | None = None
        try:
            # While they agree the processes exchange nothing else, so the model goes without its wrapper, which would
            # expect as many passes of each of them.
            loss = self._accumulated(self.model if agreeing else model, batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or (distributed.is_initialized() and not agreeing):
                raise
        # Outside the except clause, which holds on to the tensors of the failed pass.
        if agreeing:
            failed = torch.tensor(float(loss is None), device=self.args.device)
            distributed.all_reduce(failed, op=distributed.ReduceOp.MAX)
            if failed:
                return None
            _exchange_gradients(model)
        return loss

    def _accumulated(self, model: Any, batch: dict[str, Any]) -> torch.Tensor:
        parts = list(passes(batch, self.division.per_pass * max(1, self.args.n_gpu)))
        # What each pass's mean is a mean of; with one pass it need not be counted.
        counts = [_answered(part) for part in parts] if len(parts) > 1 else [1]
        total = torch.zeros((), device=self.args.device)
        for place, part in enumerate(parts):
            # The wrapper of several processes exchanges gradients once, after the last pass.
            with nullcontext() if place == len(parts) - 1 else self.accelerator.no_sync(model):
                with self.compute_loss_context_manager():
                    loss = self.compute_loss(model, part) * (counts[place] / sum(counts))
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Loss, logits and labels of a batch, in as many passes as memory asks for."""
        batch = self._prepare_inputs(inputs)
        size = len(batch["labels"])
        while True:
            try:
                with torch.no_grad(), self.compute_loss_context_manager():
                    found = [self.compute_loss(model, part, return_outputs=True)[1] for part in passes(batch, size)]
                    logits = torch.cat([one["logits"] for one in found])
                    loss = loss_of(logits, batch["labels"], choices=batch.get("choices"), smoothing=self.smoothing)
                return loss, None if prediction_loss_only else logits, batch["labels"]
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            size = (size + 1) // 2

    def _load_best_model(self) -> None:
        # Where the states are now, which is not where they were if the store was moved; and never a damaged one.
        best = Path(self.args.output_dir or "") / f"checkpoint-{self.state.best_global_step}"
        if sealed(best) is None:
            raise TrainingError(
                f"{self.label}: the best state ({best}) is damaged; remove {best.parent} to train the stage anew"
            )
        self.state.best_model_checkpoint = str(best)
        super()._load_best_model()

    def _too_large(self, batch: dict[str, Any]) -> str:
        tokens = batch["input_ids"].shape[-1]
        each = self.division.per_pass
        items, way = (
            ("1 item", "") if each == 1 else (f"{each} items", 'set micro_batch = "auto" or a smaller number, ')
        )
        return (
            f"{self.label}: out of memory at step {self.state.global_step + 1} with {items} of up to {tokens} "
            f"tokens a pass; {way}lower max_length, or train fewer weights (freeze_embeddings, freeze_layers, lora)"
        )


def _exchange_gradients(model: torch.nn.Module) -> None:
    """The mean of every process's gradient in each."""
    count = distributed.get_world_size()
    for weight in model.parameters():
        if weight.grad is not None:
            distributed.all_reduce(weight.grad)
            weight.grad /= count


def _answered(batch: dict[str, Any]) -> int:
    """How many answers a batch asks for: items, or guessed tokens."""
    return int(batch[GUESSED].sum()) if GUESSED in batch else len(batch["labels"])


def _answers(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return logits.argmax(dim=-1)


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    answers = np.asarray(prediction.predictions)
    _, counts = np.unique(answers, return_counts=True)
    return {"accuracy": float(np.mean(answers == prediction.label_ids)), "majority": float(counts.max() / len(answers))}
