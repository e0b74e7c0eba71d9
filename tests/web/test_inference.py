"""The routes of CosyVoice's own runtime, as its reference client uses them and as others might."""

import base64
from typing import Any

import pytest
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.engines.tone import ToneSynthesizer
from cosystream.errors import InvalidRequest, SynthesisFailed
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import Prompt, SynthesisRequest
from cosystream.web.app import create_app
from tests.support.asgi import ask, exchange
from tests.support.cores import ScriptedCore
from tests.support.engines import ScriptedEngine, chunk

CHUNKS = [chunk(level=level) for level in (1, 2, 3)]
SAMPLES = b"".join(piece.pcm for piece in CHUNKS)
RECORDING = b"RIFF: a recording"
UPLOAD = {"files": [("prompt_wav", ("prompt_wav", RECORDING, "application/octet-stream"))]}
"""As the reference client sends it."""

SFT = {"tts_text": "你好", "spk_id": "中文女"}
MODES: dict[str, tuple[dict[str, str], bool, SynthesisRequest]] = {
    "sft": (SFT, False, SynthesisRequest("你好", speaker="中文女")),
    "zero_shot": (
        {"tts_text": "你好", "prompt_text": "said"},
        True,
        SynthesisRequest("你好", prompt=Prompt(RECORDING, "said")),
    ),
    "cross_lingual": ({"tts_text": "你好"}, True, SynthesisRequest("你好", prompt=Prompt(RECORDING))),
    "instruct": (
        SFT | {"instruct_text": "softly"},
        False,
        SynthesisRequest("你好", speaker="中文女", instruction="softly"),
    ),
    "instruct2": (
        {"tts_text": "你好", "instruct_text": "softly"},
        True,
        SynthesisRequest("你好", instruction="softly", prompt=Prompt(RECORDING)),
    ),
}
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
EVERY_METHOD = pytest.mark.parametrize("method", ["GET", "POST"])


def made(engine: ScriptedEngine | None = None) -> tuple[ASGIApp, ScriptedEngine]:
    engine = engine or ScriptedEngine(*CHUNKS)
    return create_app(engine, Settings()), engine


@EVERY_METHOD
@EVERY_MODE
async def test_a_form_is_answered_with_samples_as_they_are_made(mode: str, method: str) -> None:
    fields, with_upload, wanted = MODES[mode]
    app, engine = made()
    answer = await ask(app, method, f"/inference_{mode}", data=fields, **(UPLOAD if with_upload else {}))
    assert answer.status == 200
    assert answer.headers["content-type"] == "audio/pcm"
    assert answer.headers["x-sample-rate"] == "24000"
    assert [message["body"] for message in answer.messages[1:]] == [*(piece.pcm for piece in CHUNKS), b""]
    assert engine.requests == [wanted]


@EVERY_METHOD
@EVERY_MODE
async def test_json_and_a_query_say_the_same(mode: str, method: str) -> None:
    fields, with_upload, wanted = MODES[mode]
    app, engine = made()
    upload = {"prompt_wav": base64.b64encode(RECORDING).decode()} if with_upload else {}
    for sent in ({"json": fields | upload}, {"params": fields | upload}, {"params": fields, "json": upload}):
        answer = await ask(app, method, f"/inference_{mode}", **sent)
        assert (answer.status, answer.body) == (200, SAMPLES)
    assert engine.requests == [wanted] * 3


@EVERY_METHOD
async def test_speed_is_followed_and_what_the_original_ignores_is_ignored(method: str) -> None:
    app, engine = made()
    others = {"seed": "7", "format": "wav", "stream": "true", "prompt_text": "unused", "whatever": "x"}
    answer = await ask(app, method, "/inference_sft", data=SFT | {"speed": "1.5"} | others)
    assert answer.body == SAMPLES
    (request,) = engine.requests
    assert (request.speed, request.seed, request.prompt) == (1.5, None, None)


@EVERY_METHOD
@EVERY_MODE
async def test_a_missing_field_is_refused_by_its_original_name(mode: str, method: str) -> None:
    fields, with_upload, _ = MODES[mode]
    app, engine = made()
    for missing in fields:
        for left_out in ({}, {missing: ""}):
            sent = {name: value for name, value in fields.items() if name != missing} | left_out
            answer = await ask(app, method, f"/inference_{mode}", data=sent, **(UPLOAD if with_upload else {}))
            assert (answer.status, answer.json) == (422, {"detail": f"{missing}: is missing"})
    if with_upload:
        answer = await ask(app, method, f"/inference_{mode}", data=fields)
        assert (answer.status, answer.json) == (422, {"detail": "prompt_wav: is missing"})
    assert engine.requests == []


