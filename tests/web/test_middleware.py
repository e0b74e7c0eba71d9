"""What happens to every request: an id, a log line and the key to the door."""

import logging
import re
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from cosystream.config import ApiKeys, Settings
from cosystream.errors import SynthesisFailed, UnknownVoice
from cosystream.web.app import create_app
from cosystream.web.metrics import Metrics
from cosystream.web.middleware import RequestLog
from tests.support.asgi import ask, exchange
from tests.support.engines import ScriptedEngine, chunk

SECRET = "the user's own words"
STREAM = "/synthesize/stream"
OPEN = ["/livez", "/readyz", "/", "/docs"]
LOCKED = [
    ("POST", "/synthesize/stream"),
    ("GET", "/synthesize/stream?text=hello"),
    ("POST", "/synthesize"),
    ("POST", "/synthesize_complete"),
    ("GET", "/speakers"),
    ("GET", "/model_info"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
]
WAYS = ("sft", "zero_shot", "cross_lingual", "instruct", "instruct2")
LOCKED_TOO = [
    ("DELETE", "/requests/{request_id}"),
    ("POST", "/v1/audio/speech"),
    ("GET", "/v1/audio/voices"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("GET", "/v1/voices"),
    ("POST", "/v1/voices"),
    ("GET", "/v1/voices/{name}"),
    ("DELETE", "/v1/voices/{name}"),
    ("GET", "/v1/voices/{name}/sample"),
    *[(method, f"/inference_{way}") for way in WAYS for method in ("GET", "POST")],
]
"""Routes that want more than a text, or write their errors in other words."""
IN_BAND = ("POST", "/v1/t2a_v2")
"""Whose errors have status 200."""
LEGACY = ("/synthesize", "/synthesize_complete", "/speakers", "/model_info", "/health")


def app(engine: ScriptedEngine | None = None, *, keys: tuple[str, ...] = ()) -> ASGIApp:
    return create_app(engine or ScriptedEngine(chunk()), Settings(api_keys=ApiKeys(keys)))


# Ids


@pytest.mark.parametrize("sent_id", ["r1", "A.b_c-9", "x" * 64, "0"])
async def test_a_short_plain_id_is_kept(sent_id: str) -> None:
    answer = await ask(app(), "POST", STREAM, json={"text": "hello"}, headers={"x-request-id": sent_id})
    assert answer.headers["x-request-id"] == sent_id
    audio = next(event for event in answer.events if event.name == "audio")
    assert audio.id == f"{sent_id}:0"


@pytest.mark.parametrize("sent_id", [b"", b"a b", b"a:1", b"a\tb", b"x" * 65, b"\xe9", "é".encode(), b"../x", b"a\nb"])
async def test_any_other_id_is_replaced(sent_id: bytes) -> None:
    answer = await ask(app(), "GET", "/livez", headers={"x-request-id": sent_id})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("target", ["/livez", "/nowhere", "/synthesize", "/metrics"])
async def test_every_answer_has_an_id_of_its_own(target: str) -> None:
    answers = [await ask(app(), "GET", target) for _ in range(2)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2


# The log


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("cosystream") and record.levelno >= level
    ]


async def test_a_request_is_one_line_with_its_figures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fields: dict[str, Any] = {"json": {"text": SECRET}, "headers": {"x-request-id": "r1"}}
    await ask(app(), "POST", STREAM, **fields)
    (line,) = lines(caplog)
    assert re.fullmatch(
        r"request_id=r1 method=POST route=/synthesize/stream status=200 seconds=\d\.\d{3} outcome=finished chars=20 "
        r"speaker=anna queue_ms=250 first_audio_ms=500 audio_ms=100 rtf=0\.125 underruns=1",
        line,
    )


@pytest.mark.parametrize("format_", [None, "pcm"])
async def test_a_failure_in_mid_stream_is_logged_with_its_id(
    caplog: pytest.LogCaptureFixture, format_: str | None
) -> None:
    caplog.set_level(logging.INFO)
    broken = app(ScriptedEngine(chunk(), SynthesisFailed("lost my voice")))
    fields = {"text": SECRET, "format": format_}
    await ask(broken, "POST", STREAM, json=fields, headers={"x-request-id": "r1"})
    *_, line = lines(caplog)
    assert line.startswith("request_id=r1 method=POST route=/synthesize/stream status=200 ")
    assert " outcome=synthesis_failed " in line


@pytest.mark.parametrize(
    ("fields", "route", "outcome"),
    [
        ({"target": STREAM, "json": {"text": SECRET, "speed": 9}}, "/synthesize/stream status=422", "invalid_request"),
        ({"target": STREAM, "json": {"text": SECRET, SECRET: SECRET}}, STREAM, "invalid_request"),
        ({"target": STREAM, "json": {"text": SECRET * 1000}}, f"{STREAM} status=413", "text_too_long"),
        ({"target": STREAM, "json": {"text": SECRET, "format": SECRET}}, STREAM, "invalid_request"),
        ({"target": f"/{SECRET}", "json": {}}, "unknown status=404", "unknown_request"),
        ({"target": "/livez", "json": {}}, "/livez status=405", "invalid_request"),
    ],
)
async def test_a_refusal_is_one_line_without_the_users_words(
    caplog: pytest.LogCaptureFixture, fields: dict[str, Any], route: str, outcome: str
) -> None:
    caplog.set_level(logging.DEBUG)
    await ask(app(), "POST", **fields)
    (line,) = lines(caplog, logging.DEBUG)
    assert f" method=POST route={route} " in line
    assert f" outcome={outcome}" in line
    assert SECRET not in line


async def test_a_voice_that_nobody_has_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    engine = ScriptedEngine(refusal=UnknownVoice("no voice"))
    await ask(app(engine), "POST", STREAM, json={"text": "hello", "speaker": f"{SECRET}\nrequest_id=forged"})
    (line,) = lines(caplog, logging.DEBUG)
    assert " outcome=unknown_voice " in line
    assert "forged" not in line
    assert SECRET not in line


async def test_what_is_asked_all_the_time_is_logged_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for target in ("/livez", "/readyz", "/health", "/metrics"):
        await ask(app(), "GET", target)
    assert lines(caplog) == []
    assert len(lines(caplog, logging.DEBUG)) == 4


async def test_who_leaves_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with exchange(app(), "POST", STREAM, json={"text": SECRET}, reads=3) as listener:
        for _ in range(3):
            await listener.next()
        listener.leave()
        await listener.ended()
    (line,) = lines(caplog)
    assert " status=200 " in line
    assert " outcome=left_sending chars=20 speaker=anna " in line


async def test_what_is_no_request_passes_through() -> None:
    seen: list[Scope] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> dict[str, Any]:
        raise AssertionError

    async def send(message: object) -> None:
        raise AssertionError

    scope = {"type": "lifespan"}
    await RequestLog(inner, Metrics(ScriptedEngine()))(scope, receive, send)
    assert seen == [scope]
    assert scope == {"type": "lifespan"}


# Keys


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer s3cret"},
        {"authorization": "bearer  s3cret "},
        {"x-api-key": "s3cret"},
        {"x-api-key": "other"},
        {"x-api-key": "s3cret", "authorization": "Basic dTpw"},
        {"x-api-key": "s3cret", "authorization": "Bearer of-a-proxy"},
        {"x-api-key": "schlüssel-鑰".encode()},
        {"authorization": "Bearer schlüssel-鑰".encode()},
    ],
)
async def test_any_key_opens_every_door(headers: dict[str, Any]) -> None:
    locked = app(keys=("s3cret", "other", "schlüssel-鑰"))
    for method, target in LOCKED:
        body = {"json": {"text": "hello"}} if method == "POST" else {}
        assert (await ask(locked, method, target, headers=headers, **body)).status == 200
    for method, target in LOCKED_TOO:
        assert (await ask(locked, method, target, headers=headers)).status != 401
    assert (await ask(locked, *IN_BAND, headers=headers)).json["base_resp"]["status_code"] != 1004


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer s3cre"},
        {"authorization": "Bearer s3cret2"},
        {"authorization": "Bearer S3CRET"},
        {"authorization": "Basic s3cret"},
        {"authorization": "s3cret"},
        {"x-api-key": ""},
        {"x-api-key": "s3cret,other"},
        {"x-api-key": "schlüssel-鑰".encode()},
        {"x-api-key": b"\xff\xfe\x80"},
        {"authorization": b"Bearer \xe9\xff"},
        {"cookie": "s3cret"},
    ],
)
async def test_no_other_key_opens_any(headers: dict[str, Any]) -> None:
    engine = ScriptedEngine(chunk())
    locked = app(engine, keys=("s3cret", "other"))
    for method, target in LOCKED:
        answer = await ask(locked, method, target, headers=headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        said = "send a valid key as Authorization: Bearer … or X-Api-Key: …"
        problem = {"type": "unauthorized", "message": said, "field": None}
        assert answer.json == ({"detail": said} if target in LEGACY else {"error": problem})
        assert answer.headers["x-request-id"]
    for method, target in LOCKED_TOO:
        assert (await ask(locked, method, target, headers=headers)).status == 401
    assert (await ask(locked, *IN_BAND, headers=headers)).json["base_resp"]["status_code"] == 1004
    assert engine.requests == []


async def test_a_key_in_the_query_opens_nothing() -> None:
    assert (await ask(app(keys=("s3cret",)), "GET", "/speakers?x-api-key=s3cret")).status == 401


async def test_a_body_is_not_read_at_a_locked_door() -> None:
    async with exchange(app(keys=("s3cret",)), "POST", STREAM, body=[b"{"], cut_short=True) as waiting:
        assert (await waiting.ended()).status == 401


@pytest.mark.parametrize("target", OPEN)
async def test_who_watches_the_process_needs_no_key(target: str) -> None:
    assert (await ask(app(keys=("s3cret",)), "GET", target)).status == 200


async def test_every_route_is_known_to_be_locked_or_open() -> None:
    paths = (await ask(app(), "GET", "/openapi.json")).json["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    locked = {(method, target.partition("?")[0]) for method, target in LOCKED}
    assert described == locked | {*LOCKED_TOO, IN_BAND} | {("GET", target) for target in OPEN}


async def test_without_keys_every_door_is_open() -> None:
    for method, target in LOCKED:
        body = {"json": {"text": "hello"}} if method == "POST" else {}
        headers = {"authorization": "Bearer whatever"}
        assert (await ask(app(), method, target, headers=headers, **body)).status == 200
