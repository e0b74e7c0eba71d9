"""What the sampler draws how often, found by asking it for a whole grid of draws."""

import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import SamplingConfig
from cosystream.models.cosyvoice.sampling import NOTHING, sample

RESOLUTION = 30_000
"""Draws in the grid. Each id gets its share to one part in these."""


def window(decoded: list[int], size: int) -> Tensor:
    """The last ids of ``decoded`` as the sampler wants them, (1, size)."""
    last = decoded[-size:]
    return torch.tensor([[NOTHING] * (size - len(last)) + last])


def shares(logits: Tensor, decoded: list[int], config: SamplingConfig, forbidden: Tensor | None = None) -> Tensor:
    """The probability of each id (V,), over both draws, for one sequence with ``logits`` (V,)."""
    grid = (torch.arange(RESOLUTION, dtype=torch.float64) + 0.5) / RESOLUTION
    if forbidden is None:
        forbidden = torch.zeros_like(logits, dtype=torch.bool)

    def drawn(first: Tensor, second: Tensor, recent: Tensor) -> Tensor:
        draws = torch.stack([first, second], dim=1).float()
        rows = logits.expand(len(draws), -1)
        return sample(rows, recent.expand(len(draws), -1), forbidden, draws, config)

    at_first = drawn(grid, grid, window([], config.window_size))  # with nothing to repeat, the first draw alone decides
    total = torch.zeros(len(logits), dtype=torch.float64)
    for token in sorted(set(at_first.tolist())):
        which = (at_first == token).nonzero().flatten()
        one = grid[which[len(which) // 2]]
        for second in (grid[:: RESOLUTION // 50], grid):
            at_last = drawn(one.expand(len(second)), second, window(decoded, config.window_size))
            if (at_last == token).all():
                break  # no repetition: the second draw decides nothing, and need not be looked at so closely
        total += len(which) / RESOLUTION * torch.bincount(at_last, minlength=len(logits)) / len(second)
    return total
