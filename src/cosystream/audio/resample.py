"""Another sample rate while streaming, to the sample as long as it should be."""

import numpy as np
import soxr

from cosystream.audio.pcm import from_pcm, to_pcm


class Resampler:
    """PCM at one rate in, PCM at another out. However the input is cut, the same bytes come out.

    All output together is as long as the input, to the nearest sample; until ``finish`` it lags behind by what soxr's
    filter holds: some 40 ms, 80 ms where the rate is halved or less. Computed in float, as soxr dithers 16-bit output,
    and its dither depends on the cuts.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self.source_rate = source_rate
        self.target_rate = target_rate
        self._stream = None if source_rate == target_rate else soxr.ResampleStream(source_rate, target_rate, 1)

    def feed(self, pcm: bytes) -> bytes:
        """What can be said of the samples so far; the same object where the rates are equal."""
        if self._stream is None:
            return pcm
        return to_pcm(self._stream.resample_chunk(from_pcm(pcm)))

    def finish(self) -> bytes:
        """The rest, once, after the last ``feed``."""
        if self._stream is None:
            return b""
        return to_pcm(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
