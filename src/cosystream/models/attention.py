"""Softmax attention, as each device computes it fastest."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

MOST_QUERIES = 64
"""At once, so that what they score stays in the cache."""


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None = None) -> Tensor:
    """softmax(q kT / sqrt(D)) v, the softmax in float32: (R, H, N, D), (R, H, L, D) twice -> (R, H, N, D).

    ``visible``, broadcastable to (R, H, N, L), is True at what a query sees; None is all.
    """
    if q.device.type != "cpu" or q.dtype == torch.float32:
        return F.scaled_dot_product_attention(q, k, v, visible)
    # Where a CPU multiplies bfloat16 natively, the plain way is up to twice as fast as the fused one.
    if visible is not None:
        visible = visible.broadcast_to(*q.shape[:3], k.size(2))
    attended = []
    for start in range(0, q.size(2), MOST_QUERIES):
        queries = slice(start, start + MOST_QUERIES)
        scores = q[:, :, queries] * (1 / math.sqrt(q.size(-1))) @ k.mT
        if visible is not None:
            scores = scores.masked_fill(~visible[:, :, queries], -math.inf)
        attended.append(torch.softmax(scores, dim=-1) @ v)  # exponentials and sums are taken in float32
    return attended[0] if len(attended) == 1 else torch.cat(attended, dim=2)


def attend_by_block(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    """Each query sees all keys up to the end of its own block: (R, H, N, D), (R, H, P + N, D) twice -> (R, H, N, D).

    Blocks of ``block`` frames count from the first key; the P keys in front, which have no queries, fill whole blocks.
    Block by block, so that there is no mask and nothing invisible is computed.
    """
    num_past = k.size(2) - q.size(2)
    attended = []
    for i, queries in enumerate(torch.split(q, block, dim=2)):
        end = min(num_past + (i + 1) * block, k.size(2))
        attended.append(attend(queries, k[:, :, :end], v[:, :, :end]))
    return attended[0] if len(attended) == 1 else torch.cat(attended, dim=2)
