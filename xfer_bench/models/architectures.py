"""Which head a configuration says that a checkpoint was saved with, or why there is none to score. No torch."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal, TypeAlias

Head: TypeAlias = Literal["sequence_classification", "multiple_choice"]

ENDINGS: Mapping[str, Head] = {
    "ForSequenceClassification": "sequence_classification",
    "ForMultipleChoice": "multiple_choice",
}
_WHERE = "transformers/models/auto/modeling_auto.py"
_ENTRY = re.compile(rf'\(\s*"([\w-]+)",\s*"(\w+(?:{"|".join(ENDINGS)}))"\s*,?\s*\)')


def head_of(config: Mapping[str, Any]) -> tuple[Head | None, str]:
    """The head that a whole checkpoint's configuration names, and "" or the reason why it cannot be scored."""
    architecture = architecture_of(config)
    head = ending(architecture)
    if config.get("quantization_config"):
        return None, "its weights are quantised; give the checkpoint before quantisation"
    if head is None:
        return None, without_head(architecture)
    reason = unknown(architecture, config)
    if not reason and head == "sequence_classification" and is_regression(config):
        reason = "its head has one output (regression), so there is no class to choose"
    return (None, reason) if reason else (head, "")


def architecture_of(config: Mapping[str, Any]) -> str:
    """The first architecture that the configuration names, or "none"."""
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else "none"


def ending(architecture: str) -> Head | None:
    """The head by the ending of an architecture's name."""
    return next((head for end, head in ENDINGS.items() if architecture.endswith(end)), None)


def unknown(architecture: str, config: Mapping[str, Any]) -> str:
    """Why the installed transformers has no such architecture for this type of model; "" when it has."""
    stock = _stock()
    kind = config.get("model_type")
    made = any(known == kind and ending(name) == ending(architecture) for known, name in stock)
    # Without the table, the answer is left to the loading.
    if not stock or (made and any(name == architecture for _, name in stock)):
        return ""
    if config.get("auto_map"):
        return f"its architecture {architecture} is code of the checkpoint's own (auto_map), which is never run"
    return f"the installed transformers has no {architecture} for models of the type {kind!r}"


def is_regression(config: Mapping[str, Any]) -> bool:
    """Whether the head gives one number instead of one for each class."""
    labels = config.get("id2label")
    count = len(labels) if isinstance(labels, Mapping) else config.get("num_labels", 2)
    return config.get("problem_type") == "regression" or count == 1


def without_head(architecture: str) -> str:
    """The reason for a checkpoint whose architecture has no head for a task, such as an encoder or a masked LM."""
    endings = " or ".join(f"…{end}" for end in ENDINGS)
    return f"its architecture {architecture} has no head to score with; fine-tune it on a task first ({endings})"


@cache
def _stock() -> frozenset[tuple[str, str]]:
    """(model type, architecture) of every stock head in the installed transformers.

    Its table is read as text: importing it takes a second, and a list of our own would lag behind. Empty when the
    table is not where it was, and then nothing is refused by it.
    """
    try:
        text = Path(str(distribution("transformers").locate_file(_WHERE))).read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError, ValueError):
        return frozenset()
    return frozenset((match[1], match[2]) for match in _ENTRY.finditer(text))
