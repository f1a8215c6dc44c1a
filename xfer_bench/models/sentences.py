"""One vector a text from a pretrained encoder: the mean over its tokens, of length one: products are cosines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xfer_bench.models.loading import checked_config, load, loading, longest, tokenizer_of
from xfer_bench.progress import Progress, Update, silent

# What E5 models were trained with before texts that are compared with each other.
# Source: the card of intfloat/multilingual-e5-small; Wang et al. 2024, https://arxiv.org/abs/2402.05672
PREFIX = "query: "
_TOKENS = 4096  # of one batch


def sentence_vectors(
    folder: Path, texts: Sequence[str], *, prefix: str = PREFIX, progress: Progress = silent
) -> NDArray[np.float32]:
    """(texts, width): each text's mean over its tokens' last hidden states, specials included, of length one.

    folder: an encoder with its tokenizer. prefix: put before every text; longer texts are cut at what the encoder
    takes. In float32 on the CPU; texts of like length share a batch. Raises CheckpointError for an encoder that cannot
    be used.
    """
    config = checked_config(folder)
    if not texts:
        return np.zeros((0, config.hidden_size), np.float32)
    with loading(folder):
        model = load(folder, "none", config=config).model.eval()
    tokenizer = tokenizer_of(folder)
    limit = longest(config, tokenizer)
    encoded: list[list[int]] = tokenizer(
        [prefix + text for text in texts], truncation=True, max_length=limit, return_attention_mask=False
    )["input_ids"]
    vectors = np.zeros((len(texts), config.hidden_size), np.float32)
    done = 0
    for batch in _batches(encoded):
        ids, mask = _padded([encoded[place] for place in batch], pad=_pad(tokenizer))
        with torch.inference_mode():
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        vectors[batch] = torch.nn.functional.normalize(mean, dim=1).numpy()
        done += len(batch)
        progress(Update(whole="vectors", finished=done, pieces=len(texts)))
    return vectors


def _batches(encoded: Sequence[Sequence[int]]) -> list[list[int]]:
    batches: list[list[int]] = []
    for place in sorted(range(len(encoded)), key=lambda place: -len(encoded[place])):
        if batches and len(encoded[batches[-1][0]]) * (len(batches[-1]) + 1) <= _TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _padded(sequences: Sequence[Sequence[int]], *, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask: (sequences, longest)."""
    width = max(len(sequence) for sequence in sequences)
    ids = torch.tensor([[*sequence, *([pad] * (width - len(sequence)))] for sequence in sequences])
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return ids, (torch.arange(width)[None, :] < lengths[:, None]).long()


def _pad(tokenizer: Any) -> int:
    return int(tokenizer.pad_token_id)
