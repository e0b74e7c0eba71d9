"""Speech of a text that is still being written: what may be spoken is, in order, as one timeline."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import replace

import anyio

from cosystream.errors import Cancelled, CosystreamError, InvalidRequest, Stalled, SynthesisFailed, TextTooLong
from cosystream.runtime.protocol import AudioStream
from cosystream.runtime.resolving import resolve
from cosystream.runtime.stats import JobReport
from cosystream.text.commit import committable, committable_in_a_pause
from cosystream.text.split import CLOSERS
from cosystream.types import AudioChunk, SynthesisRequest
from cosystream.web.services import Services

logger = logging.getLogger(__name__)

SENTENCE_ENDS = "。｡！？!?.…⋯"

LONGEST_PAUSE_SECONDS = 300.0
"""Who writes nothing for so long has forgotten the text, and with it perhaps a recording of megabytes."""


class TypedText:
    """Speech of a text that is still being written: what may be spoken is, in order, as one timeline.

    All that may be spoken is one job; the next is opened as soon as that has been computed, with what has been written
    since. Speech is computed faster than it is heard, so that it follows without a gap, and sooner it would only take
    from the one before. All are spoken by the voice that was there at the beginning, with one seed. Nothing is opened
    before somebody reads ``speech``. Its jobs are counted in the metrics here.
    """

    def __init__(
        self,
        services: Services,
        request: SynthesisRequest,
        *,
        idle_flush_seconds: float | None = None,
        request_id: str | None = None,
    ) -> None:
        """``request.text`` is ignored. It can be cancelled by ``request_id``, if there is one, while it is read.

        After ``idle_flush_seconds`` without a word, what is written is spoken, but for an unfinished number, unit or
        abbreviation at its end. Raises CosystreamError for what the engine lacks, whatever the text.
        """
        self.request = resolve(request, services.engine.info, services.settings.default_speaker)
        """What is asked for, with speaker, voice and seed."""
        self._services = services
        self._idle_flush_seconds = idle_flush_seconds
        self._request_id = request_id
        self._num_chars = 0
        self._pending = ""  # may not be spoken yet
        self._committed = ""  # may be spoken, and has something to say if it is not empty
        self._has_ended = False
        self._is_read = False
        self._is_over = self._is_cancelled = self._is_cut_short = False
        self._has_spoken = False
        self._reports: list[JobReport] = []  # of the jobs that have ended
        self._job: _HeldJob | None = None
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def num_chars(self) -> int:
        """Written so far."""
        return self._num_chars

    @property
    def is_silent(self) -> bool:
        """Whether all that is written has been spoken, and its reader has taken it."""
        return not (self._is_cut_short or self._committed or self._job or has_something_to_say(self._pending))

    @property
    def report(self) -> JobReport:
        """The figures of the jobs that have ended, together; the waits are those of the first."""
        reports = self._reports
        audio_seconds = sum(report.audio_seconds for report in reports)
        return JobReport(
            chunks=sum(report.chunks for report in reports),
            samples=sum(report.samples for report in reports),
            audio_seconds=audio_seconds,
            queue_seconds=reports[0].queue_seconds if reports else 0.0,
            first_audio_seconds=reports[0].first_audio_seconds if reports else None,
            rtf=sum(report.rtf * report.audio_seconds for report in reports) / (audio_seconds or 1.0),
            underruns=sum(report.underruns for report in reports),
            gaps_seconds=tuple(gap for report in reports for gap in report.gaps_seconds),
        )

    # The writer's end.

    def write(self, text: str) -> None:
        """Go on with the text. Raises TextTooLong, past ``max_text_chars`` in all, and then takes nothing of it.

        What is written when the reader has left, or has been told of an error, is for nobody.
        """
        if self._is_over:
            return
        if self._has_ended:
            raise InvalidRequest("the text has ended; begin another", field="text")
        most = self._services.settings.max_text_chars
        if self._num_chars + len(text) > most:
            raise TextTooLong(f"text: has {self._num_chars + len(text)} characters by now; {most} are the most in all")
        self._num_chars += len(text)
        self._pending += text
        self._commit(committable(self._pending))
        if self._pending and self._idle_flush_seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(self._idle_flush_seconds, self._flush_in_a_pause)

    def flush(self) -> None:
        """Speak all that is written, whatever follows."""
        self._commit(len(self._pending))

    def end(self) -> None:
        """Speak all that is written; no more will come."""
        self._has_ended = True
        self.flush()

    def _flush_in_a_pause(self) -> None:
        self._commit(committable_in_a_pause(self._pending))

    def _commit(self, num_chars: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        committed, self._pending = self._pending[:num_chars], self._pending[num_chars:]
        if has_something_to_say(committed):
            self._committed += committed
        self._changed.set()

    def cancel(self) -> None:
        """End the speech at once: its reader meets Cancelled next."""
        self._is_over = self._is_cancelled = True
        if self._job is not None:
            self._job.cancel()
        self._changed.set()

    # The reader's end.

    async def speech(self) -> AsyncGenerator[AudioChunk, None]:
        """All of the speech, until the end of the text is spoken; to be read once.

        Close this generator to end what it speaks, with ``aclosing`` for instance; the end of the task that
        begins to read it does the same. Raises CosystreamError.
        """
        assert not self._is_read
        self._is_read = True
        reader = asyncio.current_task()
        assert reader is not None
        reader.add_done_callback(self._leave)  # a generator that nobody closes lives until it is collected
        found = ExitStack()
        if self._request_id is not None:
            found.enter_context(self._services.in_flight(self._request_id, self))
        try:
            pause = AudioChunk(b"")
            while text := await self._next_text():
                if pause.pcm:
                    yield pause  # meanwhile the next job begins
                pause = self._pause_after(text)
                self._job = _HeldJob(self._services, replace(self.request, text=text), self._reports)
                async for chunk in await self._job.opened():
                    yield chunk
                await self._job.leave()
                self._job = None
        finally:
            reader.remove_done_callback(self._leave)
            found.close()
            self._leave()
            if self._job is not None:
                with anyio.CancelScope(shield=True):
                    await self._job.leave()

    async def _next_text(self) -> str:
        """What may be spoken, as soon as there is something; empty at the end of the text."""
        try:
            async with asyncio.timeout(LONGEST_PAUSE_SECONDS):
                while not (self._committed or self._has_ended or self._is_cancelled):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Stalled(f"nothing was written to be spoken for {LONGEST_PAUSE_SECONDS:g} s") from None
        if self._is_cancelled:
            raise _cancelled()
        if not (self._committed or self._has_spoken):
            raise InvalidRequest("there is nothing to say in it; write at least one letter or digit", field="text")
        text, self._committed = self._committed, ""
        self._has_spoken = True
        return text

    def _pause_after(self, text: str) -> AudioChunk:
        """What the engine would be silent for if the next sentence stood in the same request."""
        info = self._services.engine.info
        if not ends_sentence(text):
            return AudioChunk(b"")
        return AudioChunk(bytes(2 * round(info.sentence_pause_seconds / self.request.speed * info.sample_rate)))

    def _leave(self, _: object = None) -> None:
        self._is_over, self._is_cut_short = True, not self.is_silent
        if self._timer is not None:
            self._timer.cancel()
        if self._job is not None:
            self._job.end()


class _HeldJob:
    """A job kept open by a task of its own: it can be ended at any time, wherever its listener is just then."""

    def __init__(
        self,
        services: Services,
        request: SynthesisRequest,
        reports: list[JobReport],
    ) -> None:
        self._request = request
        self._services = services
        self._reports = reports
        self._stream: AudioStream | None = None
        self._error: CosystreamError | None = None
        self._settled = asyncio.Event()
        self._task = asyncio.create_task(self._hold())

    async def opened(self) -> AudioStream:
        """Raises what the engine refuses it with."""
        await self._settled.wait()
        if self._stream is None:
            assert self._error is not None
            raise self._error
        return self._stream

    def cancel(self) -> None:
        """End the job: its listener meets Cancelled next."""
        if self._stream is not None:
            self._stream.cancel()
        else:
            self._error = self._error or _cancelled()
            self._settled.set()  # the task may never have begun
            self.end()

    def end(self) -> None:
        """End the job, finished or not, now that nobody listens."""
        self._task.cancel()

    async def leave(self) -> None:
        """The same, and wait until it has ended."""
        self.end()
        await asyncio.wait([self._task])

    async def _hold(self) -> None:
        try:
            goes_on = bool(self._reports)  # what was said before has been reported
            async with self._services.engine.stream(self._request, goes_on=goes_on) as stream:
                self._stream = stream
                self._settled.set()
                try:
                    await asyncio.Event().wait()  # until it is cancelled
                finally:
                    self._note(stream)
        except CosystreamError as error:
            self._error = error
        except Exception:
            logger.exception("a job could not be opened")
            self._error = SynthesisFailed("the server could not begin with this text; its log says why")
        finally:
            self._settled.set()

    def _note(self, stream: AudioStream) -> None:
        self._reports.append(stream.report)
        self._services.metrics.spoken(stream.report)


def has_something_to_say(text: str) -> bool:
    return any(map(str.isalnum, text))


def ends_sentence(text: str) -> bool:
    """Whether a sentence, or else a line, comes to its end with ``text``, but for blanks."""
    visible = text.rstrip()
    return "\n" in text[len(visible) :] or visible.rstrip(CLOSERS).endswith(tuple(SENTENCE_ENDS))


def _cancelled() -> Cancelled:
    return Cancelled("the request was cancelled")
