"""How long scoring takes, from what was measured before. No torch."""

from xfer_bench.evaluation.cache import PredictionStore
from xfer_bench.evaluation.request import Cell
from xfer_bench.models.safety import CONFIG, json_object
from xfer_bench.models.size import layer_weights

# Tokens of a sequence, about: an estimate may not tokenise first.
_TOKENS = 35


def seconds_for(cell: Cell, sequences: int, store: PredictionStore) -> float | None:
    """About how long so many sequences take; None when no speed was measured in this precision on this machine."""
    rate = store.index.get(f"rate:{cell.precision}")
    weights = layer_weights(json_object(cell.checkpoint.configuration / CONFIG))
    return None if rate is None or not weights else 2 * weights * _TOKENS * sequences / float(rate)
