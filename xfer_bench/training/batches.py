"""From positions of items to the tensors of a batch."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from xfer_bench.models.encoding import Sequences, model_inputs
from xfer_bench.models.multitask import GUESSED
from xfer_bench.tasks.task import Format

# The entry of a batch that says which head answers it.
HEAD = "head"


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Makes the tensors of a batch of labelled items.

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


@dataclass(frozen=True, kw_only=True)
class TextBatches:
    """Makes the tensors of a batch of texts some of whose tokens are to be guessed.

    As in BERT's own preparation of its data (Devlin et al. 2019, section 3.1): of each text a share of the tokens, at
    least one, of which 80 % are replaced by the mask token, 10 % by another token, and 10 % stay.
    seed: what is hidden depends on it and on when the text is seen, so that it differs from epoch to epoch.
    """

    sequences: Sequences
    tokenizer: PreTrainedTokenizerBase
    probability: float
    pad_id: int
    seed: int

    def __call__(self, items: Sequence[int], places: Sequence[int]) -> dict[str, torch.Tensor]:
        """input_ids, attention_mask, labels and `guessed` (batch, longest). places: when each item is seen."""
        inputs = model_inputs(items, self.sequences, pad_id=self.pad_id)
        ids = inputs["input_ids"].numpy()
        shown, guessed = ids.copy(), np.zeros(ids.shape, dtype=np.bool_)
        for row, place in enumerate(places):
            rng = np.random.default_rng([self.seed, place])
            tokens = np.flatnonzero(~np.isin(ids[row], self._special))
            if not len(tokens):  # a text of unknown tokens alone: its first one is guessed
                tokens = np.array([0])
            hidden = rng.permutation(tokens)[: max(1, round(self.probability * len(tokens)))]
            guessed[row, hidden] = True
            fate = rng.random(len(hidden))
            shown[row, hidden[fate < 0.8]] = self.tokenizer.mask_token_id
            others = hidden[fate >= 0.9]
            shown[row, others] = rng.choice(self._ordinary, size=len(others))
        return {
            **inputs,
            "input_ids": torch.from_numpy(shown),
            "labels": inputs["input_ids"],
            GUESSED: torch.from_numpy(guessed),
        }

    @cached_property
    def _special(self) -> np.ndarray:
        return np.array(self.tokenizer.all_special_ids)

    @cached_property
    def _ordinary(self) -> np.ndarray:
        return np.setdiff1d(np.arange(len(self.tokenizer)), self._special)

    @property
    def item_lengths(self) -> list[int]:
        """Tokens of each text."""
        return self.sequences.lengths


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Makes the batches of a stage of several parts, each batch from one: the collate function of a data loader.

    parts: by the order of the stage's; heads: the name of each one's head. An item is called by its position in the
    items of all parts, one after the other.
    """

    parts: tuple[Batches | TextBatches, ...]
    heads: tuple[str, ...]

    def __call__(self, seen: Sequence[tuple[int, int]]) -> dict[str, torch.Tensor | str]:
        """The tensors of items, given as (when it is seen, which), and the name of the head that answers them."""
        part = self.part_of(seen[0][1])
        items = [item - self.starts[part] for _, item in seen]
        chosen = self.parts[part]
        tensors = chosen(items, [place for place, _ in seen]) if isinstance(chosen, TextBatches) else chosen(items)
        return {**tensors, HEAD: self.heads[part]}

    def part_of(self, item: int) -> int:
        """Which part an item belongs to."""
        return bisect_right(self.starts, item) - 1

    @cached_property
    def lengths(self) -> list[list[int]]:
        """Tokens of each item, by part."""
        return [part.item_lengths for part in self.parts]

    @cached_property
    def starts(self) -> list[int]:
        """Where each part's items begin."""
        return [0, *accumulate(len(part) for part in self.lengths)][:-1]
