"""A request in flight, on the event loop: the engine fills it, one listener empties it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import Place
from cosystream.runtime.stats import JobMeter, JobReport
from cosystream.types import AudioChunk, JobId, SynthesisRequest


class Job:
    """An ``AudioStream`` and its other end."""

    def __init__(
        self,
        job_id: JobId,
        request: SynthesisRequest,
        sample_rate: int,
        now: float,
        on_taken: Callable[["Job"], None],
        on_cancelled: Callable[["Job"], None],
    ) -> None:
        self.id = job_id
        self.request = request
        self.meter = JobMeter(sample_rate, now)
        self.paused = False
        self._sample_rate = sample_rate
        self._on_taken = on_taken
        self._on_cancelled = on_cancelled
        self._chunks: deque[AudioChunk] = deque()
        self._buffered_samples = 0
        self._place: Place | None = None
        self._begun = False
        self._ended = False
        self._error: CosystreamError | None = None
        self._changed = asyncio.Event()

    # The engine's end.

    @property
    def begun(self) -> bool:
        return self._begun

    @property
    def ended(self) -> bool:
        """Whether all of the audio is there, or no more will come."""
        return self._ended

    @property
    def error(self) -> CosystreamError | None:
        """What ended the job, if it was not the end of its text."""
        return self._error

    @property
    def buffered_seconds(self) -> float:
        return self._buffered_samples / self._sample_rate

    @property
    def position(self) -> int | None:
        """Where the job was last told to stand."""
        return None if self._place is None else self._place.position

    def move(self, place: Place) -> None:
        if place.position != self.position:
            self._place = place
            self._changed.set()

    def begin(self, now: float) -> None:
        self._begun = True
        self.meter.begin(now)
        self._changed.set()

    def push(self, chunk: AudioChunk, now: float) -> None:
        self.meter.chunk(now, chunk.num_samples)
        self._chunks.append(chunk)
        self._buffered_samples += chunk.num_samples
        self._changed.set()

    def finish(self) -> None:
        self._ended = True
        self._changed.set()

    def fail(self, error: CosystreamError, *, keep_audio: bool = True) -> None:
        """End the job with ``error``, which its listener meets behind the audio that is buffered, if that is kept."""
        if not self._ended or not keep_audio:
            self._ended, self._error = True, error
        if not keep_audio:
            self._chunks.clear()
            self._buffered_samples = 0
        self._changed.set()

    # The listener's end.

    @property
    def report(self) -> JobReport:
        return self.meter.report()

    def cancel(self) -> None:
        if self._error is None:
            self._on_cancelled(self)

    async def waiting(self) -> AsyncIterator[Place]:
        told: Place | None = None
        while not (self._begun or self._ended):
            if self._place is not None and self._place is not told:
                told = self._place
                yield told
            else:
                await self._change()
        if self._error is not None and not self._begun:
            raise self._error

    def __aiter__(self) -> AsyncIterator[AudioChunk]:
        return self

    async def __anext__(self) -> AudioChunk:
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            await self._change()
        chunk = self._chunks.popleft()
        self._buffered_samples -= chunk.num_samples
        self._on_taken(self)
        return chunk

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
