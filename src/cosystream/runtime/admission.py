"""Who may begin, who waits, and for how long: decisions in plain numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Limits:
    """What an engine takes on. The defaults suit tests and ``cosystream say``; a server sets them."""

    max_streams: int = 256
    """Jobs begun and not yet left, whether computed or merely being listened to."""
    max_queue: int = 64
    max_wait_seconds: float = 60.0
    """A request that would wait longer is refused."""
    buffer_seconds: float = 120.0
    """Audio computed ahead of a slow reader before its job is paused."""
    stall_seconds: float = 10.0
    """A job is ended once its listener has waited for so long for more audio than he has been given."""
    first_back_off_seconds: float = 0.5
    """From a core's death until the next one is built; doubled with each further death in a row."""
    closing_seconds: float = 5.0
    """What a closing engine grants the step in progress to return."""


def waits(running: Iterable[float], waiting: Iterable[float], capacity: int) -> list[float]:
    """Seconds until each of ``waiting`` is begun.

    ``running`` and ``waiting`` are the seconds of work that each job still needs; the running ones share one worker
    evenly (processor sharing), and ``capacity`` of them run at once.
    """
    now = given = 0.0  # the second: work given to each of those that run and have run all along
    ends = sorted(running)  # what will have been given when each of them ends, the next one first
    begins = []
    for work in waiting:
        while len(ends) >= capacity:
            now += (ends[0] - given) * len(ends)
            given = heappop(ends)
        begins.append(now)
        heappush(ends, given + work)
    return begins


def longest_audio_seconds(text: str, speed: float) -> float:
    """More audio than ``text`` can be: two slow seconds a character (a digit may be a whole word), and some silence."""
    return (20.0 + 2.0 * len(text)) / speed
