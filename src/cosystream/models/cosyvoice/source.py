"""The source of the vocoder: sines at the pitch and its harmonics, noise where there is none, mixed into one signal."""

import math

import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.config import HiFTConfig


class Source(nn.Module):
    """The excitation that the vocoder filters.

    Phase is a matter of frames: the reference computes it sample by sample, then averages the two samples in the
    middle of each frame, which leaves the sum over frames times the samples in one. Its random initial phase is lost
    on that way, so there is none here.

    Shapes: R rows, T frames, N samples, H the fundamental and its harmonics.
    """

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        self.config = config
        self.num_sines = config.num_harmonics + 1
        self.l_linear = nn.Linear(self.num_sines, 1)

    def silent_cycles(self, num_rows: int = 1) -> Tensor:
        """What ``phase`` starts from, (R, H)."""
        return torch.zeros(num_rows, self.num_sines, dtype=torch.float64, device=self.l_linear.weight.device)

    def phase(self, f0: Tensor, cycles: Tensor, frame_samples: int) -> tuple[Tensor, Tensor]:
        """Phase (R, T, H) in radians for ``f0`` (R, T) in Hz, from and to the ``cycles`` (R, H) before and behind it.

        The reference sums in float64 and rounds each sum to float32, phase with it. To do the same with whole sums,
        rather than with their fractions, keeps its samples, although it costs precision as an utterance grows.
        """
        harmonics = torch.arange(1, self.num_sines + 1, device=f0.device, dtype=f0.dtype)
        turns = f0[..., None] * harmonics / self.config.sample_rate % 1  # (R, T, H)
        sums = cycles[:, None] + turns.double().cumsum(1)  # (R, T, H)
        after = sums[:, -1] if f0.size(1) else cycles
        return sums.float() * 2 * math.pi * frame_samples, after

    def forward(self, f0: Tensor, phase: Tensor, noise: Tensor) -> Tensor:
        """Source (R, N) from ``f0`` (R, N), ``phase`` (R, N, H) and ``noise`` (R, N, H), all at sample rate."""
        alpha, sigma = self.config.nsf_alpha, self.config.nsf_sigma
        voiced = (f0 > self.config.voiced_threshold).to(phase.dtype)[..., None]  # (R, N, 1)
        loudness = voiced * sigma + (1 - voiced) * alpha / 3
        sines = alpha * torch.sin(phase) * voiced + loudness * noise  # (R, N, H)
        return torch.tanh(self.l_linear(sines.to(self.l_linear.weight.dtype))).squeeze(-1)
