"""OpenAI's speech routes over engines that do what a test wrote down, and over tones."""

import asyncio
import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from starlette.types import ASGIApp

from cosystream.audio.formats import MEDIA_TYPES
from cosystream.config import ApiKeys, OpenAISpeakers, Settings
from cosystream.errors import (
    InvalidRequest,
    NotReady,
    Overloaded,
    RateLimited,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
    UnknownVoice,
)
from cosystream.types import AudioChunk, Prompt, SynthesisRequest
from cosystream.web.app import create_app
from cosystream.wire.openai import FORMATS, SpeechFormat
from tests.support.asgi import Answer, ask, exchange
from tests.support.decoding import decoded
from tests.support.engines import INFO, ScriptedEngine, chunk

SPEECH = "/v1/audio/speech"
HELLO: dict[str, Any] = {"model": "tts-1", "input": "hello", "voice": "anna"}
STORY = "今天天气很好。Shall we go for a walk? 好的，3 点见！"
ROUTES = [("POST", SPEECH), ("GET", "/v1/audio/voices"), ("GET", "/v1/models"), ("GET", "/v1/models/a%20script")]


def speaking(*chunks: AudioChunk | Exception | asyncio.Event, **settings: Any) -> ASGIApp:
    return create_app(ScriptedEngine(*chunks), Settings(**settings))


async def speak(app: ASGIApp, **fields: object) -> Answer:
    return await ask(app, "POST", SPEECH, json=HELLO | fields)


def heard(answer: Answer) -> bytes:
    """The file that the events bring."""
    deltas = [event.data for event in answer.events if event.name == "speech.audio.delta"]
    return b"".join(base64.b64decode(data["audio"], validate=True) for data in deltas)


def told(answer: Answer) -> tuple[int, str, str | None, str]:
    """An error's status, type, param and code."""
    error = answer.json["error"]
    assert list(answer.json) == ["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"] == "application/json"
    return answer.status, error["type"], error["param"], error["code"]


# Audio


async def test_headerless_samples_are_sent_as_they_are_made() -> None:
    chunks = [chunk(level=level) for level in (1, 2, 3)]
    answer = await speak(speaking(*chunks), response_format="pcm")
    assert answer.status == 200
    assert answer.headers["content-type"] == "audio/pcm"
    assert answer.headers["x-sample-rate"] == "24000"
    assert "content-length" not in answer.headers
    assert [message["body"] for message in answer.messages[1:]] == [*(piece.pcm for piece in chunks), b""]


