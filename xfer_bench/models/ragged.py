"""The fast forward pass: linear layers on real tokens only, attention within runs of equal lengths, no padding.

The stock forward takes over where a model is not one of those that are known, or where the two disagree on a few
short sequences when the model is prepared.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias

import torch
from transformers import PreTrainedModel

from xfer_bench.models.precision import Precision, autocast
from xfer_bench.models.ragged_bert import bert, distilbert
from xfer_bench.models.ragged_deberta import deberta
from xfer_bench.models.ragged_lanes import Lanes
from xfer_bench.models.ragged_layout import Row, evenly_cut, longest_first, token_order
from xfer_bench.models.ragged_products import Space
from xfer_bench.models.ragged_structure import Uncovered, untouched

Path: TypeAlias = Literal["packed", "stock"]

# What preparing or trying the packed forward may raise where torch or transformers lack what it takes.
_UNABLE = (RuntimeError, AttributeError, TypeError, ValueError, IndexError, ImportError)
# Lengths that take each way through the attention, unsorted and with a run among them.
_TRIAL = (7, 21, 3, 21, 40)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Sequences one after another, in any order.

    ids: (tokens,) int64. lengths: tokens of each sequence, none 0. type_ids: (tokens,) int64, or None where there are
    none.
    """

    ids: torch.Tensor
    lengths: tuple[int, ...]
    type_ids: torch.Tensor | None


@dataclass(frozen=True, kw_only=True)
class Forward:
    """A model's forward pass. path: how it is computed. reason: why by the stock forward; empty when packed."""

    path: Path
    reason: str
    _score: Callable[[Batch], torch.Tensor] = field(repr=False)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """(sequences, outputs) float32 in the batch's order, on the model's device, which is not waited for.

        Under a multiple choice head each sequence is a choice by itself, with one output.
        """
        with torch.inference_mode():
            return self._score(batch)


class Encoder(Protocol):
    """What is under the head, on one row of tokens."""

    def __call__(self, row: Row, space: Space) -> torch.Tensor:
        """(sequences, 1, hidden) float32: the state of each sequence's first token."""


Head: TypeAlias = Callable[[Any, torch.Tensor], torch.Tensor]


def _pooled(model: Any, first: torch.Tensor) -> torch.Tensor:
    pooled: torch.Tensor = model.classifier(getattr(model, model.base_model_prefix).pooler(first))
    return pooled


def _own(model: Any, first: torch.Tensor) -> torch.Tensor:
    answer: torch.Tensor = model.classifier(first)
    return answer


def _summarised(model: Any, first: torch.Tensor) -> torch.Tensor:
    if model.sequence_summary.summary_type != "first":
        raise Uncovered(f"a summary of the kind {model.sequence_summary.summary_type!r}")
    answer: torch.Tensor = model.classifier(model.sequence_summary(first))
    return answer


def _context(model: Any, first: torch.Tensor) -> torch.Tensor:
    answer: torch.Tensor = model.classifier(model.pooler(first))
    return answer


def _rectified(model: Any, first: torch.Tensor) -> torch.Tensor:
    answer: torch.Tensor = model.classifier(torch.relu(model.pre_classifier(first[:, 0])))
    return answer


_FAMILIES: dict[str, tuple[Callable[[Any, torch.dtype], Encoder], Head, Head]] = {
    "Bert": (bert, _pooled, _pooled),
    "Roberta": (bert, _own, _pooled),
    "XLMRoberta": (bert, _own, _pooled),
    "Camembert": (bert, _own, _pooled),
    "Electra": (bert, _own, _summarised),
    "DistilBert": (distilbert, _rectified, _rectified),
    "DebertaV2": (deberta, _context, _context),
}
"""Family to its encoder, and to its heads for sequence classification and for multiple choice."""

_ENDINGS = ("ForSequenceClassification", "ForMultipleChoice")


def forward_of(model: PreTrainedModel, *, precision: Precision, device: torch.device, pad_id: int) -> Forward:
    """The fastest forward pass that is equal to the model's own.

    model: float32, with its head; it is moved to the device, and its weights may become views of shared memory. It
        still works, but its weights are not to be changed any more. pad_id: what fills up batches of the stock forward.
    """
    torch.nn.Module.to(model, device).eval()
    stock = _Stock(model=model, precision=precision, device=device, pad_id=pad_id)
    with torch.inference_mode():
        try:
            packed = _packed(model, precision, device)
            reason = _disagreement(packed, stock)
        except Uncovered as uncovered:
            reason = str(uncovered)
        except _UNABLE as error:
            reason = f"{type(error).__name__} while trying it: {str(error).splitlines()[0] if str(error) else ''}"
    if reason:
        return Forward(path="stock", reason=reason, _score=stock)
    return Forward(path="packed", reason="", _score=packed)


