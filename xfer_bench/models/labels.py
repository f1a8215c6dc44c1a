"""Which output of a head means which class. Checkpoints on the Hub permute them, so the order is read, not assumed."""

from collections.abc import Mapping

from xfer_bench.errors import CheckpointError

_SYNONYMS = {"contradictory": "contradiction", "entail": "entailment", "entailed": "entailment"}


def output_order(id2label: Mapping[int, str], labels: tuple[str, ...], *, name: str) -> tuple[int, ...]:
    """For each class in canonical order, the output of the head that scores it.

    id2label: of the checkpoint's configuration. name: of the checkpoint, for the message.
    Raises CheckpointError, showing both sets, when the head's labels are not exactly these classes.
    """
    spelled = {index: label.strip().lower() for index, label in id2label.items()}
    outputs = {_SYNONYMS.get(label, label): index for index, label in spelled.items()}
    if len(id2label) != len(labels) or set(outputs) != set(labels):
        found = ", ".join(f"{index}={label}" for index, label in sorted(id2label.items()))
        raise CheckpointError(f"{name}: the head's labels are {{{found}}}; the task's are {{{', '.join(labels)}}}")
    return tuple(outputs[label] for label in labels)