async def test_headerless_samples_are_24_khz_whatever_the_engines_rate() -> None:
    engine = ScriptedEngine(chunk(22_050), info=replace(INFO, sample_rate=22_050))
    answer = await speak(create_app(engine, Settings()), response_format="pcm")
    assert (len(answer.body) // 2, answer.headers["x-sample-rate"]) == (24_000, "24000")
    answer = await speak(create_app(engine, Settings()), response_format="pcm", sample_rate=8000)
    assert (len(answer.body) // 2, answer.headers["x-sample-rate"]) == (8000, "8000")
    answer = await speak(create_app(engine, Settings()), response_format="wav")
    assert answer.headers["x-sample-rate"] == "22050"


async def test_a_streamed_wav_has_one_header_that_knows_no_sizes() -> None:
    answer = await speak(speaking(chunk(), chunk()), response_format="wav")
    assert answer.body[:8] == b"RIFF\xff\xff\xff\xff"
    assert answer.body[40:44] == b"\xff\xff\xff\xff"
    assert answer.body[44:] == chunk(4800).pcm


async def test_what_is_not_to_be_streamed_is_a_whole_file() -> None:
    answer = await speak(speaking(chunk(), chunk()), response_format="wav", stream=False)
    assert int(answer.headers["content-length"]) == len(answer.body) == 44 + 2 * 4800
    assert int.from_bytes(answer.body[40:44], "little") == 2 * 4800


@pytest.mark.parametrize("format_", FORMATS)
async def test_every_format_has_its_true_name_and_the_whole_speech(tone: ASGIApp, format_: SpeechFormat) -> None:
    answer = await speak(tone, input=STORY, voice="alloy", response_format=format_)
    assert answer.headers["content-type"] == MEDIA_TYPES[format_]
    spoken = await speak(tone, input=STORY, voice="alloy", response_format="pcm")
    seconds = decoded(answer.body, format_, 24_000).seconds
    assert seconds == pytest.approx(len(spoken.body) / 2 / 24_000, abs=0.15)


async def test_an_mp3_is_what_is_sent_when_nothing_is_said() -> None:
    answer = await ask(speaking(chunk(24_000)), "POST", SPEECH, json={"input": "hello"})
    assert answer.headers["content-type"] == "audio/mpeg"
    assert decoded(answer.body, "mp3", 24_000).seconds >= 1.0


@pytest.mark.parametrize("speed", [0.25, 0.4, 1.0, 3.0, 4.0])
async def test_a_speed_beyond_the_engines_is_kept(tone: ASGIApp, speed: float) -> None:
    as_it_is = await speak(tone, input=STORY, voice="alloy", response_format="pcm")
    changed = await speak(tone, input=STORY, voice="alloy", response_format="pcm", speed=speed)
    assert len(changed.body) == pytest.approx(len(as_it_is.body) / speed, rel=0.02)


@pytest.mark.parametrize("fields", [{}, {"stream_format": "sse"}, {"stream": False}])
@pytest.mark.parametrize("format_", FORMATS)
async def test_a_job_without_audio_is_answered_all_the_same(format_: SpeechFormat, fields: dict[str, object]) -> None:
    answer = await speak(speaking(), response_format=format_, **fields)
    assert (answer.status, answer.is_whole) == (200, True)
    if fields == {"stream_format": "sse"}:
        assert answer.events[-1].data["usage"]["output_tokens"] == 0


# Events


async def test_events_are_written_to_the_letter() -> None:
    answer = await speak(speaking(chunk(2), chunk(3598)), response_format="pcm", stream_format="sse")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store, no-transform"
    first, second = (base64.b64encode(chunk(num_samples).pcm) for num_samples in (2, 3598))
    assert answer.body == (
        b'event: speech.audio.delta\ndata: {"type":"speech.audio.delta","audio":"%b"}\n\n'
        b'event: speech.audio.delta\ndata: {"type":"speech.audio.delta","audio":"%b"}\n\n'
        b'event: speech.audio.done\ndata: {"type":"speech.audio.done",'
        b'"usage":{"input_tokens":5,"output_tokens":4,"total_tokens":9}}\n\n'
    ) % (first, second)
    assert answer.is_whole


@pytest.mark.parametrize("format_", FORMATS)
async def test_the_events_of_every_format_are_one_file(tone: ASGIApp, format_: SpeechFormat) -> None:
    fields = {"input": STORY, "voice": "alloy", "response_format": format_}
    events = await speak(tone, **fields, stream_format="sse")
    audio = await speak(tone, **fields)
    assert len(events.events) > 3
    assert len(heard(events)) == len(audio.body)
    told, sent = (decoded(file, format_, 24_000) for file in (heard(events), audio.body))
    np.testing.assert_array_equal(told.waveform, sent.waveform)
    spoken = await speak(tone, **fields | {"response_format": "pcm"})
    assert events.events[-1].data["usage"]["output_tokens"] == round(len(spoken.body) / 2 / 24_000 * 25)


async def test_usage_is_of_the_audio_that_is_heard(tone: ASGIApp) -> None:
    usages = [
        (await speak(tone, input="a b c d e", voice="alloy", speed=speed, stream_format="sse")).events[-1].data["usage"]
        for speed in (0.25, 1.0, 4.0)
    ]
    assert [usage["output_tokens"] for usage in usages] == pytest.approx([100, 25, 6], abs=1)


@pytest.mark.parametrize(
    "error", [SynthesisFailed("lost my voice"), Stalled("no audio"), ShuttingDown("bye", retry_after_seconds=5.0)]
)
async def test_a_failure_in_mid_stream_is_the_last_event(error: SynthesisFailed | Stalled | ShuttingDown) -> None:
    answer = await speak(speaking(chunk(), error), response_format="pcm", stream_format="sse")
    assert [event.name for event in answer.events] == ["speech.audio.delta", "speech.audio.error"]
    assert answer.events[-1].data == {
        "type": "speech.audio.error",
        "error": {"message": str(error), "type": error.type, "param": None, "code": error.type},
    }
    assert (answer.status, answer.is_whole) == (200, True)


@pytest.mark.parametrize("fields", [{"stream_format": "sse"}, {}, {"stream": False}])
async def test_a_failure_before_the_first_byte_has_a_status_of_its_own(fields: dict[str, object]) -> None:
    answer = await speak(speaking(SynthesisFailed("lost my voice"), chunk()), response_format="pcm", **fields)
    assert told(answer) == (500, "synthesis_failed", None, "synthesis_failed")
    assert answer.json["error"]["message"] == "lost my voice"


@pytest.mark.parametrize("fields", [{"stream_format": "sse"}, {}])
async def test_a_listener_who_leaves_ends_the_job(fields: dict[str, object]) -> None:
    engine = ScriptedEngine(chunk(), asyncio.Event())
    app = create_app(engine, Settings())
    async with exchange(app, "POST", SPEECH, json=HELLO | {"response_format": "pcm"} | fields) as listener:
        await listener.next()
        await listener.next()
        assert engine.open == 1
        listener.leave()
        await listener.ended()
    assert engine.open == 0


# What the engine is asked


async def test_the_engine_gets_what_the_caller_sent() -> None:
    engine = ScriptedEngine(chunk())
    recording = base64.b64encode(b"RIFF").decode()
    await speak(create_app(engine, Settings()), instructions="whisper", speed=3, seed=5, user="u1")
    await speak(create_app(engine, Settings()), ref_audio=f"data:audio/wav;base64,{recording}", ref_text="words")
    assert engine.requests == [
        SynthesisRequest("hello", "anna", "whisper", None, 2.0, 5),
        SynthesisRequest("hello", "anna", None, Prompt(b"RIFF", "words")),
    ]


@pytest.mark.parametrize(
    ("voice", "speaker"),
    [
        ("alloy", "anna"),
        ("coral", "中文女"),
        ("echo", "中文女"),
        ({"id": "alloy"}, "anna"),
        ({"id": "中文女"}, "中文女"),
        ("nobody", "nobody"),
        (None, None),
    ],
)
async def test_a_voice_is_a_speaker(voice: object, speaker: str | None) -> None:
    engine = ScriptedEngine(chunk())
    await speak(create_app(engine, Settings(openai_voices=OpenAISpeakers([("echo", "中文女")]))), voice=voice)
    assert [request.speaker for request in engine.requests] == [speaker]


async def test_an_engine_that_follows_no_instructions_is_sent_blank_ones(tone: ASGIApp) -> None:
    assert (await speak(tone, voice="alloy", instructions=" ")).status == 200
    answer = await speak(tone, voice="alloy", instructions="Speak cheerfully.")
    assert told(answer) == (400, "invalid_request", "instructions", "invalid_request")
    assert answer.json["error"]["message"].startswith("instructions: the engine 'tone' follows none")


# What is served


async def test_the_model_is_listed_and_found() -> None:
    app = speaking()
    card = {"id": "a script", "object": "model", "created": 0, "owned_by": "cosystream"}
    assert (await ask(app, "GET", "/v1/models")).json == {"object": "list", "data": [card]}
    assert (await ask(app, "GET", "/v1/models/a%20script")).json == card
    answer = await ask(app, "GET", "/v1/models/tts-1")
    assert told(answer) == (404, "unknown_request", None, "unknown_request")
    assert answer.json["error"]["message"] == (
        "no model 'tts-1'; there is a script, which speaks whatever model is asked for"
    )


async def test_the_voices_are_listed_with_those_of_openai() -> None:
    listed = (await ask(speaking(), "GET", "/v1/audio/voices")).json["voices"]
    assert listed[0] == {
        "id": "anna",
        "name": "anna",
        "speaker": "anna",
        "languages": ["de", "en"],
        "gender": "female",
    }
    assert {voice["id"]: voice["speaker"] for voice in listed}["alloy"] == "anna"
    assert len(listed) == 2 + 13


# Errors


@pytest.mark.parametrize(
    ("fields", "status", "kind", "param"),
    [
        ({"content": b"{"}, 400, "invalid_request", None),
        ({"content": b""}, 400, "invalid_request", None),
        ({"content": b"[" * 2000}, 400, "invalid_request", None),
        (
            {"content": b"input=hello", "headers": {"content-type": "application/x-www-form-urlencoded"}},
            400,
            None,
            None,
        ),
        ({"json": ["hello"]}, 400, "invalid_request", None),
        ({"json": {}}, 400, "invalid_request", "input"),
        ({"json": {"input": "  "}}, 400, "invalid_request", "input"),
        ({"json": {"input": 5}}, 400, "invalid_request", "input"),
        ({"json": HELLO | {"speed": 9}}, 400, "invalid_request", "speed"),
        ({"json": HELLO | {"ref_audio": "!"}}, 400, "invalid_request", "ref_audio"),
        ({"json": HELLO | {"input": "x" * 5000}}, 413, "text_too_long", "input"),
        ({"content": b"x" * 20_000}, 413, "upload_too_large", None),
    ],
)
async def test_what_cannot_be_read_is_refused_in_openais_shape(
    fields: dict[str, Any], status: int, kind: str | None, param: str | None
) -> None:
    answer = await ask(speaking(chunk(), max_body_bytes=10_000), "POST", SPEECH, **fields)
    assert told(answer)[:3] == (status, kind or "invalid_request", param)


async def test_json_is_read_whatever_it_claims_to_be() -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}  # curl's, where none is named
    app = speaking(chunk(24_000))
    assert (await ask(app, "POST", SPEECH, content=b'{"input":"hello"}', headers=headers)).status == 200


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (UnknownVoice("no voice 'bob'; there are anna"), (404, "unknown_voice", "voice", "unknown_voice")),
        (
            InvalidRequest("holds no sound", field="prompt_wav"),
            (400, "invalid_request", "ref_audio", "invalid_request"),
        ),
        (Overloaded("the queue is full", retry_after_seconds=2.5), (503, "overloaded", None, "overloaded")),
        (RateLimited("slow down", retry_after_seconds=2.5), (429, "rate_limited", None, "rate_limit_exceeded")),
        (ShuttingDown("bye", retry_after_seconds=2.5), (503, "shutting_down", None, "shutting_down")),
    ],
)
async def test_what_the_engine_refuses_is_told_in_openais_shape(
    refusal: Exception, said: tuple[int, str, str | None, str]
) -> None:
    answer = await speak(create_app(ScriptedEngine(refusal=refusal), Settings()))
    assert told(answer) == said
    assert answer.headers.get("retry-after") == ("3" if said[0] in (429, 503) else None)


