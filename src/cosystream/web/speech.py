"""Responses that speak while they are being sent: a job lives exactly as long as its response."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, NoReturn

import anyio
import anyio.lowlevel
from sse_starlette.sse import EventSourceResponse
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from cosystream.audio import wav
from cosystream.audio.resample import Resampler
from cosystream.errors import CosystreamError, SynthesisFailed
from cosystream.runtime.protocol import AudioStream
from cosystream.runtime.stats import JobReport
from cosystream.web.errors import json_response
from cosystream.web.services import Services
from cosystream.wire.fields import Call, Format
from cosystream.wire.legacy import SpokenWhole
from cosystream.wire.native import Audio, Done, FailureEvent, Queued, Sentence, Start, problem_of
from cosystream.wire.sse import PING, frame

logger = logging.getLogger(__name__)

MEDIA_TYPES: dict[Format, str] = {"pcm": "audio/pcm", "wav": "audio/wav"}
NOT_STORED = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Audio at the rate that the caller wants, and the sentence that begins with it."""

    pcm: bytes
    sentence: str | None
    begin_ms: int


class Speech(ABC):
    """An answer made of speech, in whatever form.

    What fails before the first byte leaves as an exception, for the error table; what fails later each form tells in
    its own way. A listener who leaves, waiting or being sent to, cancels everything in here: uvicorn does not raise on
    a lost client, so its ``http.disconnect`` is always listened for.
    """

    def __init__(self, services: Services, call: Call) -> None:
        self._services = services
        self._rendering = call.rendering
        self._request = call.request
        self._info = services.engine.info
        self._sample_rate = call.rendering.sample_rate or self._info.sample_rate
        self._reader_timeout_seconds = services.settings.reader_timeout_ms / 1000
        self._outcome = "left_waiting"
        self._report: JobReport | None = None
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure: CosystreamError | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_when_left, receive, tasks.cancel_scope)
                tasks.start_soon(self._cancel_when_stalled, tasks.cancel_scope)
                try:
                    await self._speak(scope, self._watched(send))
                except CosystreamError as error:
                    self._outcome, failure = error.type, error
                tasks.cancel_scope.cancel()
        finally:
            self._note(scope)
        if failure is not None:
            raise failure

    async def _speak(self, scope: Scope, send: Send) -> None:
        async with self._services.engine.stream(self._request) as stream:
            self._request = stream.request
            try:
                await self._answer(stream, scope, send)
            finally:
                self._report = stream.report

    def _watched(self, send: Send) -> Send:
        """``send``, noting since when it has been waiting for the reader, and when there is nothing left to send.

        A timer for each message would cost more than the message. And the server must have got the last one here:
        uvicorn says ``http.disconnect`` as soon as it has, so that what follows in a response may be cancelled.
        """

        async def watched_send(message: Message) -> None:
            self._sending_since = self._sending_since or time.monotonic()  # a ping may be sent meanwhile
            await send(message)
            await anyio.lowlevel.checkpoint_if_cancelled()  # uvicorn drops in silence what is for a lost client
            self._sending_since = None
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if is_last and self._outcome == "left_sending":  # else it is the last of a failure
                self._outcome = "finished"

        return watched_send

    async def _cancel_when_stalled(self, scope: anyio.CancelScope) -> None:
        """A reader who takes nothing for too long is one who has left."""
        longest = self._reader_timeout_seconds
        while True:
            await anyio.sleep(longest / 4)
            if self._sending_since is not None and time.monotonic() - self._sending_since >= longest:
                break
        self._outcome = "reader_stalled"
        scope.cancel()

    @abstractmethod
    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        """Send everything, noting in ``_outcome`` how far it is. Raises CosystreamError only before the first byte."""

    async def _pieces(self, stream: AudioStream) -> AsyncIterator[Piece]:
        """The audio at the rate asked for; the last piece may be empty.

        What nobody has foreseen ends this answer in words, too.
        """
        resampler, samples = Resampler(self._info.sample_rate, self._sample_rate), 0
        try:
            async for chunk in stream:
                begin_ms = round(samples * 1000 / self._info.sample_rate)
                yield Piece(resampler.feed(chunk.pcm), chunk.sentence, begin_ms)
                samples += chunk.num_samples
            yield Piece(resampler.finish(), None, round(samples * 1000 / self._info.sample_rate))
        except CosystreamError:
            raise
        except Exception as error:
            logger.exception("an answer broke off")
            raise SynthesisFailed("the server could not go on with this answer; its log says why") from error

    def _duration_ms(self, samples: int) -> int:
        return round(samples * 1000 / self._sample_rate)

    def _note(self, scope: Scope) -> None:
        """Leave what the log line and the metrics want to know."""
        noted = scope["state"]["noted"]
        noted |= {"outcome": self._outcome, "chars": len(self._request.text)}
        if self._outcome.startswith("left_"):
            self._services.metrics.listener_left(self._outcome.removeprefix("left_"))
        if (report := self._report) is not None:
            self._services.metrics.spoken(report)
            noted |= {
                "speaker": self._request.speaker,  # the engine has one of this name: it is not just any text
                "queue_ms": _ms(report.queue_seconds),
                "first_audio_ms": _ms(report.first_audio_seconds),
                "audio_ms": _ms(report.audio_seconds),
                "rtf": round(report.rtf, 3),
                "underruns": report.underruns,
            }


