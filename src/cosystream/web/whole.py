"""Answers that leave when all of it has been spoken.

They leave in pieces all the same, with a turn for others behind each: to write down minutes of audio at once would hold
everybody up, from another thread as well, since neither ``hex`` nor orjson lets go of the interpreter.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import anyio.lowlevel
import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cosystream.audio.formats import MEDIA_TYPES
from cosystream.runtime.protocol import AudioStream
from cosystream.web.operations import JSON
from cosystream.web.services import Services
from cosystream.web.speech import Speech, never, sample_headers
from cosystream.wire.fields import Call, Rendering
from cosystream.wire.legacy import SpokenWhole

PIECE_BYTES = 48 * 1024
"""Of audio, written down in a tenth of a millisecond; in base64, which takes threes, without a gap."""


class Whole(Speech):
    """Everything at once: inside JSON, or as a file."""

    def __init__(self, services: Services, call: Call, inside: Literal["json", "file"]) -> None:
        super().__init__(services, call, call.rendering.format or "wav")
        self._inside = inside

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        file = await self._file(stream)
        self._outcome = "left_sending"
        await self._response(file)(scope, never, send)

    def _response(self, file: Sequence[bytes]) -> Response:
        if self._inside == "json":
            answer = SpokenWhole("", self._sample_rate, self._duration_ms(self._num_samples))
            return json_around(file, answer, self._rendering)
        headers = sample_headers(self._sample_rate, self._format)
        return InPieces(_in_pieces(file), num_bytes_of(file), headers, MEDIA_TYPES[self._format])


class InPieces(Response):
    """A body of ``num_bytes``. Its last piece says so: who has read so much may hang up before anything follows."""

    def __init__(
        self, pieces: AsyncIterator[bytes], num_bytes: int, headers: Mapping[str, str], media_type: str
    ) -> None:
        super().__init__(headers={**headers, "Content-Length": str(num_bytes)}, media_type=media_type)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        held = b""
        async for piece in self._pieces:
            if held:
                await send({"type": "http.response.body", "body": held, "more_body": True})
            held = piece
        await send({"type": "http.response.body", "body": held})


def json_around(
    file: Sequence[bytes], answer: object, rendering: Rendering, headers: Mapping[str, str] | None = None
) -> Response:
    """``answer``, whose first value is the audio and is empty, with ``file`` in its place."""
    written = orjson.dumps(answer)
    size = num_bytes_of(file)
    length = len(written) + (2 * size if rendering.encoding == "hex" else 4 * -(-size // 3))
    return InPieces(filled(written, file, rendering), length, headers or {}, JSON)


async def filled(written: bytes, file: Iterable[bytes], rendering: Rendering) -> AsyncIterator[bytes]:
    """``written``, JSON whose first value is empty, with ``file`` in its place."""
    before, _, after = written.partition(b'""')
    yield before + b'"'
    async for piece in _in_pieces(file):
        yield rendering.encode(piece).encode()
    yield b'"' + after


def num_bytes_of(file: Iterable[bytes]) -> int:
    return sum(map(len, file))


async def _in_pieces(file: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in _cut(file):
        yield piece
        await anyio.lowlevel.checkpoint()


def _cut(file: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, ``PIECE_BYTES`` at a time; only the last piece is shorter."""
    held = b""
    for part in file:
        for begin in range(0, len(part), PIECE_BYTES):
            held += part[begin : begin + PIECE_BYTES]
            if len(held) >= PIECE_BYTES:
                yield held[:PIECE_BYTES]
                held = held[PIECE_BYTES:]
    if held:
        yield held
