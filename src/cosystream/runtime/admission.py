"""Who may begin, who waits, and for how long: decisions in plain numbers."""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass


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
    """Without a chunk for so long, a running job is ended."""


def waits(running: Iterable[float], waiting: Iterable[float], capacity: int) -> list[float]:
    """Seconds until each of ``waiting`` is begun.

    ``running`` and ``waiting`` are the seconds of work that each job still needs; the running ones share one worker
    evenly (processor sharing), and ``capacity`` of them run at once.
    """
    left, now, begins = sorted(running), 0.0, []
    for work in waiting:
        while len(left) >= capacity:
            shortest = left[0]
            now += shortest * len(left)
            left = [other - shortest for other in left[1:]]
        begins.append(now)
        insort(left, work)
    return begins


def longest_audio_seconds(text: str, speed: float) -> float:
    """More audio than ``text`` can be: two slow seconds a character (a digit may be a whole word), and some silence."""
    return (20.0 + 2.0 * len(text)) / speed
