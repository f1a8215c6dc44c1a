"""Batches that do not fit into memory: recognised, divided, and repeated as if nothing had happened."""

import gc
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

# What accelerate does not know of: Windows' words, and a product whose workspace found no room.
_SAID = ("not enough memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no memory left for what was asked."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        should_reduce_batch_size(error) or any(words in str(error) for words in _SAID)
    )


def passes(inputs: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """A batch in parts of at most `size` items, in order, each without the columns that only pad it.

    inputs: tensors whose first dimension are the items, with an `attention_mask` (items, [choices,] tokens), filled
    up on the right; what is no tensor goes with every part.
    """
    mask = inputs["attention_mask"]
    if size >= len(mask):  # the longest sets the width already, and asking a GPU for it would wait for the GPU
        yield dict(inputs)
        return
    for start in range(0, len(mask), size):
        tensors = {name: value[start : start + size] for name, value in inputs.items() if torch.is_tensor(value)}
        width = int(tensors["attention_mask"].sum(-1).max())
        yield dict(inputs) | {
            name: tensor[..., :width] if tensor.shape[1:] == mask.shape[1:] else tensor
            for name, tensor in tensors.items()
        }


class Division:
    """How many items go through the model at once, as far as it was found out. It changes as training goes on.

    adapts: whether it may be halved; else the number is the user's.
    """

    def __init__(self, per_pass: int, *, adapts: bool) -> None:
        self.per_pass = per_pass
        self.adapts = adapts

    def halve(self) -> bool:
        """Half as many from now on, and whatever the failed pass left in memory freed; False where that is no way."""
        if not self.adapts or self.per_pass == 1:
            return False
        self.per_pass //= 2
        gc.collect()
        clear_device_cache()
        return True


class RandomState:
    """Where the generators stand that a forward pass draws from (dropout): the CPU's and every accelerator's."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._others = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore(self) -> None:
        """Put them back to where they stood."""
        torch.set_rng_state(self._cpu)
        if self._others:
            torch.cuda.set_rng_state_all(self._others)
