"""Repetition-aware sampling, for many sequences at once and without waiting for the device."""

import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import SamplingConfig

NOTHING = -1
"""What fills a window until as many ids have been drawn."""


def sample(logits: Tensor, recent: Tensor, forbidden: Tensor, draws: Tensor, config: SamplingConfig) -> Tensor:
    """The next id of each sequence, (B,), drawn from the nucleus, or from all ids where that one is a repetition.

    Each sequence brings its own two uniform numbers and inverts the distribution at them, so what it gets depends
    neither on its neighbours nor on when it is drawn.

    Shapes: B sequences, V ids, W ids back. ``logits`` (B, V) float32; ``recent`` (B, W) ids drawn last, of the prompt
    none, ``NOTHING`` where there is none; ``forbidden`` bool, what may not be drawn, (B, V) or broadcast to it;
    ``draws`` (B, 2) float32 in [0, 1).
    """
    logits = logits.masked_fill(forbidden, -torch.inf)
    first = _from_nucleus(logits.softmax(-1), draws[:, 0], config)  # (B,)
    times = (recent == first[:, None]).sum(-1)
    without_first = logits.scatter(1, first[:, None], -torch.inf)
    # Drawn for all, as asking which of them need it would wait for the device. Final, even if it repeats another id.
    second = _invert(without_first.softmax(-1), draws[:, 1])
    return torch.where(times >= config.window_size * config.repetition_ratio, second, first)


def remember(recent: Tensor, ids: Tensor) -> Tensor:
    """The window (B, W) after ``ids`` (B,) were drawn."""
    return torch.cat([recent[:, 1:], ids[:, None]], dim=1)


def _from_nucleus(probabilities: Tensor, draws: Tensor, config: SamplingConfig) -> Tensor:
    """Ids (B,) of the likeliest few: those before which less than ``top_p`` is reached, ``top_k`` at most."""
    size = probabilities.size(-1)
    # As in a stable sort, the lower of two equally likely ids comes first; topk does not promise that. The bits of
    # non-negative floats are ordered as the floats are: with the id below them, no two keys are equal.
    ids = torch.arange(size, device=probabilities.device)
    keys = (probabilities.view(torch.int32).long() << 32) | (size - 1 - ids)
    top_ids = size - 1 - (keys.topk(min(config.top_k, size)).values & 0xFFFFFFFF)  # (B, k)
    top = probabilities.gather(1, top_ids)
    before = top.cumsum(-1).roll(1, -1)
    before[:, 0] = 0
    chosen = _invert(top.masked_fill(before >= config.top_p, 0), draws)
    return top_ids.gather(1, chosen[:, None]).squeeze(1)


def _invert(weights: Tensor, draws: Tensor) -> Tensor:
    """Where in ``weights`` (B, n), summed up, the share ``draws`` (B,) is passed: (B,). Never at a weight of 0."""
    # In float64, where float32 draws below 1 stay below the total and small weights keep their share.
    ends = weights.double().cumsum(-1)
    hit = (ends > ends[:, -1:] * draws[:, None]) & (weights > 0)
    return hit.int().argmax(-1)  # the first
