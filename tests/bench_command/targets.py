"""Somebody to be measured who speaks by the clock of the event loop."""

import asyncio
from collections.abc import Sequence

from cosystream.bench.heard import Heard, Listener
from cosystream.bench.target import TargetInfo
from cosystream.bench.vitals import Vitals
from cosystream.types import SynthesisRequest

CHUNK_SECONDS = 0.5
FIRST_AUDIO_SECONDS = 0.25


class ByTheClock:
    """A ``Target`` that says a word in half a second of audio, every ``period_seconds``; it is full at ``most``."""

    def __init__(self, period_seconds: float = 0.125, most: int = 1000, problem: str | None = None) -> None:
        self.info = TargetInfo("in a test", engine="clock", model="")
        self.requests: list[SynthesisRequest] = []
        self.most_at_once = 0
        self._at_once = 0
        self._period_seconds = period_seconds
        self._most = most
        self._problem = problem

    async def listen(self, request: SynthesisRequest) -> Heard:
        loop = asyncio.get_running_loop()
        self.requests.append(request)
        listener = Listener(request.text, loop.time())
        if self._at_once == self._most:
            return listener.heard(503, retry_after_seconds=2.0, rtf=None, problem=None)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(FIRST_AUDIO_SECONDS)
        for number, _ in enumerate(request.text.split()):
            await asyncio.sleep(self._period_seconds if number else 0.0)
            listener.audio(loop.time(), CHUNK_SECONDS)
        self._at_once -= 1
        return listener.heard(200, retry_after_seconds=None, rtf=self._period_seconds, problem=self._problem)

    async def vitals(self) -> Vitals:
        return Vitals()


def heard(arrivals: Sequence[tuple[float, float]]) -> Heard:
    """Who was served with chunks that arrived at the first, and lasted for the second of each pair."""
    listener = Listener("text", 0.0)
    for seconds, audio_seconds in arrivals:
        listener.audio(seconds, audio_seconds)
    return listener.heard(200, retry_after_seconds=None, rtf=0.5, problem=None)
