"""One segment on its way through the models: text tokens, speech tokens, mel frames, samples."""

import numpy as np
import torch
from numpy.typing import NDArray

from cosystream.engines.cosyvoice.hops import Hops, HopSchedule
from cosystream.engines.cosyvoice.utterance import Conditions, Segment
from cosystream.models.cosyvoice.flow import Solve
from cosystream.models.cosyvoice.model import CosyVoice
from cosystream.models.cosyvoice.qwen2 import KVCache
from cosystream.models.cosyvoice.sampling import NOTHING, remember, sample
from cosystream.models.cosyvoice.silent_tokens import SilenceFilter
from cosystream.models.cosyvoice.speech_lm import no_end, prompt_pieces, speech_length
from cosystream.models.cosyvoice.stretch import Stretcher

PREFILL_PIECE = 256
"""Positions read in one step."""
PROMPT_BLOCKS = 4
"""Of the prompt, solved in one piece: as many tokens as the longest hop has."""

_computing = torch.inference_mode()
"""Entered for each step: held across a ``yield`` it would leak into whatever runs in between."""


class Sequence:
    """The decoding state of a segment, and the steps that bring it on; each takes a bounded time.

    Read until all is read, solve what can be solved of the prompt alone; then decode until a hop is ready, start to
    solve it, step until the solve is done, and finish it, until all is spoken.
    """

    @_computing
    def __init__(
        self, model: CosyVoice, segment: Segment, conditions: Conditions, *, speed: float, generator: torch.Generator
    ) -> None:
        self._model = model
        self._generator = generator
        lm, config = model.lm, model.config
        embedded = lm.embed(prompt_pieces(conditions.prompt_text, segment.text_tokens, conditions.prompt_speech))
        self._unread = embedded  # (N, D)
        self._hidden = embedded.new_empty(0)  # (1, D) once something was read
        self._length = speech_length(len(segment.text_tokens))
        capacity = len(embedded) + self._length.maximum
        self._cache = KVCache(config.lm.body, 1, capacity, device=embedded.device, dtype=embedded.dtype)
        self._position = 0
        self._recent = torch.full((1, config.lm.sampling.window_size), NOTHING, device=embedded.device)
        self._no_end = no_end(lm.ids, embedded.device)  # (V,), may not be drawn
        self._nothing = torch.zeros_like(self._no_end)
        self._silences = SilenceFilter(config.version)
        self._num_drawn = 0
        self._tokens: list[int] = []
        self._ended = False

        flow = conditions.flow.to(model.device)
        self._hops = Hops(len(flow.tokens), HopSchedule(config.flow.chunk_size, lookahead=config.flow.lookahead))
        self._flow = model.flow.begin(flow)
        self._stretcher = Stretcher(speed)
        seed = int(torch.randint(2**31, (), generator=generator))
        self._vocoder = model.vocoder.begin(seed)

    @property
    def is_ready(self) -> bool:
        """Whether there is a hop to be solved."""
        return self._hops.ready(len(self._tokens), ended=self._ended)

    @property
    def is_spoken(self) -> bool:
        return self._ended and self._hops.spoken == len(self._tokens)

    @property
    def is_read(self) -> bool:
        """Whether the language model has read all that comes before the first speech token."""
        return not len(self._unread)

    @_computing
    def read(self) -> None:
        """Prefill the language model, a piece of it."""
        piece, self._unread = self._unread[:PREFILL_PIECE], self._unread[PREFILL_PIECE:]
        self._hidden = self._model.lm.prefill(piece, self._cache, 0, self._position)
        self._position += len(piece)

    @_computing
    def start_prompt(self) -> Solve | None:
        """The next piece of the prompt, to be solved; None where what is left of it goes with the first hop."""
        return self._model.flow.start_prompt(self._flow, PROMPT_BLOCKS * self._model.config.flow.chunk_size)

    @_computing
    def decode(self) -> None:
        """Draw the next speech token."""
        lm, ids = self._model.lm, self._model.lm.ids
        may_end = self._num_drawn >= self._length.minimum
        device, forbidden = self._model.device, self._nothing if may_end else self._no_end
        draws = torch.rand(1, 2, generator=self._generator).to(device)
        drawn = sample(lm.logits(self._hidden), self._recent, forbidden, draws, self._model.config.lm.sampling)
        token = int(drawn)
        if not ids.is_speech(token):
            self._ended = True
            return
        self._recent = remember(self._recent, drawn)
        self._num_drawn += 1
        if self._silences.keeps(token):
            self._tokens.append(token)
        if self._num_drawn == self._length.maximum:
            self._ended = True
            return
        slots, positions = torch.tensor([[0], [self._position]], device=device)
        self._position += 1
        self._hidden = lm.decode(drawn, self._cache, slots, positions, self._position)

    @_computing
    def start(self) -> Solve:
        """The next hop, to be solved."""
        spoken = self._hops.spoken
        end = spoken + self._hops.take(len(self._tokens))
        final = end == len(self._tokens)
        seen = end if final else end + self._model.config.flow.lookahead
        tokens = torch.tensor(self._tokens[spoken:seen], device=self._model.device)
        return self._model.flow.start(self._flow, tokens, final=final)

    @_computing
    def step(self, solve: Solve) -> None:
        """One Euler step of the hop."""
        self._model.flow.euler_step(solve)

    @_computing
    def finish_prompt(self, solve: Solve) -> None:
        """Keep what is solved of the prompt."""
        self._model.flow.finish(solve)

    @_computing
    def finish(self, solve: Solve) -> NDArray[np.float32]:
        """The samples of the hop, as far as the vocoder can tell them yet."""
        mel = self._stretcher.feed(self._model.flow.finish(solve), last=self.is_spoken)
        samples = self._model.vocoder.vocode(self._vocoder, mel, last=self.is_spoken)
        waveform: NDArray[np.float32] = samples.cpu().numpy()
        return waveform
