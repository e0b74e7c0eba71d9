"""Files back to what is heard in them, by decoders that are not ours."""

import io
import wave
from contextlib import suppress

import av
import numpy as np
from av.error import InvalidDataError
from numpy.typing import NDArray

from cosystream.audio.decode import Recording
from cosystream.audio.formats import Format
from cosystream.audio.pcm import from_pcm


def decoded(file: bytes, format_: Format, sample_rate: int) -> Recording:
    """All that can be heard of ``file``, which may break off; ``sample_rate`` is for those that do not tell theirs."""
    if format_ == "pcm" or not file:
        return Recording(from_pcm(file), sample_rate)
    if format_ == "wav":
        with wave.open(io.BytesIO(file)) as read:
            return Recording(from_pcm(read.readframes(read.getnframes())), read.getframerate())
    headerless = {"sample_rate": str(sample_rate)} if format_ in ("mulaw", "alaw") else {}
    blocks, rate = [np.zeros(0, np.float32)], sample_rate
    with (
        suppress(InvalidDataError, EOFError),  # of half a packet at the end, or before the first
        av.open(io.BytesIO(file), "r", CONTAINERS[format_], headerless) as container,
    ):
        (stream,) = container.streams.audio
        rate = stream.rate
        for frame in container.decode(stream):
            samples = frame.to_ndarray()
            assert samples.shape[0] == stream.channels == 1
            full_scale = 1 if samples.dtype.kind == "f" else 2 ** (8 * samples.itemsize - 1)
            blocks.append(samples[0].astype(np.float32) / np.float32(full_scale))
    return Recording(np.concatenate(blocks), rate)


CONTAINERS = {"mp3": "mp3", "opus": "ogg", "flac": "flac", "aac": "aac", "mulaw": "mulaw", "alaw": "alaw"}


def delay(heard: NDArray[np.float32], said: NDArray[np.float32]) -> int:
    """By how many samples ``heard`` comes after ``said``: where they are most alike."""
    size = heard.size + said.size
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(said, size).conj(), size)
    place = int(np.argmax(products))
    return place if place < heard.size else place - size


def snr_db(heard: NDArray[np.float32], said: NDArray[np.float32]) -> float:
    """How far ``said`` is above what the two differ by, where both are heard, aligned and equally loud."""
    late = delay(heard, said)
    heard = heard[max(late, 0) :]
    said = said[max(-late, 0) :]
    num_both = min(heard.size, said.size)
    heard, said = heard[:num_both], said[:num_both]
    signal = said * np.float32(heard @ said / (said @ said))  # LAME turns everything down by half a decibel
    noise = heard - signal
    return float(10 * np.log10(np.square(signal).sum() / max(np.square(noise).sum(), 1e-20)))
