"""The evaluator: one set of weights, one task, one language, to a BLOCK. It does not know that it is cached."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.batching import length_sorted
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.frames import BLOCK, conform
from xfer_bench.models.encoding import Sequences, encode, model_inputs
from xfer_bench.models.heads import Headed, with_its_head
from xfer_bench.models.labels import output_order
from xfer_bench.models.precision import Precision, autocast, best_device
from xfer_bench.tasks.task import Split, Task


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A loaded checkpoint that scores items.

    batch_tokens: tokens of a batch, padding included; decides the speed and the memory, not the result.
    """

    checkpoint: Scorable
    headed: Headed
    device: torch.device
    precision: Precision
    batch_tokens: int

    @classmethod
    def load(cls, checkpoint: Scorable, *, precision: Precision, batch_tokens: int) -> "Scorer":
        """Load a checkpoint with its head onto the best device. Raises CheckpointError."""
        if checkpoint.head is None:
            raise CheckpointError(f"{checkpoint.name}: {checkpoint.reason}")
        headed = with_its_head(checkpoint.path, checkpoint.head)
        device = best_device()
        torch.nn.Module.to(headed.model, device).eval()
        return cls(checkpoint=checkpoint, headed=headed, device=device, precision=precision, batch_tokens=batch_tokens)

    def block(
        self, items: pl.DataFrame, *, task: Task, split: Split, weights: str, advance: Callable[[int], None]
    ) -> pl.DataFrame:
        """Score ITEMS of one language: a BLOCK, in the order of the items.

        weights: digest of the weights, which the block carries. advance: told the number of sequences done.
        Ties go to the first class or choice. Raises CheckpointError on a score that is not a finite number.
        """
        sequences = encode(items, self.headed.tokenizer, max_length=self.headed.longest)
        logits = self._logits(sequences, task, advance)
        scores = _by_item(logits, sequences.counts, task)
        if not all(np.isfinite(entry).all() for entry in scores):
            raise CheckpointError(f"{self.checkpoint.name}: scores on {task.name} that are not finite numbers")
        block = items.select("language", "item", "cluster", "label").with_columns(
            weights=pl.lit(weights),
            task=pl.lit(task.name),
            variant=pl.lit(task.variant),
            split=pl.lit(split),
            prediction=pl.Series([int(entry.argmax()) for entry in scores], dtype=pl.Int32),
            scores=pl.Series([entry.tolist() for entry in scores], dtype=pl.List(pl.Float32)),
        )
        return conform(block, BLOCK)

    @torch.inference_mode()
    def _logits(self, sequences: Sequences, task: Task, advance: Callable[[int], None]) -> NDArray[np.float32]:
        """(sequences, outputs): one output a class in canonical order, or one a choice."""
        order = self._order(task)
        result = np.empty((len(sequences.input_ids), len(order)), dtype=np.float32)
        pad_id = self.headed.pad_id
        for batch in length_sorted(sequences.lengths, budget=self.batch_tokens):
            inputs = {
                name: tensor.to(self.device) for name, tensor in model_inputs(batch, sequences, pad_id=pad_id).items()
            }
            if task.format.head == "multiple_choice":
                # Each choice alone: its score does not depend on the others, and lengths can be sorted freely.
                inputs = {name: tensor[:, None, :] for name, tensor in inputs.items()}
            with autocast(self.precision, self.device):
                logits = self.headed.model(**inputs).logits
            result[batch] = logits.float().cpu().numpy()[:, order]
            advance(len(batch))
        return result

    def _order(self, task: Task) -> list[int]:
        if not task.format.labels:
            return [0]
        return list(output_order(self.checkpoint.id2label, task.format.labels, name=self.checkpoint.name))


def _by_item(logits: NDArray[np.float32], counts: list[int], task: Task) -> list[NDArray[np.float32]]:
    if task.format.labels:
        return list(logits)
    return np.split(logits[:, 0], np.cumsum(counts)[:-1])
