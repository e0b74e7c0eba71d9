"""What happens to every request, in plain ASGI: an id, a log line, a limit on its body, and the key to the door."""

import logging
import re
import time
import uuid
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from cosystream.errors import Unauthorized, UploadTooLarge
from cosystream.web.errors import STATUS, json_response
from cosystream.web.keys import fitting_key
from cosystream.web.metrics import Metrics
from cosystream.wire.native import Failure, problem_of

logger = logging.getLogger("cosystream.requests")

QUIET_ROUTES = frozenset({"/livez", "/readyz", "/health", "/metrics", "/player/{name}"})
_STATUSES = {"http.response.start": 200, "websocket.accept": 101, "websocket.http.response.start": 403}
"""What each message says that begins an answer, where it has no status itself."""
DRAINED_TIMES = 4
"""A body past the limit is read on for so many times the limit, since a client that is still sending hears nothing."""


class RequestLog:
    """Gives each request an id (its own ``X-Request-Id``, if that is short and plain), counts it and logs one line."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        sent_id = Headers(scope=scope).get("x-request-id", "")
        request_id = sent_id if re.fullmatch(r"[\w.-]{1,64}", sent_id, re.ASCII) else uuid.uuid4().hex
        noted: dict[str, object] = {}
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "noted": noted}
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in _STATUSES:
                status = message.get("status", _STATUSES[message["type"]])
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            outcome = noted.setdefault("outcome", status)
            self._metrics.requested(route, str(outcome))
            details = " ".join(f"{name}={value}" for name, value in noted.items())
            level = logging.DEBUG if route in QUIET_ROUTES else logging.INFO
            logger.log(
                level,
                "request_id=%s method=%s route=%s status=%d seconds=%.3f %s",
                request_id,
                scope.get("method", "WS"),
                route,
                status,
                time.monotonic() - began,
                details,
            )


class BodyLimit:
    """Raises UploadTooLarge in whoever reads more than ``max_bytes`` of a body."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            while received > self._max_bytes:
                if not message.get("more_body") or received > DRAINED_TIMES * self._max_bytes:
                    raise UploadTooLarge(f"the body is too large; {self._max_bytes} bytes are the most")
                message = await receive()
                received += len(message.get("body", b""))
            return message

        await self._app(scope, receive_within_limit, send)


class KeyRequired:
    """Raises Unauthorized unless the request carries one of ``keys``. A WebSocket is refused before it is one."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if fitting_key(Headers(scope=scope), self._keys) is not None:
            await self._app(scope, receive, send)
            return
        refusal = Unauthorized("send a valid key as Authorization: Bearer … or X-Api-Key: …")
        if scope["type"] == "http":
            raise refusal
        scope["state"]["noted"]["outcome"] = refusal.type
        answer = json_response(Failure(problem_of(refusal)), STATUS[Unauthorized])
        await WebSocket(scope, receive, send).send_denial_response(answer)