@EVERY_METHOD
async def test_nothing_at_all_lacks_its_first_field(method: str) -> None:
    nothings: list[dict[str, Any]] = [
        {},
        {"json": {}},
        {"headers": {"content-type": "multipart/form-data; boundary=x"}},
    ]
    for sent in nothings:
        answer = await ask(made()[0], method, "/inference_sft", **sent)
        assert (answer.status, answer.json) == (422, {"detail": "tts_text: is missing"})


@pytest.mark.parametrize(
    ("sent", "status", "detail"),
    [
        ({"data": SFT | {"tts_text": " "}}, 422, "tts_text: is blank; send something to say"),
        ({"data": SFT | {"tts_text": "x" * 5000}}, 413, "tts_text: has 5000 characters; 4096 are the most"),
        ({"data": SFT | {"speed": "3"}}, 422, "speed: is '3'; a number from 0.5 to 2.0 would do"),
        ({"json": SFT | {"tts_text": 5}}, 422, "tts_text: is 5; a string would do"),
        ({"data": SFT, "params": {"tts_text": "x"}}, 422, "tts_text: is given twice, in the query and in the body"),
        ({"params": [("spk_id", "a"), ("spk_id", "b")]}, 422, "spk_id: is given twice"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "the body is not JSON: "),
        ({"content": b"[]", "headers": {"content-type": "application/json"}}, 400, "the body is JSON, but no object"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "Missing boundary in multipart."),
        ({"content": b"x", "headers": {"content-type": "image/png"}}, 400, "content-type: image/png is not read here"),
    ],
)
@EVERY_METHOD
async def test_what_is_wrong_is_told(sent: dict[str, Any], status: int, detail: str, method: str) -> None:
    answer = await ask(made()[0], method, "/inference_sft", **sent)
    assert answer.status == status
    assert answer.json["detail"].startswith(detail)


@EVERY_METHOD
async def test_an_upload_that_is_no_audio_is_refused(method: str) -> None:
    app, _ = made(ScriptedEngine(refusal=InvalidRequest("is damaged or not an audio file", field="prompt_wav")))
    answer = await ask(app, method, "/inference_cross_lingual", data={"tts_text": "a"}, **UPLOAD)
    assert (answer.status, answer.json) == (400, {"detail": "prompt_wav: is damaged or not an audio file"})


async def test_what_the_engine_refuses_is_told_by_its_original_name() -> None:
    async with ThreadedEngine.running(lambda: InterleavedCore(ToneSynthesizer())) as engine:
        app = create_app(engine, Settings())
        answer = await ask(app, "POST", "/inference_instruct", data=SFT | {"instruct_text": "softly"})
        assert answer.status == 400
        assert answer.json["detail"].startswith("instruct_text: the engine 'tone' follows none")
        answer = await ask(app, "POST", "/inference_sft", data=SFT | {"spk_id": "nobody"})
        assert (answer.status, "中文女" in answer.json["detail"]) == (404, True)
        answer = await ask(app, "POST", "/inference_sft", data=SFT | {"tts_text": "!"})
        assert answer.status == 400
        assert answer.json["detail"].startswith("tts_text: there is nothing to say in it")


async def test_one_that_breaks_off_lacks_its_end() -> None:
    app, engine = made(ScriptedEngine(chunk(), SynthesisFailed("lost my voice")))
    answer = await ask(app, "GET", "/inference_sft", data=SFT)
    assert (answer.status, answer.body, answer.is_whole) == (200, chunk().pcm, False)
    assert engine.open == 0


@EVERY_METHOD
async def test_whoever_leaves_ends_the_job_within_a_step(method: str) -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        app = create_app(engine, Settings())
        fields = {"tts_text": "one two hold", "spk_id": "Bob"}
        async with exchange(app, method, "/inference_sft", data=fields) as listener:
            for _ in range(3):  # the head and two words
                await listener.next()
            listener.leave()
            await listener.ended()
        assert engine.load.open == 0
    assert len(core.jobs_that_were("cancel")) == 1
