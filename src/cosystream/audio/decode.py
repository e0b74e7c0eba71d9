"""An uploaded audio file to a waveform.

It comes from anybody, so that it may be broken on purpose, or last for hours in a few kilobytes.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from cosystream.errors import InvalidRequest

_BLOCK_FRAMES = 16_384
HIGHEST_RATE = 192_000
"""In hertz. A file may claim millions, and a few seconds of it would fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Sound as it was recorded."""

    waveform: NDArray[np.float32]
    """(N,), the mean of the channels; [-1, 1], which a file of floats may exceed."""
    sample_rate: int

    @property
    def seconds(self) -> float:
        return self.waveform.size / self.sample_rate


def decode(file: bytes, *, max_seconds: float) -> Recording:
    """Read WAV, FLAC, Ogg (Opus, Vorbis), MP3 and whatever else libsndfile knows, up to ``max_seconds`` of it.

    Raises InvalidRequest, in words about the ``prompt_wav`` of a request, for what is not audio or holds none.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(file)) as sound:
            sample_rate: int = sound.samplerate
            if sample_rate > HIGHEST_RATE:
                raise InvalidRequest(
                    f"has {sample_rate} samples a second; {HIGHEST_RATE} are the most", field="prompt_wav"
                )
            waveform = _read_mono(sound, math.ceil(max_seconds * sample_rate))
    except soundfile.SoundFileError:
        raise InvalidRequest(
            "is damaged or not an audio file that can be read; send WAV, FLAC, Ogg (Opus or Vorbis) or MP3",
            field="prompt_wav",
        ) from None
    if not waveform.size:
        raise InvalidRequest("holds no sound; send a recording of somebody speaking", field="prompt_wav")
    if not np.isfinite(waveform).all():
        raise InvalidRequest(
            "holds samples that are not finite numbers; export the recording again", field="prompt_wav"
        )
    return Recording(waveform, sample_rate)


def _read_mono(sound: soundfile.SoundFile, max_frames: int) -> NDArray[np.float32]:
    """In blocks, as a file may have hundreds of channels."""
    blocks = [np.zeros(0, np.float32)]
    while max_frames > 0 and (block := sound.read(min(max_frames, _BLOCK_FRAMES), np.float32, always_2d=True)).size:
        blocks.append(block.mean(axis=1))
        max_frames -= len(block)
    return np.concatenate(blocks)
