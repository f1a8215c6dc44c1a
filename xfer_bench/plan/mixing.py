"""Which share of a stage's batches each of its training sets has."""

from collections.abc import Sequence

from xfer_bench.study import StageSpec


def sizes_of(spec: StageSpec, examples: Sequence[int]) -> list[int]:
    """How many of each set's examples one epoch counts: all, or as many as the stage's cap."""
    return [size if spec.cap is None else min(size, spec.cap) for size in examples]


def shares_of(spec: StageSpec, examples: Sequence[int]) -> list[float]:
    """Shares of the batches, which sum to 1: of each labelled set, and last of the text where the stage has any.

    examples: of each labelled set, n. Before the text's share is taken off all of them a set's share is in proportion
    to n (`proportional`), min(n, cap) (`capped`; Raffel et al. 2020, arXiv 1910.10683, section 3.5.2, which names it
    examples-proportional mixing), min(n, cap)^(1/T) (`temperature`, as in jiant's TemperatureMultiTaskSampler), 1
    (`uniform`) or its weight (`weighted`).
    """
    sizes = sizes_of(spec, examples)
    if spec.sampling == "temperature":
        weights = [size ** (1 / (spec.temperature or 1.0)) for size in sizes]
    elif spec.sampling == "uniform":
        weights = [1.0] * len(sizes)
    elif spec.sampling == "weighted":
        weights = [part.weight or 0.0 for part in spec.sets]
    else:
        weights = [float(size) for size in sizes]
    text = spec.mlm.share if spec.mlm else 0.0
    labelled = [(1 - text) * weight / sum(weights) for weight in weights]
    return [*labelled, text] if spec.mlm else labelled


def epoch_of(spec: StageSpec, examples: Sequence[int]) -> int:
    """Examples of one epoch: those of the labelled sets, and the text's beside them."""
    text = spec.mlm.share if spec.mlm else 0.0
    return round(sum(sizes_of(spec, examples)) / (1 - text))
