"""Speech faster or slower at its own pitch, while it is being made."""

import numpy as np
from numpy.typing import NDArray

SLOWEST = 0.25
FASTEST = 4.0
HOP_SECONDS = 0.015
SEARCH_SECONDS = 0.008
"""To either side; both together are longer than a period of the deepest voice."""
NEARNESS = 1e-5
"""How much likeness is worth being where it should be, so that of equals, as in a steady tone, the nearest is taken."""


class Tempo:
    """PCM in, PCM out, ``tempo`` times as fast. However the input is cut, the same bytes come out.

    WSOLA (Verhelst and Roelands, ICASSP 1993): the output is made of hops, each of which fades from what follows the
    one before into the most similar waveform near the place that the input should have reached. All output together is
    as long as it should be, to the nearest sample; until ``finish`` it lags behind the input by some 25 ms, at the
    higher tempos by one hop of output.
    """

    def __init__(self, sample_rate: int, tempo: float) -> None:
        """``tempo`` is from 0.25 to 4, as time-stretched speech is none beyond."""
        assert SLOWEST <= tempo <= FASTEST
        self.tempo = tempo
        self._hop = round(HOP_SECONDS * sample_rate)
        self._search = round(SEARCH_SECONDS * sample_rate)
        self._fade_in = 0.5 - 0.5 * np.cos(np.pi * (np.arange(self._hop) + 0.5) / self._hop)
        self._distance = NEARNESS * np.abs(np.arange(-self._search, self._search + 1)) / self._search
        self._num_hops = 0
        self._num_samples = 0
        """Of the input."""
        self._held = np.zeros(0)
        """The samples that may still be needed. Whole numbers, so that no sum of products is rounded."""
        self._held_from = 0
        self._following = 0
        """Where the input goes on behind what the last hop was taken from."""

    def feed(self, pcm: bytes) -> bytes:
        """What can be said of the samples so far; the same object where the tempo is 1."""
        if self.tempo == 1.0:
            return pcm
        samples = np.frombuffer(pcm, "<i2")
        self._num_samples += samples.size
        self._held = np.concatenate([self._held, samples])
        return self._hops(until=self._num_samples).tobytes()

    def finish(self) -> bytes:
        """The rest, once, after the last ``feed``."""
        num_left = round(self._num_samples / self.tempo) - self._num_hops * self._hop
        if self.tempo == 1.0 or num_left <= 0:
            return b""
        longest = self._search + round((2 + self.tempo) * self._hop)
        self._held = np.pad(self._held, (0, longest), "symmetric")  # and not with silence, which may begin with a click
        return self._hops(until=self._num_samples + longest)[:num_left].tobytes()

    def _hops(self, until: int) -> NDArray[np.int16]:
        """All hops for which the samples ``until`` there are enough."""
        hops = [np.zeros(0)]
        while max(self._place() + self._search, self._following) + self._hop <= until:
            hops.append(self._next_hop())
            self._num_hops += 1
            self._forget(min(self._following, max(self._place() - self._search, 0)))
        return np.rint(np.concatenate(hops)).astype("<i2")

    def _place(self) -> int:
        """Where the next hop should be taken from, for it to end when it should."""
        return max(round((self._num_hops + 1) * self._hop * self.tempo) - self._hop, 0)

    def _next_hop(self) -> NDArray[np.float64]:
        following = self._between(self._following, self._following + self._hop)
        begin = max(self._place() - self._search, 0)
        near = self._between(begin, self._place() + self._search + self._hop)
        shift = self._most_similar(following, near)
        chosen = near[shift : shift + self._hop]
        self._following = begin + shift + self._hop
        return following + (chosen - following) * self._fade_in

    def _most_similar(self, wanted: NDArray[np.float64], near: NDArray[np.float64]) -> int:
        """Where in ``near`` (at most 2 search + hop,) the waveform is most like ``wanted`` (hop,), at any level."""
        squares = np.concatenate([[0.0], np.cumsum(near * near)])
        energies = (squares[self._hop :] - squares[: -self._hop]) * (wanted @ wanted)
        likeness = np.correlate(near, wanted) / np.sqrt(np.maximum(energies, 1.0))
        return int(np.argmax(likeness - self._distance[-likeness.size :]))

    def _between(self, begin: int, end: int) -> NDArray[np.float64]:
        return self._held[begin - self._held_from : end - self._held_from]

    def _forget(self, before: int) -> None:
        self._held = self._held[before - self._held_from :]
        self._held_from = before
