"""CosyVoice as an engine's core: the scheduler says what is next, the runner computes it, here both meet the jobs."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from cosystream.audio.pcm import to_pcm
from cosystream.engines.cosyvoice.building import build_runner
from cosystream.engines.cosyvoice.guard import fault
from cosystream.engines.cosyvoice.library import CheckpointLibrary
from cosystream.engines.cosyvoice.loading import open_folder
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.engines.cosyvoice.runner import Decoded, Spoken
from cosystream.engines.cosyvoice.scheduler import Scheduler
from cosystream.engines.cosyvoice.ticks import Decode, Owner, Prefill, PromptKey, Solve, Work
from cosystream.engines.cosyvoice.utterance import Utterance, prompt_of
from cosystream.errors import InvalidRequest
from cosystream.models.cosyvoice.decoder import UNREADABLE
from cosystream.models.devices import hand_back_freed_memory
from cosystream.runtime.protocol import CoreLoad, Failed, Finished, Output, Worked
from cosystream.runtime.resolving import resolve
from cosystream.runtime.stats import Ratio, Workload
from cosystream.types import AudioChunk, EngineInfo, JobId, SynthesisRequest

logger = logging.getLogger(__name__)

TELL_SECONDS = 0.5
"""How often it is told that a job works, while there is nothing to be heard of it."""
BROKEN = "the engine could not speak this text; the server's log says why"


@dataclass(slots=True, eq=False)
class _Job:
    """A request at work."""

    utterance: Utterance
    generator: torch.Generator
    told: float
    """When something was last told of it, on the core's clock."""
    num_begun: int = 0
    """Segments."""
    written: str | None = None
    """The sentence that begins to sound with the next chunk."""
    is_heard: bool = False


