"""The way from noise to mel: Euler steps on a cosine grid, classifier-free guidance, and the noise itself."""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

NUM_STEPS = 10
"""As the reference has it."""
MAX_FRAMES = 15_000
"""300 s: there is no noise beyond."""
NUM_MELS = 80


@dataclass(frozen=True, slots=True)
class Schedule:
    """The solver's times, one to an Euler step, and how far each step goes."""

    times: tuple[float, ...]
    widths: tuple[float, ...]


@cache
def cosine_schedule(num_steps: int = NUM_STEPS) -> Schedule:
    """t_k = 1 - cos(k / num_steps pi / 2): short steps first.

    All in float32, and each time the sum of the steps before it, because that is where the reference evaluates.
    """
    grid = 1 - torch.cos(torch.linspace(0, 1, num_steps + 1) * 0.5 * math.pi)
    times, widths = [], []
    t = grid[0]
    for end in grid[1:]:
        width = end - t
        times.append(t.item())
        widths.append(width.item())
        t = t + width
    return Schedule(tuple(times), tuple(widths))


def guide(velocity: Tensor, rate: float) -> Tensor:
    """Away from the unconditional velocity, (2 B, N, M) -> (B, N, M): each conditional row is followed by the other."""
    conditional, unconditional = velocity[0::2], velocity[1::2]
    return (1 + rate) * conditional - rate * unconditional


def noise(start: int, end: int, device: torch.device) -> Tensor:
    """Where frames ``start`` to ``end`` of every sequence set out from, (1, N, M)."""
    if end > MAX_FRAMES:
        raise ValueError(f"{end} mel frames, prompt included; a sequence can have {MAX_FRAMES} (300 s)")
    return _all_noise(device)[:, start:end]


@cache
def _all_noise(device: torch.device) -> Tensor:
    """The reference's, drawn at its full size: a shorter draw has other values."""
    drawn = torch.randn([1, NUM_MELS, MAX_FRAMES], generator=torch.Generator().manual_seed(0))
    return drawn.mT.contiguous().to(device)
