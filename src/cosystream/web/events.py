"""Server-sent events that speak while they are being sent."""

from collections.abc import AsyncIterator

from sse_starlette.sse import EventSourceResponse
from starlette.types import Message, Scope, Send

from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import AudioStream
from cosystream.runtime.stats import JobReport
from cosystream.web.resuming import Rest, Told
from cosystream.web.services import Services
from cosystream.web.speech import NOT_STORED, Speech, never
from cosystream.wire.fields import Call
from cosystream.wire.native import Audio, Done, FailureEvent, Queued, Sentence, Start, milliseconds, problem_of
from cosystream.wire.sse import PING, frame


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
        sentences = 0
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
                if (num_new := min(len(piece.pcm) // 2, self._num_samples - num_heard)) > 0:
                    pcm, begin_ms = piece.pcm[-2 * num_new :], self._duration_ms(self._num_samples - num_new)
                    audio = Audio(len(ends), self._rendering.encode(pcm), num_new, begin_ms)
                    ends.append(self._num_samples)
                    yield frame("audio", audio, f"{request_id}:{audio.index}")
            told.is_complete = True
            yield frame("done", self._done(request_id, stream.report, len(ends)))
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

    def _done(self, request_id: str, report: JobReport, chunks: int) -> Done:
        return Done(
            request_id=request_id,
            chunks=chunks,
            samples=self._num_samples,
            duration_ms=self._duration_ms(self._num_samples),
            first_audio_ms=milliseconds(report.first_audio_seconds),
            queue_ms=milliseconds(report.queue_seconds),
            rtf=round(report.rtf, 4),
            underruns=report.underruns,
        )
