"""The one table from exceptions to status codes, and the answers that go with them."""

import math

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from cosystream.errors import (
    CallerError,
    Cancelled,
    CosystreamError,
    InvalidField,
    InvalidRequest,
    NotKept,
    NotReady,
    Overloaded,
    RateLimited,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
    TextTooLong,
    TooManyVoices,
    TryLater,
    Unauthorized,
    UnknownRequest,
    UnknownVoice,
    UploadTooLarge,
    VoiceExists,
)
from cosystream.web.operations import operation_of
from cosystream.web.services import services_of
from cosystream.wire.native import Failure, Problem, problem_of

STATUS: dict[type[CosystreamError], int] = {
    InvalidRequest: 400,
    InvalidField: 422,
    Unauthorized: 401,
    UnknownVoice: 404,
    UnknownRequest: 404,
    TextTooLong: 413,
    UploadTooLarge: 413,
    VoiceExists: 409,
    TooManyVoices: 409,
    RateLimited: 429,
    Overloaded: 503,
    NotReady: 503,
    ShuttingDown: 503,
    SynthesisFailed: 500,
    NotKept: 507,
    Stalled: 504,
    Cancelled: 410,
}


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``value`` is anything that orjson writes, a dataclass for instance."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


async def answer_our_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CosystreamError)
    headers = {}
    if isinstance(error, TryLater):
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(request, problem_of(error), STATUS[type(error)], headers)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """What Starlette finds by itself: no such route, no such method, a form that cannot be read."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 404:
        problem = Problem(UnknownRequest.type, _no_route(request))
    elif error.status_code == 405:
        headers["Allow"] = ", ".join(_methods_at(request))
        problem = Problem(CallerError.type, f"{request.method} is not offered here; {headers['Allow']} would do")
    else:
        problem = Problem(CallerError.type, error.detail)
    return _answer(request, problem, error.status_code, headers)


async def answer_no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """Where no route is the caller's: a WebSocket is refused before it is one."""
    if scope["type"] == "http":
        raise HTTPException(404)
    problem = Problem(UnknownRequest.type, _no_socket(scope))
    scope["state"]["noted"]["outcome"] = problem.type
    await WebSocket(scope, receive, send).send_denial_response(json_response(Failure(problem), 404))


async def answer_nobody(request: Request, error: Exception) -> Response:
    """The client left while it was still sending."""
    services_of(request).metrics.listener_left("uploading")
    request.state.noted["outcome"] = "left_uploading"
    return Response(status_code=400)


async def answer_bug(request: Request, error: Exception) -> Response:
    return _answer(request, Problem(SynthesisFailed.type, "the server failed; its log says why"), 500, {})


def _no_route(request: Request) -> str:
    path = request.scope["path"][:200]
    if any(socket.path_regex.match(request.scope["path"]) for socket in _sockets(request.app)):
        return f"{path} is a WebSocket; open it with ws:// or wss://"
    return f"there is no route {path}; see /docs"


def _no_socket(scope: Scope) -> str:
    there_are = dict.fromkeys(socket.path.rstrip("/") for socket in _sockets(scope["app"]))
    return f"there is no WebSocket {scope['path'][:200]}; there are {', '.join(there_are)}"


def _sockets(app: Starlette) -> list[WebSocketRoute]:
    return [route for route in app.routes if isinstance(route, WebSocketRoute)]


def _methods_at(request: Request) -> list[str]:
    """All that the path takes: Starlette knows of one route's."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    here = (route.methods or () for route in routes if route.path_regex.match(request.scope["path"]))
    return sorted(set().union(*here))


def _answer(request: Request, problem: Problem, status: int, headers: dict[str, str]) -> Response:
    operation = operation_of(request.scope.get("endpoint"))
    failure = Failure if operation is None else operation.failure
    if failure.id_header is not None:
        headers[failure.id_header] = request.state.request_id
    request.state.noted.setdefault("outcome", problem.type)
    return json_response(failure.of(problem), failure.status or status, headers)