class CosyVoiceCore:
    """An ``EngineCore`` over the models of one folder: all jobs advance together, the most urgent decides with what.

    The same request gives the same tokens whoever else is served. Its samples are the same too, as far as its hops are
    cut alike, which depends on how busy the engine is.
    """

    def __init__(self, folder: Path, options: CosyVoiceOptions, clock: Callable[[], float] = time.monotonic) -> None:
        """Load everything and warm up. Raises CheckpointError for what is amiss in ``folder``."""
        hand_back_freed_memory()  # of the core before this one, if that has died
        opened = open_folder(folder, options)
        self._front_end, self._library = opened.front_end, opened.library
        self._clock = clock
        self._runner = build_runner(opened.model, folder, options)
        self._scheduler = Scheduler(self._runner.limits)
        self._jobs: dict[JobId, _Job] = {}
        self._launched: list[Callable[[], None]] = []  # results of the last step, to be collected
        self._outputs: list[tuple[JobId, Output]] = []
        self._workload = Workload()
        self._speech_per_text = Ratio(initial=6.0, half_life=1000.0)  # tokens
        self._batch_size = 1
        self._num_retries = 0

    @property
    def info(self) -> EngineInfo:
        return self._library.catalogue.info

    @property
    def library(self) -> CheckpointLibrary:
        return self._library

    def prepare(self, request: SynthesisRequest) -> Utterance:
        """Raises CallerError for a text without words, a recording that cannot be learnt from and an unknown voice."""
        utterance = self._front_end.prepare(resolve(request, self.info))
        if not all(self._scheduler.fits(self._work(utterance, i)) for i in range(len(utterance.segments))):
            raise InvalidRequest(
                "a sentence of it is too long for the memory there is; put in full stops, or take a shorter recording",
                field="text",
            )
        return utterance

    def submit(self, job: JobId, prepared: Utterance) -> None:
        generator = torch.Generator().manual_seed(prepared.seed)
        self._jobs[job] = _Job(prepared, generator, told=self._clock())
        self._begin_segment(job, self._scheduler.submit)

    def pause(self, job: JobId) -> None:
        self._scheduler.pause(job, self._clock())

    def resume(self, job: JobId) -> None:
        self._scheduler.resume(job, self._clock())

    def cancel(self, job: JobId) -> None:
        if self._jobs.pop(job, None) is not None:
            self._scheduler.cancel(job)
            self._runner.forget(job)

    @property
    def has_work(self) -> bool:
        return self._scheduler.has_work or bool(self._launched)

    @property
    def load(self) -> CoreLoad:
        pool, at_once = self._scheduler.pool, self._workload.streams_at_once
        if self._scheduler.num_waiting:  # for memory: nobody else need begin
            at_once = min(at_once, max(1, self._scheduler.num_running))
        return CoreLoad(at_once, self._batch_size, pool.num_pages, pool.num_free, self._num_retries)

    def step(self) -> Sequence[tuple[JobId, Output]]:
        began = self._clock()
        tick = self._scheduler.tick(began)
        launched, self._launched = self._launched, []
        if tick is not None:
            for owner in tick.dropped:
                self._runner.drop(owner)
            self._launch(tick.work)
            self._tell(self._clock(), self._scheduler.waiting)  # who waits for room has not stalled
        if not self._runner.reads_late:
            launched, self._launched = launched + self._launched, []
        for collect in launched:
            collect()
        outputs, self._outputs = self._outputs, []
        samples = sum(output.num_samples for _, output in outputs if isinstance(output, AudioChunk))
        self._workload.observe(self._clock() - began, samples / self.info.sample_rate)
        return outputs

    def close(self) -> None:
        """What is held is memory, and goes with this object."""

    def _begin_segment(self, job: JobId, hand_over: Callable[[JobId, Work], None]) -> None:
        state = self._jobs[job]
        utterance, index = state.utterance, state.num_begun
        segment = utterance.segments[index]
        state.num_begun += 1
        state.written = segment.written or None
        self._runner.begin(job, segment, utterance, state.generator)
        hand_over(job, self._work(utterance, index))

    def _work(self, utterance: Utterance, index: int) -> Work:
        segment, conditions = utterance.segments[index], utterance.conditions
        length, num_text = segment.length, len(segment.text_tokens)
        expected = min(max(round(num_text * self._speech_per_text.value), length.minimum), length.maximum)
        return Work(
            num_positions=sum(map(len, prompt_of(segment, conditions))) - 1,  # the last is fed as the first step
            max_tokens=length.maximum,
            expected_tokens=expected,
            prompt=PromptKey(conditions.voice_key),
            num_prompt_tokens=len(conditions.flow.tokens),
            speed=utterance.speed,
        )

    def _launch(self, work: Prefill | Decode | Solve) -> None:
        """Set the runner to work; what comes of it is collected when it is there."""
        now = self._clock()
        match work:
            case Prefill(readings):
                self._batch_size = len(readings)
                self._runner.prefill(readings)
                self._tell(now, (reading.job for reading in readings))
            case Decode(jobs, slots):
                self._batch_size = len(jobs)
                self._launched.append(partial(self._collect_tokens, self._runner.decode(jobs, slots)))
                self._tell(now, jobs)
            case Solve(begins, owners, ends):
                self._batch_size = len(owners)
                for piece in begins:
                    self._alone(piece.owner, partial(self._runner.begin_piece, piece))
                self._runner.euler_step(owners)
                if ends and (pieces := self._runner.end_pieces(ends)):
                    self._launched.append(partial(self._collect_audio, pieces))
                self._tell(now, (owner for owner in owners if not isinstance(owner, PromptKey)))

    def _collect_tokens(self, decoded: Decoded) -> None:
        for job, sequence, token in zip(decoded.jobs, decoded.sequences, decoded.drawn.ids(), strict=True):
            if self._runner.sequence_of(job) is not sequence or sequence.ended:
                continue  # cancelled meanwhile, or drawn before it was known that the one before is the last
            if token == UNREADABLE:
                self._fail(job, "the language model computed something that is no number")
                continue
            self._runner.note(sequence, token)
            self._scheduler.drawn(job, len(sequence.tokens), ended=sequence.ended)
            if sequence.ended:
                state, num_text = self._jobs[job], len(sequence.segment.text_tokens)
                self._speech_per_text.observe(sequence.num_drawn, num_text)
                if self._scheduler.is_spoken(job):  # there is nothing to be heard of it
                    self._go_on(job, state)

    def _collect_audio(self, pieces: Sequence[Spoken]) -> None:
        for spoken in pieces:
            job, now = spoken.job, self._clock()
            if self._runner.sequence_of(job) is not spoken.sequence:
                continue
            state = self._jobs[job]
            waveform = spoken.waveform.wait().numpy()
            if (problem := fault(waveform, self._runner.audio_limit)) is not None:
                self._complain(job, state, problem)
                continue
            if waveform.size:
                chunk = AudioChunk(to_pcm(waveform), state.written)
                state.written, state.is_heard, state.told = None, True, now
                self._outputs.append((job, chunk))
                self._scheduler.sounded(job, chunk.num_samples / self.info.sample_rate, now)
            if spoken.is_last:
                self._go_on(job, state)

    def _go_on(self, job: JobId, state: _Job) -> None:
        """What follows a segment of which everything is spoken."""
        if state.num_begun < len(state.utterance.segments):
            self._begin_segment(job, self._scheduler.follow)
        else:
            self._outputs.append((job, Finished()))
            self.cancel(job)

    def _complain(self, job: JobId, state: _Job, problem: str) -> None:
        """Compute a job that has not been heard once more, as precisely as can be; end any other."""
        if state.is_heard or self._runner.is_precise(job):
            self._fail(job, problem)
            return
        logger.warning("job %d is computed again in float32: %s", job, problem)
        self._num_retries += 1
        utterance = state.utterance
        self.cancel(job)
        self._runner.be_precise(job)
        self.submit(job, utterance)

    def _fail(self, job: JobId, message: str) -> None:
        self._outputs.append((job, Failed(message)))
        self.cancel(job)

    def _alone(self, owner: Owner, compute: Callable[[], None]) -> None:
        """Do what concerns one owner, whose failure is nobody else's."""
        try:
            compute()
        except Exception:
            logger.exception("%s failed", owner)
            jobs = self._scheduler.fail_prompt(owner) if isinstance(owner, PromptKey) else (owner,)
            for job in jobs:
                self._fail(job, BROKEN)
            self._runner.drop(owner)

    def _tell(self, now: float, jobs: Iterable[JobId]) -> None:
        """That they work, now and then."""
        for job in jobs:
            state = self._jobs.get(job)
            if state is not None and now - state.told >= TELL_SECONDS:
                state.told = now
                self._outputs.append((job, Worked()))
