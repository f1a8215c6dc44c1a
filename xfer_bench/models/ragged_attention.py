"""Attention within sequences of different lengths, without padding: per run of equal lengths, or torch's own kernel."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch.nn.functional import scaled_dot_product_attention

from xfer_bench.models.ragged_layout import Row, Run
from xfer_bench.models.ragged_products import Space

# On a CPU three batched products for each sequence are faster than the fused kernel between these lengths (44 tokens:
# half its time), alike at 256; outside the fused one wins.
SHORTEST, LONGEST = 16, 256
# Tokens brought together at once there, so that what lies between the products stays in the core's own cache.
CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Self-attention of every token of a row on a CPU, in float32; its views are made once and serve every layer.

    joint: (tokens, 3 hidden), to be filled with queries, keys and values without their bias before each call.
    context: (tokens, hidden), where the answer lies.
    """

    joint: torch.Tensor
    context: torch.Tensor
    heads: int
    _parts: "tuple[_Products | _Fused, ...]"

    @classmethod
    def over(cls, row: Row, *, hidden: int, heads: int, space: Space) -> "Attention":
        """For this row, in `space`: valid until the next one over the same space."""
        joint, context = space("joint", len(row.ids), 3 * hidden), space("context", len(row.ids), hidden)
        # All buffers are taken before a view is made, since a larger one lies elsewhere.
        longest = max((run.length for run in row.runs if SHORTEST <= run.length <= LONGEST), default=0)
        scores, shares = (space(name, heads * longest * longest) for name in ("scores", "shares"))
        mixed = space("mixed", max(CHUNK, longest) * hidden)
        parts: list[_Products | _Fused] = []
        for run in row.runs:
            if SHORTEST <= run.length <= LONGEST:
                for some in run.parts(max(1, CHUNK // run.length)):
                    parts.append(
                        _Products.of(some, joint, _heads_last(context[some.tokens], some, heads), mixed, scores, shares)
                    )
            else:
                parts.append(_Fused.of(run, joint, _heads_last(context[run.tokens], run, heads)))
        return cls(joint=joint, context=context, heads=heads, _parts=tuple(parts))

    def __call__(self, bias: torch.Tensor) -> torch.Tensor:
        """The context; bias: (3 hidden,) of queries, keys and values.

        That of the keys adds the same to all scores of a query, which changes no share; that of the values adds itself
        to every mixture, as the shares sum to one.
        """
        hidden = self.context.shape[1]
        of_queries, of_values = bias[:hidden], bias[2 * hidden :].view(self.heads, 1, -1)
        for part in self._parts:
            part.queries.add_(of_queries)
            torch.add(part.mixture(), of_values, out=part.result)
        return self.context


@dataclass(frozen=True, kw_only=True)
class _Fused:
    """Sequences of one length through torch's own kernel.

    queries: (tokens, hidden). whole: queries, keys and values as result is, (sequences, heads, length, head size).
    """

    queries: torch.Tensor
    whole: tuple[torch.Tensor, ...]
    result: torch.Tensor

    @classmethod
    def of(cls, run: Run, joint: torch.Tensor, result: torch.Tensor) -> "_Fused":
        rows, heads = joint[run.tokens], result.shape[1]
        hidden = joint.shape[1] // 3
        return cls(queries=rows[:, :hidden], whole=_split(rows, run, 3, heads), result=result)

    def mixture(self) -> torch.Tensor:
        queries, keys, values = self.whole
        return scaled_dot_product_attention(queries, keys, values)


@dataclass(frozen=True, kw_only=True)
class _Sequence:
    """One sequence's views. queries, values, mixed: (heads, length, head size). keys: (heads, head size, length).

    scores, shares: (heads, length, length), used by one sequence after another.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    scores: torch.Tensor
    shares: torch.Tensor
    mixed: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class _Products:
    """Sequences of one length, one after another. queries, result: as in _Fused. mixed: as result, in one piece."""

    queries: torch.Tensor
    each: tuple[_Sequence, ...]
    mixed: torch.Tensor
    result: torch.Tensor

    @classmethod
    def of(
        cls,
        run: Run,
        joint: torch.Tensor,
        result: torch.Tensor,
        mixed: torch.Tensor,
        scores: torch.Tensor,
        shares: torch.Tensor,
    ) -> "_Products":
        count, heads, length, size = result.shape
        hidden, stride = heads * size, joint.stride(0)
        mixed = mixed[: result.numel()].view(result.shape)
        square = (heads, length, length)
        scores, shares = (one[: math.prod(square)].view(square) for one in (scores, shares))

        def rows(index: int, third: int) -> torch.Tensor:
            start = (run.start + index * length) * stride + third * hidden
            return joint.as_strided((heads, length, size), (size, stride, 1), joint.storage_offset() + start)

        each = tuple(
            _Sequence(
                queries=rows(index, 0),
                keys=rows(index, 1).transpose(1, 2),
                values=rows(index, 2),
                scores=scores,
                shares=shares,
                mixed=mixed[index],
            )
            for index in range(count)
        )
        return cls(queries=joint[run.tokens, :hidden], each=each, mixed=mixed, result=result)

    def mixture(self) -> torch.Tensor:
        scale = self.mixed.shape[3] ** -0.5
        for one in self.each:
            one.scores.baddbmm_(one.queries, one.keys, beta=0, alpha=scale)
            # In place it is half as fast where the length does not fit the vectors.
            torch.softmax(one.scores, -1, out=one.shares)
            torch.bmm(one.shares, one.values, out=one.mixed)
        return self.mixed


def attend_runs(qkv: torch.Tensor, row: Row, *, heads: int) -> torch.Tensor:
    """Self-attention of every token on any device; qkv: (tokens, 3 hidden), bias included."""
    result = qkv.new_empty(len(qkv), qkv.shape[1] // 3)
    for run in row.runs:
        q, k, v = _split(qkv[run.tokens], run, 3, heads)
        _heads_last(result[run.tokens], run, heads).copy_(scaled_dot_product_attention(q, k, v))
    return result


def attend_first(q: torch.Tensor, kv: torch.Tensor, row: Row, *, heads: int) -> torch.Tensor:
    """Attention of each sequence's first token only; q: (sequences, hidden), kv: (tokens, 2 hidden), with biases."""
    result = torch.empty_like(q)
    for run in row.runs:
        k, v = _split(kv[run.tokens], run, 2, heads)
        query = q[run.sequences].view(run.count, 1, heads, -1).transpose(1, 2)
        result[run.sequences] = scaled_dot_product_attention(query, k, v).reshape(run.count, -1)
    return result


def attend_varlen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, row: Row, *, heads: int) -> torch.Tensor:
    """Torch's attention for different lengths in one kernel, on CUDA in 16 bits.

    k, v: (tokens, hidden). q: the same, or (sequences, hidden) for the first tokens only. Returns q's shape.
    """
    from torch.nn.attention.varlen import varlen_attn

    whole = len(q) == len(k)
    queries = row.bounds if whole else torch.arange(len(q) + 1, dtype=torch.int32, device=q.device)
    longest = max(row.lengths)
    q, k, v = (one.reshape(len(one), heads, -1) for one in (q, k, v))
    answer = varlen_attn(q, k, v, queries, row.bounds, longest if whole else 1, longest)
    return cast(torch.Tensor, answer).reshape(len(q), -1)


def _split(rows: torch.Tensor, run: Run, parts: int, heads: int) -> tuple[torch.Tensor, ...]:
    """The parts of (tokens, parts x hidden), each (sequences, heads, length, head size)."""
    return rows.view(run.count, run.length, parts, heads, -1).permute(2, 0, 3, 1, 4).unbind()


def _heads_last(rows: torch.Tensor, run: Run, heads: int) -> torch.Tensor:
    """(tokens, hidden) seen as (sequences, heads, length, head size)."""
    return rows.view(run.count, run.length, heads, -1).transpose(1, 2)
