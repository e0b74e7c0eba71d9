"""MiniMax's T2A v2 over HTTP."""

import asyncio
import io
import wave
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from starlette.types import ASGIApp

from cosystream.audio.pcm import from_pcm
from cosystream.config import ApiKeys, Settings
from cosystream.engines.tone import ToneSynthesizer
from cosystream.errors import CosystreamError, InvalidRequest, NotReady, Overloaded, SynthesisFailed, UnknownVoice
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.protocol import Place
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import SynthesisRequest
from cosystream.web.app import create_app
from cosystream.web.whole import PIECE_BYTES
from tests.support.asgi import Answer, ask, exchange
from tests.support.cores import ScriptedCore
from tests.support.decoding import decoded
from tests.support.engines import INFO, ScriptedEngine, chunk
from tests.support.listening import happened

PATH = "/v1/t2a_v2?GroupId=123"
CHUNKS = [chunk(level=level) for level in (1, 2, 3)]
SAMPLES = b"".join(piece.pcm for piece in CHUNKS)
PCM = {"sample_rate": 24000, "format": "pcm"}
SUCCESS = {"status_code": 0, "status_msg": ""}


def made(*chunks: Any, **fields: Any) -> ASGIApp:
    return create_app(ScriptedEngine(*(chunks or CHUNKS), **fields), Settings())


async def t2a(app: ASGIApp, **fields: Any) -> Answer:
    return await ask(app, "POST", PATH, json={"text": "hello", "model": "speech-02-hd", "audio_setting": PCM, **fields})


def frames(answer: Answer) -> list[dict[str, Any]]:
    """What stands behind each ``data: ``; there is nothing else."""
    *events, end = answer.body.decode().split("\n\n")
    assert end == ""
    assert all(event.startswith("data: {") and "\n" not in event for event in events)
    return [orjson.loads(event.removeprefix("data: ")) for event in events]


async def test_a_stream_is_frames_of_hex_and_the_whole_at_the_end() -> None:
    answer = await t2a(made(), stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    trace_id = answer.headers["trace-id"]
    assert trace_id == answer.headers["x-request-id"]
    *parts, last = frames(answer)
    assert parts == [
        {"data": {"audio": piece.pcm.hex(), "status": 1}, "trace_id": trace_id, "base_resp": SUCCESS}
        for piece in CHUNKS
    ]
    assert last == {
        "data": {"audio": SAMPLES.hex(), "status": 2},
        "extra_info": {
            "audio_length": 300,
            "audio_sample_rate": 24000,
            "audio_size": 14400,
            "bitrate": 384000,
            "audio_format": "pcm",
            "audio_channel": 1,
            "word_count": 5,
            "usage_characters": 5,
        },
        "trace_id": trace_id,
        "base_resp": SUCCESS,
    }


async def test_a_frame_leaves_when_its_audio_is_there() -> None:
    silence = asyncio.Event()
    app = create_app(ScriptedEngine(chunk(), silence, chunk()), Settings(), ping_seconds=0.001)
    fields = {"text": "hello", "stream": True, "audio_setting": PCM}
    async with exchange(app, "POST", PATH, json=fields) as listener:
        await listener.next()
        assert b'"status":1' in (await listener.next())["body"]
        await asyncio.sleep(0.01)  # in which others would be sent a ping
        assert len(listener.answer.messages) == 2
        silence.set()
        assert len(frames(await listener.ended())) == 3


async def test_the_last_frame_may_be_had_without_the_audio() -> None:
    answer = await t2a(made(), stream=True, stream_options={"exclude_aggregated_audio": True})
    *parts, last = frames(answer)
    assert bytes.fromhex("".join(part["data"]["audio"] for part in parts)) == SAMPLES
    assert last["data"] == {"audio": "", "status": 2}
    assert last["extra_info"]["audio_size"] == len(SAMPLES)


async def test_without_a_stream_it_is_one_answer() -> None:
    answer = await t2a(made())
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"data", "extra_info", "trace_id", "base_resp"}
    assert answer.json["data"] == {"audio": SAMPLES.hex(), "status": 2}
    assert answer.json["trace_id"] == answer.headers["trace-id"]
    assert answer.json["base_resp"] == SUCCESS


