"""Many listeners at once: who asks when, and what became of each."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from cosystream.bench.heard import Heard
from cosystream.bench.plan import Load, Plan, poisson_moments
from cosystream.bench.playback import played
from cosystream.bench.target import Target

RAMP_SECONDS = 5.0
"""Over which the listeners of a closed loop arrive, that they may not all begin in one moment."""
RAMP_SHARE = 1 / 3
"""Of the whole time, which it does not exceed."""
COMES_BACK_SECONDS = 1.0
"""After which a listener asks again who was not served, unless it was told when."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    index: int
    listener: int
    """Who asked; counted from 0."""
    asked_seconds: float
    """When, from the beginning of the load."""
    heard: Heard


async def listen_under(
    load: Load, target: Target, plan: Plan, *, clock: Callable[[], float] = time.monotonic
) -> list[Asked]:
    """What every request met with, in the order in which they were made, once the last one has ended."""
    crowd = _Crowd(load, target, plan, clock)
    async with asyncio.TaskGroup() as tasks:
        if load.streams is not None:
            ramp_seconds = min(RAMP_SECONDS, RAMP_SHARE * plan.seconds)
            for listener in range(load.streams):
                tasks.create_task(crowd.ask_again_and_again(listener, ramp_seconds * listener / load.streams))
        else:
            assert load.rate is not None
            for listener, moment in enumerate(poisson_moments(load.rate, plan)):
                tasks.create_task(crowd.ask_once(listener, moment))
    return sorted(crowd.asked, key=lambda one: one.index)


class _Crowd:
    def __init__(self, load: Load, target: Target, plan: Plan, clock: Callable[[], float]) -> None:
        self._load = load
        self._target = target
        self._plan = plan
        self._clock = clock
        self._began = clock()
        self._num_asked = 0
        self.asked: list[Asked] = []

    async def ask_again_and_again(self, listener: int, begins_seconds: float) -> None:
        await asyncio.sleep(begins_seconds)
        while not self._is_over:
            asked = await self._ask(listener)
            await asyncio.sleep(self._wait_after(asked))

    async def ask_once(self, listener: int, begins_seconds: float) -> None:
        await asyncio.sleep(begins_seconds - self._now)
        await self._ask(listener)

    @property
    def _now(self) -> float:
        return self._clock() - self._began

    @property
    def _is_over(self) -> bool:
        plan = self._plan
        return self._now >= plan.seconds or (plan.requests is not None and self._num_asked >= plan.requests)

    async def _ask(self, listener: int) -> Asked:
        index, asked_seconds = self._num_asked, self._now
        self._num_asked += 1
        heard = await self._target.listen(self._plan.request(index))
        asked = Asked(index, listener, asked_seconds, heard)
        self.asked.append(asked)
        return asked

    def _wait_after(self, asked: Asked) -> float:
        """For how long its listener does not ask again; not beyond the end of the load."""
        heard = asked.heard
        if self._is_over:
            return 0.0
        if not heard.served:
            wait_seconds = heard.retry_after_seconds or COMES_BACK_SECONDS
        elif self._load.is_eager or not heard.arrivals:
            return 0.0
        else:
            wait_seconds = asked.asked_seconds + played(heard.arrivals)[-1].end_seconds - self._now
        return max(0.0, min(wait_seconds, self._plan.seconds - self._now))
