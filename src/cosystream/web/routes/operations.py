"""For those who run the service: is it alive, does it take requests, how is it doing."""

from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response

from cosystream.errors import NotReady
from cosystream.runtime.protocol import EngineState
from cosystream.web.errors import json_response
from cosystream.web.openapi import document
from cosystream.web.operations import JSON, Operation, operation
from cosystream.web.services import services_of


@dataclass(frozen=True, slots=True)
class Alive:
    status: str = "ok"


@dataclass(frozen=True, slots=True)
class Ready:
    engine: str
    model: str
    status: str = "ready"


@operation(Operation("Whether the event loop turns", answers={JSON: Alive}, open=True))
async def livez(request: Request) -> Response:
    return json_response(Alive())


@operation(
    Operation("Whether a warm-up has been spoken and requests are taken", {JSON: Ready}, raises=(NotReady,), open=True)
)
async def readyz(request: Request) -> Response:
    engine = services_of(request).engine
    if engine.load.state is not EngineState.READY:
        raise NotReady(f"the engine is {engine.load.state}", retry_after_seconds=1.0)
    return json_response(Ready(engine.info.name, engine.info.model))


@operation(Operation("Figures for Prometheus", answers={"text/plain": None}))
async def metrics(request: Request) -> Response:
    return Response(services_of(request).metrics.exposition(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@operation(Operation("This interface, as OpenAPI 3.1", answers={JSON: dict}))
async def openapi(request: Request) -> Response:
    return json_response(document(request.app.routes))
