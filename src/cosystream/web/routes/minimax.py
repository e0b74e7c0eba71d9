"""MiniMax's T2A v2 over HTTP, so that what is built on it speaks with a changed base URL."""

from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Scope, Send

from cosystream.audio.gain import amplify
from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import AudioStream
from cosystream.web.operations import EVENTS, JSON, SPEAKING, Operation, operation
from cosystream.web.reading import given_in_body
from cosystream.web.services import Services, services_of
from cosystream.web.speech import NOT_STORED, Piece, Speech, begun, never
from cosystream.web.whole import filled, json_around, num_bytes_of
from cosystream.wire.minimax import (
    ID_HEADER,
    T2A,
    BrokenOff,
    ExtraInfo,
    Frame,
    LastFrame,
    SpokenAudio,
    T2AAnswer,
    T2AEvent,
    T2AFailure,
    T2AFields,
    base_resp_of,
    extra_info,
    parse_t2a,
)
from cosystream.wire.native import problem_of
from cosystream.wire.sse import frame


@operation(
    Operation(
        "Speak, as MiniMax's T2A v2 does",
        answers={JSON: T2AAnswer, EVENTS: T2AEvent},
        takes=(JSON,),
        fields=T2AFields,
        raises=SPEAKING,
        failure=T2AFailure,
        description="`stream` chooses events, with the audio as it is made. Errors are answered with 200, too: "
        "`base_resp.status_code` is 0 where all went well.",
    )
)
async def t2a(request: Request) -> ASGIApp:
    services = services_of(request)
    given = await given_in_body(request)
    asked = parse_t2a(given.fields, max_text_chars=services.settings.max_text_chars)
    return _Streamed(services, asked) if asked.stream else _Whole(services, asked)


class T2ASpeech(Speech):
    """Of which ``extra_info`` can be told in the end."""

    def __init__(self, services: Services, asked: T2A) -> None:
        super().__init__(services, asked.call, asked.format)
        self._asked = asked

    async def _pieces(self, stream: AudioStream) -> AsyncIterator[Piece]:
        async for piece in super()._pieces(stream):
            yield replace(piece, pcm=amplify(piece.pcm, self._asked.volume))

    def _extra_info(self, num_bytes: int) -> ExtraInfo:
        return extra_info(self._asked, self._sample_rate, self._num_samples, num_bytes)


class _Streamed(T2ASpeech):
    """Events without a name and without pings, which MiniMax's clients would not understand."""

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        trace_id = self._request_id(scope)
        events = await begun(self._events(stream, trace_id))  # until here an error is the whole answer
        response = StreamingResponse(events, headers=NOT_STORED | {ID_HEADER: trace_id}, media_type=EVENTS)
        self._outcome = "left_sending"
        await response(scope, never, send)

    async def _events(self, stream: AudioStream, trace_id: str) -> AsyncIterator[bytes]:
        whole: list[bytes] = []
        num_bytes = 0
        try:
            async for encoded in self._encoded(stream):
                num_bytes += len(encoded)
                if self._asked.with_whole:
                    whole.append(encoded)
                yield frame(None, Frame(SpokenAudio(encoded.hex(), 1), trace_id))
            last = LastFrame(SpokenAudio("", 2), self._extra_info(num_bytes), trace_id)
            async for piece in filled(frame(None, last), whole, self._rendering):
                yield piece
        except CosystreamError as error:
            if not num_bytes:
                raise
            self._outcome = error.type
            yield frame(None, BrokenOff(trace_id, base_resp_of(problem_of(error))))


class _Whole(T2ASpeech):
    """Everything at once, when all of it has been spoken."""

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        file = await self._file(stream)
        trace_id = self._request_id(scope)
        answer = LastFrame(SpokenAudio("", 2), self._extra_info(num_bytes_of(file)), trace_id)
        response = json_around(file, answer, self._rendering, NOT_STORED | {ID_HEADER: trace_id})
        self._outcome = "left_sending"
        await response(scope, never, send)
