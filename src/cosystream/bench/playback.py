"""A player in real time: when it plays what has arrived, and what it would have needed not to stall."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk of audio, as its listener met with it."""

    seconds: float
    """From the request."""
    audio_seconds: float


class PlaybackClock:
    """Knows when the player will have played all that it has, and counts the times when that was too soon.

    The player starts with the first audio. Every ``now`` is a reading of one clock, in seconds.
    """

    def __init__(self) -> None:
        self._runs_dry: float | None = None
        self.underruns = 0
        self.starved_seconds = 0.0
        """Silence that was heard where speech should have been."""
        self.audio_seconds = 0.0

    def audio(self, now: float, seconds: float) -> float:
        """``seconds`` of audio have arrived; when they begin to play."""
        begins = now if self._runs_dry is None else max(now, self._runs_dry)
        if self._runs_dry is not None and now > self._runs_dry:
            self.underruns += 1
            self.starved_seconds += now - self._runs_dry
        self._runs_dry = begins + seconds
        self.audio_seconds += seconds
        return begins


@dataclass(frozen=True, slots=True)
class Played:
    """When a chunk sounds, in seconds from the request."""

    begin_seconds: float
    end_seconds: float


def played(arrivals: Iterable[Arrival]) -> list[Played]:
    """What a player that starts with the first chunk does with each chunk."""
    clock = PlaybackClock()
    sounding = []
    for arrival in arrivals:
        begin_seconds = clock.audio(arrival.seconds, arrival.audio_seconds)
        sounding.append(Played(begin_seconds, begin_seconds + arrival.audio_seconds))
    return sounding


def buffer_needed(arrivals: Iterable[Arrival]) -> float:
    """For how many seconds the player has to hold the first chunk back so that it never stalls; 0 if it need not."""
    needed, first, audio_seconds = 0.0, None, 0.0
    for arrival in arrivals:
        first = arrival.seconds if first is None else first
        needed = max(needed, arrival.seconds - (first + audio_seconds))
        audio_seconds += arrival.audio_seconds
    return needed
