"""One segment on its way through the models, as far as it is nobody else's batch: its tokens and its audio."""

from typing import Any

from torch import Tensor

from cosystream.engines.cosyvoice.utterance import Conditions, Segment
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.silent_tokens import SilenceFilter
from cosystream.models.cosyvoice.stretch import Stretcher


class Sequence:
    """The decoding state of a segment."""

    def __init__(
        self,
        segment: Segment,
        conditions: Conditions,
        *,
        version: Version,
        speed: float,
        draws: Tensor,
        vocoder_state: Any,  # noqa: ANN401 - each vocoder has its own
    ) -> None:
        """``draws`` (N, 2) are uniform numbers, a pair for each token there may be."""
        self.segment = segment
        self.conditions = conditions
        self.draws = draws
        self.stretcher = Stretcher(speed)
        self.vocoder_state = vocoder_state
        self.tokens: list[int] = []
        """To be spoken, in order."""
        self.num_drawn = 0
        """Those that are not to be spoken included."""
        self.ended = False
        self._silences = SilenceFilter(version)

    def note(self, token: int, *, is_speech: bool) -> None:
        """Take down what the language model drew; what is no speech is the end."""
        if not is_speech:
            self.ended = True
            return
        self.num_drawn += 1
        if self._silences.keeps(token):
            self.tokens.append(token)
        self.ended = self.num_drawn == self.segment.length.maximum
