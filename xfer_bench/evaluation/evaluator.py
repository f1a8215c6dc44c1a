"""The evaluator proper: sequences of tokens and one set of weights, to scores. It knows no tasks, rows or caches."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.evaluation.loading import load_scorable
from xfer_bench.models.precision import Precision
from xfer_bench.models.ragged import Batch, Forward, forward_of

Scores = NDArray[np.float32]

# What torch raises on a model or an input that it cannot compute.
_UNSUITED = (RuntimeError, MemoryError, LookupError, ValueError)
# How oneDNN words it; one that once found no memory to compile a kernel may refuse every later one of its process.
_NO_KERNEL = "could not create a primitive"
# How allocators word it: torch's on a CPU and on CUDA, C++'s, cuBLAS's, and oneDNN's.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "alloc_failed", _NO_KERNEL)


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """A batch as plain arrays: what goes to another process.

    ids: (tokens,) all sequences one after another. lengths: (sequences,). types: (tokens,) or None.
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    types: NDArray[np.uint8] | None


@dataclass(kw_only=True)
class Scorer:
    """A loaded checkpoint on one device.

    largest: tokens of the largest batch that is sent through at once; it shrinks when the memory does not suffice.
    """

    name: str
    forward: Forward
    device: torch.device
    largest: int = field(default=1 << 62)

    @classmethod
    def load(cls, checkpoint: Scorable, *, precision: Precision, device: torch.device) -> "Scorer":
        """Load a checkpoint with its head onto the device. Raises CheckpointError."""
        headed = load_scorable(checkpoint)
        try:
            torch.nn.Module.to(headed.model, device).eval()
            forward = forward_of(headed.model, precision=precision, device=device, pad_id=headed.pad_id)
        except _UNSUITED as error:
            raise _refusal(checkpoint.name, error, "its weights", device) from None
        return cls(name=checkpoint.name, forward=forward, device=device)

    def scores(self, batches: Sequence[Piece]) -> Scores:
        """(sequences, outputs) float32, in the order of the batches: one row a sequence.

        They stay on the device until the last batch is through. Raises CheckpointError on a score that is not a
        finite number, when the memory does not suffice for a single sequence, and for whatever else torch refuses,
        such as a token that the embeddings do not have.
        """
        try:
            with torch.inference_mode():
                parts = [part for batch in batches for part in self._through(batch)]
                scores: Scores = torch.cat(parts).float().cpu().numpy()
        except _UNSUITED as error:
            raise _refusal(self.name, error, "the scores", self.device) from None
        if not np.isfinite(scores).all():
            raise CheckpointError(f"{self.name}: its scores are not finite numbers (NaN or infinite)")
        return scores

    def _through(self, piece: Piece) -> list[torch.Tensor]:
        if len(piece.ids) > self.largest and len(piece.lengths) > 1:
            return [part for half in halves(piece) for part in self._through(half)]
        try:
            return [self.forward(self._batch(piece))]
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(piece.lengths) == 1:
                what = f"one sequence of {len(piece.ids)} tokens"
                raise _refusal(self.name, error, what, self.device) from None
        # Outside the except block, whose error would keep the tensors of the failed attempt alive.
        self.largest = max(1, len(piece.ids) // 2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return [part for half in halves(piece) for part in self._through(half)]

    def _batch(self, piece: Piece) -> Batch:
        types = None if piece.types is None else torch.from_numpy(piece.types.astype(np.int64)).to(self.device)
        return Batch(
            ids=torch.from_numpy(piece.ids.astype(np.int64)).to(self.device, non_blocking=True),
            lengths=tuple(piece.lengths.tolist()),
            type_ids=types,
        )


def halves(piece: Piece) -> tuple[Piece, Piece]:
    """The first and the second half of a batch's sequences, of which there are at least two."""
    middle = len(piece.lengths) // 2
    cut = int(piece.lengths[:middle].sum())
    types = piece.types
    return (
        Piece(ids=piece.ids[:cut], lengths=piece.lengths[:middle], types=None if types is None else types[:cut]),
        Piece(ids=piece.ids[cut:], lengths=piece.lengths[middle:], types=None if types is None else types[cut:]),
    )


def devices_of(wanted: str) -> list[str]:
    """Where to score: `auto` for every GPU, else the CPU; `cpu`, `cuda`, `cuda:1`, or several with commas.

    Raises CheckpointError for a device that is not here.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return [f"cuda:{index}" for index in range(gpus)] or ["cpu"]
    known = {"cpu", "cuda", *(f"cuda:{index}" for index in range(gpus))} if gpus else {"cpu"}
    chosen = wanted.split(",")
    for name in chosen:
        if name not in known:
            raise CheckpointError(f"no device {name!r} here; there are auto, {', '.join(sorted(known))}")
    return chosen


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in _NO_MEMORY)


def _refusal(name: str, error: BaseException, what: str, device: torch.device) -> CheckpointError:
    if _is_out_of_memory(error):
        hint = "; run it again with a smaller --batch-tokens" if _NO_KERNEL in str(error) else ""
        return CheckpointError(f"{name}: the memory of {device} does not suffice for {what}{hint}")
    line = next((one.strip() for one in str(error).splitlines() if one.strip()), type(error).__name__)
    return CheckpointError(f"{name}: cannot be scored on {device}: {line}")
