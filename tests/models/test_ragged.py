"""The fast forward pass is the stock one, without the padding; where it could be something else, the stock one runs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from xfer_bench.models import ragged_attention, starter
from xfer_bench.models.heads import with_fresh_head
from xfer_bench.models.precision import Precision, autocast
from xfer_bench.models.ragged import Batch, Forward, forward_of
from xfer_bench.models.ragged_attention import Attention
from xfer_bench.models.ragged_lanes import Lanes
from xfer_bench.models.ragged_layout import Row
from xfer_bench.models.ragged_products import Space
from xfer_bench.tasks.nli import NLI

CPU = torch.device("cpu")
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "deberta-v2")
HEADS = (AutoModelForSequenceClassification, AutoModelForMultipleChoice)
OFFSET = ("roberta", "xlm-roberta", "camembert")
VOCABULARY, LONGEST, PAD = 300, 128, 1
LENGTHS = (5, 40, 17, 40, 1, 128, 23, 23, 16, 40, 99, 2, 64)

# The settings of microsoft/mdeberta-v3-base, with buckets small enough that long distances share one.
MDEBERTA = {
    "relative_attention": True,
    "position_buckets": 16,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pad_token_id": 0,
}


def tiny(kind: str, head: Any = AutoModelForSequenceClassification, **settings: Any) -> PreTrainedModel:
    """Random weights, large enough that the scores of different sequences differ: hidden 48, 3 heads, 3 layers."""
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 48,
        "num_attention_heads": 3,
        "num_hidden_layers": 3,
        "intermediate_size": 80,
        "max_position_embeddings": LONGEST + 2 if kind in OFFSET else LONGEST,
        "type_vocab_size": 2,
        "pad_token_id": PAD,
        "num_labels": 3,
    }
    if kind == "distilbert":
        sizes |= {"dim": 48, "n_heads": 3, "n_layers": 3, "hidden_dim": 80}
    if kind == "electra":
        sizes |= {"embedding_size": 24}
    if kind == "deberta-v2":
        sizes |= MDEBERTA
    torch.manual_seed(0)
    model: PreTrainedModel = head.from_config(AutoConfig.for_model(kind, **(sizes | settings)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(std=0.3)
            elif "norm" not in name.lower():
                weight.mul_(8)
    model.eval()
    return model


def sequences(lengths: tuple[int, ...] = LENGTHS, *, types: bool = False, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    return Batch(
        ids=torch.from_numpy(rng.integers(5, VOCABULARY, total)),
        lengths=lengths,
        type_ids=torch.from_numpy(rng.integers(0, 2, total)) if types else None,
    )


@torch.inference_mode()
def one_by_one(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """The scores by transformers alone: each sequence by itself, nothing padded."""
    scores = []
    start = 0
    for length in batch.lengths:
        inputs = {"input_ids": batch.ids[None, start : start + length]}
        if batch.type_ids is not None:
            inputs["token_type_ids"] = batch.type_ids[None, start : start + length]
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if "MultipleChoice" in type(model).__name__:
            inputs = {name: tensor[None] for name, tensor in inputs.items()}
        scores.append(model(**inputs).logits[0])
        start += length
    return torch.stack(scores)


def packed(model: PreTrainedModel, *, precision: Precision = "fp32") -> Forward:
    forward = forward_of(model, precision=precision, device=CPU, pad_id=PAD)
    assert (forward.path, forward.reason) == ("packed", "")
    return forward


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    # The scores are of the order of one, and rounding alone gives about 1e-6.
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", FAMILIES)
def test_packed_scores_are_the_stock_scores(kind: str, head: Any) -> None:
    model, batch = tiny(kind, head), sequences()
    expected = one_by_one(model, batch)
    assert float(expected.std(0).min()) > 0.05
    close(packed(model)(batch), expected)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_token_types_count(kind: str, head: Any) -> None:
    model, batch = tiny(kind, head), sequences(types=True)
    expected = one_by_one(model, batch)
    forward = packed(model)
    close(forward(batch), expected)
    assert float((forward(replace(batch, type_ids=None)) - expected).abs().max()) > 0.01


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("lengths", [(1,), (30,), (LONGEST,), (16, 16), (20, 20, 20)])
def test_a_batch_may_be_one_sequence_or_one_length(kind: str, lengths: tuple[int, ...]) -> None:
    model, batch = tiny(kind), sequences(lengths)
    expected = one_by_one(model, batch)
    close(packed(model)(batch), expected)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_model_goes_on_working_and_its_weights_stay(kind: str) -> None:
    model, batch = tiny(kind), sequences()
    expected = one_by_one(model, batch)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    packed(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    close(one_by_one(model, batch), expected)


def test_weights_are_not_in_memory_twice() -> None:
    model = tiny("bert")
    packed(model)
    layer: Any = model.get_submodule("bert.encoder.layer.0")
    parts = (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value)
    assert len({one.weight.untyped_storage().data_ptr() for one in parts}) == 1


@pytest.mark.parametrize("kind", OFFSET)
@pytest.mark.parametrize("configured", [0, 3])
def test_positions_follow_the_configuration_and_padding_the_tokenizer(kind: str, configured: int) -> None:
    model = tiny(kind, pad_token_id=configured, max_position_embeddings=LONGEST + 1 + configured)
    # Tokens that are the configuration's padding are no padding here, yet RoBERTa passes over them when it counts.
    batch = sequences()
    batch.ids[torch.arange(0, len(batch.ids), 9)] = configured
    expected = one_by_one(model, batch)
    close(packed(model)(batch), expected)


def test_scores_do_not_depend_on_order_or_company() -> None:
    model, batch = tiny("xlm-roberta"), sequences()
    forward = packed(model)
    expected = forward(batch)
    parts = batch.ids.split(list(batch.lengths))
    order = np.random.default_rng(1).permutation(len(parts)).tolist()
    shuffled = Batch(
        ids=torch.cat([parts[i] for i in order]), lengths=tuple(len(parts[i]) for i in order), type_ids=None
    )
    close(forward(shuffled), expected[order])
    for part, row in zip(parts, expected, strict=True):
        close(forward(Batch(ids=part, lengths=(len(part),), type_ids=None)), row[None])


@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_cores_that_share_a_batch_change_nothing(kind: str) -> None:
    lengths = LENGTHS * 8
    batch = sequences(lengths, types=kind == "bert")
    model = tiny(kind)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert sum(lengths) >= 3 * 256
        expected = one_by_one(model, batch)
        forward = packed(model)
        assert torch.get_num_threads() == 3
        close(forward(batch), expected)
        # One sequence longer than a share leaves some cores without any.
        close(forward(sequences((128, 1) * 7, seed=2)), one_by_one(model, sequences((128, 1) * 7, seed=2)))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_each_core_computes_by_itself() -> None:
    def used(lane: int, size: int) -> tuple[int, int]:
        # Large enough to be shared out, were there anyone to share with.
        torch.ones(size).exp_()
        return lane, torch.get_num_threads()

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        lanes = Lanes.open()
        assert sorted(lanes.map(used, [1_000_000] * 3)) == [(0, 1), (1, 1), (2, 1)]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_attention_is_torchs_own_at_every_length() -> None:
    lengths = (257, ragged_attention.LONGEST, 60, 60, 60, 60, 60, 17, 17, ragged_attention.SHORTEST, 15, 1)
    hidden, heads = 24, 3
    row = Row.of(torch.zeros(sum(lengths), dtype=torch.int64), None, lengths)
    joint = torch.randn(sum(lengths), 3 * hidden, generator=torch.Generator().manual_seed(0))
    bias = torch.randn(3 * hidden, generator=torch.Generator().manual_seed(1))
    expected = []
    for part in (joint + bias).split(list(lengths)):
        q, k, v = part.view(len(part), 3, heads, -1).permute(1, 2, 0, 3)
        expected.append(nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(len(part), hidden))
    space = Space()
    for _ in range(2):
        # The second time over buffers that are there already, and hold something.
        attention = Attention.over(row, hidden=hidden, heads=heads, space=space)
        attention.joint.copy_(joint)
        torch.testing.assert_close(attention(bias), torch.cat(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_without_onednn_torchs_own_products_serve(monkeypatch: pytest.MonkeyPatch, precision: Precision) -> None:
    model, batch = tiny("bert"), sequences(LENGTHS, types=True)
    expected = forward_of(model, precision=precision, device=CPU, pad_id=PAD)(batch)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    forward = forward_of(tiny("bert"), precision=precision, device=CPU, pad_id=PAD)
    assert forward.path == "packed", forward.reason
    allowed = 1e-5 if precision == "fp32" else 0.05
    torch.testing.assert_close(forward(batch), expected, rtol=0, atol=allowed)


@pytest.mark.parametrize(
    "settings",
    [
        {"share_att_key": False},
        {"share_att_key": False, "pos_att_type": ["c2p"]},
        {"pos_att_type": ["p2c"], "position_buckets": -1},
        {"relative_attention": False, "pos_att_type": [], "position_biased_input": True},
        {"norm_rel_ebd": "none", "type_vocab_size": 2, "position_buckets": 256},
        {"embedding_size": 24},
    ],
)
def test_every_kind_of_relative_attention(settings: dict[str, Any]) -> None:
    model, batch = tiny("deberta-v2", **settings), sequences()
    expected = one_by_one(model, batch)
    close(packed(model)(batch), expected)


@pytest.mark.parametrize("activation", ["gelu_new", "relu", "gelu_python"])
def test_another_activation_is_the_models_own(activation: str) -> None:
    model, batch = tiny("bert", hidden_act=activation), sequences()
    expected = one_by_one(model, batch)
    close(packed(model)(batch), expected)


@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_bf16_is_as_close_to_float32_as_autocast_is(kind: str) -> None:
    model, batch = tiny(kind), sequences()
    exact = one_by_one(model, batch)
    with autocast("bf16", CPU):
        stock = one_by_one(model, batch).float()
    found = packed(model, precision="bf16")(batch)
    assert found.dtype == torch.float32
    assert 0 < float((found - exact).square().mean()) <= 2 * float((stock - exact).square().mean())


def unchanged(hidden: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
    return hidden


def altered(change: str) -> PreTrainedModel:
    """A BERT whose parts are not stock any more."""
    model = tiny("bert")
    layer: Any = model.get_submodule("bert.encoder.layer.1")
    if change == "wrapped":
        layer.output.dense = nn.Sequential(layer.output.dense)
    elif change == "subclass":
        layer.attention.self.__class__ = type("Mine", (type(layer.attention.self),), {})
    elif change == "hook":
        layer.register_forward_hook(lambda *passed: passed[-1] * 2)
    elif change == "method":
        layer.forward = unchanged
    elif change == "scale":
        layer.attention.self.scaling = 1.0
    else:
        layer.output.dense.bias = None
    return model


@pytest.mark.parametrize("change", ["wrapped", "subclass", "hook", "method", "scale", "unbiased"])
def test_an_altered_model_is_scored_by_its_own_forward(change: str) -> None:
    model, batch = altered(change), sequences()
    expected = one_by_one(model, batch)
    forward = forward_of(model, precision="fp32", device=CPU, pad_id=PAD)
    assert forward.path == "stock"
    assert forward.reason
    assert "\n" not in forward.reason
    close(forward(batch), expected)


def test_a_model_that_disagrees_on_trial_is_scored_by_its_own_forward() -> None:
    model, batch = tiny("bert"), sequences()
    # What no look at the classes finds: the head's pooler takes another token.
    pooler: Any = model.get_submodule("bert.pooler")
    kind = type(pooler)
    pooler.__class__ = type(kind.__name__, (kind,), {"forward": lambda self, x: kind.forward(self, x[:, -1:])})
    expected = one_by_one(model, replace(batch, ids=batch.ids[:5], lengths=(5,)))
    forward = forward_of(model, precision="fp32", device=CPU, pad_id=PAD)
    assert forward.path == "stock"
    assert "trial" in forward.reason
    close(forward(replace(batch, ids=batch.ids[:5], lengths=(5,))), expected)


@pytest.mark.parametrize(
    ("kind", "settings", "why"),
    [
        ("albert", {"embedding_size": 24}, "AlbertFor"),
        ("deberta-v2", {"conv_kernel_size": 3, "conv_act": "gelu"}, "convolution"),
        ("bert", {"is_decoder": True}, "decoder"),
    ],
)
def test_what_is_not_covered_runs_stock_and_says_why(kind: str, settings: dict[str, Any], why: str) -> None:
    model, batch = tiny(kind, **settings), sequences(types=True)
    expected = one_by_one(model, batch)
    forward = forward_of(model, precision="fp32", device=CPU, pad_id=PAD)
    assert forward.path == "stock"
    assert why in forward.reason
    close(forward(batch), expected)


def test_another_head_is_not_taken_for_a_classifier() -> None:
    forward = forward_of(tiny("bert", AutoModelForTokenClassification), precision="fp32", device=CPU, pad_id=PAD)
    assert forward.path == "stock"
    assert "TokenClassification" in forward.reason


def test_a_model_of_few_positions_is_tried_within_them() -> None:
    model = tiny("roberta", max_position_embeddings=12)
    batch = sequences((10, 3, 10, 7))
    expected = one_by_one(model, batch)
    close(packed(model)(batch), expected)


@pytest.mark.starter
@pytest.mark.skipif(not starter.is_available(), reason=f"the package {starter.PACKAGE} is not installed")
def test_the_starter_scores_as_it_does_itself() -> None:
    model = with_fresh_head(starter.starter_folder(), NLI, seed=0).model.eval()
    rng = np.random.default_rng(0)
    lengths = tuple(rng.integers(4, 90, 24).tolist())
    batch = Batch(ids=torch.from_numpy(rng.integers(5, 250_000, sum(lengths))), lengths=lengths, type_ids=None)
    expected = one_by_one(model, batch)
    close(packed(model)(batch), expected)
    assert float((packed(model, precision="bf16")(batch) - expected).abs().max()) < 0.01