class _TimedEvents(EventSourceResponse):
    """Leaves the timing of each send to ``Speech``: its own opens a cancel scope an event even without a timeout."""

    async def _send_with_timeout(self, send: Send, message: Message) -> None:
        await send(message)


class EventStream(Speech):
    """Server-sent events, as section "Events" of docs/api.md lists them."""

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        response = _TimedEvents(
            self._events(stream, scope["state"]["request_id"]),
            headers=NOT_STORED,
            ping=self._services.ping_seconds,
            ping_message_factory=lambda: PING,  # type: ignore[arg-type,return-value]  # bytes go through as they are
        )
        await response(scope, _never, send)

    async def _events(self, stream: AudioStream, request_id: str) -> AsyncIterator[bytes]:
        index = samples = sentences = 0
        try:
            async for place in stream.waiting():
                yield frame("queued", Queued(request_id, place.position, _ms(place.eta_seconds)))
            self._outcome = "left_sending"
            yield frame("start", self._start(request_id))
            async for piece in self._pieces(stream):
                if piece.sentence is not None:
                    yield frame("sentence", Sentence(sentences, piece.sentence, piece.begin_ms))
                    sentences += 1
                if piece.pcm:
                    audio = Audio(
                        index, self._rendering.encode(piece.pcm), len(piece.pcm) // 2, self._duration_ms(samples)
                    )
                    yield frame("audio", audio, f"{request_id}:{index}")
                    index, samples = index + 1, samples + audio.samples
            yield frame("done", self._done(request_id, stream.report, index, samples))
        except CosystreamError as error:
            self._outcome = error.type
            yield frame("error", FailureEvent(problem_of(error), partial_audio=samples > 0))

    def _start(self, request_id: str) -> Start:
        assert self._request.speaker is not None
        assert self._request.seed is not None
        return Start(
            request_id=request_id,
            sample_rate=self._sample_rate,
            engine=self._info.name,
            speaker=self._request.speaker,
            seed=self._request.seed,
            encoding=self._rendering.encoding,
        )

    def _done(self, request_id: str, report: JobReport, chunks: int, samples: int) -> Done:
        return Done(
            request_id=request_id,
            chunks=chunks,
            samples=samples,
            duration_ms=self._duration_ms(samples),
            first_audio_ms=_ms(report.first_audio_seconds),
            queue_ms=_ms(report.queue_seconds),
            rtf=round(report.rtf, 4),
            underruns=report.underruns,
        )


class AudioBody(Speech):
    """The audio itself, in chunks as it is made. A body that breaks off lacks its last chunk, which clients notice."""

    def __init__(self, services: Services, call: Call, format_: Format) -> None:
        super().__init__(services, call)
        self._format = format_

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        pieces = self._pieces(stream)
        first = await anext(pieces)  # until here an error still has a status of its own
        body = self._body(first, pieces)
        headers = NOT_STORED | sample_headers(self._sample_rate)
        response = StreamingResponse(body, headers=headers, media_type=MEDIA_TYPES[self._format])
        self._outcome = "left_sending"
        try:
            await response(scope, _never, send)
        except CosystreamError as error:
            self._outcome = error.type
            logger.warning("request_id=%s broke off: %s", scope["state"]["request_id"], error)

    async def _body(self, first: Piece, others: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
        head = wav.header(self._sample_rate, None) if self._format == "wav" else b""
        yield head + first.pcm
        async for piece in others:
            if piece.pcm:
                yield piece.pcm


class Whole(Speech):
    """Everything at once, when all of it has been spoken: inside JSON, or as a file."""

    def __init__(self, services: Services, call: Call, inside: Literal["json", "file"]) -> None:
        super().__init__(services, call)
        self._inside = inside

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        pcm = b"".join([piece.pcm async for piece in self._pieces(stream)])
        format_: Format = self._rendering.format or "wav"
        audio = pcm if format_ == "pcm" else wav.encode(pcm, self._sample_rate)
        self._outcome = "left_sending"
        await self._response(audio, format_, len(pcm) // 2)(scope, _never, send)

    def _response(self, audio: bytes, format_: Format, samples: int) -> Response:
        if self._inside == "json":
            return json_response(
                SpokenWhole(self._rendering.encode(audio), self._sample_rate, self._duration_ms(samples))
            )
        return Response(audio, headers=sample_headers(self._sample_rate), media_type=MEDIA_TYPES[format_])


def sample_headers(sample_rate: int) -> dict[str, str]:
    """What a player must know to play headerless PCM."""
    return {"X-Sample-Rate": str(sample_rate), "X-Channels": "1", "X-Sample-Format": "s16le"}


async def _cancel_when_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _never() -> NoReturn:
    """In place of ``receive``, which ``Speech`` itself listens to."""
    await anyio.sleep_forever()
    raise AssertionError


def _ms(seconds: float | None) -> int:
    return round((seconds or 0.0) * 1000)
