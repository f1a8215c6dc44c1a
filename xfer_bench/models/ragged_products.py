"""Matrix products with a layer's weights, as fast as the device allows; the weights are prepared once.

What pays was measured on two AVX-512 cores at the starter's shape (2,048 tokens; hidden 384, feed-forward 1,536):
buffers that are kept between batches (fresh memory for a wide result can double its time), adding onto the residual
inside the product, and for the feed-forward oneDNN with weights packed ahead, which adds the bias and applies GELU
before the result leaves the core (4 % of a layer). In float32 the other products are faster by plain `mm`.
"""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional
from transformers.activations import GELUActivation

# Rows that oneDNN lays the packed weights out for; any number may come.
_ROWS = 2048


class Space:
    """Buffers that one thread uses again and again, by name. What they hold is valid until the next use of the name."""

    def __init__(self) -> None:
        self._held: dict[str, torch.Tensor] = {}

    def __call__(self, name: str, *shape: int) -> torch.Tensor:
        """A float32 tensor of this shape on the CPU, with anything in it."""
        size = 1
        for length in shape:
            size *= length
        held = self._held.get(name)
        if held is None or held.numel() < size:
            # A quarter more, so that batches of about the same size do not each ask anew.
            held = self._held[name] = torch.empty(size + size // 4)
        return held[:size].view(shape)


class Product(Protocol):
    """y = x W' + b for float32 x of (rows, inputs)."""

    @property
    def bias(self) -> torch.Tensor:
        """(outputs,) float32."""

    def into(self, result: torch.Tensor, x: torch.Tensor) -> None:
        """Without the bias, written over the float32 result of (rows, outputs)."""

    def biased(self, x: torch.Tensor) -> torch.Tensor:
        """With the bias, in memory of its own."""

    def activated(self, x: torch.Tensor, activation: nn.Module) -> torch.Tensor:
        """With the bias, through the activation, in whatever type `onto` takes."""

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Added, bias included, to the float32 residual; which may be changed in place."""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The linear layers that one product stands for, stacked."""

    linear: tuple[nn.Linear, ...]

    def stacked(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Their weights (outputs, inputs) and biases as one."""
        with torch.no_grad():
            weight = torch.cat([one.weight for one in self.linear])
            bias = torch.cat([one.bias for one in self.linear])
        return weight.detach(), bias.detach()

    def lend(self, weight: torch.Tensor) -> None:
        """Let the layers' own weights be views of these, so that they are not in memory twice."""
        start = 0
        for one in self.linear:
            one.weight.data = weight[start : start + one.out_features]
            start += one.out_features


@dataclass(frozen=True, kw_only=True)
class PlainProduct:
    """By torch's own product, in the weights' type, wherever they lie.

    rounded: the bias in the weights' type.
    """

    weight: torch.Tensor
    rounded: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, layers: Layers, dtype: torch.dtype) -> "PlainProduct":
        """Prepared; in float32 the layers' own weights become views of these, and the layers go on working."""
        weight, bias = layers.stacked()
        if dtype == torch.float32:
            layers.lend(weight)
        return cls(weight=weight.to(dtype), rounded=bias.to(dtype), bias=bias)

    def into(self, result: torch.Tensor, x: torch.Tensor) -> None:
        """See Product."""
        if self.weight.dtype == torch.float32:
            torch.mm(x, self.weight.t(), out=result)
        else:
            result.copy_(functional.linear(x.to(self.weight.dtype), self.weight))

    def biased(self, x: torch.Tensor) -> torch.Tensor:
        """See Product; in the weights' type."""
        return functional.linear(x.to(self.weight.dtype), self.weight, self.rounded)

    def activated(self, x: torch.Tensor, activation: nn.Module) -> torch.Tensor:
        """See Product; by exact GELU's own kernel, or the model's activation."""
        y = self.biased(x)
        result: torch.Tensor = torch.ops.aten.gelu_(y) if _is_gelu(activation) else activation(y)
        return result

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        if self.weight.dtype == torch.float32:
            return residual.add_(self.bias).addmm_(x, self.weight.t())
        return residual.add_(self.biased(x))


@dataclass(frozen=True, kw_only=True)
class PackedProduct:
    """On a CPU by oneDNN with weights that are packed ahead: in bf16, summed in float32, or in float32."""

    packed: torch.Tensor = field(repr=False)
    rounded: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, layers: Layers, dtype: torch.dtype) -> "PackedProduct":
        """Prepared beside the layers' own weights. Raises RuntimeError or AttributeError where torch cannot."""
        weight, bias = layers.stacked()
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), _ROWS)
        return cls(packed=packed, rounded=bias.to(dtype), bias=bias)

    def into(self, result: torch.Tensor, x: torch.Tensor) -> None:
        """See Product."""
        result.copy_(self.times(x, None))

    def biased(self, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        return self.times(x, self.rounded).float()

    def activated(self, x: torch.Tensor, activation: nn.Module) -> torch.Tensor:
        """See Product; exact GELU inside the product, other activations are the model's own."""
        if _is_gelu(activation):
            return self.times(x, self.rounded, "gelu")
        result: torch.Tensor = activation(self.times(x, self.rounded))
        return result

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        if self.rounded.dtype == torch.float32:
            added: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.packed, self.bias, "add")
            return added
        return residual.add_(self.times(x, self.rounded))

    def times(self, x: torch.Tensor, bias: torch.Tensor | None, then: str = "none") -> torch.Tensor:
        """(rows, outputs) in the weights' type, after what comes then: "none" or "gelu"."""
        x = x.to(self.rounded.dtype)
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, bias, then, [], "none")
        return y


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """A wide product, its activation, and a narrow product back to the width that came."""

    wide: Product
    narrow: Product
    activation: nn.Module

    def onto(self, x: torch.Tensor) -> torch.Tensor:
        """Their result for the float32 x of (rows, hidden), added to x; which may be changed in place."""
        return self.narrow.onto(x, self.wide.activated(x, self.activation))


def product(layers: Layers, *, dtype: torch.dtype) -> Product:
    """The fastest product that torch has where the layers' weights lie."""
    if dtype != torch.float32 and _by_onednn(layers):
        return PackedProduct.of(layers, dtype)
    return PlainProduct.of(layers, dtype)


def feed_forward(wide: nn.Linear, activation: nn.Module, narrow: nn.Linear, *, dtype: torch.dtype) -> FeedForward:
    """The fastest feed-forward that torch has where the weights lie. On a CPU its weights are in memory twice."""
    into, back = Layers(linear=(wide,)), Layers(linear=(narrow,))
    kind = PackedProduct if _by_onednn(into) else PlainProduct
    return FeedForward(wide=kind.of(into, dtype), narrow=kind.of(back, dtype), activation=activation)


def _by_onednn(layers: Layers) -> bool:
    return layers.linear[0].weight.device.type == "cpu" and torch.backends.mkldnn.is_available()


def _is_gelu(activation: nn.Module) -> bool:
    """Whether it is the exact GELU, not an approximation by tanh."""
    if type(activation) is nn.GELU:
        return activation.approximate == "none"
    return type(activation) is GELUActivation and activation.act is functional.gelu
