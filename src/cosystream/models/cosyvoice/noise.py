"""Noise for the vocoder's source, by position: the same samples however an utterance is cut into pieces."""

from typing import Protocol

import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.graphs import send

ODE_NOISE_SHAPE = (80, 15_000)
"""Drawn from the same generator, before the noise of the vocoder."""
GROWTH = 240_000
"""Samples drawn at once: 10 s, 9 MB."""


class Noise(Protocol):
    """Where a source takes its noise from."""

    def __call__(self, start: int, num_samples: int, device: torch.device) -> Tensor:
        """Noise (num_samples, H) from the sample ``start`` of the utterance, on ``device``."""


class SeededNoise:
    """Standard normal, block by block from a seed of its own, so that any sample is found without those before it.

    Each kind of device draws its own.
    """

    def __init__(self, seed: int, num_sines: int, block: int) -> None:
        self.seed = seed
        self.num_sines = num_sines
        self.block = block

    def __call__(self, start: int, num_samples: int, device: torch.device) -> Tensor:
        first, end = start // self.block, -(-(start + num_samples) // self.block)
        blocks = [torch.zeros(0, self.num_sines, device=device), *(self._draw(i, device) for i in range(first, end))]
        return torch.cat(blocks)[start - first * self.block :][:num_samples]

    def _draw(self, index: int, device: torch.device) -> Tensor:
        seed = (self.seed * 0x9E3779B1 + index) % 2**32  # all that the generator looks at; spread, for blocks count up
        generator = torch.Generator(device).manual_seed(seed)
        return torch.randn(self.block, self.num_sines, generator=generator, device=device)


class FixedNoise:
    """Uniform in [0, 1), one tensor for all utterances: what the reference happens to draw as it builds v3.

    It seeds the global generator while it builds the flow, and draws the vocoder's noise some modules later. What these
    modules draw to initialise their parameters is drawn here too, from a generator of our own. Of its 300 s only the
    part that was asked for is kept.
    """

    def __init__(self, config: CosyVoiceConfig) -> None:
        self.num_sines = config.hift.num_harmonics + 1
        self._generator = torch.Generator("cpu").manual_seed(0)
        self._draw_what_comes_before(config)
        self._drawn = self._rand(0)

    def __call__(self, start: int, num_samples: int, device: torch.device) -> Tensor:
        drawn = self._drawn.to(device)  # where it is already, but for the first time
        missing = start + num_samples - len(drawn)
        if missing > 0:
            grown = self._rand(-(-missing // GROWTH) * GROWTH)  # `rand` continues; `randn` would not
            drawn = torch.cat([drawn, send(grown, device)])
        self._drawn = drawn
        return drawn[start : start + num_samples]

    def _draw_what_comes_before(self, config: CosyVoiceConfig) -> None:
        flow, hift = config.flow, config.hift
        for shape in (ODE_NOISE_SHAPE, (flow.vocab_size, flow.input_size)):
            torch.randn(shape, generator=self._generator, device="cpu")
        channels = hift.f0_channels
        linears = [(flow.spk_embed_dim, flow.output_size), (channels, 1)]  # speaker projection, f0 classifier
        convs = [(hift.in_channels, channels, 4), *[(channels, channels, 3)] * 4]  # f0 predictor
        num_weights = sum(fan_in * fan_out + fan_out for fan_in, fan_out in linears)
        num_weights += sum(fan_in * fan_out * kernel + fan_out for fan_in, fan_out, kernel in convs)
        torch.rand(num_weights, generator=self._generator, device="cpu")
        self._rand(1)  # initial phases, which have no effect

    def _rand(self, num_samples: int) -> Tensor:
        return torch.rand(num_samples, self.num_sines, generator=self._generator, device="cpu")
