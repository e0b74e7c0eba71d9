"""One load, and how its listeners fared: everything they met with as a few figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cosystream.bench.figures import Spread, spread
from cosystream.bench.heard import Heard
from cosystream.bench.listeners import Asked
from cosystream.bench.plan import Load
from cosystream.bench.playback import buffer_needed, played
from cosystream.bench.vitals import Vitals

BUFFERS_MS = (0, 50, 100, 200)
"""For how long the players that are reckoned with hold the first chunk back."""
MIN_STALL_FREE = 0.99
MAX_FIRST_AUDIO_SECONDS = 0.5
"""Of 95 % of the listeners."""


@dataclass(frozen=True, slots=True)
class StallFree:
    """The share of all requests that were served and never stalled, by a player with this initial buffer."""

    buffer_ms: int
    share: float


@dataclass(frozen=True, slots=True)
class Level:
    """The figures of one load. Times are those that listeners saw."""

    load: Load
    seconds: float
    """From the first request to the last chunk, or until that has been played if its listener waits for that."""
    requests: int
    served: int
    refused: int
    """Told to come back later."""
    problems: tuple[str, ...]
    """Of those who were neither served nor refused, each once."""
    first_audio_seconds: Spread
    """From the request, connecting and queueing included."""
    stall_free: tuple[StallFree, ...]
    gap_seconds: Spread
    """From one chunk of a request to the next."""
    rtf: Spread
    """As whoever speaks reports it, request by request."""
    audio_seconds: float
    """All that arrived."""
    vitals: Vitals

    @property
    def failed(self) -> int:
        return self.requests - self.served - self.refused

    @property
    def audio_per_second(self) -> float:
        """Seconds of audio that arrived in a second."""
        return self.audio_seconds / self.seconds if self.seconds else 0.0

    def share_stall_free(self, buffer_ms: int) -> float:
        return next(one.share for one in self.stall_free if one.buffer_ms == buffer_ms)

    @property
    def is_well_served(self) -> bool:
        """Hardly anybody stalls, even without a buffer, and hardly anybody waits long."""
        is_smooth = self.share_stall_free(0) >= MIN_STALL_FREE
        return is_smooth and self.first_audio_seconds.p95 <= MAX_FIRST_AUDIO_SECONDS


def sum_up(load: Load, asked: Sequence[Asked], vitals: Vitals) -> Level:
    heard = [one.heard for one in asked]
    served = [one for one in heard if one.served]
    buffers = [1000 * buffer_needed(one.arrivals) for one in served]
    is_played = load.streams is not None and not load.is_eager
    ends = [one.asked_seconds + _end(one.heard, is_played=is_played) for one in asked if one.heard.arrivals]
    began = min((one.asked_seconds for one in asked), default=0.0)
    return Level(
        load=load,
        seconds=max(ends, default=began) - began,
        requests=len(heard),
        served=len(served),
        refused=sum(one.refused for one in heard),
        problems=tuple(sorted({one.problem for one in heard if one.problem is not None})),
        first_audio_seconds=spread(one.first_audio_seconds for one in heard if one.first_audio_seconds is not None),
        stall_free=tuple(
            StallFree(buffer_ms, sum(needed <= buffer_ms for needed in buffers) / len(heard) if heard else 0.0)
            for buffer_ms in BUFFERS_MS
        ),
        gap_seconds=spread(later.seconds - sooner.seconds for one in heard for sooner, later in pairwise(one.arrivals)),
        rtf=spread(one.rtf for one in served if one.rtf is not None),
        audio_seconds=sum(one.audio_seconds for one in heard),
        vitals=vitals,
    )


def _end(heard: Heard, *, is_played: bool) -> float:
    return played(heard.arrivals)[-1].end_seconds if is_played else heard.arrivals[-1].seconds


def most_streams(levels: Sequence[Level]) -> int | None:
    """N@99: the most streams at once that are all well served; None if none were, or none were tried."""
    return max((one.load.streams for one in levels if one.load.streams and one.is_well_served), default=None)
