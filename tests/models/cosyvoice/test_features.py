import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosystream.models.cosyvoice.config import MelConfig
from cosystream.models.cosyvoice.features import kaldi_fbank, mel_spectrogram, resample, whisper_log_mel

MEL = MelConfig(sample_rate=24_000, n_fft=480, hop_length=120, win_length=480, num_mels=20, fmin=0, fmax=8_000)


def noise(num_samples: int) -> Tensor:
    return 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(0))


def sine(hz: float, rate: int, num_samples: int = 4800) -> Tensor:
    return torch.sin(2 * math.pi * hz / rate * torch.arange(num_samples, dtype=torch.float64)).float()


def slaney_filters(n_fft: int, rate: int, num_mels: int, fmax: float) -> NDArray[np.float64]:
    """The definition: linear below 1 kHz, logarithmic above, triangles of equal area; (num_mels, F)."""
    start, step = 1000.0, math.log(6.4) / 27
    mels = np.linspace(0, fmax * 3 / 200 if fmax < start else 15 + math.log(fmax / start) / step, num_mels + 2)
    hz = np.where(mels < 15, mels * 200 / 3, start * np.exp(step * (mels - 15)))
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    rising = (bins - hz[:-2, None]) / (hz[1:-1] - hz[:-2])[:, None]
    falling = (hz[2:, None] - bins) / (hz[2:] - hz[1:-1])[:, None]
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling)) * (2 / (hz[2:] - hz[:-2]))[:, None]
    return filters


def frames(padded: NDArray[np.float64], size: int, hop: int) -> NDArray[np.float64]:
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def hann(size: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


@pytest.mark.parametrize("fmax", [8_000, None])
def test_the_mel_spectrogram_is_as_defined(fmax: float | None) -> None:
    waveform = noise(2400)
    padded = np.pad(waveform.double().numpy(), 180, mode="reflect")
    spectrum = np.fft.rfft(frames(padded, 480, 120) * hann(480))
    magnitude = np.sqrt(np.abs(spectrum) ** 2 + 1e-9)
    expected = np.log(np.maximum(magnitude @ slaney_filters(480, 24_000, 20, fmax or 12_000).T, 1e-5))
    mel = mel_spectrogram(waveform, replace(MEL, fmax=fmax))
    assert mel.shape == (2400 // 120, 20)
    np.testing.assert_allclose(mel, expected, atol=1e-4)


def test_whispers_spectrogram_is_as_defined() -> None:
    waveform = noise(1700)
    padded = np.pad(waveform.double().numpy(), 200, mode="reflect")
    power = np.abs(np.fft.rfft(frames(padded, 400, 160) * hann(400))) ** 2
    log_mel = np.log10(np.maximum(power[:-1] @ slaney_filters(400, 16_000, 128, 8_000).T, 1e-10)).T
    expected = (np.maximum(log_mel, log_mel.max() - 8) + 4) / 4
    assert expected.shape == (128, 1700 // 160)
    np.testing.assert_allclose(whisper_log_mel(waveform), expected, atol=1e-4)


def test_whispers_spectrogram_reaches_no_deeper_than_80_db() -> None:
    spectrogram = whisper_log_mel(torch.cat([noise(1600), torch.zeros(1600)]))
    assert float(spectrogram.max() - spectrogram.min()) == pytest.approx(2)


def test_kaldis_filter_bank_is_as_defined() -> None:
    waveform = noise(1700)
    framed = frames(waveform.double().numpy(), 400, 160)
    framed = framed - framed.mean(axis=1, keepdims=True)
    emphasised = framed - 0.97 * np.concatenate([framed[:, :1], framed[:, :-1]], axis=1)
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft(emphasised * povey, 512)) ** 2
    bins = 1127 * np.log(1 + np.arange(257) * 16_000 / 512 / 700)
    edges = np.linspace(1127 * math.log(1 + 20 / 700), 1127 * math.log(1 + 8_000 / 700), 82)
    rising, falling = (bins - edges[:-2, None]), (edges[2:, None] - bins)
    filters = np.maximum(0, np.minimum(rising, falling) / (edges[1] - edges[0]))
    filters[:, 256] = 0  # Kaldi leaves the last bin out
    expected = np.log(np.maximum(power @ filters.T, 1.19e-7))
    assert expected.shape == (1 + (1700 - 400) // 160, 80)
    np.testing.assert_allclose(kaldi_fbank(waveform), expected - expected.mean(axis=0), atol=1e-3)


def test_the_speaker_is_the_same_however_loud() -> None:
    torch.testing.assert_close(kaldi_fbank(3 * noise(8000)), kaldi_fbank(noise(8000)), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("source", "target"), [(48_000, 16_000), (44_100, 24_000), (16_000, 24_000)])
def test_a_tone_keeps_its_pitch_at_another_rate(source: int, target: int) -> None:
    resampled = resample(sine(440, source), source, target)
    assert len(resampled) == math.ceil(4800 * target / source)
    inner = slice(100, -100)
    torch.testing.assert_close(resampled[inner], sine(440, target, len(resampled))[inner], atol=5e-3, rtol=0)


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    assert float(resample(sine(11_000, 48_000), 48_000, 16_000)[100:-100].abs().max()) < 5e-3


def test_at_the_same_rate_nothing_changes() -> None:
    assert torch.equal(resample(noise(100), 16_000, 16_000), noise(100))
