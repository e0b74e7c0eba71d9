"""Work on audio that takes its time, done where it holds nobody up."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.lowlevel import RunVar

from cosystream.audio.formats import Format
from cosystream.audio.tempo import Tempo
from cosystream.cores import usable_cores

T = TypeVar("T")

TURN_BYTES = 12_000
"""Of PCM, a quarter of a second at 24 kHz: what is worked on before somebody else has a turn."""

_PLAIN: frozenset[Format] = frozenset({"pcm", "wav", "mulaw", "alaw"})
"""Formats written so quickly that a thread would cost more."""
_THREADS: RunVar[anyio.CapacityLimiter] = RunVar("threads that encode")
"""Of this event loop, one for each core. Pages are read by anyio's own, so that they never wait for these."""


async def encode_beside(format_: Format, feed: Callable[[bytes], T], pcm: bytes) -> list[T]:
    """What ``feed`` of an encoder of ``format_`` makes of ``pcm``, on a helper thread if that takes its time.

    All who encode take turns, so that whoever has hours of audio at once holds up nobody's first bytes, and can be
    cancelled in the middle.
    """
    if format_ in _PLAIN:
        return [feed(pcm)]
    return [await finish_beside(format_, partial(feed, piece)) for piece in _turns(pcm)]


async def finish_beside(format_: Format, finish: Callable[[], T]) -> T:
    """What ``finish`` of an encoder of ``format_`` returns."""
    return finish() if format_ in _PLAIN else await anyio.to_thread.run_sync(finish, limiter=_threads())


async def at_tempo(tempo: Tempo, pcm: bytes) -> bytes:
    """``tempo.feed(pcm)``; it would hold the event loop for a hundredth of the time that the audio lasts."""
    if tempo.tempo == 1.0:
        return pcm
    changed = []
    for piece in _turns(pcm):
        changed.append(tempo.feed(piece))
        await anyio.lowlevel.checkpoint()
    return b"".join(changed)


def _turns(pcm: bytes) -> Iterator[bytes]:
    return (pcm[begin : begin + TURN_BYTES] for begin in range(0, len(pcm), TURN_BYTES))


def _threads() -> anyio.CapacityLimiter:
    try:
        return _THREADS.get()
    except LookupError:
        _THREADS.set(limiter := anyio.CapacityLimiter(usable_cores()))
        return limiter