@pytest.mark.parametrize("stream", [False, True])
async def test_the_whole_leaves_in_pieces_so_that_it_holds_up_nobody(stream: bool) -> None:
    spoken = [chunk(level=level) for level in range(1, 81)]  # 0.1 s each
    answer = await t2a(made(*spoken), stream=stream)
    last = frames(answer)[-1] if stream else answer.json
    assert bytes.fromhex(last["data"]["audio"]) == b"".join(piece.pcm for piece in spoken)
    assert max(len(message.get("body", b"")) for message in answer.messages) <= 2 * PIECE_BYTES
    if not stream:
        assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["mp3", "flac", "opus", "wav", "pcm"])
async def test_what_extra_info_says_of_the_audio_is_true(name: Any, stream: bool) -> None:
    app = made(chunk(240_000, level=9000))
    answer = await t2a(app, stream=stream, audio_setting={"format": name, "bitrate": 64000})
    last = frames(answer)[-1] if stream else answer.json
    file, info = bytes.fromhex(last["data"]["audio"]), last["extra_info"]
    assert (info["audio_format"], info["audio_size"], info["audio_length"]) == (name, len(file), 10_000)
    assert info["audio_sample_rate"] == (48000 if name == "opus" else 32000)
    heard = decoded(file, name, 32000)
    assert heard.sample_rate == info["audio_sample_rate"]
    assert heard.seconds == pytest.approx(10.0, abs=0.1)
    if name == "mp3":
        assert info["bitrate"] == 64000
        assert len(file) * 8 / heard.seconds == pytest.approx(64000, rel=0.02)
    if name == "flac":
        assert info["bitrate"] == round(len(file) * 8 / 10)
    if name == "wav" and not stream:
        with wave.open(io.BytesIO(file)) as read:
            assert read.getnframes() == 320_000


async def test_mp3_at_32_khz_is_what_minimax_answers_by_itself() -> None:
    answer = await ask(made(), "POST", PATH, json={"text": "hello"})
    info = answer.json["extra_info"]
    assert (info["audio_format"], info["audio_sample_rate"], info["bitrate"]) == ("mp3", 32000, 128000)


async def test_voice_speed_and_emotion_reach_the_engine() -> None:
    engine = ScriptedEngine(*CHUNKS)
    voice = {"voice_id": "中文女", "speed": 1.5, "vol": 1, "pitch": 0, "emotion": "happy"}
    await t2a(create_app(engine, Settings()), voice_setting=voice, language_boost="Chinese", subtitle_enable=False)
    assert engine.requests == [
        SynthesisRequest("hello", speaker="中文女", instruction="用开心的语气说这句话", speed=1.5)
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_volume_is_a_gain_that_never_wraps_around(stream: bool) -> None:
    app = made(chunk(2400, level=12_000))
    softer = await t2a(app, voice_setting={"vol": 0.5}, stream=stream)
    louder = await t2a(app, voice_setting={"vol": 10}, stream=stream)
    for answer, low, high in ((softer, 6000, 6000), (louder, 30_000, 32_767)):
        last = frames(answer)[-1] if stream else answer.json
        samples = np.frombuffer(bytes.fromhex(last["data"]["audio"]), "<i2")
        assert samples.size == 2400
        assert low <= samples.min() <= samples.max() <= high


async def test_a_stream_and_the_whole_say_the_same_at_another_rate() -> None:
    app = made(chunk(level=9000), chunk(level=100))
    fields = {"audio_setting": {"format": "pcm", "sample_rate": 16000}}
    streamed, whole = await t2a(app, stream=True, **fields), await t2a(app, **fields)
    assert frames(streamed)[-1]["data"]["audio"] == whole.json["data"]["audio"]
    assert from_pcm(bytes.fromhex(whole.json["data"]["audio"])).size == 3200


# What goes wrong


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("the queue is full", retry_after_seconds=2.5), 1002),
        (NotReady("loading", retry_after_seconds=1.0), 1002),
        (UnknownVoice("no voice 'x'; there are anna"), 2013),
        (InvalidRequest("there is nothing to say in it", field="text"), 2013),
        (SynthesisFailed("lost my voice"), 1000),
    ],
)
async def test_an_error_is_a_status_code_inside_of_200(error: CosystreamError, code: int, stream: bool) -> None:
    for app in (made(refusal=error), made(error), made(places=[error])):
        answer = await t2a(app, stream=stream)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json == {"base_resp": {"status_code": code, "status_msg": str(error)}}
        assert answer.headers["trace-id"] == answer.headers["x-request-id"]
        assert answer.headers.get("retry-after") == {"overloaded": "3", "not_ready": "1"}.get(error.type)


