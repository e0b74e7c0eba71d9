"""One utterance of ``/v1/stream``: its text comes in piece by piece, its speech goes out."""

import logging
from contextlib import aclosing
from typing import Literal

from cosystream.audio.resample import Resampler
from cosystream.errors import Cancelled, CosystreamError, SynthesisFailed, TextTooLong
from cosystream.runtime.stats import JobReport
from cosystream.web.outbox import LOST, Outbox
from cosystream.web.services import Services
from cosystream.web.typed_text import TypedText
from cosystream.wire.contexts import Audio, ContextFailure, Done, Message, Sentence, Started, call_of, text_of
from cosystream.wire.fields import Call
from cosystream.wire.native import milliseconds, problem_of

logger = logging.getLogger(__name__)

NOTHING = JobReport(0, 0, 0.0, 0.0, None, 0.0, 0, ())


class Context:
    """Its text comes in by ``hear``, its speech goes out by ``speak``."""

    def __init__(self, services: Services, request_id: str, outbox: Outbox, start: Message, number: int) -> None:
        """``request_id`` is that of the socket, ``number`` that of the context on it."""
        self.name = start.context
        self.outcome = "finished"
        self.has_sounded = False
        self.is_lost = False
        """Whether it has failed to send something."""
        self._services = services
        self._request_id = request_id
        self._outbox = outbox
        self._number = number
        self._failure: CosystreamError | None = None
        self._is_cancelled = False
        self._chunks = self._samples = self._sentences = 0
        self._sample_rate = 0
        self._typed: TypedText | None = None
        try:
            self._typed = self._begin(call_of(start))
        except CosystreamError as error:
            self._failure = error.with_traceback(None)  # its frames hold the recording

    @property
    def num_chars(self) -> int:
        return 0 if self._typed is None else self._typed.num_chars

    @property
    def num_prompt_bytes(self) -> int:
        """Of the recording that it keeps until its end."""
        prompt = None if self._typed is None else self._typed.request.prompt
        return 0 if prompt is None else len(prompt.audio)

    @property
    def is_silent(self) -> bool:
        """Whether nothing of what is written is still to be heard."""
        return not self.is_lost and (self._typed is None or self._is_cancelled or self._typed.is_silent)

    def hear(self, message: Message) -> None:
        """Raises CosystreamError for a message that cannot be heard, and changes nothing."""
        if self._typed is None:
            return
        match message.type:
            case "text":
                try:
                    self._typed.write(text_of(message))
                except TextTooLong as error:
                    self._fail(error)
            case "flush":
                self._typed.flush()
            case "end":
                self._typed.end()
            case "cancel":
                self._is_cancelled = True
                self._fail(Cancelled("the context was cancelled"))

    async def speak(self) -> None:
        """Send everything, up to the last message of the context. Raises one of LOST."""
        try:
            await self._tell_start()
            await self._sound()
            ending: Done | ContextFailure = self._done("stop")
        except CosystreamError as error:
            failure = self._failure or error
            self.outcome = failure.type
            ending = self._done("cancelled") if self._is_cancelled else self._failed(failure)
        except LOST:
            raise
        except Exception:
            logger.exception("an answer broke off")
            self.outcome = SynthesisFailed.type
            ending = self._failed(SynthesisFailed("the server could not go on with this context; its log says why"))
        async with self._outbox.turn:
            await self._outbox.send(ending)

    def log(self) -> None:
        report = self._report
        logger.info(
            "request_id=%s context=%d outcome=%s chars=%d queue_ms=%d first_audio_ms=%d audio_ms=%d rtf=%.3f "
            "underruns=%d",
            self._request_id,
            self._number,  # the name is any text
            self.outcome,
            self.num_chars,
            milliseconds(report.queue_seconds),
            milliseconds(report.first_audio_seconds),
            milliseconds(report.audio_seconds),
            report.rtf,
            report.underruns,
        )

    def _begin(self, call: Call) -> TypedText:
        services = self._services
        self._sample_rate = call.rendering.sample_rate or services.engine.info.sample_rate
        return TypedText(
            services,
            call.request,
            idle_flush_seconds=services.settings.idle_flush_ms / 1000,
            request_id=self._request_id,
        )

    def _fail(self, error: CosystreamError) -> None:
        assert self._typed is not None
        self._failure = self._failure or error
        self._typed.cancel()

    async def _sound(self) -> None:
        assert self._typed is not None
        resampler = Resampler(self._services.engine.info.sample_rate, self._sample_rate)
        num_taken = 0
        async with aclosing(self._typed.speech()) as chunks:
            async for chunk in chunks:
                if chunk.sentence is not None:
                    begin_ms = round(num_taken * 1000 / resampler.source_rate)
                    await self._tell(Sentence(self.name, self._sentences, chunk.sentence, begin_ms))
                    self._sentences += 1
                await self._tell_audio(resampler.feed(chunk.pcm))
                num_taken += chunk.num_samples
            await self._tell_audio(resampler.finish())

    async def _tell_audio(self, pcm: bytes) -> None:
        if not pcm:
            return
        audio = Audio(self.name, self._chunks, len(pcm) // 2, self._duration_ms)
        await self._tell(audio, pcm)
        self.has_sounded = True
        self._chunks, self._samples = self._chunks + 1, self._samples + audio.samples

    async def _tell(self, *messages: object) -> None:
        """Send ``messages`` one right after the other, unless the context has been ended meanwhile."""
        async with self._outbox.turn:
            if self._failure is not None:
                raise self._failure
            for message in messages:
                await self._outbox.send(message)

    async def _tell_start(self) -> None:
        if self._typed is None:
            assert self._failure is not None
            raise self._failure
        request = self._typed.request
        assert request.speaker is not None
        assert request.seed is not None
        await self._tell(
            Started(
                context=self.name,
                request_id=self._request_id,
                sample_rate=self._sample_rate,
                engine=self._services.engine.info.name,
                speaker=request.speaker,
                seed=request.seed,
            )
        )

    def _done(self, finish_reason: Literal["stop", "cancelled"]) -> Done:
        report = self._report
        return Done(
            context=self.name,
            request_id=self._request_id,
            chunks=self._chunks,
            samples=self._samples,
            duration_ms=self._duration_ms,
            first_audio_ms=milliseconds(report.first_audio_seconds),
            queue_ms=milliseconds(report.queue_seconds),
            rtf=round(report.rtf, 4),
            underruns=report.underruns,
            finish_reason=finish_reason,
        )

    def _failed(self, error: CosystreamError) -> ContextFailure:
        return ContextFailure(self.name, problem_of(error), partial_audio=self._samples > 0)

    @property
    def _duration_ms(self) -> int:
        return round(self._samples * 1000 / self._sample_rate) if self._samples else 0

    @property
    def _report(self) -> JobReport:
        return NOTHING if self._typed is None else self._typed.report
