"""Responses that speak while they are being sent: a job lives exactly as long as its response."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, NoReturn, TypeVar

import anyio
import anyio.lowlevel
from sse_starlette.sse import EventSourceResponse
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from cosystream.audio.encode import Encoder, encode
from cosystream.audio.formats import MEDIA_TYPES, Format, rate_for
from cosystream.audio.resample import Resampler
from cosystream.audio.tempo import Tempo
from cosystream.errors import Cancelled, CosystreamError, SynthesisFailed
from cosystream.runtime.protocol import AudioStream
from cosystream.runtime.stats import JobReport
from cosystream.web.encoding import encode_beside
from cosystream.web.errors import json_response
from cosystream.web.resuming import Rest, Told
from cosystream.web.services import Services
from cosystream.wire.fields import Call
from cosystream.wire.legacy import SpokenWhole
from cosystream.wire.native import Audio, Done, FailureEvent, Queued, Sentence, Start, milliseconds, problem_of
from cosystream.wire.sse import PING, frame

T = TypeVar("T")
logger = logging.getLogger(__name__)

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

    def __init__(self, services: Services, call: Call, format_: Format = "pcm") -> None:
        """``format_`` is that of the audio; a rate that it cannot hold gives way to the next that it can."""
        self._services = services
        self._rendering = call.rendering
        self._request = call.request
        self._info = services.engine.info
        self._format: Format = format_
        self._sample_rate = rate_for(format_, call.rendering.sample_rate or self._info.sample_rate)
        self._reader_timeout_seconds = services.settings.reader_timeout_ms / 1000
        self._outcome = "left_waiting"
        self._report: JobReport | None = None
        self._sending_since: float | None = None
        self._opening = anyio.CancelScope()
        self._stream: AudioStream | None = None

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
        with self._services.in_flight(self._request_id(scope), self):
            async with AsyncExitStack() as job:
                with self._opening:
                    self._stream = await job.enter_async_context(self._services.engine.stream(self._request))
                stream = self._stream
                if stream is None:
                    raise Cancelled("the request was cancelled")
                self._request = stream.request
                try:
                    await self._answer(stream, scope, send)
                finally:
                    self._report = stream.report

    def cancel(self) -> None:
        """End it, opened or not: its listener meets Cancelled next."""
        if self._stream is not None:
            self._stream.cancel()
        else:
            self._opening.cancel()

    def _request_id(self, scope: Scope) -> str:
        return str(scope["state"]["request_id"])

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
        tempo = Tempo(self._info.sample_rate, self._rendering.tempo)
        resampler, samples = Resampler(self._info.sample_rate, self._sample_rate), 0

        def begin_ms() -> int:
            return round(samples * 1000 / self._info.sample_rate / self._rendering.tempo)

        with _foreseen():
            async for chunk in stream:
                yield Piece(resampler.feed(tempo.feed(chunk.pcm)), chunk.sentence, begin_ms())
                samples += chunk.num_samples
            yield Piece(resampler.feed(tempo.finish()) + resampler.finish(), None, begin_ms())

    async def _encoded(self, stream: AudioStream) -> AsyncIterator[bytes]:
        """The audio in its format, as it is made."""
        encoder = Encoder(self._format, self._sample_rate, self._rendering.bit_rate)
        async for piece in self._pieces(stream):
            if encoded := await self._by_encoder(partial(encoder.feed, piece.pcm)):
                yield encoded
        if encoded := await self._by_encoder(encoder.finish):
            yield encoded

    async def _by_encoder(self, work: Callable[[], bytes]) -> bytes:
        with _foreseen():
            return await encode_beside(self._format, work)

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
                "queue_ms": milliseconds(report.queue_seconds),
                "first_audio_ms": milliseconds(report.first_audio_seconds),
                "audio_ms": milliseconds(report.audio_seconds),
                "rtf": round(report.rtf, 3),
                "underruns": report.underruns,
            }


class _TimedEvents(EventSourceResponse):
    """Leaves the timing of each send to ``Speech``: its own opens a cancel scope an event even without a timeout."""

    async def _send_with_timeout(self, send: Send, message: Message) -> None:
        await send(message)


class Events(Speech):
    """Server-sent events of any protocol."""

    async def _send_events(self, events: AsyncIterator[bytes], scope: Scope, send: Send) -> None:
        """``events`` are whole frames; nothing of them may fail any more. Comments keep the connection alive."""
        response = _TimedEvents(
            events,
            headers=NOT_STORED,
            ping=self._services.ping_seconds,
            ping_message_factory=lambda: PING,  # type: ignore[arg-type,return-value]  # bytes go through as they are
        )
        await response(scope, never, send)


class EventStream(Events):
    """Server-sent events, as section "Events" of docs/api.md lists them."""

    def __init__(self, services: Services, call: Call, rest: Rest | None = None) -> None:
        """With ``rest``, whose call this is, what was heard of it is left out."""
        super().__init__(services, call)
        self._rest = rest

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        told = Told(self._request_id(scope), Call(stream.request, self._rendering))
        if self._rest is not None:
            told.ends = self._rest.told.ends[: self._rest.num_heard]
        self._services.resumable.begin(told)
        try:
            await self._send_events(self._events(stream, told), scope, send)
        finally:
            self._services.resumable.end(told)

    def _request_id(self, scope: Scope) -> str:
        return super()._request_id(scope) if self._rest is None else self._rest.told.request_id

    async def _events(self, stream: AudioStream, told: Told) -> AsyncIterator[bytes]:
        request_id, ends = told.request_id, told.ends
        samples = sentences = 0
        num_heard = self._rest.num_samples if self._rest is not None else 0
        try:
            async for place in stream.waiting():
                yield frame("queued", Queued(request_id, place.position, milliseconds(place.eta_seconds)))
            self._outcome = "left_sending"
            yield frame("start", self._start(request_id))
            async for piece in self._pieces(stream):
                if piece.sentence is not None:
                    if piece.begin_ms >= self._duration_ms(num_heard):
                        yield frame("sentence", Sentence(sentences, piece.sentence, piece.begin_ms))
                    sentences += 1
                pcm = piece.pcm[2 * max(0, num_heard - samples) :]
                samples += len(piece.pcm) // 2
                if pcm:
                    begin = samples - len(pcm) // 2
                    audio = Audio(len(ends), self._rendering.encode(pcm), len(pcm) // 2, self._duration_ms(begin))
                    ends.append(samples)
                    yield frame("audio", audio, f"{request_id}:{audio.index}")
            told.is_complete = True
            yield frame("done", self._done(request_id, stream.report, len(ends), samples))
        except CosystreamError as error:
            self._outcome = error.type
            yield frame("error", FailureEvent(problem_of(error), partial_audio=bool(ends)))

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
            first_audio_ms=milliseconds(report.first_audio_seconds),
            queue_ms=milliseconds(report.queue_seconds),
            rtf=round(report.rtf, 4),
            underruns=report.underruns,
        )


class AudioBody(Speech):
    """The audio itself, in chunks as it is made. A body that breaks off lacks its last chunk, which clients notice."""

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        body = await begun(self._encoded(stream))  # until here an error still has a status of its own
        headers = NOT_STORED | sample_headers(self._sample_rate, self._format)
        response = StreamingResponse(body, headers=headers, media_type=MEDIA_TYPES[self._format])
        self._outcome = "left_sending"
        try:
            await response(scope, never, send)
        except CosystreamError as error:
            self._outcome = error.type
            logger.warning("request_id=%s broke off: %s", scope["state"]["request_id"], error)


class Whole(Speech):
    """Everything at once, when all of it has been spoken: inside JSON, or as a file."""

    def __init__(self, services: Services, call: Call, inside: Literal["json", "file"]) -> None:
        super().__init__(services, call, call.rendering.format or "wav")
        self._inside = inside

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        pcm = b"".join([piece.pcm async for piece in self._pieces(stream)])
        audio = await self._by_encoder(partial(encode, pcm, self._format, self._sample_rate, self._rendering.bit_rate))
        self._outcome = "left_sending"
        await self._response(audio, len(pcm) // 2)(scope, never, send)

    def _response(self, audio: bytes, samples: int) -> Response:
        if self._inside == "json":
            return json_response(
                SpokenWhole(self._rendering.encode(audio), self._sample_rate, self._duration_ms(samples))
            )
        headers = sample_headers(self._sample_rate, self._format)
        return Response(audio, headers=headers, media_type=MEDIA_TYPES[self._format])


async def begun(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same items, the first of them awaited now: whatever fails up to there, fails here."""
    try:
        first = await anext(items)
    except StopAsyncIteration:
        return items

    async def all_of_them() -> AsyncIterator[T]:
        yield first
        async for item in items:
            yield item

    return all_of_them()


@contextmanager
def _foreseen() -> Iterator[None]:
    """Put what nobody has foreseen in words, too."""
    try:
        yield
    except CosystreamError:
        raise
    except Exception as error:
        logger.exception("an answer broke off")
        raise SynthesisFailed("the server could not go on with this answer; its log says why") from error


def sample_headers(sample_rate: int, format_: Format = "pcm") -> dict[str, str]:
    """What a player must know to play samples without a header; of other formats, what was encoded."""
    sample_format = format_ if format_ in ("mulaw", "alaw") else "s16le"
    return {"X-Sample-Rate": str(sample_rate), "X-Channels": "1", "X-Sample-Format": sample_format}


async def _cancel_when_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def never() -> NoReturn:
    """In place of ``receive``, which ``Speech`` itself listens to."""
    await anyio.sleep_forever()
    raise AssertionError
