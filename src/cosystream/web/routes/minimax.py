"""MiniMax's T2A v2 over HTTP, so that what is built on it speaks with a changed base URL."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from functools import partial

import anyio.lowlevel
import orjson
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Scope, Send

from cosystream.audio.encode import encode
from cosystream.audio.gain import amplify
from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import AudioStream
from cosystream.web.operations import EVENTS, JSON, SPEAKING, Operation, operation
from cosystream.web.reading import given_in_body
from cosystream.web.services import Services, services_of
from cosystream.web.speech import NOT_STORED, Piece, Speech, begun, never
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

HEX_PIECE_BYTES = 64 * 1024
"""Of audio, written down in hex in a tenth of a millisecond."""


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
        self._num_samples = 0

    async def _pieces(self, stream: AudioStream) -> AsyncIterator[Piece]:
        async for piece in super()._pieces(stream):
            self._num_samples += len(piece.pcm) // 2
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
            async for piece in _filled(frame(None, last), whole):
                yield piece
        except CosystreamError as error:
            if not num_bytes:
                raise
            self._outcome = error.type
            yield frame(None, BrokenOff(trace_id, base_resp_of(problem_of(error))))


class _Whole(T2ASpeech):
    """Everything at once, when all of it has been spoken."""

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        pcm = b"".join([piece.pcm async for piece in self._pieces(stream)])
        bit_rate = self._rendering.bit_rate
        audio = await self._by_encoder(partial(encode, pcm, self._format, self._sample_rate, bit_rate))
        trace_id = self._request_id(scope)
        answer = orjson.dumps(LastFrame(SpokenAudio("", 2), self._extra_info(len(audio)), trace_id))
        headers = NOT_STORED | {ID_HEADER: trace_id, "Content-Length": str(len(answer) + 2 * len(audio))}
        response = StreamingResponse(_filled(answer, [audio]), headers=headers, media_type=JSON)
        self._outcome = "left_sending"
        await response(scope, never, send)


async def _filled(last: bytes, audio: Iterable[bytes]) -> AsyncIterator[bytes]:
    """``last``, a frame whose audio is empty, with ``audio`` in hex in its place.

    It comes in pieces, with a turn for others behind each: minutes of audio at once would hold them up, from another
    thread as well, since neither ``hex`` nor orjson lets go of the interpreter.
    """
    before, _, after = last.partition(b'""')  # nothing but the audio's name stands in front of it
    yield before + b'"'
    for chunk in audio:
        for begin in range(0, len(chunk), HEX_PIECE_BYTES):
            yield chunk[begin : begin + HEX_PIECE_BYTES].hex().encode()
            await anyio.lowlevel.checkpoint()
    yield b'"' + after
