"""Either generation's vocoder, by the checkpoint's configuration."""

from typing import Protocol, TypeVar

from torch import Tensor

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.hift import HiFT
from cosystream.models.cosyvoice.noise import FixedNoise

State = TypeVar("State")


class Vocoder(Protocol[State]):
    """Mel frames in, samples out, piece by piece.

    Shapes: T frames, M mel bins, N samples.
    """

    def begin(self, seed: int) -> State:
        """What is kept of one utterance; what is random in it follows from ``seed``."""

    def vocode(self, state: State, mel: Tensor, *, last: bool) -> Tensor:
        """The samples (N,) that ``mel`` (T, M) completes; with ``last`` all there are."""


def create_vocoder(config: CosyVoiceConfig) -> HiFT | CausalHiFT:
    """The vocoder, without its weights."""
    return CausalHiFT(config.hift, FixedNoise(config)) if config.hift.is_causal else HiFT(config.hift)
