"""Several generators on one thread: nobody runs dry, then first audio first, then the stream closest to running dry."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import CoreLoad, Failed, Finished, Output, Synthesizer, Worked
from cosystream.runtime.stats import Workload
from cosystream.types import AudioChunk, EngineInfo, JobId, SynthesisRequest

P = TypeVar("P")
logger = logging.getLogger(__name__)

STEP_SECONDS = 0.002
"""A step takes further chunks until it has lasted so long: cheap chunks then cross to the event loop together."""

SAFE_LEAD_SECONDS = 0.8
"""Of audio that a listener still has to hear, while the first chunk of a newcomer is made: that may take two steps."""


@dataclass(slots=True)
class _Speaking:
    """A generator at work, and when its listener will have heard all of it so far."""

    chunks: Iterator[AudioChunk | None]
    runs_dry: float | None = None
    """On the core's clock; None before the first chunk."""
    paused_at: float = 0.0


class InterleavedCore(Generic[P]):
    """An ``EngineCore`` made of a ``Synthesizer``: one step of one job at a time, the most urgent first."""

    def __init__(self, synthesizer: Synthesizer[P], clock: Callable[[], float] = time.monotonic) -> None:
        self._synthesizer = synthesizer
        self._clock = clock
        self._speaking: dict[JobId, _Speaking] = {}
        self._paused: dict[JobId, _Speaking] = {}
        self._workload = Workload()

    @property
    def info(self) -> EngineInfo:
        return self._synthesizer.info

    @property
    def library(self) -> None:
        """The voices of a synthesizer are fixed."""

    @property
    def has_work(self) -> bool:
        return bool(self._speaking)

    @property
    def load(self) -> CoreLoad:
        return CoreLoad(streams_at_once=self._workload.streams_at_once)

    def prepare(self, request: SynthesisRequest) -> P:
        return self._synthesizer.prepare(request)

    def submit(self, job: JobId, prepared: P) -> None:
        self._speaking[job] = _Speaking(self._speak(prepared))

    def pause(self, job: JobId) -> None:
        if job in self._speaking:
            speaking = self._paused[job] = self._speaking.pop(job)
            speaking.paused_at = self._clock()

    def resume(self, job: JobId) -> None:
        if job in self._paused:
            speaking = self._speaking[job] = self._paused.pop(job)
            if speaking.runs_dry is not None:  # else it would seem to be the most urgent, with all that is unheard
                speaking.runs_dry += self._clock() - speaking.paused_at

    def cancel(self, job: JobId) -> None:
        self._speaking.pop(job, None)  # the last reference: the generator closes here, on its own thread
        self._paused.pop(job, None)

    def step(self) -> Sequence[tuple[JobId, Output]]:
        outputs: list[tuple[JobId, Output]] = []
        began = now = self._clock()
        samples = 0
        while self._speaking and now - began < STEP_SECONDS:
            job = min(self._speaking, key=partial(self._urgency, now=now))
            output = self._advance(job, self._speaking[job])
            outputs.append((job, output))
            if isinstance(output, AudioChunk):
                samples += output.num_samples
            elif not isinstance(output, Worked):
                self.cancel(job)
            now = self._clock()
        self._workload.observe(now - began, samples / self.info.sample_rate)
        return outputs

    def close(self) -> None:
        self._speaking.clear()
        self._paused.clear()
        self._synthesizer.close()

    def _speak(self, prepared: P) -> Iterator[AudioChunk | None]:
        """Call the synthesizer with the first ``next``, where an exception ends this job alone."""
        yield from self._synthesizer.synthesize(prepared)

    def _urgency(self, job: JobId, now: float) -> tuple[int, float, JobId]:
        runs_dry = self._speaking[job].runs_dry
        if runs_dry is None:
            return 1, 0.0, job
        return 0 if runs_dry < now + SAFE_LEAD_SECONDS else 2, runs_dry, job

    def _advance(self, job: JobId, speaking: _Speaking) -> Output:
        try:
            chunk = next(speaking.chunks)
        except StopIteration:
            return Finished()
        except CosystreamError as error:
            return Failed(str(error))
        except Exception:
            logger.exception("job %d failed", job)
            return Failed("the engine could not speak this text; the server's log says why")
        if chunk is None:
            return Worked()
        now = self._clock()
        speaking.runs_dry = max(now, speaking.runs_dry or now) + chunk.num_samples / self.info.sample_rate
        return chunk
