"""A model that keeps exactly real time, emulated: what it costs to serve is then the server's cost alone."""

import heapq
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cosystream.runtime.protocol import CoreLoad, Finished, Output, Synthesizer
from cosystream.types import AudioChunk, EngineInfo, JobId, SynthesisRequest

P = TypeVar("P")

LONGEST_WAIT_SECONDS = 0.005
WARM_UP = JobId(1)
"""The engine's own job, before it is ready. It is not paced, so that nobody waits for it."""
GOLDEN = 0.618033988749895
"""Its multiples modulo 1 lie evenly between 0 and 1, however many they are (Weyl)."""

_STAMP = struct.Struct("<d")


def stamped(pcm: bytes, now: float) -> bytes:
    """``pcm`` with ``now`` in place of its first samples."""
    return _STAMP.pack(now) + pcm[_STAMP.size :]


def stamp_of(pcm_hex: str) -> float:
    """What ``stamped`` wrote, out of PCM in hex."""
    (now,) = _STAMP.unpack(bytes.fromhex(pcm_hex[: 2 * _STAMP.size]))
    assert isinstance(now, float)
    return now


@dataclass(slots=True)
class _Speaking:
    chunks: Iterator[AudioChunk]
    period_seconds: float
    due: float


class PacedCore(Generic[P]):
    """An ``EngineCore`` that hands out a chunk of each job every ``period_seconds``, stamped with the time.

    A step waits for the next multiple of ``step_seconds`` and hands out whatever has become due, as a model does that
    computes one batch in that time; with 0 it hands a chunk out as soon as it is due, mostly alone. The jobs' turns
    are spread evenly over the period.
    """

    def __init__(
        self,
        synthesizer: Synthesizer[P],
        *,
        streams_at_once: int,
        step_seconds: float,
        period_seconds: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.load = CoreLoad(streams_at_once)
        self._synthesizer = synthesizer
        self._step_seconds = step_seconds
        self._period_seconds = period_seconds
        self._clock = clock
        self._sleep = sleep
        self._speaking: dict[JobId, _Speaking] = {}
        self._paused: dict[JobId, _Speaking] = {}
        self._turns: list[tuple[float, JobId]] = []  # a heap; the turn of a job that is due at another time is void

    @property
    def info(self) -> EngineInfo:
        return self._synthesizer.info

    @property
    def library(self) -> None:
        """The voices of a synthesizer are fixed."""

    @property
    def has_work(self) -> bool:
        return bool(self._speaking)

    def prepare(self, request: SynthesisRequest) -> P:
        return self._synthesizer.prepare(request)

    def submit(self, job: JobId, prepared: P) -> None:
        period = 0.0 if job == WARM_UP else self._period_seconds
        chunks = (chunk for chunk in self._synthesizer.synthesize(prepared) if chunk is not None)
        self._take_turns(job, _Speaking(chunks, period, due=0.0))

    def pause(self, job: JobId) -> None:
        if job in self._speaking:
            self._paused[job] = self._speaking.pop(job)

    def resume(self, job: JobId) -> None:
        if job in self._paused:
            self._take_turns(job, self._paused.pop(job))

    def cancel(self, job: JobId) -> None:
        self._speaking.pop(job, None)
        self._paused.pop(job, None)

    def step(self) -> Sequence[tuple[JobId, Output]]:
        self._wait()
        outputs = list(self._turns_until(self._clock()))
        now = self._clock()
        return [
            (job, AudioChunk(stamped(output.pcm, now), output.sentence) if isinstance(output, AudioChunk) else output)
            for job, output in outputs
        ]

    def close(self) -> None:
        self._speaking.clear()
        self._paused.clear()
        self._synthesizer.close()

    def _take_turns(self, job: JobId, speaking: _Speaking) -> None:
        """Let ``job`` speak from its place in the period on, as soon as that comes round."""
        now, period = self._clock(), speaking.period_seconds
        speaking.due = now + ((job * GOLDEN * period - now) % period if period else 0.0)
        self._speaking[job] = speaking
        heapq.heappush(self._turns, (speaking.due, job))

    def _wait(self) -> None:
        now = self._clock()
        if self._step_seconds:
            self._sleep(self._step_seconds - now % self._step_seconds)
        elif (first_due := self._turns[0][0]) > now:
            self._sleep(min(first_due - now, LONGEST_WAIT_SECONDS))

    def _turns_until(self, now: float) -> Iterator[tuple[JobId, Output]]:
        while self._turns and self._turns[0][0] <= now:
            due, job = heapq.heappop(self._turns)
            speaking = self._speaking.get(job)
            if speaking is None or speaking.due != due:
                continue
            chunk = next(speaking.chunks, None)
            if chunk is None:
                del self._speaking[job]
                yield job, Finished()
                continue
            speaking.due += speaking.period_seconds
            heapq.heappush(self._turns, (speaking.due, job))
            yield job, chunk
