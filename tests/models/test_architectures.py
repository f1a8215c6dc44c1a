"""Heads are told by architectures that the installed transformers has."""

from typing import Any

import pytest
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)

from xfer_bench.models.architectures import head_of, unknown


@pytest.mark.parametrize(
    ("names", "head"),
    [
        (MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES, "sequence_classification"),
        (MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES, "multiple_choice"),
    ],
)
def test_every_stock_head_is_known(names: dict[str, str], head: str) -> None:
    found = {
        architecture: head_of({"model_type": kind, "architectures": [architecture]})
        for kind, architecture in names.items()
    }
    assert {architecture: answer for architecture, answer in found.items() if answer != (head, "")} == {}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"architectures": ["XLMRobertaForMaskedLM"]}, "XLMRobertaForMaskedLM has no head to score with; fine-tune it"),
        ({"architectures": ["BertModel"]}, "BertModel has no head to score with; fine-tune it on a task first"),
        ({"architectures": ["BertForTokenClassification"]}, "BertForTokenClassification has no head to score with"),
        ({"architectures": ["BertForMultipleChoiceOld"]}, "has no head to score with"),
        ({}, "its architecture none has no head"),
        ({"architectures": []}, "its architecture none has no head"),
        ({"architectures": "BertForMultipleChoice"}, "its architecture none has no head"),
        ({"architectures": ["MyForMultipleChoice"], "model_type": "bert"}, "has no MyForMultipleChoice for models of"),
        ({"architectures": ["BertForMultipleChoice"], "model_type": "bart"}, "for models of the type 'bart'"),
        ({"architectures": ["BertForMultipleChoice"]}, "for models of the type None"),
        (
            {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "problem_type": "regression"},
            "its head has one output (regression), so there is no class to choose",
        ),
        (
            {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "id2label": {"0": "LABEL_0"}},
            "its head has one output (regression)",
        ),
        (
            {
                "architectures": ["BertForMultipleChoice"],
                "model_type": "bert",
                "quantization_config": {"quant_method": "bitsandbytes"},
            },
            "its weights are quantised; give the checkpoint before quantisation",
        ),
    ],
)
def test_what_cannot_be_scored_says_why(config: dict[str, Any], says: str) -> None:
    head, reason = head_of(config)
    assert head is None
    assert says in reason


def test_a_choice_has_one_output_and_is_no_regression() -> None:
    config = {"architectures": ["BertForMultipleChoice"], "model_type": "bert", "id2label": {"0": "LABEL_0"}}
    assert head_of(config) == ("multiple_choice", "")
    assert unknown("BertForMultipleChoice", config) == ""
