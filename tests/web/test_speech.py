"""What is sent when all goes well, and when it does not."""

import base64
import io
import re
import wave
from typing import Any

import pytest
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.errors import CosystreamError, ShuttingDown, Stalled, SynthesisFailed
from cosystream.runtime.protocol import Place
from cosystream.types import AudioChunk, Prompt, SynthesisRequest
from cosystream.web.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.engines import ScriptedEngine, chunk

STORY = "今天天气很好。Shall we go for a walk? 好的，3 点见！"
TEXT: dict[str, Any] = {"text": "hello"}
EVENTS = "/synthesize/stream"
PCM = "/synthesize/stream?format=pcm&text=hello"
WAV = "/synthesize/stream?format=wav&text=hello"
BINARY = {"x-sample-rate": "24000", "x-channels": "1", "x-sample-format": "s16le"}
NOT_STORED = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}


def speaking(*chunks: AudioChunk | Exception, places: tuple[Place | Exception, ...] = ()) -> ASGIApp:
    return create_app(ScriptedEngine(*chunks, places=places), Settings())


async def events(app: ASGIApp, **fields: object) -> Answer:
    return await ask(app, "POST", EVENTS, json=TEXT | fields, headers={"x-request-id": "r1"})


# Events


async def test_a_stream_of_events_tells_the_whole_story_in_order() -> None:
    first, second, third = chunk(2400, "One.", 1), chunk(2400, None, 2), chunk(1200, "Two.", 3)
    app = speaking(first, second, third, places=(Place(2, 0.42), Place(1, 0.1)))
    answer = await events(app)
    assert [(event.name, event.data) for event in answer.events] == [
        ("queued", {"request_id": "r1", "position": 2, "eta_ms": 420}),
        ("queued", {"request_id": "r1", "position": 1, "eta_ms": 100}),
        (
            "start",
            {
                "request_id": "r1",
                "sample_rate": 24000,
                "channels": 1,
                "format": "pcm_s16le",
                "encoding": "hex",
                "engine": "scripted",
                "speaker": "anna",
                "seed": 7,
            },
        ),
        ("sentence", {"index": 0, "text": "One.", "begin_ms": 0}),
        ("audio", {"index": 0, "audio": first.pcm.hex(), "samples": 2400, "offset_ms": 0}),
        ("audio", {"index": 1, "audio": second.pcm.hex(), "samples": 2400, "offset_ms": 100}),
        ("sentence", {"index": 1, "text": "Two.", "begin_ms": 200}),
        ("audio", {"index": 2, "audio": third.pcm.hex(), "samples": 1200, "offset_ms": 200}),
        (
            "done",
            {
                "request_id": "r1",
                "chunks": 3,
                "samples": 6000,
                "duration_ms": 250,
                "first_audio_ms": 500,
                "queue_ms": 250,
                "rtf": 0.125,
                "underruns": 1,
                "finish_reason": "stop",
            },
        ),
    ]
    assert re.findall(rb"^id: (.*)$", answer.body, re.MULTILINE) == [b"r1:0", b"r1:1", b"r1:2"]
    assert answer.is_whole


