"""What nobody is to hear: numbers that are none, and noise at full scale."""

import numpy as np
from numpy.typing import NDArray

from cosystream.audio.quality import peak

MAX_AT_LIMIT = 0.1
"""The share of a chunk's samples that may lie at the vocoder's limit. Loud speech touches it now and then."""


def fault(waveform: NDArray[np.float32], audio_limit: float) -> str | None:
    """Why the ``waveform`` (N,) of a vocoder that clips at ``audio_limit`` is no speech; None if it may be."""
    if not np.isfinite(waveform).all():
        return "the models computed something that is no number"
    if peak(waveform) < audio_limit:
        return None
    at_limit = np.count_nonzero(np.abs(waveform) >= audio_limit) / waveform.size
    return f"{at_limit:.0%} of what the models computed is overdriven" if at_limit > MAX_AT_LIMIT else None
