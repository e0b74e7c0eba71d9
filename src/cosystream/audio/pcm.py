"""Waveforms to PCM and back: float samples in [-1, 1], and the 16-bit bytes that listeners get."""

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32768
"""The PCM value of 1.0, which itself is just out of reach: the largest sample is 32767."""


def to_pcm(waveform: NDArray[np.float32]) -> bytes:
    """Round to the nearest of 65 536 steps and clip to what 16 bits hold.

    ``waveform`` (T,) -> 2T bytes, signed 16-bit little-endian. Raises ValueError for samples that are not finite: a
    listener should hear an error, not a crack.
    """
    if not np.isfinite(waveform).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(waveform))} of {waveform.size} samples are not finite")
    steps: NDArray[np.float32] = np.rint(waveform * np.float32(FULL_SCALE))
    samples: NDArray[np.int16] = np.clip(steps, -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
    return samples.tobytes()


def from_pcm(pcm: bytes) -> NDArray[np.float32]:
    """The waveform (T,) in [-1, 1) of 2T bytes; ``to_pcm`` gives the same bytes back."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(FULL_SCALE)
