"""The application: routes, and what wraps them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import Engine
from cosystream.web.errors import answer_bug, answer_http_error, answer_nobody, answer_our_error
from cosystream.web.metrics import Metrics
from cosystream.web.middleware import BodyLimit, KeyRequired, RequestLog
from cosystream.web.operations import operation_of
from cosystream.web.routes import legacy, native, operations
from cosystream.web.services import Services

LAG_PERIOD_SECONDS = 0.5
PING_SECONDS = 4.0


def create_app(engine: Engine, settings: Settings, *, ping_seconds: float = PING_SECONDS) -> ASGIApp:
    """An ASGI application that speaks with ``engine``, which whoever calls this opens before and closes after."""
    metrics = Metrics(engine)

    def route(path: str, method: str, endpoint: Callable[..., object]) -> Route:
        described = operation_of(endpoint)
        assert described is not None
        locked = settings.api_keys and not described.open
        door = [Middleware(KeyRequired, keys=settings.api_keys)] if locked else []
        made = Route(path, endpoint, methods=[method], middleware=door)
        if described.in_query:
            assert made.methods is not None
            made.methods.discard("HEAD")  # nobody would hear what is spoken
        return made

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_measure_loop_lag(metrics))
        yield
        task.cancel()

    app = Starlette(
        routes=[
            route("/synthesize/stream", "POST", native.post_stream),
            route("/synthesize/stream", "GET", native.get_stream),
            route("/synthesize", "POST", legacy.synthesize),
            route("/synthesize_complete", "POST", legacy.synthesize_complete),
            route("/speakers", "GET", legacy.speakers),
            route("/model_info", "GET", legacy.model_info),
            route("/health", "GET", legacy.health),
            route("/livez", "GET", operations.livez),
            route("/readyz", "GET", operations.readyz),
            route("/metrics", "GET", operations.metrics),
            route("/openapi.json", "GET", operations.openapi),
        ],
        middleware=[Middleware(BodyLimit, max_bytes=settings.max_body_bytes)],
        exception_handlers={
            CosystreamError: answer_our_error,
            ClientDisconnect: answer_nobody,
            HTTPException: answer_http_error,
            Exception: answer_bug,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would name this host as it sees itself, behind a proxy wrongly
    app.state.services = Services(engine, settings, metrics, ping_seconds)
    return RequestLog(app, metrics)


async def _measure_loop_lag(metrics: Metrics) -> None:
    while True:
        due = time.monotonic() + LAG_PERIOD_SECONDS
        await asyncio.sleep(LAG_PERIOD_SECONDS)
        metrics.loop_lagged(max(0.0, time.monotonic() - due))