@dataclass(frozen=True, kw_only=True)
class _Stock:
    """transformers' own forward on sequences that are padded on the right to the longest."""

    model: PreTrainedModel
    precision: Precision
    device: torch.device
    pad_id: int

    def __call__(self, batch: Batch) -> torch.Tensor:
        mask = torch.arange(max(batch.lengths))[None] < torch.tensor(batch.lengths)[:, None]
        inputs = {"input_ids": self._padded(batch.ids, mask, self.pad_id), "attention_mask": mask.long()}
        if batch.type_ids is not None:
            inputs["token_type_ids"] = self._padded(batch.type_ids, mask, 0)
        if type(self.model).__name__.endswith("ForMultipleChoice"):
            # Each choice alone: its score does not depend on the others.
            inputs = {name: tensor[:, None, :] for name, tensor in inputs.items()}
        inputs = {name: tensor.to(self.device, non_blocking=True) for name, tensor in inputs.items()}
        with autocast(self.precision, self.device), _whole_float32(self.device):
            logits: torch.Tensor = self.model(**inputs).logits
        return logits.float()

    def _padded(self, values: torch.Tensor, mask: torch.Tensor, value: int) -> torch.Tensor:
        filled = torch.full(mask.shape, value, dtype=torch.int64)
        filled[mask] = values.cpu()
        return filled


@dataclass(frozen=True, kw_only=True)
class _Packed:
    model: PreTrainedModel
    encoder: Encoder
    head: Head
    device: torch.device
    lanes: Lanes | None
    spaces: tuple[Space, ...]

    def __call__(self, batch: Batch) -> torch.Tensor:
        order = longest_first(batch.lengths)
        lengths = [batch.lengths[index] for index in order]
        ids, type_ids = batch.ids, batch.type_ids
        if order != list(range(len(order))):
            tokens = token_order(batch.lengths, order)
            ids = ids[tokens.to(ids.device)]
            type_ids = None if type_ids is None else type_ids[tokens.to(type_ids.device)]
        ids = ids.to(self.device, non_blocking=True)
        type_ids = None if type_ids is None else type_ids.to(self.device, non_blocking=True)
        logits = self._sorted(ids, type_ids, lengths)
        back = torch.empty(len(order), dtype=torch.int64)
        back[torch.tensor(order)] = torch.arange(len(order))
        return logits[back.to(self.device, non_blocking=True)]

    def _sorted(self, ids: torch.Tensor, type_ids: torch.Tensor | None, lengths: list[int]) -> torch.Tensor:
        if self.lanes is None or not self.lanes.pays(len(ids)):
            return self._scored(0, (ids, type_ids, lengths))
        cuts = evenly_cut(lengths, self.lanes.count)
        parts = []
        for begin, end in pairwise(cuts):
            tokens = slice(sum(lengths[:begin]), sum(lengths[:end]))
            if end > begin:
                parts.append((ids[tokens], None if type_ids is None else type_ids[tokens], lengths[begin:end]))
        return torch.cat(self.lanes.map(self._scored, parts))

    def _scored(self, lane: int, part: tuple[torch.Tensor, torch.Tensor | None, list[int]]) -> torch.Tensor:
        # The mode holds for one thread, and this may be a lane's.
        with torch.inference_mode(), _whole_float32(self.device):
            row = Row.of(*part)
            return self.head(self.model, self.encoder(row, self.spaces[lane])).float()


def _packed(model: PreTrainedModel, precision: Precision, device: torch.device) -> _Packed:
    name = type(model).__name__
    ending = next((one for one in _ENDINGS if name.endswith(one)), "")
    family = name.removesuffix(ending)
    if not ending or family not in _FAMILIES or not type(model).__module__.startswith("transformers.models."):
        raise Uncovered(f"{name} is not one of the models that are known")
    untouched(model)
    prepare, *heads = _FAMILIES[family]
    encoder = prepare(model.base_model, torch.bfloat16 if precision == "bf16" else torch.float32)
    lanes = Lanes.open() if device.type == "cpu" else None
    return _Packed(
        model=model,
        encoder=encoder,
        head=heads[_ENDINGS.index(ending)],
        device=device,
        lanes=lanes,
        spaces=tuple(Space() for _ in range(lanes.count if lanes else 1)),
    )


def _disagreement(packed: _Packed, stock: _Stock) -> str:
    """What is wrong with the packed forward on a few short sequences; empty when it agrees with the stock one.

    float32: the largest difference is within 1e-4 of the largest score, hundreds of times what rounding gives and far
    below what a misplaced token does. bf16: it is no further from float32 than four times the stock forward in bf16.
    """
    config: Any = stock.model.config
    longest = getattr(config, "max_position_embeddings", None) or 512
    # RoBERTa counts positions from the padding id on.
    longest -= 1 + max(0, config.pad_token_id or 0) if "roberta" in config.model_type else 0
    lengths = tuple(max(1, min(length, longest)) for length in _TRIAL)
    size = int(config.vocab_size)
    ids = (size // 2 + 7 * torch.arange(sum(lengths))) % size
    trial = Batch(ids=ids, lengths=lengths, type_ids=None)
    exact = _Stock(model=stock.model, precision="fp32", device=stock.device, pad_id=stock.pad_id)(trial)
    allowed = 1e-4 * max(1.0, float(exact.abs().max()))
    if stock.precision == "bf16":
        allowed = 100 * allowed + 4 * float((stock(trial) - exact).abs().max())
    found = float((packed(trial) - exact).abs().max())
    # Written so that a difference which is no number fails too.
    return "" if found <= allowed else f"its scores differ by {found:.2g} on a trial; {allowed:.2g} is allowed"


@contextmanager
def _whole_float32(device: torch.device) -> Iterator[None]:
    """No TF32 on CUDA: float32 is the reference."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
