"""Which status each failure has, and in which shape it is told."""

from collections.abc import Iterator
from typing import Any

import pytest

from cosystream.config import Settings
from cosystream.errors import (
    CallerError,
    Cancelled,
    ConfigError,
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
from cosystream.runtime.protocol import EngineState
from cosystream.web.app import create_app
from cosystream.web.errors import STATUS
from tests.support.asgi import ask, exchange
from tests.support.engines import INFO, ScriptedEngine, chunk

TABLE: list[tuple[CosystreamError, int, str]] = [
    (InvalidRequest("no"), 400, "invalid_request"),
    (InvalidField("text", "no"), 422, "invalid_request"),
    (Unauthorized("no"), 401, "unauthorized"),
    (UnknownVoice("no"), 404, "unknown_voice"),
    (UnknownRequest("no"), 404, "unknown_request"),
    (TextTooLong("no"), 413, "text_too_long"),
    (UploadTooLarge("no"), 413, "upload_too_large"),
    (Overloaded("no", retry_after_seconds=1.2), 503, "overloaded"),
    (NotReady("no", retry_after_seconds=2.0), 503, "not_ready"),
    (ShuttingDown("no", retry_after_seconds=0.0), 503, "shutting_down"),
    (SynthesisFailed("no"), 500, "synthesis_failed"),
    (Stalled("no"), 504, "timeout"),
    (Cancelled("no"), 410, "cancelled"),
    (VoiceExists("no"), 409, "voice_exists"),
    (TooManyVoices("no"), 409, "too_many_voices"),
    (RateLimited("no", retry_after_seconds=61.5), 429, "rate_limited"),
    (NotKept("no"), 507, "storage_failed"),
]
RETRY_AFTER = {"rate_limited": "62", "overloaded": "2", "not_ready": "2", "shutting_down": "0"}
TEXT = {"text": "hello"}
NATIVE: list[dict[str, Any]] = [
    {"method": "POST", "target": "/synthesize/stream", "json": TEXT},
    {"method": "POST", "target": "/synthesize/stream", "json": TEXT | {"format": "wav"}},
    {"method": "GET", "target": "/synthesize/stream?text=hello"},
]
LEGACY: list[dict[str, Any]] = [
    {"method": "POST", "target": "/synthesize", "json": TEXT},
    {"method": "POST", "target": "/synthesize", "data": TEXT},
    {"method": "POST", "target": "/synthesize_complete", "data": TEXT},
]


def leaves(kind: type[CosystreamError]) -> Iterator[type[CosystreamError]]:
    subclasses = kind.__subclasses__()
    if not subclasses:
        yield kind
    for subclass in subclasses:
        yield from leaves(subclass)


def test_every_exception_that_a_request_can_meet_has_a_status() -> None:
    ours = [kind for kind in leaves(CosystreamError) if kind.__module__ == CosystreamError.__module__]  # not a client's
    assert set(STATUS) == {kind for kind in ours if not issubclass(kind, ConfigError)}
    assert {type(error) for error, *_ in TABLE} == set(STATUS)
    assert not {CallerError, TryLater} & set(STATUS)  # nobody raises what says so little


@pytest.mark.parametrize("fields", NATIVE)
@pytest.mark.parametrize(("error", "status", "kind"), TABLE)
async def test_what_an_engine_refuses_has_its_status(
    fields: dict[str, Any], error: CosystreamError, status: int, kind: str
) -> None:
    engine = ScriptedEngine(chunk(), refusal=error)
    app = create_app(engine, Settings())
    answer = await ask(app, **fields)
    assert answer.status == status
    field = {InvalidField: "text", TextTooLong: "text", UnknownVoice: "speaker"}.get(type(error))
    assert answer.json == {"error": {"type": kind, "message": str(error), "field": field}}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers.get("retry-after") == RETRY_AFTER.get(kind)
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    assert answer.headers["x-request-id"]
    engine.refusal = None
    assert (await ask(app, **fields)).status == 200


@pytest.mark.parametrize("fields", LEGACY)
@pytest.mark.parametrize(("error", "status", "kind"), TABLE)
async def test_the_integration_guides_routes_say_it_in_their_way(
    fields: dict[str, Any], error: CosystreamError, status: int, kind: str
) -> None:
    answer = await ask(create_app(ScriptedEngine(refusal=error), Settings()), **fields)
    assert (answer.status, answer.json) == (status, {"detail": str(error)})
    assert answer.headers.get("retry-after") == RETRY_AFTER.get(kind)


@pytest.mark.parametrize("fields", [*NATIVE, *LEGACY])
async def test_an_engine_that_has_never_been_built_is_not_ready(fields: dict[str, Any]) -> None:
    loading = NotReady("the engine is loading", retry_after_seconds=0.5)
    answer = await ask(create_app(ScriptedEngine(info=loading, state=EngineState.LOADING), Settings()), **fields)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "the engine is loading" in answer.body.decode()


@pytest.mark.parametrize("fields", [*NATIVE, *LEGACY])
async def test_a_bug_is_answered_like_everything_else_and_the_next_request_is_served(fields: dict[str, Any]) -> None:
    engine = ScriptedEngine(refusal=ZeroDivisionError("the text of a user"))
    app = create_app(engine, Settings())
    with pytest.raises(ExceptionGroup) as caught:  # for the server's log
        await ask(app, **fields)
    assert caught.group_contains(ZeroDivisionError)
    engine.refusal = None
    engine.script = ScriptedEngine(chunk()).script
    assert (await ask(app, **fields)).status == 200


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/synthesize", {"detail": "the server failed; its log says why"}),
        (
            "/synthesize/stream",
            {
                "error": {
                    "type": "synthesis_failed",
                    "message": "the server failed; its log says why",
                    "field": None,
                }
            },
        ),
    ],
)
async def test_a_bug_does_not_show_what_it_was(target: str, body: dict[str, Any]) -> None:
    app = create_app(ScriptedEngine(refusal=ZeroDivisionError("the text of a user")), Settings())
    async with exchange(app, "POST", target, json=TEXT) as failing:
        assert (await failing.next())["status"] == 500
        with pytest.raises(ExceptionGroup):
            await failing.ended()
    assert failing.answer.json == body


