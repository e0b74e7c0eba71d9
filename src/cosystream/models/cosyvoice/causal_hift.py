"""v3's vocoder: it sees a few frames ahead and keeps what lies behind, so a chunk costs its own frames only."""

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.f0 import F0_LOOKAHEAD, CausalF0Predictor
from cosystream.models.cosyvoice.noise import Noise
from cosystream.models.cosyvoice.overlap_add import Analysis, Synthesis
from cosystream.models.cosyvoice.source_filter import SourceFilter
from cosystream.models.streaming import Past

HELD_FRAMES = 4
"""Vocoded but kept back, so that a piece ends where the reference ends it, eight frames behind the mel; 1 would do."""


@dataclass(slots=True)
class CausalHiFTState:
    """One utterance, as far as it was vocoded.

    Shapes: T frames, M mel bins, H the fundamental and its harmonics, N samples.
    """

    f0_ahead: Tensor  # (1, M, T), seen by the f0 predictor as the frames ahead
    mel_ahead: Tensor  # (1, M, T), seen by the first convolution as the frames ahead
    cycles: Tensor  # (H,)
    analysis: Analysis
    synthesis: Synthesis
    held: Tensor  # (N,), computed but not given
    pitched: Past = field(default_factory=Past)
    """Behind the f0 predictor: of the frames that have a source."""
    filtered: Past = field(default_factory=Past)
    """Behind everything else: of the frames that have samples."""


class CausalHiFT(SourceFilter):
    """Mel frames in, samples out; any cut of the mel gives the samples of the whole.

    ``noise`` is the source's, one for all utterances.

    Shapes: T frames, M mel bins, N samples, C channels, K columns of the STFT, B bins.
    """

    def __init__(self, config: HiFTConfig, noise: Noise) -> None:
        super().__init__(config)
        self.noise = noise
        self.num_held = HELD_FRAMES * self.frame_samples + config.hop_length - config.n_fft // 2
        self.f0_predictor = CausalF0Predictor(config)
        self.conv_pre = nn.Conv1d(config.in_channels, config.base_channels, config.conv_pre_lookahead + 1)
        self.ups = nn.ModuleList(
            nn.Conv1d(*widths, kernel_size)
            for widths, kernel_size in zip(
                pairwise([config.base_channels, *self.widths]), config.upsample_kernel_sizes, strict=True
            )
        )

    def begin(self, seed: int) -> CausalHiFTState:
        """An utterance of which nothing is known yet; there is nothing random in it that ``seed`` could change."""
        nothing = self.conv_pre.weight.new_zeros(1, self.config.in_channels, 0)
        window = self.window()
        return CausalHiFTState(
            f0_ahead=nothing,
            mel_ahead=nothing,
            cycles=self.m_source.silent_cycles(),
            analysis=Analysis(window, self.config.hop_length),
            synthesis=Synthesis(window, self.config.hop_length),
            held=window.new_zeros(0),
        )

    def vocode(self, state: CausalHiFTState, mel: Tensor, *, last: bool) -> Tensor:
        """The samples (N,) that ``mel`` (T, M) completes, eight frames behind it; with ``last`` all there are."""
        return self.render(state, mel, self.excite(state, mel, last=last), last=last)

    def f0(self, state: CausalHiFTState, mel: Tensor, *, last: bool) -> Tensor:
        """The pitch (T',) in Hz, float64, of the frames whose lookahead ``mel`` (T, M) completes."""
        ready, state.f0_ahead = _with_ahead(state.f0_ahead, mel, F0_LOOKAHEAD, last=last)
        if ready.size(-1) <= F0_LOOKAHEAD:
            return ready.new_zeros(0, dtype=torch.float64)
        f0: Tensor = self.f0_predictor(ready, state.pitched)
        return f0

    def excite(self, state: CausalHiFTState, mel: Tensor, *, last: bool) -> Tensor:
        """The source (N,) of the same frames."""
        f0 = self.f0(state, mel, last=last).float()
        phase, state.cycles = self.m_source.phase(f0, state.cycles, self.frame_samples)
        size = self.frame_samples
        noise = self.noise(state.pitched.num_frames * size, len(f0) * size).to(f0.device)
        state.pitched.commit(len(f0))
        # one phase throughout a frame, unlike v2, which goes from one to the next
        source: Tensor = self.m_source(f0.repeat_interleave(size), phase.repeat_interleave(size, dim=0), noise)
        return source

    def render(self, state: CausalHiFTState, mel: Tensor, source: Tensor, *, last: bool) -> Tensor:
        """The samples (N,) that ``mel`` (T, M) and the next of the ``source`` complete."""
        state.analysis.feed(source, last=last)
        lookahead = self.config.conv_pre_lookahead
        ready, state.mel_ahead = _with_ahead(state.mel_ahead, mel, lookahead, last=last)
        num_frames = ready.size(-1) - lookahead
        if num_frames > 0:
            samples = state.synthesis.feed(self._filter(state, ready, num_frames), last=last)
            state.filtered.commit(num_frames)
            state.held = torch.cat([state.held, samples.clamp(-self.config.audio_limit, self.config.audio_limit)])
        num_given = len(state.held) if last else max(0, len(state.held) - self.num_held)
        given, state.held = state.held[:num_given], state.held[num_given:]
        return given

    def _filter(self, state: CausalHiFTState, mel: Tensor, num_frames: int) -> Tensor:
        extend = state.filtered.extend
        is_first = state.filtered.num_frames == 0
        # a centred STFT has a column more than its hops: the first
        stft = state.analysis.take(num_frames * self.frame_columns + is_first)  # (1, 2B, K)
        x = self.conv_pre(mel)  # (1, C, T)
        final = len(self.ups) - 1
        for stage, up in enumerate(self.ups):
            x = F.leaky_relu(x, self.config.lrelu_slope).repeat_interleave(self.config.upsample_rates[stage], dim=-1)
            x = up(extend(f"ups.{stage}", x, self.config.upsample_kernel_sizes[stage] - 1))
            if stage == final and is_first:
                x = F.pad(x, (1, 0), mode="reflect")
            x = self.fuse(stage, x, self._down(stage, stft, state.filtered), extend)
        return self.spectrum(x, extend)

    def _down(self, stage: int, stft: Tensor, past: Past) -> Tensor:
        stride = self.strides[stage]
        if stride > 1:
            stft = past.extend(f"source_downs.{stage}", stft, stride)
            # the first piece has a column more, which takes the place of one that is silent
            stft = stft[..., stft.size(-1) % stride :]
        down: Tensor = self.source_downs[stage](stft)
        return down


def _with_ahead(ahead: Tensor, mel: Tensor, lookahead: int, *, last: bool) -> tuple[Tensor, Tensor]:
    """Frames (1, M, T) to convolve and those of them to see again; silence follows the last."""
    frames = torch.cat([ahead, mel.T[None]], dim=-1)
    if last:
        frames = F.pad(frames, (0, lookahead))
    return frames, frames[..., max(0, frames.size(-1) - lookahead) :]
