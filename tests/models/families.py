"""Tiny random models of every family that is scored: hidden 48, 3 heads, 3 layers, under a stock head."""

from types import MappingProxyType
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

# By family: where its layers are.
LAYERS = MappingProxyType(
    {
        "bert": "bert.encoder.layer",
        "roberta": "roberta.encoder.layer",
        "xlm-roberta": "roberta.encoder.layer",
        "camembert": "roberta.encoder.layer",
        "electra": "electra.encoder.layer",
        "distilbert": "distilbert.transformer.layer",
        "deberta-v2": "deberta.encoder.layer",
        "modernbert": "model.layers",
    }
)
HEADS = (AutoModelForSequenceClassification, AutoModelForMultipleChoice)

_OWN: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 48, "n_heads": 3, "n_layers": 3, "hidden_dim": 80},
    "electra": {"embedding_size": 24},
    # As mdeberta-v3-base has it.
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "modernbert": {"cls_token_id": 0, "sep_token_id": 2, "bos_token_id": 0, "eos_token_id": 2},
    "albert": {"embedding_size": 24},
    "xlm": {"emb_dim": 48, "n_layers": 3, "n_heads": 3},
}


def tiny_model(kind: str, head: Any = AutoModelForSequenceClassification) -> PreTrainedModel:
    """In evaluation mode, with the same weights every time."""
    sizes: dict[str, Any] = {
        "vocab_size": 300,
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_hidden_layers": 3,
        "intermediate_size": 80,
        "max_position_embeddings": 130,
        "pad_token_id": 1,
        "num_labels": 3,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: PreTrainedModel = head.from_config(AutoConfig.for_model(kind, **(sizes | _OWN.get(kind, {}))))
    model.eval()
    return model


def inputs_for(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Three sequences, or one item of three."""
    ids = torch.arange(5, 41).view(3, 12)
    return {"input_ids": ids[None] if "MultipleChoice" in type(model).__name__ else ids}
