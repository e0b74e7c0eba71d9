"""The two narrow places: what the web sees of an engine, and what an engine's thread runs."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from cosystream.runtime.stats import Distribution, JobReport
from cosystream.types import AudioChunk, EngineInfo, JobId, Prompt, SynthesisRequest, Voice


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting job stands in the queue."""

    position: int
    """1 is next."""
    eta_seconds: float
    """Until it is begun, as far as the speed measured so far tells."""


class AudioStream(Protocol):
    """One job, as its listener sees it: first the wait, then the audio, then the report."""

    @property
    def request(self) -> SynthesisRequest:
        """The request with the engine's choices filled in: speaker and seed are never None.

        Asked for again, it is spoken by the same voice, even if that has been removed since.
        """
        ...

    def waiting(self) -> AsyncIterator[Place]:
        """Each change of place until the job is begun. Need not be read. Raises what ends a job that still waits."""
        ...

    def __aiter__(self) -> AsyncIterator[AudioChunk]: ...

    def cancel(self) -> None:
        """End the job, heard or not: its listener meets Cancelled next."""
        ...

    @property
    def report(self) -> JobReport:
        """The figures of the job so far; final once the audio has ended."""
        ...


class EngineState(StrEnum):
    """What an engine's life is made of; only a READY one takes requests."""

    LOADING = "loading"
    READY = "ready"
    DEAD = "dead"
    """Failed, and waiting to be built again."""
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How an engine is doing at this moment."""

    state: EngineState
    running: int
    """Jobs being computed."""
    waiting: int
    open: int
    """Jobs somebody still listens to, computed or not."""
    streams_at_once: int
    """How many jobs may be computed at once."""
    rtf: float
    """Busy seconds of the worker per second of audio, lately."""
    step_seconds: float
    """For how long the worker's present step has been running."""
    deaths: int
    """How often the core has died."""
    core: "CoreLoad"
    """What the core said last."""
    step_times: Distribution
    """Of the worker's steps, in seconds."""
    batch_sizes: Distribution
    """Rows that a step computed together."""


class Engine(Protocol):
    """What can speak. Lives on the event loop; the web layer knows nothing else."""

    @property
    def info(self) -> EngineInfo:
        """Raises NotReady before the engine has been built for the first time."""
        ...

    @property
    def load(self) -> EngineLoad: ...

    def stream(self, request: SynthesisRequest, *, goes_on: bool = False) -> AbstractAsyncContextManager[AudioStream]:
        """Open a job. Leaving the context ends it, finished or not.

        One that ``goes_on`` with what its listener is hearing waits its turn like others, but is refused neither for
        want of room nor because the server is to stop.

        Raises CallerError for what this engine cannot say, TryLater when it may not begin now; iterating raises
        SynthesisFailed, Stalled or ShuttingDown for a job that broke off.
        """
        ...

    async def add_voice(self, name: str, prompt: Prompt) -> Voice:
        """Learn a voice, which is there to be asked for from now on, and keep it.

        Raises InvalidRequest for a recording that cannot be learnt from and by an engine that learns none,
        VoiceExists, TooManyVoices, NotKept, Stalled and TryLater.
        """
        ...

    async def remove_voice(self, name: str) -> None:
        """Forget a cloned voice; who speaks with it goes on. Raises UnknownVoice, InvalidRequest, NotKept, TryLater."""
        ...

    async def sample(self, name: str) -> bytes:
        """The recording that a voice was learnt from, as a WAV. Raises UnknownVoice where there is none, TryLater."""
        ...


# What a core hands back from its thread.


@dataclass(frozen=True, slots=True)
class Worked:
    """Something was computed for a job that is not to be heard yet: it has not stalled."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All of a job's audio has been handed out."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that cannot go on; the others can."""

    message: str


Output = AudioChunk | Worked | Finished | Failed


@dataclass(frozen=True, slots=True)
class CoreLoad:
    """How a core is doing after a step."""

    streams_at_once: int = 1
    """How many jobs it can keep ahead of real time together, as far as it knows by now; at least 1."""
    batch_size: int = 1
    """Rows that the step computed together."""
    pages: int = 0
    """Of its memory, where that is paged."""
    pages_free: int = 0
    retries: int = 0
    """Jobs computed a second time, in full precision, because their first audio was none."""


P = TypeVar("P")


class VoiceLibrary(Protocol):
    """The voices of a core that can learn. Any thread may call it, and finds in the core's ``info`` what came of it."""

    def add(self, name: str, prompt: Prompt) -> Voice:
        """Learn a voice and keep it, so that the next core has it too. Takes seconds.

        Raises InvalidRequest for a recording that cannot be learnt from, VoiceExists, TooManyVoices and NotKept.
        """
        ...

    def remove(self, name: str) -> None:
        """Forget a cloned voice; what was prepared with it is spoken. Raises UnknownVoice, InvalidRequest, NotKept."""
        ...

    def sample(self, name: str) -> bytes:
        """The recording that a voice was learnt from, as a WAV. Raises UnknownVoice where there is none."""
        ...


class EngineCore(Protocol[P]):
    """What computes. Blocks and knows no asyncio; all but ``info``, ``library`` and ``prepare`` is for its own thread.

    Building may take its time, and is where compiling and warming up belong; a step is watched from the first one on.
    """

    @property
    def info(self) -> EngineInfo: ...

    @property
    def library(self) -> VoiceLibrary | None:
        """Where voices come and go; None where they are fixed."""
        ...

    def prepare(self, request: SynthesisRequest) -> P:
        """Do what needs no device, on any thread. Raises CallerError for what this engine cannot say."""
        ...

    def submit(self, job: JobId, prepared: P) -> None: ...

    def pause(self, job: JobId) -> None:
        """Compute nothing more for ``job`` until it is resumed. Unknown jobs are ignored."""
        ...

    def resume(self, job: JobId) -> None:
        """Go on with ``job``. Unknown jobs are ignored."""
        ...

    def cancel(self, job: JobId) -> None:
        """Forget ``job`` and free what it holds. Unknown jobs are ignored."""
        ...

    def step(self) -> Sequence[tuple[JobId, Output]]:
        """Compute for a bounded time, which is the latency of a cancel. An exception ends every job and the core."""
        ...

    @property
    def has_work(self) -> bool:
        """Whether a step now could bring anything about."""
        ...

    @property
    def load(self) -> CoreLoad:
        """After the last step."""
        ...

    def close(self) -> None: ...


class Synthesizer(Protocol[P]):
    """The easy way in: one generator per request. ``InterleavedCore`` makes an ``EngineCore`` of it."""

    @property
    def info(self) -> EngineInfo: ...

    def prepare(self, request: SynthesisRequest) -> P:
        """Do what must fail before the first byte, on any thread. Raises CallerError."""
        ...

    def synthesize(self, prepared: P) -> Iterator[AudioChunk | None]:
        """Speak. Each ``next`` is a step, a fraction of a second at most; None is work not to be heard yet."""
        ...

    def close(self) -> None: ...
