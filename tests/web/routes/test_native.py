"""Which answer ``/synthesize/stream`` gives to whom."""

from typing import Any

import pytest

from cosystream.config import Settings
from cosystream.web.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.engines import ScriptedEngine, chunk

STREAM = "/synthesize/stream"
EVENTS, WAV, PCM = "text/event-stream; charset=utf-8", "audio/wav", "audio/pcm"


async def answer(method: str, **fields: Any) -> Answer:
    return await ask(create_app(ScriptedEngine(chunk()), Settings()), method, STREAM, **fields)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, EVENTS),
        ("", EVENTS),
        ("*/*", EVENTS),
        ("text/event-stream", EVENTS),
        ("text/*", EVENTS),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", EVENTS),
        ("application/json, text/plain, */*", EVENTS),
        ("audio/wav", WAV),
        ("audio/x-wav", WAV),
        ("audio/wave", WAV),
        ("audio/vnd.wave", WAV),
        ("audio/*", WAV),
        ("audio/webm,audio/ogg,audio/wav,audio/*;q=0.9,application/ogg;q=0.7,*/*;q=0.5", "audio/ogg"),
        ("audio/pcm", PCM),
        ("audio/flac, audio/pcm;q=0.1", "audio/flac"),
        ("image/png, audio/pcm;q=0.1", PCM),
        ("audio/mp3", "audio/mpeg"),
        ("text/event-stream;q=0.5, audio/pcm", PCM),
        ("text/event-stream;q=0, */*", WAV),
        ("audio/wav;q=0, audio/*", PCM),
    ],
)
async def test_the_accept_header_chooses_the_answer(accept: str | None, media_type: str) -> None:
    headers = {} if accept is None else {"accept": accept}
    for answered in (
        await answer("POST", json={"text": "hello"}, headers=headers),
        await answer("POST", data={"text": "hello"}, headers=headers),
        await answer("GET", params={"text": "hello"}, headers=headers),
    ):
        assert (answered.status, answered.headers["content-type"]) == (200, media_type)


async def test_accept_headers_on_several_lines_are_one_list() -> None:
    headers = [("accept", "image/png"), ("accept", "audio/pcm")]
    assert (await answer("GET", params={"text": "hello"}, headers=headers)).headers["content-type"] == PCM


@pytest.mark.parametrize("accept", ["application/json", "audio/midi", "image/*", "*/*;q=0", "audio/wav;q=high"])
async def test_who_accepts_nothing_that_is_made_here_is_told_what_is(accept: str) -> None:
    answered = await answer("POST", json={"text": "hello"}, headers={"accept": accept})
    assert answered.status == 400
    said = "accept: nothing of it is made here; text/event-stream, audio/wav, audio/pcm, audio/mpeg"
    assert answered.json["error"]["message"].startswith(said)


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream", "application/json", "audio/wav", "audio/pcm;q=0"])
@pytest.mark.parametrize(("format_", "media_type"), [("wav", WAV), ("pcm", PCM)])
async def test_a_format_asked_for_is_stronger_than_the_header(accept: str, format_: str, media_type: str) -> None:
    fields = {"text": "hello", "format": format_}
    for answered in (
        await answer("POST", json=fields, headers={"accept": accept}),
        await answer("GET", params=fields, headers={"accept": accept}),
    ):
        assert answered.headers["content-type"] == media_type


@pytest.mark.parametrize("last_id", ["r1:3", "", "nonsense"])
async def test_an_event_source_that_reconnects_is_told_to_stop(last_id: str) -> None:
    engine = ScriptedEngine(chunk())
    app = create_app(engine, Settings())
    answered = await ask(app, "GET", f"{STREAM}?text=hello", headers={"last-event-id": last_id})
    assert (answered.status, answered.body, engine.requests) == (204, b"", [])


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [
        ({}, 422, "text"),
        ({"text": ""}, 422, "text"),
        ({"text": "a", "speed": "fast"}, 422, "speed"),
        ({"text": "a", "_": "1700000000"}, 422, "_"),
        ({"text": "a", "prompt_text": "b"}, 422, "prompt_text"),
    ],
)
async def test_a_query_is_checked_like_a_body(params: dict[str, str], status: int, field: str) -> None:
    answered = await answer("GET", params=params)
    assert (answered.status, answered.json["error"]["field"]) == (status, field)
