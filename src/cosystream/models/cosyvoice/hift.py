"""v2's vocoder: it sees both sides of a frame, so pieces of an utterance overlap and are cross-faded."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.crossfade import crossfade, fade_window
from cosystream.models.cosyvoice.f0 import F0Predictor
from cosystream.models.cosyvoice.noise import Noise, SeededNoise
from cosystream.models.cosyvoice.resblock import symmetric
from cosystream.models.cosyvoice.source_filter import SourceFilter

OVERLAP_FRAMES = 8
HANN, HAMMING = 0.5, 0.54


@dataclass(slots=True)
class HiFTState:
    """One utterance, as far as it was vocoded.

    Shapes: T frames, M mel bins, N samples of the overlap, none before the first piece.
    """

    noise: Noise
    mel: Tensor  # (T, M), the overlap and what has not been vocoded at all
    source: Tensor  # (N,) of the overlap
    speech: Tensor  # (N,) of the overlap, to fade out
    cycles: Tensor  # (H,) at the end of the overlap
    num_frames: int = 0
    """Before ``mel``."""


class HiFT(SourceFilter):
    """Mel frames in, samples out, the last eight frames of each piece twice.

    Between two pieces the reference lets the phase of the source jump: in each piece it begins at 0, and stands still
    for the last half frame. Its cross-fade is louder than what it fades. ``official_seams`` keeps that, for the same
    samples; otherwise the phase goes on, and the fade keeps the level.

    Shapes: T frames, M mel bins, N samples, C channels, K columns of the STFT, B bins,
    H the fundamental and its harmonics.
    """

    def __init__(self, config: HiFTConfig, *, official_seams: bool = False) -> None:
        super().__init__(config)
        self.official_seams = official_seams
        self.num_overlap = OVERLAP_FRAMES * self.frame_samples
        self.f0_predictor = F0Predictor(config)
        self.conv_pre = nn.Conv1d(config.in_channels, config.base_channels, kernel_size=7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(*widths, kernel_size, stride=rate, padding=(kernel_size - rate) // 2)
            for widths, kernel_size, rate in zip(
                pairwise([config.base_channels, *self.widths]),
                config.upsample_kernel_sizes,
                config.upsample_rates,
                strict=True,
            )
        )

    def begin(self, seed: int) -> HiFTState:
        """An utterance of which nothing is known yet, with the noise of ``seed``."""
        weight = self.conv_pre.weight
        noise = SeededNoise(seed, self.m_source.num_sines, self.frame_samples)
        nothing = weight.new_zeros(0)
        mel = weight.new_zeros(0, self.config.in_channels)
        return HiFTState(noise, mel, source=nothing, speech=nothing, cycles=self.m_source.silent_cycles())

    def vocode(self, state: HiFTState, mel: Tensor, *, last: bool) -> Tensor:
        """The samples (N,) that ``mel`` (T, M) completes, eight frames behind it; with ``last`` all there are.

        A piece too short to fade in before it fades out waits for the next.
        """
        state.mel = torch.cat([state.mel, mel])
        if len(state.mel) < (1 if last else 2 * OVERLAP_FRAMES):
            return mel.new_zeros(0)
        return self.render(state, self.excite(state), last=last)

    def excite(self, state: HiFTState) -> Tensor:
        """The source (N,) of ``state.mel``; that of the overlap is the one it had before."""
        size, f0 = self.frame_samples, self.f0(state.mel)
        noise = state.noise(state.num_frames * size, len(f0) * size)
        num_kept, cycles = len(state.source), self.m_source.silent_cycles()
        if not self.official_seams:
            _, overlap = self.m_source.phase(f0[: num_kept // size], cycles, size)
            cycles = state.cycles - overlap
            num_kept = max(0, num_kept - size // 2)  # where it had no next frame to go to
        source, state.cycles = self.source(f0, noise, cycles)
        return torch.cat([state.source[:num_kept], source[num_kept:]])

    def render(self, state: HiFTState, source: Tensor, *, last: bool) -> Tensor:
        """The samples (N,) of ``state.mel`` with its ``source``, faded in; the overlap stays behind unless ``last``."""
        speech = self.decode(state.mel, source)
        if len(state.speech):
            window = fade_window(self.num_overlap, HAMMING if self.official_seams else HANN)
            speech = crossfade(speech, state.speech, window.to(speech))
        if last:
            return speech
        state.num_frames += len(state.mel) - OVERLAP_FRAMES
        state.mel = state.mel[-OVERLAP_FRAMES:]
        state.source, state.speech = source[-self.num_overlap :], speech[-self.num_overlap :]
        return speech[: -self.num_overlap]

    def f0(self, mel: Tensor) -> Tensor:
        """The pitch (T,) in Hz of ``mel`` (T, M)."""
        f0: Tensor = self.f0_predictor(mel.T[None])
        return f0

    def source(self, f0: Tensor, noise: Tensor, cycles: Tensor) -> tuple[Tensor, Tensor]:
        """The source (N,) of ``f0`` (T,) and ``noise`` (N, H), from and to the ``cycles`` (H,) before and behind it."""
        size = self.frame_samples
        phase, after = self.m_source.phase(f0, cycles, size)
        phase = F.interpolate(phase.T[None], scale_factor=size, mode="linear")[0].T  # (N, H)
        return self.m_source(f0.repeat_interleave(size), phase, noise.to(f0.device)), after

    def source_spectrum(self, source: Tensor) -> Tensor:
        """The STFT of ``source`` (N,), real parts above imaginary ones, (1, 2B, K)."""
        config = self.config
        columns = torch.stft(source, config.n_fft, config.hop_length, window=self.window(), return_complex=True)
        return torch.cat([columns.real, columns.imag])[None]

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """The samples (N,) of ``mel`` (T, M) and ``source`` (N,)."""
        config = self.config
        stft = self.source_spectrum(source)
        x = self.conv_pre(mel.T[None])  # (1, C, T)
        final = len(self.ups) - 1
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, config.lrelu_slope))
            if stage == final:
                x = F.pad(x, (1, 0), mode="reflect")  # a centred STFT has a column more than its hops
            down = self.source_downs[stage](F.pad(stft, [self.strides[stage] // 2] * 2))
            x = self.fuse(stage, x, down, symmetric)
        speech = torch.istft(self.spectrum(x, symmetric), config.n_fft, config.hop_length, window=self.window())
        return speech[0].clamp(-config.audio_limit, config.audio_limit)
