"""A checkpoint that was found, loaded: whole, or an adapter merged into its base model."""

from xfer_bench.errors import CheckpointError
from xfer_bench.evaluation.discovery import Scorable
from xfer_bench.models.heads import Headed, with_its_head
from xfer_bench.models.merging import with_adapter


def load_scorable(found: Scorable) -> Headed:
    """The model with its trained head, float32, on the CPU, and its tokenizer.

    May be called from another thread than the one that scores; loads take turns. Raises CheckpointError when it
    cannot be scored, or not be loaded.
    """
    if found.head is None:
        raise CheckpointError(f"{found.name}: {found.reason}")
    if found.base is None:
        return with_its_head(found.path, found.head)
    labels = found.id2label if found.head == "sequence_classification" else None
    return with_adapter(found.path, base=found.base, head=found.head, tokenizer=found.tokenizer, labels=labels)
