"""Items become sequences of tokens, and sequences become padded tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import torch
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """The sequences of some items, in the order of the items and of their candidates.

    input_ids: one list of token ids a sequence. type_ids: likewise, or None where the model has no such input.
    counts: sequences of each item (1 for NLI and for texts, the number of choices for multiple choice).
    truncated: how many sequences lost tokens.
    """

    input_ids: list[list[int]]
    type_ids: list[list[int]] | None
    counts: list[int]
    truncated: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sequence."""
        return [len(ids) for ids in self.input_ids]


def encode(items: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Sequences:
    """Encode each (text, candidate) pair of ITEMS as one sequence with the tokenizer's own pair template.

    Items without candidates, which are unlabelled texts, become one sequence each.

    max_length: tokens, specials included; a longer pair loses tokens from the end of its longer side.
    """
    pairs = items.select("text", "candidates").explode("candidates")
    # Unlabelled texts have no candidates, and are sequences of their own.
    alone = not items["candidates"].list.len().sum()
    encoded = tokenizer(
        items["text"].to_list() if alone else pairs["text"].to_list(),
        None if alone else pairs["candidates"].to_list(),
        truncation="longest_first",
        max_length=max_length,
        return_attention_mask=False,
        return_overflowing_tokens=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    full = [len(entry) for entry in ids]
    return Sequences(
        input_ids=ids,
        type_ids=encoded["token_type_ids"] if "token_type_ids" in tokenizer.model_input_names else None,
        counts=items["candidates"].list.len().clip(lower_bound=1).to_list(),
        truncated=sum(length >= max_length for length in full),
    )


def padded(sequences: Sequence[Sequence[int]], *, value: int) -> torch.Tensor:
    """(sequences, longest) int64, filled up on the right."""
    longest = max(len(sequence) for sequence in sequences)
    return torch.tensor([[*sequence, *([value] * (longest - len(sequence)))] for sequence in sequences])


def model_inputs(chosen: Sequence[int], sequences: Sequences, *, pad_id: int) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask and, where there are any, token_type_ids of the chosen sequences: (chosen, longest)."""
    ids = [sequences.input_ids[index] for index in chosen]
    inputs = {
        "input_ids": padded(ids, value=pad_id),
        "attention_mask": padded([[1] * len(entry) for entry in ids], value=0),
    }
    if sequences.type_ids is not None:
        inputs["token_type_ids"] = padded([sequences.type_ids[index] for index in chosen], value=0)
    return inputs
