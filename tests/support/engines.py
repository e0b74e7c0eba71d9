"""An engine that does what a test wrote down, without threads and without a clock."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from cosystream.errors import Cancelled, CosystreamError, InvalidRequest, UnknownVoice, VoiceExists
from cosystream.runtime.protocol import CoreLoad, EngineLoad, EngineState, Place
from cosystream.runtime.stats import Distribution, JobReport
from cosystream.runtime.voices import named
from cosystream.types import AudioChunk, EngineInfo, Prompt, SynthesisRequest, Voice

INFO = EngineInfo(
    name="scripted",
    model="a script",
    sample_rate=24_000,
    voices=(Voice("anna", ("de", "en"), "female"), Voice("中文女", ("zh",), "female")),
    default_speaker="anna",
    can_instruct=True,
    can_clone=True,
)
SEED = 7
"""Of requests that name none."""
REPORT = JobReport(
    chunks=0,
    samples=0,
    audio_seconds=0.0,
    queue_seconds=0.25,
    first_audio_seconds=None,
    rtf=0.125,
    underruns=1,
    gaps_seconds=(),
)
"""The figures of every job; what counts chunks is counted."""
FIRST_AUDIO_SECONDS = 0.5
GAP_SECONDS = 0.1


def chunk(num_samples: int = 2400, sentence: str | None = None, level: int = 1) -> AudioChunk:
    return AudioChunk(level.to_bytes(2, "little", signed=True) * num_samples, sentence)


@dataclass(frozen=True)
class Script:
    """How a job goes: first the wait, then the audio. An exception is raised where it stands; at an event it waits."""

    places: Sequence[Place | asyncio.Event | Exception] = ()
    chunks: Sequence[AudioChunk | asyncio.Event | Exception] = ()


class ScriptedStream:
    """An ``AudioStream`` made of a script."""

    def __init__(self, request: SynthesisRequest, script: Script) -> None:
        self.request = request
        self._places = iter(script.places)
        self._chunks = iter(script.chunks)
        self._report = REPORT

    @property
    def report(self) -> JobReport:
        return self._report

    def cancel(self) -> None:
        self._places = iter(())
        self._chunks = iter([Cancelled("the request was cancelled")])

    async def waiting(self) -> AsyncIterator[Place]:
        for step in self._places:
            match step:
                case Place():
                    yield step
                case asyncio.Event():
                    await step.wait()
                case _:
                    raise step

    def __aiter__(self) -> AsyncIterator[AudioChunk]:
        return self

    async def __anext__(self) -> AudioChunk:
        async for _ in self.waiting():
            pass  # whoever does not ask still waits
        for step in self._chunks:
            match step:
                case AudioChunk():
                    self._count(step)
                    return step
                case asyncio.Event():
                    await step.wait()
                case _:
                    raise step
        raise StopAsyncIteration

    def _count(self, taken: AudioChunk) -> None:
        report = self._report
        samples = report.samples + taken.num_samples
        self._report = replace(
            report,
            chunks=report.chunks + 1,
            samples=samples,
            audio_seconds=samples / INFO.sample_rate,
            first_audio_seconds=FIRST_AUDIO_SECONDS,
            gaps_seconds=(GAP_SECONDS,) * report.chunks,
        )


class ScriptedEngine:
    """An ``Engine`` that speaks ``script``, whatever the text, and remembers what it was asked.

    A ``refusal`` is raised instead of opening a job and of changing a voice. ``state`` may be set at any time. Any
    bytes will do to learn a voice from.
    """

    def __init__(
        self,
        *chunks: AudioChunk | asyncio.Event | Exception,
        places: Sequence[Place | asyncio.Event | Exception] = (),
        refusal: Exception | None = None,
        state: EngineState = EngineState.READY,
        info: EngineInfo | CosystreamError = INFO,
    ) -> None:
        self.script = Script(places, chunks)
        self.refusal = refusal
        self.state = state
        self.requests: list[SynthesisRequest] = []
        """What was asked, in order."""
        self.open = 0
        """Jobs whose context has not been left."""
        self.opened = asyncio.Event()
        """Whether there has been one."""
        self.prompts: dict[str, Prompt] = {}
        """What cloned voices were learnt from."""
        self.step_times = Distribution((0.01, 0.1))
        self._info = info

    @property
    def info(self) -> EngineInfo:
        if isinstance(self._info, Exception):
            raise self._info
        return self._info

    @property
    def load(self) -> EngineLoad:
        return EngineLoad(
            state=self.state,
            running=self.open,
            waiting=3,
            open=self.open,
            streams_at_once=8,
            rtf=0.5,
            step_seconds=0.001,
            deaths=2,
            core=CoreLoad(streams_at_once=8, batch_size=2, pages=7, pages_free=5, retries=3),
            step_times=self.step_times,
            batch_sizes=Distribution((1, 2)),
        )

    @asynccontextmanager
    async def stream(self, request: SynthesisRequest, *, goes_on: bool = False) -> AsyncIterator[ScriptedStream]:
        self.requests.append(request)
        if self.refusal is not None and not goes_on:
            raise self.refusal
        speaker = request.speaker or self.info.default_speaker
        seed = SEED if request.seed is None else request.seed
        self.open += 1
        self.opened.set()
        try:
            yield ScriptedStream(replace(request, speaker=speaker, seed=seed), self.script)
        finally:
            self.open -= 1

    async def add_voice(self, name: str, prompt: Prompt) -> Voice:
        if self.refusal is not None:
            raise self.refusal
        if name in self.info.speakers:
            raise VoiceExists(f"there is a voice {name!r} already")
        voice = Voice(name, ("en",), "unknown", "cloned")
        self.prompts[name] = prompt
        self._info = replace(self.info, voices=(*self.info.voices, voice))
        return voice

    async def remove_voice(self, name: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        gone = named(self.info, name)
        if gone.kind != "cloned":
            raise InvalidRequest(f"{name!r} is a {gone.kind} voice")
        self._info = replace(self.info, voices=tuple(voice for voice in self.info.voices if voice != gone))

    async def sample(self, name: str) -> bytes:
        named(self.info, name)
        if name not in self.prompts:
            raise UnknownVoice(f"{name!r} has no recording")
        return self.prompts[name].audio
