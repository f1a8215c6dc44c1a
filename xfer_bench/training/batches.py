"""Training batches: an order fixed in advance, and the tensors of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from xfer_bench.models.encoding import Sequences, model_inputs
from xfer_bench.tasks.task import Format

_WINDOW = 50  # batches among which items of like length are put together


def fixed_order(lengths: Sequence[int], *, epochs: float, batch_size: int, steps: int, seed: int) -> list[int]:
    """Which item is seen when, over all epochs, decided before the first step.

    lengths: tokens of each item. The result holds at most `steps` batches of `batch_size` positions in `lengths`.

    Every epoch is a new shuffle in which items of like length share a batch, within windows of 50 batches, and the
    batches come in random order. Because the whole order is a function of the seed, an interrupted stage goes on
    with exactly the items that an uninterrupted one would see.
    """
    rng = np.random.default_rng(seed)
    size = np.asarray(lengths)
    seen: list[int] = []
    for _ in range(int(np.ceil(epochs))):
        shuffled = rng.permutation(len(size))
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(shuffled), _WINDOW * batch_size):
            window = shuffled[start : start + _WINDOW * batch_size]
            alike = window[np.argsort(-size[window], kind="stable")]
            batches += [alike[first : first + batch_size] for first in range(0, len(alike), batch_size)]
        whole = [batch for batch in batches if len(batch) == batch_size]
        rest = [batch for batch in batches if len(batch) < batch_size]
        for position in rng.permutation(len(whole)):
            seen += whole[position].tolist()
        # The incomplete batch goes last, so that the others stay together.
        seen += [item for batch in rest for item in batch.tolist()]
    wanted = min(max(1, round(len(size) * epochs)), steps * batch_size)
    return seen[:wanted]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Makes the tensors of a batch from positions of items: the collate function of a data loader.

    For multiple choice, items with fewer choices than the largest of the batch are filled up with one-token
    sequences; `choices` (batch, most choices) is False there, and the loss and the answer leave them out.
    """

    sequences: Sequences
    labels: Sequence[int]
    task_format: Format
    pad_id: int

    def __call__(self, items: Sequence[int]) -> dict[str, torch.Tensor]:
        """input_ids and attention_mask (batch, [choices,] longest), labels (batch,), [choices (batch, most)]."""
        labels = torch.tensor([self.labels[item] for item in items])
        if self.task_format.head == "sequence_classification":
            return {**model_inputs(items, self.sequences, pad_id=self.pad_id), "labels": labels}
        starts = self._starts
        most = max(self.sequences.counts[item] for item in items)
        chosen = [
            starts[item] + min(choice, self.sequences.counts[item] - 1) for item in items for choice in range(most)
        ]
        real = torch.tensor([[choice < self.sequences.counts[item] for choice in range(most)] for item in items])
        inputs = model_inputs(chosen, self.sequences, pad_id=self.pad_id)
        shaped = {name: tensor.view(len(items), most, -1) for name, tensor in inputs.items()}
        # A filler keeps its first token: attention over no token at all is not a number.
        shaped["attention_mask"][..., 1:] *= real[..., None]
        return {**shaped, "labels": labels, "choices": real}

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(self.sequences.counts)]

    @property
    def item_lengths(self) -> list[int]:
        """Tokens of each item, all its sequences together."""
        lengths = self.sequences.lengths
        return [sum(lengths[start:end]) for start, end in pairwise(self._starts)]
