"""An engine in this process to be measured, without a server before it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cosystream.bench.heard import Heard, Listener
from cosystream.bench.histogram import histogram_of
from cosystream.bench.target import TargetInfo
from cosystream.bench.vitals import Vitals, durations_between, durations_of
from cosystream.errors import CosystreamError, TryLater
from cosystream.runtime.admission import Limits
from cosystream.runtime.protocol import Engine, EngineCore
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import SynthesisRequest

NAP_SECONDS = 0.01


class EngineTarget:
    """A ``Target`` on this event loop."""

    def __init__(self, engine: Engine) -> None:
        """``engine`` is ready."""
        info = engine.info
        self.info = TargetInfo("in this process", engine=info.name, model=info.model)
        self._engine = engine
        self._steps = histogram_of(engine.load.step_times)
        self._lag_seconds: list[float] = []

    @classmethod
    @asynccontextmanager
    async def running(
        cls, build: Callable[[], EngineCore[Any]], limits: Limits, default_speaker: str | None
    ) -> AsyncIterator["EngineTarget"]:
        """An engine that lives as long as the context. Raises ConfigError if it cannot be built."""
        async with ThreadedEngine.running(build, limits, default_speaker=default_speaker) as engine:
            target = cls(engine)
            watching = asyncio.create_task(target._watch_loop())
            try:
                yield target
            finally:
                watching.cancel()

    async def listen(self, request: SynthesisRequest) -> Heard:
        listener = Listener(request.text, time.monotonic())
        status, retry_after_seconds, rtf, problem = 200, None, None, None
        try:
            async with self._engine.stream(request) as stream:
                async for chunk in stream:
                    listener.audio(time.monotonic(), chunk.num_samples / self._engine.info.sample_rate)
                rtf = stream.report.rtf
        except TryLater as error:
            status, retry_after_seconds = 503, error.retry_after_seconds
        except CosystreamError as error:
            problem = str(error)
        return listener.heard(status, retry_after_seconds=retry_after_seconds, rtf=rtf, problem=problem)

    async def vitals(self) -> Vitals:
        before, self._steps = self._steps, histogram_of(self._engine.load.step_times)
        lags, self._lag_seconds = self._lag_seconds, []
        return Vitals(step=durations_between(before, self._steps), loop_lag=durations_of(lags))

    async def _watch_loop(self) -> None:
        while True:
            due = time.monotonic() + NAP_SECONDS
            await asyncio.sleep(NAP_SECONDS)
            self._lag_seconds.append(max(0.0, time.monotonic() - due))
