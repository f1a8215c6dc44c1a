"""Whether a model's parts are the stock ones, so that computing them in another way gives the same."""

from typing import Any

import torch
from torch import nn


class Uncovered(Exception):  # noqa: N818 - it is no error: the stock forward takes over
    """Why a model cannot be computed on one row of tokens. Raised and caught while a model is prepared."""


def checked(module: Any, name: str) -> Any:
    """The module, if it is of transformers' own class of that name. Raises Uncovered."""
    kind = type(module)
    if kind.__name__ != name or not kind.__module__.startswith("transformers.models."):
        raise Uncovered(f"{kind.__name__} where {name} is expected")
    return module


def linear(module: nn.Module) -> nn.Linear:
    """The module, if it is a plain linear layer with a bias, in float32. Raises Uncovered."""
    if type(module) is not nn.Linear or module.bias is None or module.weight.dtype != torch.float32:
        raise Uncovered(f"{type(module).__name__} where a float32 linear layer with a bias is expected")
    return module


def norm(module: nn.Module) -> nn.LayerNorm:
    """The module, if it is a plain layer norm. Raises Uncovered."""
    if type(module) is not nn.LayerNorm:
        raise Uncovered(f"{type(module).__name__} where LayerNorm is expected")
    return module


def untouched(model: nn.Module) -> None:
    """Raises Uncovered when the model trains, or when hooks or other forward functions were put on its modules."""
    if model.training:
        raise Uncovered("a model in training mode")
    for name, module in model.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks)
        if any(hooks) or "forward" in vars(module):
            raise Uncovered(f"hooks on {name or 'the model'}")
