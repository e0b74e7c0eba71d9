"""An ASGI application driven by hand, one message at a time: a test can leave or stop reading wherever it likes."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from httpx_sse import EventSource, ServerSentEvent
from starlette.types import ASGIApp, Message, Scope

LONGEST_WAIT_SECONDS = 20.0
"""Nothing takes that long; it is there so that a test which would hang fails."""


@dataclass(frozen=True)
class Event:
    """A server-sent event, its data read from JSON."""

    name: str
    data: dict[str, Any]
    id: str


@dataclass
class Answer:
    """What came back."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        status = self.messages[0]["status"]
        assert isinstance(status, int)
        return status

    @property
    def headers(self) -> httpx.Headers:
        return httpx.Headers(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def is_whole(self) -> bool:
        """Whether the body was brought to its end."""
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def events(self) -> list[Event]:
        """The body, read by a client that exists."""
        return [Event(sse.event, orjson.loads(sse.data), sse.id) for sse in self._decoded()]

    @property
    def audio(self) -> bytes:
        """What the events say, decoded from hex."""
        return b"".join(bytes.fromhex(event.data["audio"]) for event in self.events if event.name == "audio")

    def _decoded(self) -> Iterator[ServerSentEvent]:
        return EventSource(httpx.Response(self.status, headers=self.headers, content=self.body)).iter_sse()


class Exchange:
    """One request in the making, and its answer so far."""

    def __init__(
        self, app: ASGIApp, scope: Scope, body: Iterable[bytes], *, reads: int | None, cut_short: bool
    ) -> None:
        self.answer = Answer()
        self._body = iter(body)
        self._cut_short = cut_short
        self._reads = reads
        self._resumed = asyncio.Event()
        self._left = asyncio.Event()
        self._sent: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(app, scope))
        self._task.add_done_callback(lambda _: self._sent.put_nowait(None))

    async def next(self) -> Message:
        """The next message that the application sends."""
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            message = await self._sent.get()
        assert message is not None, f"the application ended after {len(self.answer.messages)} messages"
        return message

    async def next_event(self) -> Event:
        """The next message, which is an event whole and alone."""
        message = await self.next()
        (event,) = Answer([self.answer.messages[0], message]).events
        return event

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    async def ended(self) -> Answer:
        """Wait until the application has returned. Raises what it raised."""
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            await asyncio.wait([self._task])
        await self._task
        return self.answer

    def resume(self) -> None:
        """Read on, where only so many messages were to be read."""
        self._resumed.set()

    def cancel(self) -> None:
        self._task.cancel()

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        piece = next(self._body, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        if not self._cut_short:
            self._cut_short = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if len(self.answer.messages) == self._reads:
            await self._resumed.wait()  # nobody reads
        expected = "http.response.body" if self.answer.messages else "http.response.start"
        assert message["type"] == expected
        assert not self.answer.is_whole, "a message after the last one"
        self.answer.messages.append(message)
        self._sent.put_nowait(message)


@asynccontextmanager
async def exchange(
    app: ASGIApp,
    method: str,
    target: str,
    *,
    body: Iterable[bytes] | None = None,
    reads: int | None = None,
    cut_short: bool = False,
    **fields: Any,
) -> AsyncIterator[Exchange]:
    """Ask for ``target`` with what httpx makes of ``fields``, or with a ``body`` in pieces.

    The reader takes ``reads`` messages and then no more; None takes all. A ``cut_short`` body never comes to its end.
    """
    request = httpx.Request(method, f"http://test{target}", **fields)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 50001),
        "server": ("127.0.0.1", 50000),
        "state": {},
    }
    pieces = [request.read()] if body is None else body
    started = Exchange(app, scope, pieces, reads=reads, cut_short=cut_short)
    try:
        yield started
    finally:
        started.cancel()


async def ask(app: ASGIApp, method: str, target: str, **fields: Any) -> Answer:
    """A whole exchange."""
    async with exchange(app, method, target, **fields) as whole:
        return await whole.ended()