# What Starlette finds by itself


@pytest.mark.parametrize("path", ["/nowhere", "/synthesize/stream/x", "/v1/audio/speeches", "/../etc/passwd", "/%00"])
async def test_an_unknown_route_says_where_to_look(path: str) -> None:
    answer = await ask(create_app(ScriptedEngine(), Settings()), "POST", path, json=TEXT)
    assert answer.status == 404
    error = answer.json["error"]
    assert (error["type"], error["field"]) == ("unknown_request", None)
    assert error["message"].startswith("there is no route /")
    assert error["message"].endswith("; see /docs")


async def test_a_long_path_is_not_repeated_at_length() -> None:
    answer = await ask(create_app(ScriptedEngine(), Settings()), "GET", "/" + 10_000 * "x")
    assert (answer.status, len(answer.body) < 400) == (404, True)


@pytest.mark.parametrize("host", ["[", "[::1", "a b", "x" * 5000, "@", ""])
async def test_a_strange_host_is_no_obstacle(host: str) -> None:
    app = create_app(ScriptedEngine(), Settings())
    assert (await ask(app, "GET", "/nowhere", headers={"host": host})).status == 404
    assert (await ask(app, "GET", "/livez", headers={"host": host})).status == 200


@pytest.mark.parametrize(
    ("method", "target", "allow", "legacy"),
    [
        ("DELETE", "/synthesize/stream", "GET, POST", False),
        ("HEAD", "/synthesize/stream?text=hello", "GET, POST", False),
        ("GET", "/synthesize", "POST", True),
        ("GET", "/synthesize_complete", "POST", True),
        ("POST", "/speakers", "GET, HEAD", True),
        ("PUT", "/metrics", "GET, HEAD", False),
        ("BREW", "/livez", "GET, HEAD", False),
    ],
)
async def test_a_wrong_method_says_which_would_do(method: str, target: str, allow: str, legacy: bool) -> None:
    engine = ScriptedEngine(chunk())
    answer = await ask(create_app(engine, Settings()), method, target)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    message = f"{method} is not offered here; {allow} would do"
    problem = {"type": "invalid_request", "message": message, "field": None}
    assert answer.json == ({"detail": message} if legacy else {"error": problem})
    assert engine.requests == []


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/health", "/speakers", "/model_info", "/openapi.json", "/metrics"]
)
async def test_head_is_get_without_a_body(path: str) -> None:
    app = create_app(ScriptedEngine(info=INFO), Settings())
    get, head = await ask(app, "GET", path), await ask(app, "HEAD", path)
    assert head.status == get.status == 200
    assert head.headers["content-type"] == get.headers["content-type"]  # the body is the server's to leave out
