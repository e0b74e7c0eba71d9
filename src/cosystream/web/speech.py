"""Responses that speak while they are being sent: a job lives exactly as long as its response."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import anyio
import anyio.lowlevel
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from cosystream.audio.encode import Encoder, FileEncoder
from cosystream.audio.formats import MEDIA_TYPES, Format, rate_for
from cosystream.audio.resample import Resampler
from cosystream.audio.tempo import Tempo
from cosystream.errors import Cancelled, CosystreamError, SynthesisFailed
from cosystream.runtime.protocol import AudioStream
from cosystream.runtime.stats import JobReport
from cosystream.web.encoding import at_tempo, encode_beside, finish_beside
from cosystream.web.services import Services
from cosystream.wire.fields import Call
from cosystream.wire.native import milliseconds

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
        self._num_samples = 0
        """Of what has been spoken so far, at the rate asked for."""

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
        self._opening, self._stream = anyio.CancelScope(), None  # it may be the second attempt
        with self._services.in_flight(self._request_id(scope), self):
            async with AsyncExitStack() as job:
                with self._opening:
                    self._stream = await job.enter_async_context(self._services.engine.stream(self._request))
                stream = self._stream
                if stream is None or self._opening.cancel_called:  # in the turn in which it was opened
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
                pcm = resampler.feed(await at_tempo(tempo, chunk.pcm))
                self._num_samples += len(pcm) // 2
                yield Piece(pcm, chunk.sentence, begin_ms())
                samples += chunk.num_samples
                await anyio.lowlevel.checkpoint()  # chunks that are there already are taken without a wait
            pcm = resampler.feed(tempo.finish()) + resampler.finish()
            self._num_samples += len(pcm) // 2
            yield Piece(pcm, None, begin_ms())

    async def _encoded(self, stream: AudioStream) -> AsyncIterator[bytes]:
        """The audio in its format, as it is made."""
        encoder = Encoder(self._format, self._sample_rate, self._rendering.bit_rate)
        with _foreseen():
            async for piece in self._pieces(stream):
                if encoded := b"".join(await encode_beside(self._format, encoder.feed, piece.pcm)):
                    yield encoded
            if encoded := await finish_beside(self._format, encoder.finish):
                yield encoded

    async def _file(self, stream: AudioStream) -> list[bytes]:
        """The audio as a whole file, in parts. It is encoded as it is made, too, so that whoever leaves ends that."""
        encoder = FileEncoder(self._format, self._sample_rate, self._rendering.bit_rate)
        with _foreseen():
            async for piece in self._pieces(stream):
                await encode_beside(self._format, encoder.feed, piece.pcm)
            return await finish_beside(self._format, encoder.finish)

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
