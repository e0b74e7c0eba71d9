"""Either generation's vocoder, by the checkpoint's configuration."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import Tensor

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.hift import HiFT
from cosystream.models.cosyvoice.noise import FixedNoise

State = TypeVar("State")


class Vocoder(Protocol[State]):
    """Mel frames in, samples out, piece by piece, for many utterances at once.

    Shapes: T frames, M mel bins, N samples.
    """

    def begin(self, seed: int) -> State:
        """What is kept of one utterance; what is random in it follows from ``seed``."""

    def vocode(self, states: Sequence[State], mels: Sequence[Tensor], *, last: Sequence[bool]) -> list[Tensor]:
        """The samples (N,) that each of ``mels`` (T, M) completes in its utterance; where ``last``, all there are.

        An utterance comes once in ``states``. It sounds as it would alone: pieces of equal length go through the
        networks together if both or neither are first and last ones, the others after one another.
        """

    def quicken(self) -> None:
        """Lay out the weights, once they are loaded, as the device computes with them fastest; the samples stay."""


def create_vocoder(config: CosyVoiceConfig) -> HiFT | CausalHiFT:
    """The vocoder, without its weights."""
    return CausalHiFT(config.hift, FixedNoise(config)) if config.hift.is_causal else HiFT(config.hift)
