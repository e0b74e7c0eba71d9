"""Vocoders small enough for tests, of random weights, whose pitch goes up and down where people speak."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.f0 import CausalF0Predictor, F0Predictor
from cosystream.models.cosyvoice.hift import HiFT
from cosystream.models.cosyvoice.vocoder import State, Vocoder

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


def rippling_noise(start: int, num_samples: int, device: torch.device) -> Tensor:
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


def spoken(hift: Vocoder[State], state: State, mel: Tensor, *, last: bool) -> Tensor:
    """The samples (N,) that ``mel`` completes, nobody else speaking."""
    return hift.vocode([state], [mel], last=[last])[0]


def assert_alike_in_company(hift: Vocoder[Any]) -> None:
    """Five utterances, cut in various ways, that come and go: pieces alike and not, in changing order."""
    cuts = [[20, 20, 20, 12], [20, 20, 20, 12], [3, 5, 20, 20, 0], [40, 20, 20], [20, 0, 20, 16, 8]]
    begins = [0, 0, 1, 2, 1]  # rounds
    mels = [random_mel(sum(sizes)) * (1 - 0.2 * index) for index, sizes in enumerate(cuts)]
    states, pieces = [hift.begin(seed) for seed in range(5)], [list[Tensor]() for _ in cuts]
    for round_index in range(6):
        now = [i for i in range(5) if 0 <= round_index - begins[i] < len(cuts[i])]
        now = now[round_index % 2 :] + now[: round_index % 2]
        news, lasts = [], []
        for i in now:
            place = round_index - begins[i]
            news.append(torch.split(mels[i], cuts[i])[place])
            lasts.append(place == len(cuts[i]) - 1)
        for i, piece in zip(now, hift.vocode([states[i] for i in now], news, last=lasts), strict=True):
            pieces[i].append(piece)
    for seed, sizes in enumerate(cuts):
        alone, parts = hift.begin(seed), torch.split(mels[seed], sizes)
        for index, part in enumerate(parts):
            expected = spoken(hift, alone, part, last=index == len(sizes) - 1)
            torch.testing.assert_close(pieces[seed][index], expected, rtol=0, atol=1e-9)
        assert sum(map(len, pieces[seed])) == sum(sizes) * FRAME


def _speaking(hift: M) -> M:
    predictor = hift.f0_predictor
    assert isinstance(predictor, F0Predictor | CausalF0Predictor)
    nn.init.normal_(predictor.classifier.weight, std=40)
    nn.init.constant_(predictor.classifier.bias, 5)
    return hift.double().requires_grad_(requires_grad=False)
