"""v2's vocoder: it sees both sides of a frame, so pieces of an utterance overlap and are cross-faded."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.convolution import TimeConv, TransposedConv
from cosystream.models.cosyvoice.crossfade import crossfade, fade_window
from cosystream.models.cosyvoice.f0 import F0Predictor
from cosystream.models.cosyvoice.noise import Noise, SeededNoise
from cosystream.models.cosyvoice.resblock import symmetric
from cosystream.models.cosyvoice.source_filter import SourceFilter
from cosystream.models.cosyvoice.tails import Tails, alike

OVERLAP_FRAMES = 8
NOISE_FRAMES = 10
"""Drawn at once: fewer are more calls, more are drawn and not used where a piece ends."""
HANN, HAMMING = 0.5, 0.54


@dataclass(slots=True)
class HiFTState:
    """One utterance, as far as it was vocoded.

    Shapes: T frames, M mel bins, N samples of the overlap, none before the first piece,
    H the fundamental and its harmonics.
    """

    noise: Noise
    mel: Tensor  # (T, M), the overlap and what has not been vocoded at all
    source: Tensor  # (N,) of the overlap
    speech: Tensor  # (N,) of the overlap, to fade out
    cycles: Tensor  # (H,) at the end of the overlap
    num_frames: int = 0
    """Before ``mel``."""


@dataclass(frozen=True, slots=True)
class Excitation:
    """What drives a piece of each of some utterances.

    Shapes: R rows, N samples, H the fundamental and its harmonics.
    """

    source: Tensor  # (R, N)
    cycles: Tensor  # (R, H) at its end


class HiFT(SourceFilter):
    """Mel frames in, samples out, the last eight frames of each piece twice.

    Between two pieces the reference lets the phase of the source jump: in each piece it begins at 0, and stands still
    for the last half frame. Its cross-fade is louder than what it fades. ``official_seams`` keeps that, for the same
    samples; otherwise the phase goes on, and the fade keeps the level.

    Shapes: R rows, T frames, M mel bins, N samples, C channels, K columns of the STFT, B bins,
    H the fundamental and its harmonics.
    """

    def __init__(self, config: HiFTConfig, *, official_seams: bool = False) -> None:
        super().__init__(config)
        self.official_seams = official_seams
        self.num_overlap = OVERLAP_FRAMES * self.frame_samples
        self.f0_predictor = F0Predictor(config)
        self.conv_pre = TimeConv(config.in_channels, config.base_channels, kernel_size=7)
        self.ups = nn.ModuleList(
            TransposedConv(*widths, kernel_size, rate)
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
        noise = SeededNoise(seed, self.m_source.num_sines, NOISE_FRAMES * self.frame_samples)
        nothing = weight.new_zeros(0)
        mel = weight.new_zeros(0, self.config.in_channels)
        return HiFTState(noise, mel, source=nothing, speech=nothing, cycles=self.m_source.silent_cycles()[0])

    def vocode(self, states: Sequence[HiFTState], mels: Sequence[Tensor], *, last: Sequence[bool]) -> list[Tensor]:
        """The samples (N,) that each of ``mels`` (T, M) completes, eight frames behind it; where ``last``, all.

        A piece too short to fade in before it fades out waits for the next.
        """
        spoken = [mel.new_zeros(0) for mel in mels]
        for state, mel in zip(states, mels, strict=True):
            state.mel = torch.cat([state.mel, mel])
        keys = [(len(state.mel), len(state.speech), is_last) for state, is_last in zip(states, last, strict=True)]
        for places in alike(keys):
            group, is_last = [states[place] for place in places], last[places[0]]
            if len(group[0].mel) < (1 if is_last else 2 * OVERLAP_FRAMES):
                continue
            samples = self.render(group, self.excite(group), last=is_last)
            for place, row in zip(places, samples, strict=True):
                spoken[place] = row
        return spoken

    def excite(self, states: Sequence[HiFTState]) -> Excitation:
        """The source of the ``mel`` of each of ``states``, all equally long; that of the overlap is what it was."""
        size, silent = self.frame_samples, self.m_source.silent_cycles(len(states))
        f0 = torch.stack([self.f0(state.mel) for state in states])  # (R, T)
        noise = [state.noise(state.num_frames * size, f0.size(1) * size, f0.device) for state in states]
        kept, cycles = torch.stack([state.source for state in states]), silent
        num_kept = kept.size(1)
        if not self.official_seams:
            _, overlap = self.m_source.phase(f0[:, : num_kept // size], silent, size)
            cycles = torch.stack([state.cycles for state in states]) - overlap
            num_kept = max(0, num_kept - size // 2)  # where it had no next frame to go to
        excitation = self.source(f0, torch.stack(noise), cycles)
        source = torch.cat([kept[:, :num_kept], excitation.source[:, num_kept:]], dim=1)
        return Excitation(source, excitation.cycles)

    def render(self, states: Sequence[HiFTState], excitation: Excitation, *, last: bool) -> Tensor:
        """The samples (R, N) of each one's ``mel``, faded in; unless ``last``, the overlap stays behind."""
        mel, source = torch.stack([state.mel for state in states]), excitation.source
        speech = self.decode(mel, source)
        faded = torch.stack([state.speech for state in states])
        if faded.size(1):
            window = fade_window(self.num_overlap, HAMMING if self.official_seams else HANN, speech.device)
            speech = crossfade(speech, faded, window)
        if last:
            return speech
        for row, state in enumerate(states):
            state.num_frames += len(state.mel) - OVERLAP_FRAMES
            state.mel = state.mel[-OVERLAP_FRAMES:]
            state.source = source[row, -self.num_overlap :].clone()  # a view would keep all rows
            state.speech = speech[row, -self.num_overlap :].clone()
            state.cycles = excitation.cycles[row]
        return speech[:, : -self.num_overlap]

    def f0(self, mel: Tensor) -> Tensor:
        """The pitch (T,) in Hz of ``mel`` (T, M)."""
        f0: Tensor = self.f0_predictor(mel)
        return f0

    def source(self, f0: Tensor, noise: Tensor, cycles: Tensor) -> Excitation:
        """From ``f0`` (R, T) and ``noise`` (R, N, H), with the ``cycles`` (R, H) before it."""
        size = self.frame_samples
        phase, after = self.m_source.phase(f0, cycles, size)
        phase = F.interpolate(phase.transpose(1, 2), scale_factor=size, mode="linear").transpose(1, 2)  # (R, N, H)
        return Excitation(self.m_source(f0.repeat_interleave(size, 1), phase, noise), after)

    def source_spectrum(self, source: Tensor) -> Tensor:
        """The STFT of ``source`` (R, N), real parts beside imaginary ones, (R, K, 2B)."""
        (analysis, _), tails = self.transforms(), Tails()
        analysis.feed(tails, source, last=True)
        return analysis.take(tails, source.size(1) // analysis.hop + 1)

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """The samples (R, N) of ``mel`` (R, T, M) and ``source`` (R, N)."""
        config = self.config
        stft = self.source_spectrum(source)
        x = self.conv_pre(symmetric("conv_pre", mel, 6))  # (R, T, C)
        final = len(self.ups) - 1
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, config.lrelu_slope))
            if stage == final:
                x = torch.cat([x[:, 1:2], x], dim=1)  # reflected: a centred STFT has a column more than its hops
            down = self.source_downs[stage](symmetric("source_downs", stft, self.strides[stage] // 2 * 2))
            x = self.fuse(stage, x, down, symmetric)
        _, synthesis = self.transforms()
        speech = synthesis.feed(Tails(), self.spectrum(x, symmetric), last=True)
        return speech.clamp(-config.audio_limit, config.audio_limit)
