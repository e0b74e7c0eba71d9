"""Web pages of other origins: which of them a browser lets read our answers (https://fetch.spec.whatwg.org, "CORS")."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from cosystream.web.errors import json_response
from cosystream.wire.native import Failure, Problem

METHODS = ("GET", "POST", "DELETE")
READ = ("Retry-After", "Trace-Id", "X-Channels", "X-Request-Id", "X-Sample-Format", "X-Sample-Rate")
PREFLIGHT_SECONDS = 3600


def cors(origins: Sequence[str]) -> list[Middleware]:
    """Nothing for nobody: then a browser keeps our answers to pages of our own."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=["*"],  # OpenAI's client sends a dozen of its own
            expose_headers=READ,
            max_age=PREFLIGHT_SECONDS,
        )
    ]


class KnownOrigin:
    """Refuses the WebSockets of other pages, which browsers open for anybody: CORS knows none."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        origin = socket.headers.get("origin")  # programs that are no browsers send none
        if origin is None or _is_ours(origin, socket) or self._lets_in(origin):
            await self._app(scope, receive, send)
            return
        scope["state"]["noted"]["outcome"] = "unauthorized"
        said = f"pages of {origin[:100]} may not call; cors_origins says which may"
        await socket.send_denial_response(json_response(Failure(Problem("unauthorized", said)), 403))

    def _lets_in(self, origin: str) -> bool:
        return "*" in self._origins or origin in self._origins


def _is_ours(origin: str, socket: WebSocket) -> bool:
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host == socket.headers.get("host")
