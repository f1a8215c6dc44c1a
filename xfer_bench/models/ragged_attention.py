"""Attention within sequences of different lengths, without padding: per run of equal lengths, or torch's own kernel."""

from typing import cast

import torch
from torch.nn.functional import scaled_dot_product_attention

from xfer_bench.models.ragged_layout import Row, Run
from xfer_bench.models.ragged_products import Space

# On a CPU three batched products are faster than the fused kernel between these lengths, up to twice (27 tokens: 1.5
# against 2.5 ms for 1,024 tokens on one core); outside, and where the length fits the vectors, the fused one wins.
SHORTEST, LONGEST = 17, 240
# Tokens taken at once there, so that what lies between the products stays in the core's own cache.
CHUNK = 256


def attend(qkv: torch.Tensor, bias: torch.Tensor, row: Row, *, heads: int, space: Space) -> torch.Tensor:
    """Self-attention of every token, on a CPU.

    qkv: (tokens, 3 hidden) float32, without the bias (3 hidden,); may be changed. Returns (tokens, hidden) in `space`.
    """
    result = space("context", len(qkv), qkv.shape[1] // 3)
    for run in row.runs:
        if SHORTEST <= run.length <= LONGEST:
            step = max(1, CHUNK // run.length)
            for begin in range(0, run.count, step):
                size = min(step, run.count - begin) * run.length
                tokens = slice(run.start + begin * run.length, run.start + begin * run.length + size)
                _by_products(qkv[tokens], bias, result[tokens], length=run.length, heads=heads, space=space)
        else:
            q, k, v = _split(qkv[run.tokens].add_(bias), run, 3, heads)
            _heads_last(result[run.tokens], run, heads).copy_(scaled_dot_product_attention(q, k, v))
    return result


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


def _by_products(
    qkv: torch.Tensor, bias: torch.Tensor, result: torch.Tensor, *, length: int, heads: int, space: Space
) -> None:
    count, size = len(qkv) // length, result.shape[1] // heads
    batch = count * heads
    # Adds the bias, scales the queries and brings each head's rows together, in one pass.
    q, k, v = torch._transform_bias_rescale_qkv(qkv.view(count, length, -1), bias, heads)
    scores = space("scores", batch, length, length)
    torch.bmm(q.view(batch, length, size), k.view(batch, length, size).transpose(1, 2), out=scores)
    # In place it is half as fast where the length does not fit the vectors.
    shares = torch.softmax(scores, -1, out=space("shares", batch, length, length))
    mixed = torch.bmm(shares, v.view(batch, length, size), out=space("mixed", batch, length, size))
    result.view(count, length, heads, size).copy_(mixed.view(count, heads, length, size).transpose(1, 2))


def _split(rows: torch.Tensor, run: Run, parts: int, heads: int) -> tuple[torch.Tensor, ...]:
    """The parts of (tokens, parts x hidden), each (sequences, heads, length, head size)."""
    return rows.view(run.count, run.length, parts, heads, -1).permute(2, 0, 3, 1, 4).unbind()


def _heads_last(rows: torch.Tensor, run: Run, heads: int) -> torch.Tensor:
    """(tokens, hidden) seen as (sequences, heads, length, head size)."""
    return rows.view(run.count, run.length, heads, -1).transpose(1, 2)
