"""An ``Engine`` made of a core on a worker thread: admission, routing, and every way in which a job ends."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from cosystream.errors import (
    Cancelled,
    ConfigError,
    CosystreamError,
    InvalidRequest,
    NotReady,
    Overloaded,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
)
from cosystream.runtime.admission import Limits, longest_audio_seconds
from cosystream.runtime.job import Job
from cosystream.runtime.preparing import Preparing
from cosystream.runtime.protocol import (
    CoreLoad,
    EngineCore,
    EngineLoad,
    EngineState,
    Failed,
    Finished,
    Output,
    Place,
    Worked,
)
from cosystream.runtime.resolving import resolve
from cosystream.runtime.speed import Speed
from cosystream.runtime.supervisor import Supervisor
from cosystream.runtime.voices import VoiceChanges
from cosystream.runtime.worker import Cancel, Pause, Resume, Stepped, Submit
from cosystream.types import AudioChunk, EngineInfo, JobId, Prompt, SynthesisRequest, Voice

P = TypeVar("P")
logger = logging.getLogger(__name__)

WARM_UP = SynthesisRequest("你好，很高兴认识你。Hello.")
SPARE_SECONDS = 2.0
"""Of the lead that those who speak keep when a short request slips in between them."""
SHORT_WORK_SECONDS = 10.0


class ThreadedEngine(Generic[P]):
    """An ``Engine`` over the core that ``build`` makes. Everything here happens on one event loop."""

    def __init__(
        self, build: Callable[[], EngineCore[P]], limits: Limits | None = None, *, default_speaker: str | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._default_speaker = default_speaker
        self._supervisor = Supervisor(build, self, self._limits)
        self._state = EngineState.LOADING
        self._settled = asyncio.Event()
        self._has_closed = False
        self._silent = asyncio.Event()
        self._silent.set()
        self._hopeless: Exception | None = None
        self._info: EngineInfo | None = None  # of the last core, while there is none
        self._core: EngineCore[P] | None = None
        self._load = CoreLoad()
        self._jobs: dict[JobId, Job] = {}  # all that somebody listens to
        self._prepared: dict[JobId, P] = {}  # those of them that could begin, and have not
        self._running: dict[JobId, Job] = {}  # those of them that the core computes
        self._next_id = 1
        self._preparing = Preparing(self._limits.stall_seconds)
        self._speed = Speed()
        self._voices = VoiceChanges()
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
        engine._start(engine._watch())
        try:
            if wait_ready:
                await engine.ready()
            yield engine
        finally:
            await engine._close()

    async def ready(self) -> None:
        """Wait until a warm-up has been spoken by the core there is. Raises ConfigError if that will never happen."""
        await self._settled.wait()
        if self._hopeless is not None:
            raise self._hopeless

    def drain(self, deadline_seconds: float) -> None:
        """Take no more requests; after ``deadline_seconds``, end those that are left with ShuttingDown."""
        self._state = EngineState.DRAINING
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(deadline_seconds, self._end_all)

    async def drained(self) -> None:
        """Wait until nobody listens any more."""
        await self._silent.wait()

    # What the web sees

    @property
    def info(self) -> EngineInfo:
        info = self._info if self._core is None else self._core.info
        if info is None:
            raise NotReady("the engine is loading", retry_after_seconds=1.0)
        return info

    @property
    def load(self) -> EngineLoad:
        return EngineLoad(
            state=self._state,
            running=self._num_computed,
            waiting=len(self._line),
            open=len(self._jobs),
            streams_at_once=self._streams_at_once,
            rtf=self._speed.rtf,
            step_seconds=self._supervisor.step_seconds,
            deaths=self._supervisor.deaths,
            core=self._load,
            step_times=self._speed.step_times,
            batch_sizes=self._speed.batch_sizes,
        )

    @asynccontextmanager
    async def stream(self, request: SynthesisRequest, *, goes_on: bool = False) -> AsyncIterator[Job]:
        core = self._core if goes_on and self._may_finish else self._ready_core()
        assert core is not None
        request = resolve(request, core.info, self._default_speaker)
        if not goes_on:
            self._refuse_if_full(request)
        async with self._open(core, request) as job:
            yield job

    async def add_voice(self, name: str, prompt: Prompt) -> Voice:
        return await self._voices.add(self._ready_core(), name, prompt)

    async def remove_voice(self, name: str) -> None:
        if name == self._default_speaker:
            raise InvalidRequest(f"{name} is the default speaker of this server (default_speaker)")
        await self._voices.remove(self._ready_core(), name)

    async def sample(self, name: str) -> bytes:
        return await self._voices.sample(self._ready_core(), name)

    @property
    def _may_finish(self) -> bool:
        """Whether those who are listened to may still say what is left, though the server is to stop."""
        return self._state is EngineState.DRAINING and not self._has_closed and self._core is not None

    def _ready_core(self) -> EngineCore[P]:
        if self._state is EngineState.DRAINING:
            raise ShuttingDown("the server is shutting down", retry_after_seconds=5.0)
        if self._state is not EngineState.READY or self._core is None:
            what = "is being rebuilt" if self._state is EngineState.DEAD else f"is {self._state}"
            retry_after_seconds = max(1.0, self._supervisor.built_in_seconds)
            raise NotReady(f"the engine {what}", retry_after_seconds=retry_after_seconds)
        return self._core

    @asynccontextmanager
    async def _open(self, core: EngineCore[P], request: SynthesisRequest) -> AsyncIterator[Job]:
        job = Job(JobId(self._next_id), request, core.info.sample_rate, time.monotonic(), self._taken, self._cancelled)
        self._next_id += 1
        self._jobs[job.id] = job
        self._silent.clear()
        try:
            prepared = await self._preparing.prepare(core, request)
            if job.error is not None:  # the core has died meanwhile, or the server is going away
                raise job.error
            self._prepared[job.id] = prepared
            self._begin_waiting()
            yield job
        finally:
            del self._jobs[job.id]
            if not self._jobs:
                self._silent.set()
            self._stop_computing(job)

    # Admission

    @property
    def _streams_at_once(self) -> int:
        return min(self._load.streams_at_once, self._limits.max_streams)

    @property
    def _num_computed(self) -> int:
        return sum(not job.paused for job in self._running.values())

    @property
    def _line(self) -> list[Job]:
        """The jobs to be begun, prepared or being prepared, in order of arrival."""
        return [job for job in self._jobs.values() if not (job.begun or job.ended)]

    def _refuse_if_full(self, request: SynthesisRequest) -> None:
        limits, begins = self._limits, self._waits(request)
        num_waiting = len(self._line) - max(0, self._streams_at_once - self._num_computed)
        if len(self._jobs) >= limits.max_streams + limits.max_queue:
            problem, retry_after_seconds = f"{len(self._jobs)} streams are open already", 1.0
        elif num_waiting >= limits.max_queue:
            problem, retry_after_seconds = f"the queue is full, with {num_waiting} waiting", begins[0]
        elif begins[-1] > limits.max_wait_seconds and not self._may_slip_in(request):
            problem = f"a new request would wait for {begins[-1]:.0f} s before it can be spoken without a stutter"
            retry_after_seconds = begins[-1] - limits.max_wait_seconds
        else:
            return
        raise Overloaded(problem, retry_after_seconds=max(1.0, retry_after_seconds))

    def _may_slip_in(self, request: SynthesisRequest) -> bool:
        """Whether ``request`` is next, and so short that those who speak will soon have the lead to let it pass."""
        return not self._line and self._speed.work(request) < SHORT_WORK_SECONDS

    @property
    def _shortest_lead(self) -> float:
        """Seconds of audio that each listener to a job at work still has to hear, at the least."""
        now = time.monotonic()
        return min((job.meter.silent_since - now for job in self._running.values() if not job.paused), default=0.0)

    def _waits(self, *newcomers: SynthesisRequest) -> list[float]:
        """Seconds until each job in line is begun, and then each newcomer."""
        running = (job for job in self._running.values() if not job.paused)
        return self._speed.waits(running, self._line, self._streams_at_once, newcomers)

    def _begin_waiting(self) -> None:
        """Begin as many of the prepared jobs as may run, and tell those in line where they stand."""
        if not self._prepared:
            return
        in_order = sorted(self._prepared)
        num_free = self._streams_at_once - self._num_computed
        if num_free <= 0 and self._speed.work(self._jobs[in_order[0]].request) < self._shortest_lead - SPARE_SECONDS:
            num_free = 1  # it is spoken before any of those who speak would run dry
        if self._state in (EngineState.READY, EngineState.DRAINING):  # else it is the warm-up, which crowds nobody out
            listened_to = sum(job.begun for job in self._jobs.values())
            num_free = min(num_free, self._limits.max_streams - listened_to)
        for job_id in in_order[: max(0, num_free)]:
            job = self._running[job_id] = self._jobs[job_id]
            job.begin(time.monotonic())
            self._supervisor.send(Submit(job_id, self._prepared.pop(job_id)))
        line = self._line
        if any(job.position != position for position, job in enumerate(line, start=1)):
            for position, (job, eta_seconds) in enumerate(zip(line, self._waits(), strict=True), start=1):
                job.move(Place(position, eta_seconds))

    # The ends of a job

    def _stop_computing(self, job: Job) -> None:
        """Free whatever the job holds; it may have ended long ago."""
        self._prepared.pop(job.id, None)
        if self._running.pop(job.id, None) is not None:
            self._supervisor.send(Cancel(job.id))
        self._begin_waiting()

    def _fail(self, job: Job, error: CosystreamError, *, keep_audio: bool = True) -> None:
        job.fail(error, keep_audio=keep_audio)
        self._stop_computing(job)

    def _end_all(self) -> None:
        self._has_closed = True
        self._prepared.clear()
        for job in self._jobs.values():
            self._fail(job, ShuttingDown("the server is shutting down", retry_after_seconds=5.0), keep_audio=False)

    async def _watch(self) -> None:
        """End jobs that make no progress, and give up a worker whose step does not return."""
        longest = self._limits.stall_seconds
        while True:
            await asyncio.sleep(longest / 4)
            self._supervisor.check()
            if self._supervisor.step_seconds > longest / 2:
                continue  # perhaps it is the worker that hangs: nobody is to take the place of a job that ends there
            overdue = time.monotonic() - longest
            for job in list(self._running.values()):
                if not job.paused and job.meter.stalled_since < overdue:
                    self._fail(job, Stalled(f"no audio for {longest:g} s"))

    async def _close(self) -> None:
        self._state = EngineState.DRAINING
        if self._deadline is not None:
            self._deadline.cancel()
        self._end_all()
        await self._supervisor.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What the worker brings

    def core_built(self, core: EngineCore[P]) -> None:
        speaker, speakers = self._default_speaker, core.info.speakers
        if speaker is not None and speaker not in speakers:
            there_are = f"there are {', '.join(speakers)}" if speakers else core.info.voices_note
            self._supervisor.give_up(ConfigError(f"no voice {speaker!r} to be the default; {there_are}"))
            return
        self._core = core
        if core.info.voices:
            self._start(self._warm_up(core))
        elif self._state is not EngineState.DRAINING:
            self._warmed_up(core)

    async def _warm_up(self, core: EngineCore[P]) -> None:
        failure: CosystreamError | None = None
        try:
            async with self._open(core, resolve(WARM_UP, core.info, self._default_speaker)) as job:
                async for _ in job:
                    pass
        except CosystreamError as error:
            failure = error
        if core is not self._core or self._state is EngineState.DRAINING:
            return  # lost meanwhile, or wanted no more
        if failure is not None:
            self._supervisor.give_up(failure)
            return
        self._warmed_up(core)

    def _warmed_up(self, core: EngineCore[P]) -> None:
        self._state = EngineState.READY
        logger.info("the engine %s with %s is ready: rtf=%.3f", core.info.name, core.info.model, self._speed.rtf)
        self._settled.set()

    def core_stepped(self, step: Stepped) -> None:
        self._load = step.load
        self._speed.stepped(step, self.info.sample_rate)
        now = time.monotonic()
        for job_id, output in step.outputs:
            if (job := self._running.get(job_id)) is not None:  # else its listener has left
                self._hand_over(job, output, now)
        self._begin_waiting()

    def _hand_over(self, job: Job, output: Output, now: float) -> None:
        match output:
            case AudioChunk():
                job.push(output, now)
                if job.meter.audio_seconds > longest_audio_seconds(job.request.text, job.request.speed):
                    self._fail(job, Stalled(f"{job.meter.audio_seconds:.0f} s of audio is more than the text can be"))
                elif job.buffered_seconds > self._limits.buffer_seconds and not job.paused:
                    job.paused = True
                    self._supervisor.send(Pause(job.id))
            case Worked():
                job.meter.worked(now)
            case Finished():
                del self._running[job.id]
                job.finish()
                self._supervisor.proven()
                self._speed.spoken(job)
            case Failed(message):
                del self._running[job.id]
                job.fail(SynthesisFailed(message))

    def _cancelled(self, job: Job) -> None:
        self._fail(job, Cancelled("the request was cancelled"), keep_audio=False)

    def _taken(self, job: Job) -> None:
        if job.paused and job.buffered_seconds <= self._limits.buffer_seconds / 2:
            job.paused = False
            job.meter.resume(time.monotonic())
            self._supervisor.send(Resume(job.id))

    def core_lost(self, error: Exception, rebuilt_in_seconds: float | None) -> None:
        if self._core is not None:
            self._info, self._core = self._core.info, None
        self._settled.clear()
        if rebuilt_in_seconds is None:
            self._hopeless = error
            self._settled.set()
        if self._state is not EngineState.DRAINING:
            self._state = EngineState.DEAD
        self._prepared.clear()
        for job in self._jobs.values():
            self._fail(job, _loss(job, error, rebuilt_in_seconds or 60.0))


def _loss(job: Job, error: Exception, retry_after_seconds: float) -> CosystreamError:
    """What the death of its core is to ``job``: each has an exception of its own, since each is raised somewhere."""
    if not job.begun:
        return NotReady("the engine is being rebuilt", retry_after_seconds=retry_after_seconds)
    if isinstance(error, Stalled):
        return Stalled(str(error))
    return SynthesisFailed("the engine died while it spoke this; it is being rebuilt")
