"""HTTP on a connection of its own for each request, as cheap as it can be had: the client shares the machine."""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

import httptools
import orjson

from bench.player import AudioHandler, Heard, Player

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """A short answer, and how long it took, connecting included."""

    status: int
    body: bytes
    seconds: float


async def listen(port: int, text: str, on_audio: AudioHandler | None = None) -> Heard:
    """Ask for ``text`` as events, and listen until the answer ends or the connection does."""
    player = Player(text, time.monotonic(), on_audio)
    body = orjson.dumps({"text": text})
    fields = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    await _exchange(port, b"POST /synthesize/stream", fields + b"accept: text/event-stream\r\n", body, player)
    return player.heard()


async def get(port: int, path: str) -> Answer:
    """Fetch something small. The status is 0 if nobody answers."""
    began = time.monotonic()
    body = _WholeBody()
    await _exchange(port, b"GET %b" % path.encode(), b"", b"", body)
    return Answer(body.status, bytes(body.content), time.monotonic() - began)


class _Receiver(Protocol):
    """Who makes something of an answer."""

    def answered(self, status: int, retry_after: str | None) -> None: ...

    def body(self, now: float, piece: bytes) -> None: ...


class _WholeBody:
    def __init__(self) -> None:
        self.status = 0
        self.content = bytearray()

    def answered(self, status: int, retry_after: str | None) -> None:
        self.status = status

    def body(self, now: float, piece: bytes) -> None:
        self.content += piece


async def _exchange(port: int, line: bytes, fields: bytes, body: bytes, receiver: _Receiver) -> None:
    """Send a request, and pass the answer on until it ends; nothing is passed on if nobody listens."""
    loop = asyncio.get_running_loop()
    try:
        transport, exchange = await loop.create_connection(lambda: _Exchange(receiver), HOST, port)
    except OSError:
        return
    try:
        transport.write(
            b"%b HTTP/1.1\r\nhost: %b\r\nconnection: close\r\n%b\r\n%b" % (line, HOST.encode(), fields, body)
        )
        await exchange.ended
    finally:
        transport.close()


class _Exchange(asyncio.Protocol):
    """One answer on one connection. ``httptools`` parses it, and calls the methods ``on_…``."""

    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after: str | None = None
        self._now = 0.0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic()
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_message_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self._retry_after = value.decode()

    def on_headers_complete(self) -> None:
        self._receiver.answered(self._parser.get_status_code(), self._retry_after)

    def on_body(self, body: bytes) -> None:
        self._receiver.body(self._now, body)

    def on_message_complete(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
