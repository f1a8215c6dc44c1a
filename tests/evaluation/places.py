"""Checkpoints with heads, and the same saved otherwise."""

from pathlib import Path

from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification

from tests.toy import Head, tiny_checkpoint

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "slept", "near", "warm", "old", "stove", "while", "rain", "fell")


def checkpoint(folder: Path, head: Head, *, id2label: dict[int, str] | None = None, seed: int = 0) -> Path:
    """A tiny checkpoint with a random head, saved as any fine-tuned model is."""
    return tiny_checkpoint(folder, WORDS, head=head, id2label=id2label, seed=seed)


def resaved(folder: Path, target: Path, head: Head, **options: str) -> Path:
    """The same model saved again, with options of `save_pretrained`."""
    kind = AutoModelForMultipleChoice if head == "multiple_choice" else AutoModelForSequenceClassification
    kind.from_pretrained(folder).save_pretrained(target, **options)
    for file in folder.glob("tokenizer*"):
        (target / file.name).write_bytes(file.read_bytes())
    return target
