"""HTTP on a connection of its own for each request, as cheap as it can be had: the client may share the machine."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httptools
import orjson

from cosystream.bench.heard import Heard
from cosystream.bench.player import AudioHandler, Player
from cosystream.errors import ConfigError
from cosystream.types import SynthesisRequest

LOOPBACK = "127.0.0.1"
PATIENCE_SECONDS = 300.0
"""An answer that has not ended by then is left."""
SHORT_SECONDS = 10.0
"""The same of what is small."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int
    is_encrypted: bool = False
    path: str = ""
    """What stands before every route."""
    key: str | None = field(default=None, repr=False)
    """The API key to send, if the server wants one."""

    @classmethod
    def parse(cls, url: str, key: str | None = None) -> "Address":
        """``http://host:port``, or ``https``. Raises ConfigError for what is no such URL."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{url}: {error}; http://localhost:50000 would do") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url} is no address of a server; http://localhost:50000 would do")
        if parts.username is not None:
            raise ConfigError("a URL with a password would show in the results; COSYSTREAM_API_KEYS may hold a key")
        is_encrypted = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if is_encrypted else 80), is_encrypted, parts.path.rstrip("/"), key)


@dataclass(frozen=True, slots=True)
class Answer:
    """A short answer, and how long it took, connecting included."""

    status: int
    body: bytes
    seconds: float


async def listen(address: Address, request: SynthesisRequest, on_audio: AudioHandler | None = None) -> Heard:
    """Ask for speech as events, and listen until the answer ends or the connection does."""
    fields = {"text": request.text, "speaker": request.speaker, "seed": request.seed}
    body = orjson.dumps({name: value for name, value in fields.items() if value is not None})
    headers = b"content-type: application/json\r\ncontent-length: %d\r\naccept: text/event-stream\r\n" % len(body)
    player = Player(request.text, time.monotonic(), on_audio)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _exchange(address, "POST /synthesize/stream", headers, body, player)
    except TimeoutError:
        player.gave_up(f"the answer has not ended after {PATIENCE_SECONDS:g} s")
    return player.heard()


async def get(address: Address, path: str) -> Answer:
    """Fetch something small. The status is 0 if nobody answers."""
    began = time.monotonic()
    body = _WholeBody()
    try:
        async with asyncio.timeout(SHORT_SECONDS):
            await _exchange(address, f"GET {path}", b"", b"", body)
    except TimeoutError:
        return Answer(0, b"", time.monotonic() - began)
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


async def _exchange(address: Address, call: str, headers: bytes, body: bytes, receiver: _Receiver) -> None:
    """Send a request, and pass the answer on until it ends; nothing is passed on if nobody listens."""
    loop = asyncio.get_running_loop()
    method, route = call.split(" ")
    context = ssl.create_default_context() if address.is_encrypted else None
    try:
        transport, exchange = await loop.create_connection(
            lambda: _Exchange(receiver), address.host, address.port, ssl=context
        )
    except OSError:
        return
    head = f"{method} {address.path}{route} HTTP/1.1\r\nhost: {address.host}:{address.port}\r\nconnection: close\r\n"
    if address.key is not None:
        head += f"authorization: Bearer {address.key}\r\n"
    try:
        transport.write(head.encode() + headers + b"\r\n" + body)
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
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if not self.ended.done():
                self.ended.set_exception(error)
        except httptools.HttpParserError:  # whoever answers does not speak HTTP
            self.on_message_complete()

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
