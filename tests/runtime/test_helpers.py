"""Threads that help: how many at once, whoever waits for them."""

import asyncio
import threading

import pytest

from cosystream.runtime.helpers import Helpers


class Work:
    """A call that goes on until it may end."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> str:
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.may_end.wait(20)
        return "done"


async def test_what_the_call_returns_or_raises_comes_back() -> None:
    helpers = Helpers(1)
    assert await helpers.call(lambda: 7, longest_seconds=10) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await helpers.call(lambda: int("a"), longest_seconds=10)
    assert await helpers.call(lambda: 8, longest_seconds=10) == 8


async def test_a_call_whose_caller_has_left_keeps_its_place_until_it_ends() -> None:
    helpers, first, second = Helpers(1), Work(), Work()
    caller = asyncio.create_task(helpers.call(first, longest_seconds=20))
    await first.begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    other = asyncio.create_task(helpers.call(second, longest_seconds=20))
    await asyncio.sleep(0.05)
    assert not second.begun.is_set()
    first.may_end.set()
    second.may_end.set()
    assert await other == "done"


async def test_who_leaves_while_waiting_takes_no_place() -> None:
    helpers, first, never = Helpers(1), Work(), Work()
    running = asyncio.create_task(helpers.call(first, longest_seconds=20))
    await first.begun.wait()
    waiting = asyncio.create_task(helpers.call(never, longest_seconds=20))
    await asyncio.sleep(0)
    waiting.cancel()
    first.may_end.set()
    assert await running == "done"
    assert await helpers.call(lambda: 7, longest_seconds=10) == 7
    assert not never.begun.is_set()


async def test_the_wait_for_a_place_does_not_count_against_a_call() -> None:
    helpers, first = Helpers(1), Work()
    running = asyncio.create_task(helpers.call(first, longest_seconds=20))
    await first.begun.wait()
    waiting = asyncio.create_task(helpers.call(lambda: 7, longest_seconds=0.2))
    await asyncio.sleep(0.3)
    first.may_end.set()
    assert (await running, await waiting) == ("done", 7)


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    helpers, work = Helpers(1), Work()
    with pytest.raises(TimeoutError):
        await helpers.call(work, longest_seconds=0.05)
    work.may_end.set()
    assert await helpers.call(lambda: 7, longest_seconds=10) == 7
