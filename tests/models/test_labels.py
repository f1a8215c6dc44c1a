"""Which output means which class is read from the checkpoint, never assumed."""

from collections.abc import Mapping
from itertools import permutations

import pytest

from xfer_bench.errors import CheckpointError
from xfer_bench.models.labels import output_order

LABELS = ("entailment", "neutral", "contradiction")


@pytest.mark.parametrize("spoken", list(permutations(LABELS)), ids="-".join)
def test_every_permutation_is_read(spoken: tuple[str, ...]) -> None:
    order = output_order(dict(enumerate(spoken)), LABELS, name="model")
    assert tuple(spoken[output] for output in order) == LABELS


@pytest.mark.parametrize(
    "id2label",
    [
        {0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"},
        {0: " Entailment", 1: "neutral ", 2: "Contradiction"},
        {0: "entail", 1: "neutral", 2: "contradictory"},
        {0: "entailed", 1: "neutral", 2: "contradiction"},
    ],
)
def test_spellings_in_use_mean_the_same(id2label: Mapping[int, str]) -> None:
    assert output_order(id2label, LABELS, name="model") == (0, 1, 2)


@pytest.mark.parametrize(
    ("id2label", "shown"),
    [
        ({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, "{0=LABEL_0, 1=LABEL_1, 2=LABEL_2}"),
        ({0: "entailment", 1: "not_entailment"}, "{0=entailment, 1=not_entailment}"),
        ({1: "neutral", 0: "entailment"}, "{0=entailment, 1=neutral}"),
        ({**dict(enumerate(LABELS)), 3: "other"}, "{0=entailment, 1=neutral, 2=contradiction, 3=other}"),
        ({0: "entailment", 1: "entail", 2: "neutral"}, "{0=entailment, 1=entail, 2=neutral}"),
        ({0: "entailment", 1: "entail", 2: "neutral", 3: "contradiction"}, "1=entail, "),
    ],
)
def test_unusable_labels_are_shown_with_the_task_s(id2label: Mapping[int, str], shown: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        output_order(id2label, LABELS, name="some/model")
    message = str(caught.value)
    assert message.startswith("some/model: ")
    assert shown in message
    assert "{entailment, neutral, contradiction}" in message
