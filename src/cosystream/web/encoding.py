"""The work of an encoder, done where it holds nobody up."""

from collections.abc import Callable

import anyio.to_thread

from cosystream.audio.formats import Format

_PLAIN: frozenset[Format] = frozenset({"pcm", "wav", "mulaw", "alaw"})
"""Formats written so quickly that a thread would cost more."""


async def encode_beside(format_: Format, work: Callable[[], bytes]) -> bytes:
    """What ``work`` makes in ``format_``, on a helper thread if that takes its time."""
    return work() if format_ in _PLAIN else await anyio.to_thread.run_sync(work)
