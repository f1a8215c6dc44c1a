"""BERT and its kin on one row of tokens: RoBERTa, XLM-R, CamemBERT, ELECTRA, DistilBERT; layers that add, then norm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xfer_bench.models.ragged_attention import Attention, attend_first, attend_runs, attend_varlen
from xfer_bench.models.ragged_layout import Row
from xfer_bench.models.ragged_products import FeedForward, Layers, Product, Space, feed_forward, product
from xfer_bench.models.ragged_structure import Uncovered, checked, linear, norm


@dataclass(frozen=True, kw_only=True)
class Block:
    """One layer. inputs: queries, keys and values in one product; in the last layer the queries apart from the rest."""

    inputs: tuple[Product, ...]
    mixed: Product
    after_attention: nn.LayerNorm
    feed: FeedForward
    after_feed: nn.LayerNorm


@dataclass(frozen=True, kw_only=True)
class Bert:
    """An encoder that answers with each sequence's first hidden state.

    embed: a Row to (tokens, hidden) float32. dtype: of the products; what is added up and normed stays float32.
    """

    embed: Callable[[Row], torch.Tensor]
    blocks: tuple[Block, ...]
    heads: int
    dtype: torch.dtype

    def __call__(self, row: Row, space: Space) -> torch.Tensor:
        """(sequences, 1, hidden) float32."""
        x = self.embed(row)
        attend = self._attention(row, x, space)
        for block in self.blocks[:-1]:
            (joint,) = block.inputs
            x = rest(block, x, attend(joint, x))
        last = self.blocks[-1]
        queries, others = last.inputs
        first = x[row.firsts]
        q, kv = queries.biased(first), others.biased(x)
        if self._varlen(x):
            k, v = kv.chunk(2, 1)
            context = attend_varlen(q, k, v, row, heads=self.heads)
        else:
            context = attend_first(q, kv, row, heads=self.heads)
        return rest(last, first, context)[:, None]

    def _attention(self, row: Row, x: torch.Tensor, space: Space) -> Callable[[Product, torch.Tensor], torch.Tensor]:
        """What gives the context (tokens, hidden) of x by the joint product of queries, keys and values."""
        if x.device.type == "cpu":
            own = Attention.over(row, hidden=x.shape[1], heads=self.heads, space=space)

            def on_views(joint: Product, x: torch.Tensor) -> torch.Tensor:
                joint.into(own.joint, x)
                return own(joint.bias)

            return on_views
        varlen = self._varlen(x)

        def on_device(joint: Product, x: torch.Tensor) -> torch.Tensor:
            together = joint.biased(x)
            if not varlen:
                return attend_runs(together, row, heads=self.heads)
            q, k, v = together.chunk(3, 1)
            return attend_varlen(q, k, v, row, heads=self.heads)

        return on_device

    def _varlen(self, x: torch.Tensor) -> bool:
        return x.device.type == "cuda" and self.dtype != torch.float32


def rest(block: Block, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """What a layer does after its attention."""
    x = block.after_attention(block.mixed.onto(x, context))
    normed: torch.Tensor = block.after_feed(block.feed.onto(x))
    return normed


def bert(encoder: Any, dtype: torch.dtype) -> Bert:
    """The encoder of a BERT, RoBERTa, XLM-R, CamemBERT or ELECTRA. Raises Uncovered when it is not as stock."""
    family = type(encoder).__name__.removesuffix("Model")
    config = encoder.config
    if config.is_decoder or getattr(config, "add_cross_attention", False):
        raise Uncovered("a decoder")
    if getattr(config, "position_embedding_type", "absolute") != "absolute":
        raise Uncovered("positions that are not absolute")
    checked(encoder.encoder, f"{family}Encoder")
    layers = [*encoder.encoder.layer]
    blocks = tuple(_block(layer, family, dtype, last=layer is layers[-1]) for layer in layers)
    embeddings = checked(encoder.embeddings, f"{family}Embeddings")
    project = getattr(encoder, "embeddings_project", None)
    if project is not None:
        linear(project)
    return Bert(
        embed=_embedding(embeddings, project), blocks=blocks, heads=int(config.num_attention_heads), dtype=dtype
    )


def distilbert(encoder: Any, dtype: torch.dtype) -> Bert:
    """The encoder of a DistilBERT. Raises Uncovered when it is not as stock."""
    checked(encoder.transformer, "Transformer")
    layers = [*encoder.transformer.layer]
    blocks = []
    for layer in layers:
        attention = checked(checked(layer, "TransformerBlock").attention, "DistilBertSelfAttention")
        feed = checked(layer.ffn, "FFN")
        inputs = [linear(one) for one in (attention.q_lin, attention.k_lin, attention.v_lin)]
        blocks.append(
            Block(
                inputs=_inputs(inputs, dtype, last=layer is layers[-1]),
                mixed=product(Layers(linear=(linear(attention.out_lin),)), dtype=dtype),
                after_attention=norm(layer.sa_layer_norm),
                feed=feed_forward(linear(feed.lin1), feed.activation, linear(feed.lin2), dtype=dtype),
                after_feed=norm(layer.output_layer_norm),
            )
        )
    embeddings = checked(encoder.embeddings, "Embeddings")
    heads = int(encoder.config.n_heads)
    return Bert(embed=_embedding(embeddings, None), blocks=tuple(blocks), heads=heads, dtype=dtype)


def _block(layer: Any, family: str, dtype: torch.dtype, *, last: bool) -> Block:
    checked(layer, f"{family}Layer")
    attention = checked(checked(layer.attention, f"{family}Attention").self, f"{family}SelfAttention")
    if attention.scaling != attention.attention_head_size**-0.5 or attention.is_decoder:
        raise Uncovered("attention that is scaled or masked otherwise")
    return Block(
        inputs=_inputs([linear(one) for one in (attention.query, attention.key, attention.value)], dtype, last=last),
        **after_inputs(layer, family, dtype),
    )


def after_inputs(layer: Any, family: str, dtype: torch.dtype) -> dict[str, Any]:
    """All of a Block but its inputs, from a layer that calls its parts as BERT's does."""
    mixed = checked(layer.attention.output, f"{family}SelfOutput")
    wide = checked(layer.intermediate, f"{family}Intermediate")
    narrow = checked(layer.output, f"{family}Output")
    return {
        "mixed": product(Layers(linear=(linear(mixed.dense),)), dtype=dtype),
        "after_attention": norm(mixed.LayerNorm),
        "feed": feed_forward(linear(wide.dense), wide.intermediate_act_fn, linear(narrow.dense), dtype=dtype),
        "after_feed": norm(narrow.LayerNorm),
    }


