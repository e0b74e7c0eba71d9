"""An ``Engine`` made of a core on a worker thread: admission, routing, and every way in which a job ends."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from cosystream.errors import (
    CosystreamError,
    InvalidRequest,
    NotReady,
    Overloaded,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
    UnknownVoice,
)
from cosystream.runtime.admission import Limits, longest_audio_seconds, waits
from cosystream.runtime.job import Job
from cosystream.runtime.protocol import EngineCore, EngineLoad, EngineState, Failed, Finished, Output, Place
from cosystream.runtime.stats import Ratio
from cosystream.runtime.supervisor import Supervisor
from cosystream.runtime.worker import Cancel, Pause, Resume, Stepped, Submit
from cosystream.types import AudioChunk, EngineInfo, JobId, SynthesisRequest

P = TypeVar("P")
logger = logging.getLogger(__name__)

WARM_UP = SynthesisRequest("你好，今天天气很好，我们一起去公园散步吧。Hello.")
PREPARING_AT_ONCE = 2


class ThreadedEngine(Generic[P]):
    """An ``Engine`` over the core that ``build`` makes. Everything here happens on one event loop."""

    def __init__(
        self, build: Callable[[], EngineCore[P]], limits: Limits | None = None, *, default_speaker: str | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._default_speaker = default_speaker
        self._supervisor = Supervisor(build, self)
        self._state = EngineState.LOADING
        self._settled = asyncio.Event()
        self._hopeless: Exception | None = None
        self._info: EngineInfo | None = None
        self._core: EngineCore[P] | None = None
        self._streams_at_once = 1
        self._jobs: dict[JobId, Job] = {}  # all that somebody listens to
        self._waiting: dict[JobId, P] = {}  # those of them that are prepared and not begun, in order
        self._running: dict[JobId, Job] = {}  # those of them that the core computes
        self._next_id = 1
        self._preparing = anyio.CapacityLimiter(PREPARING_AT_ONCE)
        self._rtf = Ratio(initial=0.5, half_life=20.0)  # busy seconds per second of audio
        self._pace = Ratio(initial=0.25, half_life=100.0)  # seconds of audio per character
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadline: asyncio.TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        build: Callable[[], EngineCore[P]],
        limits: Limits | None = None,
        *,
        default_speaker: str | None = None,
        wait_ready: bool = True,
    ) -> AsyncIterator["ThreadedEngine[P]"]:
        """An engine that lives as long as the context.

        Raises ConfigError if ``wait_ready`` and the core cannot be built from what there is.
        """
        engine = cls(build, limits, default_speaker=default_speaker)
        engine._supervisor.start()
        watchdog = asyncio.create_task(engine._watch())
        try:
            if wait_ready:
                await engine.ready()
            yield engine
        finally:
            watchdog.cancel()
            await engine._close()

    async def ready(self) -> None:
        """Wait until a warm-up has been spoken. Raises ConfigError if that will never happen."""
        await self._settled.wait()
        if self._hopeless is not None:
            raise self._hopeless

    def drain(self, deadline_seconds: float) -> None:
        """Take no more requests; after ``deadline_seconds``, end those that are left with ShuttingDown."""
        self._state = EngineState.DRAINING
        self._deadline = asyncio.get_running_loop().call_later(deadline_seconds, self._end_all)

    # What the web sees

    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            raise NotReady("the engine is loading", retry_after_seconds=1.0)
        return self._info

    @property
    def load(self) -> EngineLoad:
        return EngineLoad(
            state=self._state,
            running=len(self._running),
            waiting=len(self._waiting),
            open=len(self._jobs),
            streams_at_once=self._streams_at_once,
            rtf=self._rtf.value,
            step_seconds=self._supervisor.step_seconds,
            deaths=self._supervisor.deaths,
        )

    @asynccontextmanager
    async def stream(self, request: SynthesisRequest) -> AsyncIterator[Job]:
        if self._state is EngineState.DRAINING:
            raise ShuttingDown("the server is shutting down", retry_after_seconds=5.0)
        if self._state is not EngineState.READY or self._core is None:
            raise NotReady(f"the engine is {self._state}", retry_after_seconds=1.0)
        async with self._open(self._core, request) as job:
            yield job

    @asynccontextmanager
    async def _open(self, core: EngineCore[P], request: SynthesisRequest) -> AsyncIterator[Job]:
        request = self._resolve(request, core.info)
        self._refuse_if_full(request)
        job = Job(JobId(self._next_id), request, core.info.sample_rate, time.monotonic(), self._taken)
        self._next_id += 1
        self._jobs[job.id] = job
        try:
            prepared = await self._prepare(core, request)
            if core is not self._core:
                raise NotReady("the engine is being rebuilt", retry_after_seconds=1.0)
            self._waiting[job.id] = prepared
            self._begin_waiting()
            yield job
        finally:
            del self._jobs[job.id]
            self._stop_computing(job)

    async def _prepare(self, core: EngineCore[P], request: SynthesisRequest) -> P:
        try:
            with anyio.fail_after(self._limits.stall_seconds):
                return await anyio.to_thread.run_sync(
                    core.prepare, request, limiter=self._preparing, abandon_on_cancel=True
                )
        except TimeoutError:
            raise Stalled(f"the text was not prepared within {self._limits.stall_seconds:g} s") from None

    # Admission

    def _resolve(self, request: SynthesisRequest, info: EngineInfo) -> SynthesisRequest:
        """Fill in what the request leaves open; refuse what this engine cannot do."""
        speaker = request.speaker or self._default_speaker or info.default_speaker
        if speaker not in info.speakers:
            raise UnknownVoice(f"no voice {speaker[:64]!r}; there are {', '.join(info.speakers)}")
        if request.instruction is not None and not info.can_instruct:
            raise InvalidRequest(
                f"instruction: the engine {info.name!r} follows none; leave it out, or serve a CosyVoice checkpoint"
            )
        if request.prompt is not None and not info.can_clone:
            raise InvalidRequest(
                f"prompt_wav: the engine {info.name!r} cannot imitate a recording; leave it out and name a speaker, "
                "or serve a CosyVoice checkpoint"
            )
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        return replace(request, speaker=speaker, seed=seed)

    def _refuse_if_full(self, request: SynthesisRequest) -> None:
        begins = self._waits(self._expected_work(request))
        limits = self._limits
        if len(self._jobs) >= limits.max_streams + limits.max_queue:
            problem, retry_after_seconds = f"{len(self._jobs)} streams are open already", 1.0
        elif begins[-1] > 0 and len(self._waiting) >= limits.max_queue:
            problem, retry_after_seconds = f"{len(self._waiting)} requests are waiting already", begins[0]
        elif begins[-1] > limits.max_wait_seconds:
            problem = f"a new request would wait for {begins[-1]:.0f} s before it can be spoken without a stutter"
            retry_after_seconds = begins[-1] - limits.max_wait_seconds
        else:
            return
        raise Overloaded(problem, retry_after_seconds=max(1.0, retry_after_seconds))

    def _waits(self, *newcomers: float) -> list[float]:
        """Seconds until each waiting job is begun, and then each newcomer, given in seconds of work."""
        running = (self._work_left(job) for job in self._running.values())
        in_line = (self._work_left(self._jobs[job_id]) for job_id in self._waiting)
        return waits(running, [*in_line, *newcomers], self._streams_at_once)

    def _expected_work(self, request: SynthesisRequest) -> float:
        """Busy seconds that ``request`` will probably take."""
        return len(request.text) * self._pace.value / request.speed * self._rtf.value

    def _work_left(self, job: Job) -> float:
        return max(0.0, self._expected_work(job.request) - job.meter.audio_seconds * self._rtf.value)

    def _begin_waiting(self) -> None:
        """Begin as many of the waiting jobs as may run, and tell the others where they stand."""
        listened_to = sum(job.begun for job in self._jobs.values())
        while self._waiting and len(self._running) < self._streams_at_once and listened_to < self._limits.max_streams:
            job_id = next(iter(self._waiting))
            prepared = self._waiting.pop(job_id)
            job = self._running[job_id] = self._jobs[job_id]
            job.begin(time.monotonic())
            listened_to += 1
            self._supervisor.send(Submit(job_id, prepared))
        if self._waiting:
            for position, (job_id, eta_seconds) in enumerate(zip(self._waiting, self._waits(), strict=True), start=1):
                self._jobs[job_id].move(Place(position, eta_seconds))

    # The ends of a job

    def _stop_computing(self, job: Job) -> None:
        """Free whatever the job holds; it may have ended long ago."""
        self._waiting.pop(job.id, None)
        if self._running.pop(job.id, None) is not None:
            self._supervisor.send(Cancel(job.id))
        self._begin_waiting()

    def _fail(self, job: Job, error: CosystreamError, *, keep_audio: bool = True) -> None:
        job.fail(error, keep_audio=keep_audio)
        self._stop_computing(job)

    def _end_all(self) -> None:
        self._waiting.clear()
        for job in self._jobs.values():
            self._fail(job, ShuttingDown("the server is shutting down", retry_after_seconds=5.0), keep_audio=False)

    async def _watch(self) -> None:
        """End jobs that make no progress, and give up a worker whose step does not return."""
        longest = self._limits.stall_seconds
        while True:
            await asyncio.sleep(longest / 4)
            overdue = time.monotonic() - longest
            for job in list(self._running.values()):
                if not job.paused and job.meter.last_progress < overdue:
                    self._fail(job, Stalled(f"no audio for {longest:g} s"))
            self._supervisor.check(longest)

    async def _close(self) -> None:
        self._state = EngineState.DRAINING
        if self._deadline is not None:
            self._deadline.cancel()
        self._end_all()
        await self._supervisor.close()
        await asyncio.gather(*self._tasks)

    # What the worker brings

    def core_built(self, core: EngineCore[P]) -> None:
        self._core, self._info = core, core.info
        task = asyncio.create_task(self._warm_up(core))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm_up(self, core: EngineCore[P]) -> None:
        try:
            async with self._open(core, WARM_UP) as job:
                async for _ in job:
                    pass
        except CosystreamError as error:
            if core is self._core and self._state is not EngineState.DRAINING:
                self._supervisor.give_up(error)
            return
        if self._state is not EngineState.DRAINING:
            self._state = EngineState.READY
        logger.info("the engine %s is ready: rtf=%.3f", core.info.name, self._rtf.value)
        self._settled.set()

    def core_stepped(self, step: Stepped) -> None:
        self._streams_at_once = min(step.streams_at_once, self._limits.max_streams)
        now, samples = time.monotonic(), 0
        for job_id, output in step.outputs:
            if isinstance(output, AudioChunk):
                samples += output.num_samples
            if (job := self._running.get(job_id)) is not None:  # else its listener has left
                self._hand_over(job, output, now)
        self._rtf.observe(step.busy_seconds, samples / self.info.sample_rate)
        self._begin_waiting()

    def _hand_over(self, job: Job, output: Output, now: float) -> None:
        match output:
            case AudioChunk():
                job.push(output, now)
                if job.meter.audio_seconds > longest_audio_seconds(job.request.text, job.request.speed):
                    self._fail(job, Stalled(f"{job.meter.audio_seconds:.0f} s of audio is more than the text can be"))
                elif job.buffered_seconds > self._limits.buffer_seconds:
                    job.paused = True
                    self._supervisor.send(Pause(job.id))
            case Finished():
                del self._running[job.id]
                job.finish()
                self._supervisor.proven()
                self._pace.observe(job.meter.audio_seconds * job.request.speed, len(job.request.text))
            case Failed(message):
                del self._running[job.id]
                job.fail(SynthesisFailed(message))

    def _taken(self, job: Job) -> None:
        if job.paused and job.buffered_seconds <= self._limits.buffer_seconds / 2:
            job.paused = False
            job.meter.resume(time.monotonic())
            self._supervisor.send(Resume(job.id))

    def core_lost(self, error: Exception, rebuilt_in_seconds: float | None) -> None:
        self._core = None
        if rebuilt_in_seconds is None:
            self._hopeless = error
            self._settled.set()
        if self._state is not EngineState.DRAINING:
            self._state = EngineState.DEAD
        self._waiting.clear()
        retry = NotReady("the engine is being rebuilt", retry_after_seconds=rebuilt_in_seconds or 60.0)
        for job in self._jobs.values():
            lost = SynthesisFailed("the engine died while it spoke this; it is being rebuilt") if job.begun else retry
            self._fail(job, lost)
