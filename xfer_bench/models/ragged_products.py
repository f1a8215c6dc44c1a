"""Matrix products with a layer's weights, as fast as the device allows; the weights are prepared once.

What pays was measured on two AVX-512 cores at the starter's shape (2,048 tokens; hidden 384, feed-forward 1,536):
buffers that are kept between batches (fresh memory for the feed-forward's result can double its time); the bias of
the wide product as more columns of its weights, since adding it first is another pass over 12 MB (4 % of a layer);
adding onto the residual inside the product; weights packed ahead of time in bf16 (3 %).
"""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional
from transformers.activations import GELUActivation

# Columns added for the bias, all but one of them zeros: with an odd number of columns a product is a tenth slower.
_COLUMNS = 4


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

    def bare(self, x: torch.Tensor, space: Space) -> torch.Tensor:
        """Without the bias, (rows, outputs); may lie in `space`."""

    def biased(self, x: torch.Tensor) -> torch.Tensor:
        """With the bias, in memory of its own."""

    def activated(self, x: torch.Tensor, space: Space) -> torch.Tensor:
        """With the bias, through the activation, in whatever type `onto` takes; may lie in `space`."""

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Added, bias included, to the float32 residual; which may be changed in place."""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Which linear layers one product stands for, stacked, and what follows them."""

    linear: tuple[nn.Linear, ...]
    activation: nn.Module | None = None

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
class Float32Product:
    """On a CPU in float32.

    wide: (outputs, inputs + some) with the bias in the first column that is added, where an activation follows.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    activation: nn.Module | None
    wide: torch.Tensor = field(repr=False)

    @classmethod
    def of(cls, layers: Layers) -> "Float32Product":
        """Prepared; the layers go on working, with weights that are views of these."""
        weight, bias = layers.stacked()
        wide = weight[:0]
        if layers.activation is not None:
            outputs, inputs = weight.shape
            held = weight.new_zeros(outputs, inputs + _COLUMNS)
            held[:, :inputs] = weight
            held[:, inputs] = bias
            wide, weight = held, held[:, :inputs]
        layers.lend(weight)
        return cls(weight=weight, bias=bias, activation=layers.activation, wide=wide)

    def bare(self, x: torch.Tensor, space: Space) -> torch.Tensor:
        """See Product."""
        return torch.mm(x, self.weight.t(), out=space("bare", len(x), len(self.weight)))

    def biased(self, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        return torch.addmm(self.bias, x, self.weight.t())

    def activated(self, x: torch.Tensor, space: Space) -> torch.Tensor:
        """See Product."""
        rows, inputs = x.shape
        wide = space("wide", rows, inputs + _COLUMNS)
        wide[:, :inputs] = x
        wide[:, inputs:] = 1.0
        y = torch.mm(wide, self.wide.t(), out=space("activated", rows, len(self.weight)))
        return _activate(y, self.activation)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        return residual.add_(self.bias).addmm_(x, self.weight.t())


@dataclass(frozen=True, kw_only=True)
class Bfloat16Product:
    """On a CPU in bf16, summed in float32: oneDNN's product with weights packed ahead, GELU inside it."""

    packed: torch.Tensor = field(repr=False)
    rounded: torch.Tensor
    bias: torch.Tensor
    activation: nn.Module | None

    @classmethod
    def of(cls, layers: Layers) -> "Bfloat16Product":
        """Prepared. Raises RuntimeError or AttributeError where torch has no such product."""
        weight, bias = layers.stacked()
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16(), _ROWS)
        return cls(packed=packed, rounded=bias.bfloat16(), bias=bias, activation=layers.activation)

    def bare(self, x: torch.Tensor, space: Space) -> torch.Tensor:
        """See Product."""
        y = self._product(x, None)
        return space("bare", *y.shape).copy_(y)

    def biased(self, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        return self._product(x, self.rounded).float()

    def activated(self, x: torch.Tensor, space: Space) -> torch.Tensor:  # noqa: ARG002 - oneDNN makes the result
        """See Product."""
        if is_gelu(self.activation):
            return self._product(x, self.rounded, "gelu")
        return _activate(self._product(x, self.rounded), self.activation)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        return residual.add_(self._product(x, self.rounded))

    def _product(self, x: torch.Tensor, bias: torch.Tensor | None, then: str = "none") -> torch.Tensor:
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x.bfloat16(), self.packed, bias, then, [], "none")
        return y


@dataclass(frozen=True, kw_only=True)
class DeviceProduct:
    """On an accelerator, in the weights' type; the activation is exact GELU's own kernel or the model's."""

    weight: torch.Tensor
    rounded: torch.Tensor
    bias: torch.Tensor
    activation: nn.Module | None

    @classmethod
    def of(cls, layers: Layers, dtype: torch.dtype) -> "DeviceProduct":
        """Prepared; in float32 the layers' own weights become views of these."""
        weight, bias = layers.stacked()
        if dtype == torch.float32:
            layers.lend(weight)
        return cls(weight=weight.to(dtype), rounded=bias.to(dtype), bias=bias, activation=layers.activation)

    def bare(self, x: torch.Tensor, space: Space) -> torch.Tensor:  # noqa: ARG002 - the device keeps its own memory
        """See Product."""
        return functional.linear(x.to(self.weight.dtype), self.weight)

    def biased(self, x: torch.Tensor) -> torch.Tensor:
        """See Product; in the weights' type."""
        return functional.linear(x.to(self.weight.dtype), self.weight, self.rounded)

    def activated(self, x: torch.Tensor, space: Space) -> torch.Tensor:  # noqa: ARG002 - the device keeps its own memory
        """See Product."""
        return _activate(self.biased(x), self.activation)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """See Product."""
        return residual.add_(self.biased(x))


# Rows that oneDNN lays the packed weights out for; any number may come.
_ROWS = 2048


def product(layers: Layers, *, dtype: torch.dtype) -> Product:
    """The fastest product that torch has where the layers' weights lie."""
    if layers.linear[0].weight.device.type != "cpu":
        return DeviceProduct.of(layers, dtype)
    return Float32Product.of(layers) if dtype == torch.float32 else Bfloat16Product.of(layers)


def is_gelu(activation: nn.Module | None) -> bool:
    """Whether it is the exact GELU, not an approximation by tanh."""
    if type(activation) is nn.GELU:
        return activation.approximate == "none"
    return type(activation) is GELUActivation and activation.act is functional.gelu


def _activate(y: torch.Tensor, activation: nn.Module | None) -> torch.Tensor:
    if is_gelu(activation):
        torch.ops.aten.gelu_(y)
        return y
    if activation is None:
        return y
    result: torch.Tensor = activation(y)
    return result
