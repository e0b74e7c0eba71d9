"""HTTP/1 as uvicorn reads it, with a limit to what is no body: nothing else stops an endless URL, or half a request."""

import asyncio
from asyncio import TimerHandle
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from cosystream.cli.unframed import unframed

LONGEST_HEAD = 128 * 1024
"""Bytes of the request line and all headers; and of what frames a body, from one piece of it to the next."""


class LimitedHttp(HttpToolsProtocol):
    """Answers 400 and closes once a head, or whatever frames a body, has grown too long.

    Closes, too, when a client owes the rest of a request and gets no further for ``longest_wait_seconds``: when its
    head is not complete by then, or no piece of its body has come. What follows a body is dropped: a trailer that
    counted as a header would pass by whoever has looked at the headers (RFC 9110, 6.5.1).
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        longest_wait_seconds: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._longest_wait_seconds = longest_wait_seconds
        self._reads_head = True
        self._num_bytes = 0  # since it got further, in pieces that hold nothing else
        self._waits_since = self.loop.time()
        self._check: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._close_if_silent()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._stop_waiting()  # the connection is another protocol's from here on
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        self._num_bytes += len(data)
        super().data_received(data)
        if self._num_bytes > LONGEST_HEAD and not self.transport.is_closing():
            what = "head of the request" if self._reads_head else "framing of the body"
            self.send_400_response(f"The {what} is too large.")

    def on_message_begin(self) -> None:
        self._waits_since = self.loop.time()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reads_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reads_head = False
        self._got_further()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._got_further()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._reads_head = True
        self._got_further()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        if self._is_answering:
            self.transport.close()  # in the middle of an answer, another would be taken for a part of it
        else:
            super().send_400_response(msg)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        super()._start_asgi_task(cycle, unframed(cycle, app))  # type: ignore[arg-type]

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    @property
    def _is_owed(self) -> bool:
        """Whether it is the client who has to go on."""
        if self.flow.read_paused or self._is_answering:
            return False
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _got_further(self) -> None:
        self._num_bytes = 0
        self._waits_since = self.loop.time()

    def _close_if_silent(self) -> None:
        if not self._is_owed:
            self._waits_since = self.loop.time()
        left = self._waits_since + self._longest_wait_seconds - self.loop.time()
        if left > 0:
            self._check = self.loop.call_later(left, self._close_if_silent)
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._check is not None:
            self._check.cancel()
