"""v3's vocoder: it sees a few frames ahead and keeps what lies behind, so a chunk costs its own frames only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.convolution import RepeatConv, TimeConv
from cosystream.models.cosyvoice.f0 import F0_LOOKAHEAD, CausalF0Predictor
from cosystream.models.cosyvoice.noise import Noise
from cosystream.models.cosyvoice.overlap_add import Analysis
from cosystream.models.cosyvoice.source_filter import SourceFilter
from cosystream.models.cosyvoice.tails import Tails, alike, stacked

HELD_FRAMES = 4
"""Vocoded but kept back, so that a piece ends where the reference ends it, eight frames behind the mel; 1 would do."""


@dataclass(slots=True)
class CausalHiFTState:
    """One utterance, as far as it was vocoded."""

    tails: Tails = field(default_factory=Tails)
    num_frames: int = 0
    """Of the mel, whether there are samples of them yet or not."""


class CausalHiFT(SourceFilter):
    """Mel frames in, samples out; any cut of the mel gives the samples of the whole.

    ``noise`` is the source's, one for all utterances.

    Shapes: R rows, T frames, M mel bins, N samples, C channels, K columns of the STFT, B bins,
    H the fundamental and its harmonics.
    """

    def __init__(self, config: HiFTConfig, noise: Noise) -> None:
        super().__init__(config)
        self.noise = noise
        self.num_held = HELD_FRAMES * self.frame_samples + config.hop_length - config.n_fft // 2
        self.lag = config.conv_pre_lookahead + HELD_FRAMES
        """Frames after which utterances of any length keep the same."""
        self.f0_predictor = CausalF0Predictor(config)
        self.conv_pre = TimeConv(config.in_channels, config.base_channels, config.conv_pre_lookahead + 1)
        ups = [
            RepeatConv(*widths, kernel_size, rate)
            for widths, kernel_size, rate in zip(
                pairwise([config.base_channels, *self.widths]),
                config.upsample_kernel_sizes,
                config.upsample_rates,
                strict=True,
            )
        ]
        self.ups = nn.ModuleList(ups)
        self.ups_past = [up.num_past for up in ups]
        """Steps behind, at the rate before each stage."""

    def begin(self, seed: int) -> CausalHiFTState:
        """An utterance of which nothing is known yet; there is nothing random in it that ``seed`` could change."""
        return CausalHiFTState()

    def vocode(
        self, states: Sequence[CausalHiFTState], mels: Sequence[Tensor], *, last: Sequence[bool]
    ) -> list[Tensor]:
        """The samples (N,) that each of ``mels`` (T, M) completes, eight frames behind it; where ``last``, all."""
        spoken = list(mels)
        keys = [
            (len(mel), is_last, min(state.num_frames, self.lag))
            for state, mel, is_last in zip(states, mels, last, strict=True)
        ]
        for places in alike(keys):
            group = [states[place] for place in places]
            tails = stacked([state.tails for state in group])
            mel = torch.stack([mels[place] for place in places])
            samples = self.speak(tails, mel, [state.num_frames for state in group], last=last[places[0]])
            for state, place, row, kept in zip(group, places, samples, tails.rows(len(group)), strict=True):
                state.tails, state.num_frames = kept, state.num_frames + mel.size(1)
                spoken[place] = row
        return spoken

    def speak(self, tails: Tails, mel: Tensor, starts: Sequence[int], *, last: bool) -> Tensor:
        """The samples (R, N) that ``mel`` (R, T, M) completes, of utterances that have had as many as ``starts``."""
        return self.render(tails, mel, self.excite(tails, mel, starts, last=last), last=last)

    def f0(self, tails: Tails, mel: Tensor, *, last: bool) -> Tensor:
        """The pitch (R, T') in Hz, float64, of the frames whose lookahead ``mel`` (R, T, M) completes."""
        ready = _with_ahead(tails, "f0_ahead", mel, F0_LOOKAHEAD, last=last)
        if ready.size(1) <= F0_LOOKAHEAD:
            return ready.new_zeros(len(ready), 0, dtype=torch.float64)
        f0: Tensor = self.f0_predictor(ready, tails.extend)
        return f0

    def excite(self, tails: Tails, mel: Tensor, starts: Sequence[int], *, last: bool) -> Tensor:
        """The source (R, N) of the same frames."""
        size, f0 = self.frame_samples, self.f0(tails, mel, last=last).float()
        cycles = tails.kept.get("cycles")
        silent = self.m_source.silent_cycles(len(mel))
        phase, tails.kept["cycles"] = self.m_source.phase(f0, silent if cycles is None else cycles, size)
        firsts = [max(0, start - F0_LOOKAHEAD) * size for start in starts]
        noise = torch.stack([self.noise(first, f0.size(1) * size, f0.device) for first in firsts])
        # one phase throughout a frame, unlike v2, which goes from one to the next
        source: Tensor = self.m_source(f0.repeat_interleave(size, 1), phase.repeat_interleave(size, dim=1), noise)
        return source

    def render(self, tails: Tails, mel: Tensor, source: Tensor, *, last: bool) -> Tensor:
        """The samples (R, N) that ``mel`` (R, T, M) and the next of the ``source`` (R, N) complete."""
        analysis, synthesis = self.transforms()
        analysis.feed(tails, source, last=last)
        lookahead, limit = self.config.conv_pre_lookahead, self.config.audio_limit
        ready = _with_ahead(tails, "mel_ahead", mel, lookahead, last=last)
        held = tails.join("held", mel.new_zeros(len(mel), 0))  # computed but not given
        if ready.size(1) > lookahead:
            spectrum = self._filter(tails, analysis, ready, ready.size(1) - lookahead)
            held = torch.cat([held, synthesis.feed(tails, spectrum, last=last).clamp(-limit, limit)], dim=1)
        num_given = held.size(1) if last else max(0, held.size(1) - self.num_held)
        tails.kept["held"] = held[:, num_given:].clone()
        return held[:, :num_given]

    def _filter(self, tails: Tails, analysis: Analysis, mel: Tensor, num_frames: int) -> Tensor:
        extend = tails.extend
        is_first = "conv_post" not in tails.kept
        # a centred STFT has a column more than its hops: the first
        stft = analysis.take(tails, num_frames * self.frame_columns + is_first)  # (R, K, 2B)
        x = self.conv_pre(mel)  # (R, T, C)
        final = len(self.ups) - 1
        for stage, up in enumerate(self.ups):
            x = up(extend(f"ups.{stage}", F.leaky_relu(x, self.config.lrelu_slope), self.ups_past[stage]))
            if stage == final and is_first:
                x = torch.cat([x[:, 1:2], x], dim=1)  # reflected
            x = self.fuse(stage, x, self._down(stage, stft, tails), extend)
        return self.spectrum(x, extend)

    def _down(self, stage: int, stft: Tensor, tails: Tails) -> Tensor:
        stride = self.strides[stage]
        if stride > 1:
            stft = tails.extend(f"source_downs.{stage}", stft, stride)
            # the first piece has a column more, which takes the place of one that is silent
            stft = stft[:, stft.size(1) % stride :]
        down: Tensor = self.source_downs[stage](stft)
        return down


def _with_ahead(tails: Tails, name: str, mel: Tensor, lookahead: int, *, last: bool) -> Tensor:
    """Frames (R, T, M) to convolve; the last of them, to be seen again, stay behind; silence follows the very last."""
    frames = tails.join(name, mel)
    if last:
        frames = F.pad(frames, (0, 0, 0, lookahead))
    tails.kept[name] = frames[:, max(0, frames.size(1) - lookahead) :].clone()
    return frames