async def test_an_unknown_voice_is_told_who_there_is(tone: ASGIApp) -> None:
    answer = await speak(tone, voice="bob")
    assert told(answer) == (404, "unknown_voice", "voice", "unknown_voice")
    assert answer.json["error"]["message"] == "no voice 'bob'; there are 中文女, 中文男, 英文女, 英文男"


@pytest.mark.parametrize(("method", "target"), ROUTES)
async def test_whoever_comes_while_the_engine_loads_is_told_when_to_come_back(method: str, target: str) -> None:
    loading = create_app(ScriptedEngine(info=NotReady("the engine is loading", retry_after_seconds=1.0)), Settings())
    answer = await ask(loading, method, target, **({"json": HELLO} if method == "POST" else {}))
    assert told(answer) == (503, "not_ready", None, "not_ready")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(("method", "target"), ROUTES)
async def test_whoever_has_no_key_is_refused_in_openais_shape(method: str, target: str) -> None:
    app = speaking(chunk(24_000), api_keys=ApiKeys(["s3cret"]))
    fields: dict[str, Any] = {"json": HELLO} if method == "POST" else {}
    answer = await ask(app, method, target, **fields)
    assert told(answer) == (401, "unauthorized", None, "invalid_api_key")
    assert (await ask(app, method, target, **fields, headers={"authorization": "Bearer s3cret"})).status == 200


@pytest.mark.parametrize(
    ("method", "target"), [("GET", SPEECH), ("POST", "/v1/models"), ("DELETE", "/v1/audio/voices")]
)
async def test_a_wrong_method_is_told_the_right_one(method: str, target: str) -> None:
    answer = await ask(speaking(), method, target)
    assert told(answer) == (405, "invalid_request", None, "invalid_request")
    assert ("POST" if target == SPEECH else "GET") in answer.headers["allow"]


async def test_the_routes_are_described() -> None:
    document = (await ask(speaking(), "GET", "/openapi.json")).json
    described = document["paths"][SPEECH]["post"]
    fields = document["components"]["schemas"]["SpeechFields"]
    assert fields["required"] == ["input"]
    assert set(fields["properties"]) >= set(HELLO)
    assert set(described["responses"]["200"]["content"]) == {
        *(MEDIA_TYPES[name] for name in FORMATS),
        "text/event-stream",
    }
    for status, response in described["responses"].items():
        if status != "200":
            assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/OpenAIFailure"}
