"""Speech made louder or softer, piece by piece."""

import numpy as np

from cosystream.audio.pcm import from_pcm, to_pcm

KNEE = 0.8
"""How loud a sample may become before it is bent towards full scale, instead of being cut off there."""


def amplify(pcm: bytes, gain: float) -> bytes:
    """``gain`` times as loud: exactly so for softer speech, and for louder as long as there is room.

    Each sample is changed by itself, so that it does not matter how the speech is cut.
    """
    if gain == 1.0:
        return pcm
    waveform = from_pcm(pcm) * np.float32(gain)
    level = np.abs(waveform)
    if gain > 1.0 and (level > KNEE).any():
        room = 1.0 - KNEE
        bent = KNEE + room * np.tanh((level - KNEE) / room)
        waveform = np.where(level > KNEE, np.copysign(bent, waveform), waveform).astype(np.float32)
    return to_pcm(waveform)
