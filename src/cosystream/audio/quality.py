"""What can be measured of speech without hearing it: level, clipping, silence and clicks.

A waveform is (T,) in [-1, 1]. Levels are in dBFS, 20 log10 of an RMS amplitude: a full-scale square wave has 0, a sine
-3. Silence is judged in frames of 10 ms, the last of which may be shorter: one whose RMS is below ``silence_dbfs`` is
silent, any other is voiced.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_SECONDS = 0.010
SILENCE_DBFS = -50.0
LARGEST_SAMPLE = 32767 / 32768


@dataclass(frozen=True, slots=True)
class SeamJumps:
    """The largest |x[n] - x[n-1]|; 0 of nothing. A seam that jumps further than speech itself does is a click."""

    at_seams: float
    """Where x[n] begins a chunk and x[n-1] ends the one before."""
    inside: float
    """Where both are of one chunk."""


def rms_dbfs(waveform: NDArray[np.float32], sample_rate: int, *, silence_dbfs: float = SILENCE_DBFS) -> float:
    """The level of speech without its pauses, 10 log10 mean(x^2) over voiced frames; -inf if there are none."""
    voiced = waveform[_is_voiced(waveform, sample_rate, silence_dbfs)]
    return 10 * math.log10(np.square(voiced, dtype=np.float64).mean()) if voiced.size else -math.inf


def peak(waveform: NDArray[np.float32]) -> float:
    """The largest amplitude, max |x|; 0 of nothing."""
    return float(np.abs(waveform).max(initial=0.0))


def num_clipped(waveform: NDArray[np.float32]) -> int:
    """How many samples are at the limit of 16 bits or past it, |x| >= 32767/32768."""
    return int(np.count_nonzero(np.abs(waveform) >= LARGEST_SAMPLE))


def voiced_seconds(waveform: NDArray[np.float32], sample_rate: int, *, silence_dbfs: float = SILENCE_DBFS) -> float:
    """The time of all voiced frames together."""
    return int(np.count_nonzero(_is_voiced(waveform, sample_rate, silence_dbfs))) / sample_rate


def leading_silence_seconds(
    waveform: NDArray[np.float32], sample_rate: int, *, silence_dbfs: float = SILENCE_DBFS
) -> float:
    """The time before the first voiced frame; all of it if there are none."""
    voiced = np.flatnonzero(_is_voiced(waveform, sample_rate, silence_dbfs))
    return float(voiced[0] if voiced.size else waveform.size) / sample_rate


def longest_silence_seconds(
    waveform: NDArray[np.float32], sample_rate: int, *, silence_dbfs: float = SILENCE_DBFS
) -> float:
    """The time of the longest run of silent frames, at either end or between."""
    voiced = np.flatnonzero(_is_voiced(waveform, sample_rate, silence_dbfs))
    gaps = np.diff(voiced, prepend=-1, append=waveform.size) - 1
    return float(gaps.max()) / sample_rate


def seam_jumps(chunks: Sequence[NDArray[np.float32]]) -> SeamJumps:
    """How far the waveform jumps from one sample to the next, where chunks meet and elsewhere."""
    heard = [chunk for chunk in chunks if chunk.size]
    jumps = np.abs(np.diff(np.concatenate([np.zeros(0, np.float32), *heard])))
    is_seam = np.zeros(jumps.size, dtype=np.bool_)
    is_seam[np.cumsum([chunk.size for chunk in heard[:-1]], dtype=np.intp) - 1] = True
    return SeamJumps(at_seams=float(jumps[is_seam].max(initial=0.0)), inside=float(jumps[~is_seam].max(initial=0.0)))


def _is_voiced(waveform: NDArray[np.float32], sample_rate: int, silence_dbfs: float) -> NDArray[np.bool_]:
    """(T,) -> (T,), the verdict on a sample's frame."""
    starts = np.arange(0, waveform.size, round(sample_rate * FRAME_SECONDS))
    lengths = np.diff(starts, append=waveform.size)
    power = np.add.reduceat(np.square(waveform, dtype=np.float64), starts) / lengths
    return np.repeat(power >= 10 ** (silence_dbfs / 10), lengths)
