"""How large a model is, from its configuration alone."""

from collections.abc import Mapping
from typing import Any


def layer_weights(config: Mapping[str, Any]) -> int:
    """Weights in the matrices of the encoder's layers; 0 where the configuration does not tell.

    Twice as many operations as this are done for each token of a forward pass, attention itself aside.
    """
    hidden = config.get("hidden_size") or config.get("dim") or 0
    inner = config.get("intermediate_size") or config.get("hidden_dim") or 0
    layers = config.get("num_hidden_layers") or config.get("n_layers") or 0
    return int(layers * (4 * hidden**2 + 2 * hidden * inner))
