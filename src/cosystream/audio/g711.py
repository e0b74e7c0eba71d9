"""Telephony's samples of 8 bits: mu-law and A-law, by tables made as ITU-T recommendation G.711 (1988) says."""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["mulaw", "alaw"]


def compress(pcm: bytes, law: Law) -> bytes:
    """One byte a sample: ``pcm`` (T,) -> (T,) bytes, in steps that grow with the level."""
    codes: NDArray[np.uint8] = _codes(law)[np.frombuffer(pcm, "<u2")]
    return codes.tobytes()


@cache
def _codes(law: Law) -> NDArray[np.uint8]:
    """(65536,) the codes of all samples, which are signed, by their bits, which are read as unsigned."""
    samples = np.arange(2**16, dtype=np.uint16).view(np.int16).astype(np.int32)
    return (_mulaw(samples) if law == "mulaw" else _alaw(samples)).astype(np.uint8)


def _mulaw(samples: NDArray[np.int32]) -> NDArray[np.int32]:
    """Eight segments of 16 steps, twice as wide as those before; the bias lets each begin at a power of 2."""
    bias, loudest = 132, 32635
    biased = np.minimum(np.abs(samples), loudest) + bias
    segment = _highest_bit(biased) - 7
    step = biased >> (segment + 3) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    code: NDArray[np.int32] = (sign | segment << 4 | step) ^ 0xFF
    return code


def _alaw(samples: NDArray[np.int32]) -> NDArray[np.int32]:
    """The first two of the eight segments have steps of one width; every other bit is inverted."""
    magnitude = np.where(samples < 0, ~samples, samples) >> 4
    segment = np.maximum(_highest_bit(magnitude) - 3, 0)
    step = magnitude >> np.maximum(segment - 1, 0) & 0x0F
    sign = np.where(samples < 0, 0, 0x80)
    code: NDArray[np.int32] = (sign | segment << 4 | step) ^ 0x55
    return code


def _highest_bit(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """The place of the highest bit that is set; -1 for 0."""
    return np.frexp(numbers)[1] - 1
