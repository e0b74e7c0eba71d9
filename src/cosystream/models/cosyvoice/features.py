"""What the models hear of a recording: its waveform at another rate, and the spectrogram that each was taught on.

A waveform is (N,) in [-1, 1], on any device. T is frames.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from cosystream.models.cosyvoice.config import MelConfig
from cosystream.models.torchaudio_import import torchaudio

WHISPER_RATE = 16_000
WHISPER_MELS = 128
WHISPER_N_FFT = 400
WHISPER_HOP = 160
KALDI_RATE = 16_000
KALDI_MELS = 80


def resample(waveform: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """By windowed-sinc interpolation: (N,) -> (ceil(N target / source),).

    The kernel has some ``source x target / gcd(source, target)^2`` taps: see that the rates have much in common.
    """
    resampled: Tensor = torchaudio.functional.resample(waveform, source_rate, target_rate)
    return resampled


def mel_spectrogram(waveform: Tensor, config: MelConfig) -> Tensor:
    """What the flow makes and the vocoder reads: log mel magnitudes, (N,) -> (T, num_mels), T = N // hop.

    Needs more than (n_fft - hop) / 2 samples.
    """
    margin = (config.n_fft - config.hop_length) // 2
    padded = functional.pad(waveform[None], (margin, margin), mode="reflect")[0]
    window = torch.hann_window(config.win_length, device=waveform.device)
    spectrum = torch.stft(
        padded, config.n_fft, config.hop_length, config.win_length, window, center=False, return_complex=True
    )
    magnitude = torch.view_as_real(spectrum).square().sum(-1).add(1e-9).sqrt()  # (F, T)
    fmax = config.sample_rate / 2 if config.fmax is None else config.fmax
    filters = _mel_filters(config.n_fft, config.sample_rate, config.num_mels, config.fmin, fmax)
    return (magnitude.T @ filters.to(waveform.device)).clamp(min=1e-5).log()


def whisper_log_mel(waveform: Tensor) -> Tensor:
    """What the speech tokenizer reads, as Whisper scales it: (N,) at 16 kHz -> (128, T), T = N // 160.

    Unlike Whisper's own it is not padded to 30 s. Needs more than 200 samples.
    """
    window = torch.hann_window(WHISPER_N_FFT, device=waveform.device)
    spectrum = torch.stft(waveform, WHISPER_N_FFT, WHISPER_HOP, window=window, return_complex=True)
    power = torch.view_as_real(spectrum[:, :-1]).square().sum(-1)  # (F, T)
    filters = _mel_filters(WHISPER_N_FFT, WHISPER_RATE, WHISPER_MELS, 0.0, WHISPER_RATE / 2).to(waveform.device)
    log_mel = (filters.T @ power).clamp(min=1e-10).log10()
    return (torch.maximum(log_mel, log_mel.max() - 8) + 4) / 4


def kaldi_fbank(waveform: Tensor) -> Tensor:
    """What the speaker encoder reads: Kaldi's filter bank less its mean over time, (N,) at 16 kHz -> (T, 80).

    Of samples in [-1, 1], not of 16-bit numbers as in Kaldi itself. T = 1 + (N - 400) // 160: needs 400 samples.
    """
    bank: Tensor = torchaudio.compliance.kaldi.fbank(
        waveform[None], num_mel_bins=KALDI_MELS, sample_frequency=KALDI_RATE, dither=0.0
    )
    return bank - bank.mean(dim=0)


@cache
def _mel_filters(n_fft: int, sample_rate: int, num_mels: int, fmin: float, fmax: float) -> Tensor:
    """Triangles of equal area, equally spaced on Slaney's scale, (F, num_mels)."""
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        n_fft // 2 + 1, fmin, fmax, num_mels, sample_rate, norm="slaney", mel_scale="slaney"
    )
    return filters
