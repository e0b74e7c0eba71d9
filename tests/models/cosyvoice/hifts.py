"""Vocoders small enough for tests, of random weights, whose pitch goes up and down where people speak."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.f0 import CausalF0Predictor, F0Predictor
from cosystream.models.cosyvoice.hift import HiFT

NUM_MELS = 6
FRAME = 48
"""Samples."""
CONFIG = HiFTConfig(
    is_causal=True,
    in_channels=NUM_MELS,
    base_channels=16,
    num_harmonics=2,
    sample_rate=2400,
    nsf_alpha=0.1,
    nsf_sigma=0.003,
    voiced_threshold=10,
    upsample_rates=(2, 3, 2),
    upsample_kernel_sizes=(4, 7, 4),
    n_fft=16,
    hop_length=4,
    resblock_kernel_sizes=(3, 5),
    resblock_dilations=((1, 3), (1, 2)),
    source_resblock_kernel_sizes=(3, 3, 5),
    source_resblock_dilations=((1, 3), (1, 3), (1, 3)),
    lrelu_slope=0.1,
    audio_limit=0.99,
    f0_channels=8,
    conv_pre_lookahead=4,
)
M = TypeVar("M", bound=nn.Module)


def rippling_noise(start: int, num_samples: int) -> Tensor:
    """Nothing random, and different at every sample."""
    places = torch.arange(start, start + num_samples)[:, None] + torch.tensor([0.0, 0.3, 0.7])
    return torch.sin(places * places % 97)


def small_hift(*, official_seams: bool = False) -> HiFT:
    torch.manual_seed(0)
    return _speaking(HiFT(CONFIG, official_seams=official_seams))


def small_causal_hift() -> CausalHiFT:
    torch.manual_seed(0)
    return _speaking(CausalHiFT(CONFIG, rippling_noise))


def random_mel(num_frames: int) -> Tensor:
    """In float64, as the vocoders here: what differs then is not rounding."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num_frames, NUM_MELS, generator=generator, dtype=torch.float64)


def _speaking(hift: M) -> M:
    predictor = hift.f0_predictor
    assert isinstance(predictor, F0Predictor | CausalF0Predictor)
    nn.init.normal_(predictor.classifier.weight, std=40)
    nn.init.constant_(predictor.classifier.bias, 5)
    return hift.double().requires_grad_(requires_grad=False)
