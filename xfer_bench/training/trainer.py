"""The Hugging Face Trainer with our batches: divided to fit into memory, measured, and stopped as ours are."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer
from transformers.trainer_utils import EvalPrediction

from xfer_bench.errors import TrainingError
from xfer_bench.training.batches import Batches
from xfer_bench.training.checkpoints import sealed
from xfer_bench.training.memory import Division, RandomState, is_out_of_memory, passes
from xfer_bench.training.objective import loss_of


class Positions(Dataset[int]):
    """Positions of items in the order in which they are seen; the collate function makes tensors of them."""

    def __init__(self, order: list[int]) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> int:
        return self.order[index]


class StageTrainer(Trainer):
    """A Trainer that divides a batch to fit into memory and evaluates with its own batches.

    The data loader gives the whole batch of a device; `division` says how many of its items go through the model at
    once. Choices that only fill up a batch are left out of the loss. label: how errors call the stage.
    """

    smoothing = 0.0

    def __init__(
        self, *, development_batches: Batches, division: Division, smoothing: float, label: str, **arguments: Any
    ) -> None:
        super().__init__(compute_metrics=_accuracy, preprocess_logits_for_metrics=_answers, **arguments)
        self.remove_callback(PrinterCallback)
        self.development_batches = development_batches
        self.division = division
        self.smoothing = smoothing
        self.label = label
        # The loss is a mean over the batch, whose items need not be counted across processes.
        self.model_accepts_loss_kwargs = False

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Like Trainer's, with the development items' tensors."""
        training_batches, self.data_collator = self.data_collator, self.development_batches
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.data_collator = training_batches

    def evaluate(self, *arguments: Any, **named: Any) -> dict[str, float]:
        """Like Trainer's, without drawing from the generators that training goes on with."""
        before = RandomState()
        try:
            return super().evaluate(*arguments, **named)
        finally:
            before.restore()

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean cross-entropy over the classes or the item's own choices."""
        choices = inputs.get("choices")
        features = {name: value for name, value in inputs.items() if name not in {"labels", "choices"}}
        logits = model(**features).logits.float()
        if choices is not None:
            logits = logits.masked_fill(~choices, torch.finfo(logits.dtype).min)
        loss = loss_of(logits, inputs["labels"], choices=choices, smoothing=self.smoothing)
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
                raise TrainingError(self._too_large(batch))

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
        items = len(batch["labels"])
        parts = list(passes(batch, self.division.per_pass * max(1, self.args.n_gpu)))
        total = torch.zeros((), device=self.args.device)
        for place, part in enumerate(parts):
            # The wrapper of several processes exchanges gradients once, after the last pass.
            with nullcontext() if place == len(parts) - 1 else self.accelerator.no_sync(model):
                with self.compute_loss_context_manager():
                    loss = self.compute_loss(model, part) * (len(part["labels"]) / items)
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


def _answers(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return logits.argmax(dim=-1)


def _accuracy(prediction: EvalPrediction) -> dict[str, float]:
    answers = np.asarray(prediction.predictions)
    _, counts = np.unique(answers, return_counts=True)
    return {"accuracy": float(np.mean(answers == prediction.label_ids)), "majority": float(counts.max() / len(answers))}
