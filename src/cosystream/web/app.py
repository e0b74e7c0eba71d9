"""The application: routes, and what wraps them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import Engine
from cosystream.web.cors import KnownOrigin, cors
from cosystream.web.errors import answer_bug, answer_http_error, answer_no_route, answer_nobody, answer_our_error
from cosystream.web.limits import HourlyLimit
from cosystream.web.metrics import Metrics
from cosystream.web.middleware import BodyLimit, KeyRequired, RequestLog
from cosystream.web.operations import operation_of
from cosystream.web.routes import (
    contexts,
    dashscope,
    inference,
    legacy,
    minimax,
    minimax_socket,
    native,
    openai,
    operations,
    player,
    voices,
)
from cosystream.web.services import Services

LAG_PERIOD_SECONDS = 0.5
PING_SECONDS = 4.0


def create_app(engine: Engine, settings: Settings, *, ping_seconds: float = PING_SECONDS) -> ASGIApp:
    """An ASGI application that speaks with ``engine``, which whoever calls this opens before and closes after."""
    metrics = Metrics(engine)

    door = [Middleware(KeyRequired, keys=settings.api_keys)] if settings.api_keys else []

    def route(path: str, method: str, endpoint: Callable[..., object]) -> Route:
        described = operation_of(endpoint)
        assert described is not None
        made = Route(path, endpoint, methods=[method], middleware=[] if described.open else door)
        if described.in_query:
            assert made.methods is not None
            made.methods.discard("HEAD")  # nobody would hear what is spoken
        return made

    known = Middleware(KnownOrigin, origins=settings.cors_origins)

    def socket(path: str, endpoint: Callable[..., object]) -> WebSocketRoute:
        return WebSocketRoute(path, endpoint, middleware=[known, *door])

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_measure_loop_lag(metrics))
        yield
        task.cancel()

    app = Starlette(
        routes=[
            route("/synthesize/stream", "POST", native.post_stream),
            route("/synthesize/stream", "GET", native.get_stream),
            route("/requests/{request_id}", "DELETE", native.cancel),
            route("/synthesize", "POST", legacy.synthesize),
            route("/synthesize_complete", "POST", legacy.synthesize_complete),
            route("/speakers", "GET", legacy.speakers),
            route("/model_info", "GET", legacy.model_info),
            route("/health", "GET", legacy.health),
            route("/v1/audio/speech", "POST", openai.speech),
            route("/v1/audio/voices", "GET", openai.voices),
            route("/v1/models", "GET", openai.models),
            route("/v1/models/{model}", "GET", openai.model),
            route("/v1/voices", "GET", voices.list_voices),
            route("/v1/voices", "POST", voices.add_voice),
            route("/v1/voices/{name}", "GET", voices.get_voice),
            route("/v1/voices/{name}", "DELETE", voices.remove_voice),
            route("/v1/voices/{name}/sample", "GET", voices.get_sample),
            socket("/api-ws/v1/inference", dashscope.inference),
            socket("/api-ws/v1/inference/", dashscope.inference),  # as Alibaba Cloud's examples have it
            route("/v1/t2a_v2", "POST", minimax.t2a),
            socket("/ws/v1/t2a_v2", minimax_socket.t2a_socket),
            *(route(path, method, endpoint) for (path, method), endpoint in inference.ENDPOINTS.items()),
            socket("/v1/stream", contexts.stream),
            route("/livez", "GET", operations.livez),
            route("/readyz", "GET", operations.readyz),
            route("/metrics", "GET", operations.metrics),
            route("/openapi.json", "GET", operations.openapi),
            route("/", "GET", player.player),
            route("/docs", "GET", player.docs),
            Route("/player/{name}", player.file),
        ],
        middleware=[*cors(settings.cors_origins), Middleware(BodyLimit, max_bytes=settings.max_body_bytes)],
        exception_handlers={
            CosystreamError: answer_our_error,
            ClientDisconnect: answer_nobody,
            HTTPException: answer_http_error,
            Exception: answer_bug,
        },
        lifespan=lifespan,
    )
    app.router.default = answer_no_route
    app.router.redirect_slashes = False  # a redirect would name this host as it sees itself, behind a proxy wrongly
    app.state.services = Services(engine, settings, metrics, ping_seconds)
    app.state.uploads = HourlyLimit(settings.uploads_per_hour, "recordings")
    return RequestLog(app, metrics)


async def _measure_loop_lag(metrics: Metrics) -> None:
    while True:
        due = time.monotonic() + LAG_PERIOD_SECONDS
        await asyncio.sleep(LAG_PERIOD_SECONDS)
        metrics.loop_lagged(max(0.0, time.monotonic() - due))