async def test_an_engine_that_is_not_there_yet_is_a_limit() -> None:
    answer = await t2a(made(info=NotReady("the engine is loading", retry_after_seconds=1.0)))
    assert (answer.status, answer.json["base_resp"]["status_code"]) == (200, 1002)


async def test_without_a_key_nobody_is_let_in() -> None:
    app = create_app(ScriptedEngine(*CHUNKS), Settings(api_keys=ApiKeys(["s3cret"])))
    for headers in ({}, {"authorization": "Bearer wrong"}):
        answer = await ask(app, "POST", PATH, json={"text": "hello"}, headers=headers)
        assert (answer.status, answer.json["base_resp"]["status_code"]) == (200, 1004)
        assert answer.headers["trace-id"] == answer.headers["x-request-id"]
    answer = await ask(app, "POST", PATH, json={"text": "hello"}, headers={"authorization": "Bearer s3cret"})
    assert answer.json["base_resp"] == SUCCESS


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[]", "the body is JSON, but no object"),
        (b"{}", "text: is missing"),
        (b'{"text": "a", "voice_setting": {"pitch": 3}}', "voice_setting.pitch: is not 0"),
        (b'{"text": "a", "voice_setting": {"speed": 2.5}}', "voice_setting.speed: expected float <= 2.0"),
        (orjson.dumps({"text": "x" * 5000}), "text: has 5000 characters; 4096 are the most for one request"),
    ],
)
async def test_bad_parameters_are_2013(body: bytes, problem: str) -> None:
    answer = await ask(made(), "POST", PATH, content=body, headers={"content-type": "application/json"})
    assert (answer.status, answer.json["base_resp"]["status_code"]) == (200, 2013)
    assert answer.json["base_resp"]["status_msg"].startswith(problem)


async def test_what_breaks_off_says_so_in_its_last_frame() -> None:
    engine = ScriptedEngine(chunk(), SynthesisFailed("lost my\u2028voice"))
    answer = await t2a(create_app(engine, Settings()), stream=True)
    part, last = frames(answer)
    assert part["data"]["status"] == 1
    assert last == {
        "trace_id": answer.headers["trace-id"],
        "base_resp": {"status_code": 1000, "status_msg": "lost my\u2028voice"},
    }
    assert answer.is_whole
    assert "\u2028" not in answer.body.decode()
    assert engine.open == 0


async def test_what_breaks_off_unstreamed_is_no_answer_in_part() -> None:
    answer = await t2a(made(chunk(), SynthesisFailed("lost my voice")))
    assert answer.json == {"base_resp": {"status_code": 1000, "status_msg": "lost my voice"}}


async def test_what_the_engine_cannot_do_is_told_in_minimaxs_names() -> None:
    async with ThreadedEngine.running(lambda: InterleavedCore(ToneSynthesizer())) as engine:
        answer = await t2a(create_app(engine, Settings()), voice_setting={"emotion": "sad"})
    assert answer.json["base_resp"]["status_code"] == 2013
    assert answer.json["base_resp"]["status_msg"].startswith("voice_setting.emotion: the engine 'tone' follows none")


async def test_a_rate_that_mp3_lacks_gives_way_to_the_next() -> None:
    info = replace(INFO, sample_rate=22_050)
    answer = await t2a(made(chunk(22_050), info=info), audio_setting={"format": "mp3", "sample_rate": 20_000})
    assert answer.json["extra_info"]["audio_sample_rate"] == 22_050
    assert answer.json["extra_info"]["audio_length"] == 1000


# Who leaves


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_leaves_ends_the_job_within_a_step(stream: bool) -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        app = create_app(engine, Settings())
        fields = {"text": "word " * 20 + "wait", "stream": stream, "audio_setting": PCM}
        async with exchange(app, "POST", PATH, json=fields) as listener:
            if stream:
                for _ in range(2):  # the head and the first audio
                    await listener.next()
            await happened(core.hanging)
            listener.leave()
            assert not (await listener.ended()).is_whole
        assert engine.load.open == 0
        core.wake.set()
    assert len(core.jobs_that_were("cancel")) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_leaves_while_waiting_ends_the_job(stream: bool) -> None:
    engine = ScriptedEngine(chunk(), places=(Place(1, 0.1), asyncio.Event()))
    app = create_app(engine, Settings())
    async with exchange(app, "POST", PATH, json={"text": "hello", "stream": stream}) as listener:
        await engine.opened.wait()
        listener.leave()
        assert (await listener.ended()).messages == []
    assert engine.open == 0
