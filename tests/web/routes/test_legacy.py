"""The integration guide's routes, as its callers use them."""

import base64
import io
import wave
from typing import Any

import pytest
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.runtime.protocol import EngineState
from cosystream.web.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.engines import ScriptedEngine, chunk

CHUNKS = [chunk(level=level) for level in (1, 2, 3)]
SAMPLES = b"".join(piece.pcm for piece in CHUNKS)
EVENTS = "text/event-stream; charset=utf-8"
TEXT = {"text": "hello", "speaker": "中文女"}


def app(settings: Settings | None = None) -> ASGIApp:
    return create_app(ScriptedEngine(*CHUNKS), settings or Settings())


async def synthesize(**fields: Any) -> Answer:
    return await ask(app(), "POST", "/synthesize", **fields)


def samples_of(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        samples: bytes = file.readframes(file.getnframes())
        return samples


async def test_json_is_answered_with_a_file_in_hex() -> None:
    answer = await synthesize(json=TEXT)
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"audio", "sample_rate", "duration_ms"}
    assert samples_of(bytes.fromhex(answer.json["audio"])) == SAMPLES
    assert (answer.json["sample_rate"], answer.json["duration_ms"]) == (24000, 300)


async def test_json_may_ask_for_other_letters_another_rate_and_no_header() -> None:
    answer = await synthesize(json=TEXT | {"encoding": "base64", "format": "pcm"})
    assert base64.b64decode(answer.json["audio"]) == SAMPLES
    answer = await synthesize(json=TEXT | {"sample_rate": 48000})
    assert (answer.json["sample_rate"], answer.json["duration_ms"]) == (48000, 300)
    assert len(samples_of(bytes.fromhex(answer.json["audio"]))) == 2 * len(SAMPLES)


@pytest.mark.parametrize("accept", ["*/*", "audio/wav", "text/event-stream", "image/png"])
async def test_json_is_answered_with_json_whatever_is_accepted(accept: str) -> None:
    assert (await synthesize(json=TEXT, headers={"accept": accept})).headers["content-type"] == "application/json"


@pytest.mark.parametrize("fields", [{"data": TEXT}, {"data": TEXT, "files": {"prompt_wav": ("a.wav", b"RIFF")}}])
async def test_a_form_is_answered_with_samples_as_they_are_made(fields: dict[str, Any]) -> None:
    answer = await synthesize(**fields)
    assert answer.headers["content-type"] == "audio/pcm"
    assert (answer.headers["x-sample-rate"], answer.headers["x-channels"]) == ("24000", "1")
    assert answer.headers["x-sample-format"] == "s16le"
    assert answer.body == SAMPLES
    assert [message["body"] for message in answer.messages[1:]] == [*(piece.pcm for piece in CHUNKS), b""]


@pytest.mark.parametrize(
    ("accept", "fields", "media_type"),
    [
        ("*/*", {}, "audio/pcm"),
        ("audio/*", {}, "audio/pcm"),
        ("audio/wav", {}, "audio/wav"),
        ("text/event-stream", {}, EVENTS),
        ("*/*", {"format": "wav"}, "audio/wav"),
        ("text/event-stream", {"format": "pcm"}, "audio/pcm"),
    ],
)
async def test_a_form_may_choose(accept: str, fields: dict[str, str], media_type: str) -> None:
    answer = await synthesize(data=TEXT | fields, headers={"accept": accept})
    assert answer.headers["content-type"] == media_type


async def test_a_form_may_choose_nothing_that_is_not_made_here() -> None:
    answer = await synthesize(data=TEXT, headers={"accept": "image/png"})
    assert answer.status == 400
    said = "accept: nothing of it is made here; text/event-stream, audio/wav, audio/pcm, audio/mpeg"
    assert answer.json["detail"].startswith(said)


@pytest.mark.parametrize("method", ["data", "json"])
async def test_a_complete_file_says_the_text(method: str) -> None:
    answer = await ask(app(), "POST", "/synthesize_complete", **{method: TEXT})
    assert (answer.headers["content-type"], samples_of(answer.body)) == ("audio/wav", SAMPLES)
    answer = await ask(app(), "POST", "/synthesize_complete", **{method: TEXT | {"format": "pcm"}})
    assert (answer.headers["content-type"], answer.body) == ("audio/pcm", SAMPLES)


@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ({"json": {}}, 422, "text: is missing"),
        ({"data": {"text": " "}}, 422, "text: is blank; send something to say"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "the body is not JSON: "),
        ({"json": {"text": "x" * 5000}}, 413, "text: has 5000 characters; 4096 are the most for one request"),
        ({"data": {"text": "a", "prompt_wav": "UklGRg=="}}, 422, "prompt_wav: is not an upload; send the file"),
        ({"content": b"a", "headers": {"content-type": "multipart/form-data"}}, 400, "Missing boundary in multipart."),
    ],
)
@pytest.mark.parametrize("target", ["/synthesize", "/synthesize_complete"])
async def test_errors_are_told_in_a_detail(target: str, fields: dict[str, Any], status: int, detail: str) -> None:
    answer = await ask(app(), "POST", target, **fields)
    assert answer.status == status
    assert list(answer.json) == ["detail"]
    assert answer.json["detail"].startswith(detail)


async def test_speakers_are_listed() -> None:
    assert (await ask(app(), "GET", "/speakers")).json == {
        "speakers": ["anna", "中文女"],
        "default_speaker": "anna",
        "note": "",
    }
    configured = app(Settings(default_speaker="中文女"))
    assert (await ask(configured, "GET", "/speakers")).json["default_speaker"] == "中文女"
    assert (await ask(configured, "GET", "/model_info")).json["default_speaker"] == "中文女"


async def test_the_model_is_described() -> None:
    assert (await ask(app(), "GET", "/model_info")).json == {
        "model_type": "scripted",
        "model_dir": "a script",
        "speakers": ["anna", "中文女"],
        "default_speaker": "anna",
        "default_instruction": "",
        "usage": 'POST /synthesize {"text": "…", "speaker": "…"}',
        "endpoint": "/synthesize",
        "can_instruct": True,
        "can_clone": True,
    }


async def test_health_is_told_while_requests_are_taken() -> None:
    engine = ScriptedEngine()
    observed = create_app(engine, Settings())
    assert (await ask(observed, "GET", "/health")).json == {"status": "ok", "model_type": "scripted"}
    for state in set(EngineState) - {EngineState.READY}:
        engine.state = state
        answer = await ask(observed, "GET", "/health")
        assert (answer.status, answer.json) == (503, {"detail": f"the engine is {state}"})
        assert answer.headers["retry-after"] == "1"
