"""Threads that help beside the worker: a few calls at once, each counted until it has ended."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class Helpers:
    """So many threads for calls of one kind."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)
        self._limiter = anyio.CapacityLimiter(most)
        self._calls: set[asyncio.Task[Any]] = set()

    async def call(self, work: Callable[[], T], *, longest_seconds: float) -> T:
        """What ``work`` returns or raises; TimeoutError if it takes longer, not counting the wait for a thread.

        What was begun goes on even if nobody waits for it any more, and until then no other takes its place: callers
        who come and leave would else have the processor all to themselves.
        """
        await self._free.acquire()
        call = asyncio.create_task(anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True))
        self._calls.add(call)
        call.add_done_callback(self._ended)
        async with asyncio.timeout(longest_seconds):
            return await asyncio.shield(call)

    def _ended(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        self._free.release()
        if not call.cancelled():
            call.exception()  # taken notice of, though perhaps nobody waits for it