async def test_events_are_neither_stored_nor_compressed_nor_buffered() -> None:
    answer = await ask(speaking(chunk()), "POST", EVENTS, json=TEXT, headers={"accept-encoding": "gzip, br"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert dict(answer.headers).items() >= NOT_STORED.items()
    assert "content-encoding" not in answer.headers
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.events[0].data["request_id"] == answer.headers["x-request-id"]
    assert b"retry:" not in answer.body


async def test_what_the_request_leaves_open_is_told_at_the_start() -> None:
    first, *_ = (await events(speaking(chunk()), speaker="中文女", seed=-5)).events
    assert (first.data["speaker"], first.data["seed"]) == ("中文女", -5)


async def test_audio_comes_in_base64_if_asked_for() -> None:
    said = chunk()
    answer = await events(speaking(said), encoding="base64")
    start, audio, _ = answer.events
    assert start.data["encoding"] == "base64"
    assert base64.b64decode(audio.data["audio"]) == said.pcm


async def test_a_job_without_audio_is_done_with_none() -> None:
    answer = await events(speaking())
    assert [event.name for event in answer.events] == ["start", "done"]
    assert (answer.events[1].data["chunks"], answer.events[1].data["duration_ms"]) == (0, 0)


async def test_a_sentence_begins_when_its_audio_does() -> None:
    answer = await events(speaking(chunk(1000), chunk(1000, "Two."), chunk(1000, "Three.")))
    begins = {event.data["text"]: event.data["begin_ms"] for event in answer.events if event.name == "sentence"}
    offsets = [event.data["offset_ms"] for event in answer.events if event.name == "audio"]
    assert begins == {"Two.": offsets[1], "Three.": offsets[2]} == {"Two.": 42, "Three.": 83}


@pytest.mark.parametrize(
    "error", [SynthesisFailed("lost my voice"), Stalled("no audio"), ShuttingDown("bye", retry_after_seconds=5.0)]
)
async def test_a_failure_in_mid_stream_is_the_last_event(error: CosystreamError) -> None:
    answer = await events(speaking(chunk(), error))
    assert [event.name for event in answer.events] == ["start", "audio", "error"]
    assert answer.events[-1].data == {
        "error": {"type": error.type, "message": str(error), "field": None},
        "partial_audio": True,
    }
    assert answer.status == 200
    assert answer.is_whole


async def test_what_nobody_has_foreseen_is_the_last_event_too() -> None:
    answer = await events(speaking(chunk(2400), AudioChunk(b"odd")), sample_rate=16_000)
    assert [event.name for event in answer.events] == ["start", "audio", "error"]
    failure = answer.events[-1].data
    assert failure["error"]["type"] == "synthesis_failed"
    assert "its log says why" in failure["error"]["message"]
    assert failure["partial_audio"] is True


async def test_a_failure_while_waiting_is_the_last_event() -> None:
    answer = await events(speaking(places=(Place(1, 0.1), ShuttingDown("bye", retry_after_seconds=5.0))))
    assert [event.name for event in answer.events] == ["queued", "error"]
    assert answer.events[-1].data["error"]["type"] == "shutting_down"
    assert answer.events[-1].data["partial_audio"] is False


# Audio as it is made


@pytest.mark.parametrize(("target", "media_type"), [(PCM, "audio/pcm"), (WAV, "audio/wav")])
async def test_audio_is_sent_as_it_is_made_under_its_true_name(target: str, media_type: str) -> None:
    chunks = [chunk(level=level) for level in (1, 2, 3)]
    answer = await ask(speaking(*chunks), "GET", target)
    assert answer.headers["content-type"] == media_type
    assert dict(answer.headers).items() >= (BINARY | NOT_STORED).items()
    assert "content-length" not in answer.headers
    assert answer.body[-3 * 4800 :] == b"".join(piece.pcm for piece in chunks)
    assert len(answer.messages) == 1 + len(chunks) + 1


async def test_a_wav_of_unknown_length_has_one_header_that_says_so() -> None:
    answer = await ask(speaking(chunk(), chunk()), "GET", f"{WAV}&sample_rate=16000")
    assert answer.body[:8] == b"RIFF\xff\xff\xff\xff"
    assert answer.body[40:44] == b"\xff\xff\xff\xff"
    assert answer.body.count(b"RIFF") == 1
    assert int.from_bytes(answer.body[24:28], "little") == 16000 == int(answer.headers["x-sample-rate"])


async def test_audio_that_breaks_off_lacks_its_end() -> None:
    said = chunk()
    answer = await ask(speaking(said, SynthesisFailed("lost my voice")), "GET", PCM)
    assert (answer.status, answer.body) == (200, said.pcm)
    assert not answer.is_whole


@pytest.mark.parametrize("target", [PCM, WAV])
async def test_a_failure_before_the_first_sample_has_a_status_of_its_own(target: str) -> None:
    answer = await ask(speaking(SynthesisFailed("lost my voice"), chunk()), "GET", target)
    assert answer.status == 500
    assert answer.json == {"error": {"type": "synthesis_failed", "message": "lost my voice", "field": None}}


async def test_a_job_without_audio_is_an_empty_file() -> None:
    assert (await ask(speaking(), "GET", PCM)).body == b""
    assert len((await ask(speaking(), "GET", WAV)).body) == 44


# All of it at once


async def test_a_collected_answer_is_a_complete_wav() -> None:
    chunks = [chunk(level=level) for level in (1, 2, 3)]
    answer = await ask(speaking(*chunks), "POST", "/synthesize_complete", data=TEXT)
    assert answer.headers["content-type"] == "audio/wav"
    assert dict(answer.headers).items() >= BINARY.items()
    assert int(answer.headers["content-length"]) == len(answer.body)
    with wave.open(io.BytesIO(answer.body)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.readframes(file.getnframes()) == b"".join(piece.pcm for piece in chunks)


@pytest.mark.parametrize("method", ["json", "data"])
async def test_a_collected_answer_fails_whole_whenever_it_fails(method: str) -> None:
    app = speaking(chunk(), chunk(), Stalled("no audio for 10 s"))
    answer = await ask(app, "POST", "/synthesize_complete", **{method: TEXT})
    assert answer.status == 504
    assert answer.json == {"detail": "no audio for 10 s"}


# One request, three forms


@pytest.mark.parametrize("sample_rate", [None, 8000, 16000, 44100])
@pytest.mark.parametrize("speed", [1.0, 1.7])
async def test_events_chunks_and_file_are_the_same_samples(
    tone: ASGIApp, sample_rate: int | None, speed: float
) -> None:
    fields = {"text": STORY, "seed": 7, "speed": speed, "sample_rate": sample_rate}
    told = await ask(tone, "POST", EVENTS, json=fields)
    chunked = await ask(tone, "POST", EVENTS, json=fields, headers={"accept": "audio/pcm"})
    streamed = await ask(tone, "POST", EVENTS, json=fields | {"format": "wav"})
    collected = await ask(tone, "POST", "/synthesize", json=fields)
    rate = sample_rate or 24000
    with wave.open(io.BytesIO(bytes.fromhex(collected.json["audio"]))) as file:
        pcm = file.readframes(file.getnframes())
        assert file.getframerate() == rate == collected.json["sample_rate"]
    assert told.audio == chunked.body == streamed.body[44:] == pcm
    assert len(pcm) > rate
    assert told.events[0].data["sample_rate"] == rate
    done = told.events[-1].data
    assert done["samples"] == len(pcm) // 2
    assert done["duration_ms"] == collected.json["duration_ms"] == round(len(pcm) / 2 * 1000 / rate)
    assert int(chunked.headers["x-sample-rate"]) == int(streamed.headers["x-sample-rate"]) == rate


@pytest.mark.parametrize("sample_rate", [24000, 22050])
async def test_events_are_one_timeline(tone: ASGIApp, sample_rate: int) -> None:
    *told, done = (await ask(tone, "POST", EVENTS, json={"text": STORY, "sample_rate": sample_rate})).events
    audio = [event.data for event in told if event.name == "audio"]
    sentences = [event.data for event in told if event.name == "sentence"]
    samples = 0
    for index, data in enumerate(audio):
        assert data["index"] == index
        assert data["offset_ms"] == round(samples * 1000 / sample_rate)
        assert len(bytes.fromhex(data["audio"])) == 2 * data["samples"]
        samples += data["samples"]
    assert (done.data["chunks"], done.data["samples"]) == (len(audio), samples)
    assert [data["index"] for data in sentences] == [0, 1, 2]
    assert "".join(data["text"] for data in sentences).replace(" ", "") == STORY.replace(" ", "")
    begins = [data["begin_ms"] for data in sentences]
    assert begins == sorted(begins)
    assert begins[0] == 0


# What the engine is asked


async def test_the_engine_gets_what_the_caller_sent() -> None:
    engine = ScriptedEngine(chunk())
    fields = {"text": "hi", "voice": "x", "instruct": "whisper", "speed": "0.5", "seed": "3", "normalize": "false"}
    upload = {"prompt_wav": ("me.wav", b"RIFF" * 300_000, "audio/wav")}
    app = create_app(engine, Settings())
    await ask(app, "POST", EVENTS, data=fields | {"prompt_text": "hello"}, files=upload)
    prompt = Prompt(b"RIFF" * 300_000, "hello")
    asked = SynthesisRequest("hi", "x", "whisper", prompt, 0.5, 3, normalize=False)
    in_json = {"prompt_wav": base64.b64encode(prompt.audio).decode(), "prompt_text": "hello"}
    await ask(app, "POST", EVENTS, json={**fields, **in_json, "speed": 0.5, "seed": 3, "normalize": False})
    assert engine.requests == [asked, asked]