def _inputs(parts: list[nn.Linear], dtype: torch.dtype, *, last: bool) -> tuple[Product, ...]:
    # Of the last layer only the first tokens are read: theirs are the only queries.
    groups = [parts[:1], parts[1:]] if last else [parts]
    return tuple(product(Layers(linear=tuple(group)), dtype=dtype) for group in groups)


def _embedding(embeddings: Any, project: nn.Module | None) -> Callable[[Row], torch.Tensor]:
    types = getattr(embeddings, "token_type_embeddings", None)
    padding = getattr(embeddings, "padding_idx", None)

    def embed(row: Row) -> torch.Tensor:
        x: torch.Tensor = embeddings.word_embeddings(row.ids)
        if types is not None:
            x += types.weight[0] if row.type_ids is None else types(row.type_ids)
        places = row.places if padding is None else _after_padding(row, padding)
        x += embeddings.position_embeddings(places)
        x = embeddings.LayerNorm(x)
        if project is not None:
            x = project(x)
        return x

    return embed


def _after_padding(row: Row, padding: int) -> torch.Tensor:
    """RoBERTa's positions: counted from the padding id on, passing over tokens that are the padding id."""
    real = row.ids.ne(padding).long()
    counted = real.cumsum(0)
    before = (counted - real)[row.firsts]
    places: torch.Tensor = (counted - before[row.owners]) * real + padding
    return places
