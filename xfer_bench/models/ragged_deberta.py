"""DeBERTa v2 and v3 (mDeBERTa) on one row of tokens: content and relative position attend to one another.

He et al. 2021, "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", equation 4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from xfer_bench.models.ragged_bert import Block, after_inputs, rest
from xfer_bench.models.ragged_layout import Row, Run
from xfer_bench.models.ragged_products import Layers, Space, product
from xfer_bench.models.ragged_structure import Uncovered, checked, linear, norm


@dataclass(frozen=True, kw_only=True)
class Relative:
    """What one layer's attention adds for positions: (heads, head size, 2 span) each, scaled; None where it does not.

    to_position: what a query is multiplied with. from_position: what a key is multiplied with.
    """

    to_position: torch.Tensor | None
    from_position: torch.Tensor | None


@dataclass(frozen=True, kw_only=True)
class Window:
    """The relative positions within sequences of one length, as columns of Relative from `low` to `high`.

    columns: (length, length) of query and key, counted from `low`; turned: likewise of key and query.
    """

    low: int
    high: int
    columns: torch.Tensor
    turned: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Deberta:
    """An encoder that answers with each sequence's first hidden state.

    span: half the number of relative positions. buckets, furthest: as build_relative_position takes them. scale: of
    the scores.
    """

    embed: Callable[[Row], torch.Tensor]
    layers: tuple[tuple[Block, Relative], ...]
    heads: int
    span: int
    buckets: int
    furthest: int
    scale: float

    def __call__(self, row: Row, space: Space) -> torch.Tensor:  # noqa: ARG002 - as every Encoder
        """(sequences, 1, hidden) float32."""
        x = self.embed(row)
        windows = {run.length: self._window(run.length, x) for run in row.runs}
        for index, (block, relative) in enumerate(self.layers):
            (joint,) = block.inputs
            # Of the last layer only the first tokens are read.
            only_first = index == len(self.layers) - 1
            qkv = joint.biased(x)
            if only_first:
                x = x[row.firsts]
            context = torch.empty_like(x)
            for run in row.runs:
                place, queries = (run.sequences, 1) if only_first else (run.tokens, run.length)
                context[place] = self._attended(qkv[run.tokens], run, windows[run.length], relative, queries)
            x = rest(block, x, context)
        return x[:, None]

    def _window(self, length: int, like: torch.Tensor) -> Window:
        ids = like[:length]
        distance = build_relative_position(ids, ids, bucket_size=self.buckets, max_position=self.furthest)[0]
        columns = torch.clamp(distance + self.span, 0, 2 * self.span - 1)
        turned = torch.clamp(self.span - distance, 0, 2 * self.span - 1)
        low = min(int(columns.min()), int(turned.min()))
        high = max(int(columns.max()), int(turned.max())) + 1
        return Window(low=low, high=high, columns=columns - low, turned=turned - low)

    def _attended(self, qkv: torch.Tensor, run: Run, window: Window, relative: Relative, queries: int) -> torch.Tensor:
        """(sequences x queries, hidden) of a run, for the first so many tokens of each sequence."""
        count, length, heads = run.count, run.length, self.heads
        q, k, v = qkv.view(count, length, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind()
        q = q[:, :, :queries] * self.scale
        scores = q @ k.transpose(2, 3)
        shape = (count, heads, length, length)
        if relative.to_position is not None:
            products = q @ relative.to_position[:, :, window.low : window.high]
            scores += products.gather(3, window.columns.expand(shape)[:, :, :queries])
        if relative.from_position is not None:
            products = k @ relative.from_position[:, :, window.low : window.high]
            scores += products.gather(3, window.turned.expand(shape)[..., :queries]).transpose(2, 3)
        return (scores.softmax(3) @ v).transpose(1, 2).reshape(count * queries, -1)


def deberta(encoder: Any, dtype: torch.dtype) -> Deberta:
    """The encoder of a DeBERTa v2 or v3. Raises Uncovered when it is not as stock, or has a convolution."""
    stack = checked(encoder.encoder, "DebertaV2Encoder")
    if encoder.z_steps or stack.conv is not None:
        raise Uncovered("a convolution beside the first layer, or repeated last layers")
    if next(encoder.parameters()).device.type != "cpu":
        raise Uncovered("relative attention, which is taken run by run, on an accelerator")
    attention = stack.layer[0].attention.self
    factor = 1 + sum(kind in attention.pos_att_type for kind in ("c2p", "p2c"))
    scale = (attention.attention_head_size * factor) ** -0.5
    positions = stack.get_rel_embedding()
    return Deberta(
        embed=_embedding(checked(encoder.embeddings, "DebertaV2Embeddings")),
        layers=tuple(_layer(layer, positions, scale, dtype) for layer in stack.layer),
        heads=attention.num_attention_heads,
        span=attention.pos_ebd_size if stack.relative_attention else 0,
        buckets=stack.position_buckets if stack.relative_attention else -1,
        furthest=stack.max_relative_positions if stack.relative_attention else -1,
        scale=scale,
    )


def _layer(layer: Any, positions: torch.Tensor | None, scale: float, dtype: torch.dtype) -> tuple[Block, Relative]:
    checked(layer, "DebertaV2Layer")
    attention = checked(checked(layer.attention, "DebertaV2Attention").self, "DisentangledSelfAttention")
    relative = Relative(to_position=None, from_position=None)
    if attention.relative_attention and positions is not None:
        shared = attention.share_att_key

        def projected(kind: str, own: str, common: str, factor: float) -> torch.Tensor | None:
            if kind not in attention.pos_att_type:
                return None
            rows = linear(getattr(attention, common if shared else own))(positions[: 2 * attention.pos_ebd_size])
            by_head: torch.Tensor = rows.view(len(rows), attention.num_attention_heads, -1).permute(1, 2, 0)
            return (by_head * factor).contiguous()

        relative = Relative(
            # The queries are scaled already where these meet them.
            to_position=projected("c2p", "pos_key_proj", "key_proj", 1.0),
            from_position=projected("p2c", "pos_query_proj", "query_proj", scale),
        )
    inputs = tuple(linear(one) for one in (attention.query_proj, attention.key_proj, attention.value_proj))
    block = Block(inputs=(product(Layers(linear=inputs), dtype=dtype),), **after_inputs(layer, "DebertaV2", dtype))
    return block, relative


def _embedding(embeddings: Any) -> Callable[[Row], torch.Tensor]:
    norm(embeddings.LayerNorm)

    def embed(row: Row) -> torch.Tensor:
        x = embeddings.word_embeddings(row.ids)
        if embeddings.position_biased_input and embeddings.position_embeddings is not None:
            x = x + embeddings.position_embeddings(row.places)
        if embeddings.token_type_embeddings is not None:
            types = torch.zeros_like(row.ids) if row.type_ids is None else row.type_ids
            x = x + embeddings.token_type_embeddings(types)
        if embeddings.embed_proj is not None:
            x = embeddings.embed_proj(x)
        normed: torch.Tensor = embeddings.LayerNorm(x)
        return normed

    return embed
