"""The other end of a WebSocket, driven by hand: a test can leave or stop reading wherever it likes."""

import asyncio
from collections.abc import Mapping

from starlette.types import ASGIApp, Message

from tests.support.asgi import LONGEST_WAIT_SECONDS


class SocketClient:
    """A client, who takes ``reads`` messages and then no more; None takes all."""

    def __init__(
        self, app: ASGIApp, path: str, *, headers: Mapping[str, str] | None = None, reads: int | None = None
    ) -> None:
        self.answer: Message | None = None
        """To the handshake."""
        self.refusal = b""
        """The body of that, where it is no WebSocket."""
        self.received: list[str | bytes] = []
        self.closed: Message | None = None
        self.stuck = asyncio.Event()
        """Something has been sent that is not read."""
        self.is_lost = False
        """Whether sending to it fails, as nobody is there."""
        self._reads = reads
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._heard: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._said.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._run(app, path, headers or {}))
        self._task.add_done_callback(lambda _: self._answered.set())

    async def answered(self) -> Message:
        """The answer to the handshake."""
        await self._answered.wait()
        assert self.answer is not None
        return self.answer

    def send(self, message: str | bytes) -> None:
        kind = "bytes" if isinstance(message, bytes) else "text"
        self._said.put_nowait({"type": "websocket.receive", kind: message})

    async def all_taken(self) -> int:
        """Wait until the application has taken what was said. Returns how many turns others had meanwhile."""
        num_turns = 0
        while not self._said.empty():
            await asyncio.sleep(0)
            num_turns += 1
        return num_turns

    async def next(self) -> str | bytes:
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            heard = await self._heard.get()
        assert heard is not None, f"the application has ended, with {self.closed}, after {self.received}"
        return heard

    def leave(self) -> None:
        self._said.put_nowait({"type": "websocket.disconnect", "code": 1001})

    async def ended(self) -> None:
        """Wait until the application has returned. Raises what it raised."""
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            await asyncio.wait([self._task])
        await self._task

    def cancel(self) -> None:
        self._task.cancel()

    async def _run(self, app: ASGIApp, path: str, headers: Mapping[str, str]) -> None:
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 50001),
            "server": ("127.0.0.1", 50000),
            "subprotocols": [],
            "state": {},
            "extensions": {"websocket.http.response": {}},
        }
        try:
            await app(scope, self._said.get, self._send)
        finally:
            self._heard.put_nowait(None)

    async def _send(self, message: Message) -> None:
        if self.is_lost:
            raise OSError("nobody is there")
        assert self.closed is None, "a message after the last one"
        match message["type"]:
            case "websocket.accept" | "websocket.http.response.start":
                self.answer = message
                self._answered.set()
            case "websocket.http.response.body":
                self.refusal += message["body"]
            case "websocket.close":
                self.closed = message
                self._said.put_nowait({"type": "websocket.disconnect", "code": 1000})
            case "websocket.send":
                if len(self.received) == self._reads:
                    self.stuck.set()
                    await asyncio.Event().wait()  # nobody reads
                heard = message["text"] if message.get("bytes") is None else message["bytes"]
                self.received.append(heard)
                self._heard.put_nowait(heard)
