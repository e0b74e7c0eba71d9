"""How both estimators are told the solver's time."""

import math

import torch
from torch import Tensor

TIME_SCALE = 1000
"""Between the solver's time, 0 to 1, and the sinusoid's."""


def time_features(t: Tensor, size: int) -> Tensor:
    """Sines, then cosines, of ``t`` (S,) at frequencies from 1 down to 1e-4: (S, size) float32."""
    half = size // 2
    k = torch.arange(half, device=t.device, dtype=torch.float32)
    angles = TIME_SCALE * t.float()[:, None] * torch.exp(k * (-math.log(10_000) / (half - 1)))
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
